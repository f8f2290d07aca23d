/* SPDX-License-Identifier: MIT */
/*
 * calls/pin.c - pages that stay where they are for somebody outside.
 *
 * I1  mm->pinned_pages counts the pins that were taken and not given back,
 *     those of a call under way included. While it is above 0 the pins hold
 *     one reference on the mm.
 * I2  ASPEN_MM_PINNED is set before the first page is pinned, under the mmap
 *     lock for reading or before that: so fork sees it.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_pin.c.
 */
#include <aspen/calls/pin.h>

#include "fault/hold.h"
#include "frames/pins.h"
#include "reclaim/attempt.h"
#include "space/limits.h"

static void
uncount_pins(struct aspen_mm *mm, uint64_t pages)
{
    if (aspen_fetch_sub(&mm->pinned_pages, pages) == pages)
        aspen_mm_drop(mm);
}

/* As many as there are, at most: 0 and *last, whether those were all. Then the
 * reference that they hold is the caller's. */
static int
uncount_pins_there(struct aspen_mm *mm, uint64_t pages, bool *last)
{
    uint64_t before = aspen_load(&mm->pinned_pages);

    do {
        if (pages > before)
            return -ASPEN_EINVAL;
    } while (
        !aspen_compare_exchange(&mm->pinned_pages, &before, before - pages));
    *last = before == pages;
    return 0;
}

/* May all pins of the space together, `before` and `pages`, be so many? */
static bool
within_limit(const struct aspen_mm *mm, uint64_t before, uint64_t pages)
{
    uint64_t most = aspen_limit(mm, ASPEN_LIMIT_MEMLOCK) >> ASPEN_PAGE_SHIFT;

    return aspen_privileged(mm, ASPEN_PRIVILEGE_IPC_LOCK) ||
           (before <= most && pages <= most - before);
}

static int
count_pins(struct aspen_mm *mm, uint64_t pages, unsigned flags)
{
    uint64_t before = aspen_fetch_add(&mm->pinned_pages, pages);

    if (before == 0)
        aspen_mm_hold(mm);
    if (!(flags & ASPEN_PIN_LIMITED) || within_limit(mm, before, pages))
        return 0;
    uncount_pins(mm, pages);
    return -ASPEN_ENOMEM;
}

/* *done: pages that are pinned, also after an error. */
static int
pin_pages(struct aspen_mm *mm, uint64_t address, uint64_t pages, unsigned flags,
          uint32_t *frames, uint64_t *done)
{
    struct aspen_hold hold;

    aspen_hold_begin(
        &hold, mm,
        flags & ASPEN_PIN_WRITE ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ,
        flags & ASPEN_PIN_REMOTE ? ASPEN_HOLD_PIN | ASPEN_HOLD_REMOTE
                                 : ASPEN_HOLD_PIN);
    int error = 0;
    uint64_t i = 0;

    while (i < pages) {
        error = aspen_hold_page(&hold, address + (i << ASPEN_PAGE_SHIFT),
                                &frames[i]);
        if (error)
            break;
        i++;
    }
    aspen_hold_end(&hold);
    *done = i;
    return error;
}

static int
prepare(struct aspen_mm *mm)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_pins_prepare(mm->aspen);
    return error;
}

int
aspen_pin_range(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
                unsigned flags, uint32_t *frames)
{
    uint64_t pages = length_bytes >> ASPEN_PAGE_SHIFT;
    uint64_t done;

    if (!pages || !aspen_is_aligned(address | length_bytes, ASPEN_PAGE_SIZE) ||
        flags & ~(ASPEN_PIN_WRITE | ASPEN_PIN_LIMITED | ASPEN_PIN_REMOTE))
        return -ASPEN_EINVAL;
    if (address > mm->address_limit ||
        length_bytes > mm->address_limit - address)
        return -ASPEN_EFAULT;
    int error = prepare(mm);
    if (!error)
        error = count_pins(mm, pages, flags);
    if (error)
        return error;
    aspen_mm_flags_set(mm, ASPEN_MM_PINNED);
    error = pin_pages(mm, address, pages, flags, frames, &done);
    if (error) {
        aspen_frames_uncount_pins(mm->aspen, frames, done);
        aspen_frames_put_pinned(mm->aspen, frames, done);
        uncount_pins(mm, pages);
    }
    return error;
}

/* All of them, or none: what is not pinned shows before anything goes. */
static int
uncount_both(struct aspen_mm *mm, const uint32_t *frames, uint64_t pages,
             bool *last)
{
    struct aspen *aspen = mm->aspen;

    if (pages > aspen_load(&mm->pinned_pages))
        return -ASPEN_EINVAL;
    uint64_t done = aspen_frames_uncount_pins(aspen, frames, pages);
    int error =
        done < pages ? -ASPEN_EINVAL : uncount_pins_there(mm, pages, last);
    if (error)
        aspen_frames_recount_pins(aspen, frames, done);
    return error;
}

int
aspen_unpin(struct aspen_mm *mm, const uint32_t *frames, uint64_t pages,
            unsigned flags)
{
    /* Once our pins are not counted any more others' last one may end it. */
    struct aspen *aspen = mm->aspen;
    bool last;

    if (flags & ~ASPEN_UNPIN_DIRTY)
        return -ASPEN_EINVAL;
    if (pages == 0) /* nothing: not the last pin, which holds the space */
        return 0;
    int error = uncount_both(mm, frames, pages, &last);
    if (error)
        return error;
    for (uint64_t i = 0; flags & ASPEN_UNPIN_DIRTY && i < pages; i++)
        aspen_hold_written(aspen, frames[i]);
    aspen_frames_put_pinned(aspen, frames, pages);
    if (last)
        aspen_mm_drop(mm);
    return 0;
}
