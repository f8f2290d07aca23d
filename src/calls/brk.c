/* SPDX-License-Identifier: MIT */
/*
 * calls/brk.c - brk: an mmap at the end of the heap, or a munmap there.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_brk.c.
 */
#include <aspen/calls/brk.h>

#include "calls/map.h"
#include "fault/populate.h"
#include "reclaim/attempt.h"
#include "space/limits.h"
#include "space/vma.h"

/* ---- Check ------------------------------------------------------------- */

/* Whatever is near the new end keeps a page away, a stack its guard gap. */
static bool
has_room(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_vma *next = aspen_vma_find(mm, start);

    return !next || end + ASPEN_PAGE_SIZE <= aspen_vma_start_with_gap(next);
}

static int
check(struct aspen_mm *mm, uint64_t brk)
{
    const struct aspen_layout *layout = &mm->layout;

    if (brk < layout->brk_start || brk > mm->address_limit ||
        aspen_check_data_limit(mm, layout->brk_start, brk, layout->data_start,
                               layout->data_end))
        return -ASPEN_ENOMEM;
    return 0;
}

/* ---- Grow and shrink: reserve and commit are those of mmap and munmap --- */

static int
grow(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_mmap_args args = {
        .address = start,
        .length_bytes = end - start,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
        .flags = ASPEN_MAP_FIXED,
    };

    if (!has_room(mm, start, end))
        return -ASPEN_ENOMEM;
    /* What ends where the heap begins is none of it. */
    return aspen_mmap_locked(mm, &args, start == mm->layout.brk_start);
}

static int
shrink(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_vma *vma = aspen_vma_find(mm, start);

    if (!vma || vma->start >= end)
        return -ASPEN_ENOMEM;
    return aspen_munmap_locked(mm, start, end);
}

/* The mmap lock is held for writing. */
static int
move_end(struct aspen_mm *mm, uint64_t brk)
{
    uint64_t old = aspen_align_up(mm->layout.brk, ASPEN_PAGE_SIZE);
    uint64_t new = aspen_align_up(brk, ASPEN_PAGE_SIZE);

    int error = check(mm, brk);
    if (!error && new > old)
        error = grow(mm, old, new);
    else if (!error && new < old)
        error = shrink(mm, new, old);
    if (!error)
        mm->layout.brk = brk;
    return error;
}

int
aspen_brk(struct aspen_mm *mm, uint64_t brk, uint64_t *now)
{
    struct aspen_attempt attempt;
    uint64_t old = 0, end = 0;
    bool fill = false;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error)) {
        old = mm->layout.brk;
        error = move_end(mm, brk);
        end = mm->layout.brk;
        fill = end > old && mm->def_flags & ASPEN_VM_LOCKED;
    }
    if (now && error != -ASPEN_EINTR)
        *now = end;
    if (fill)
        aspen_populate_silently(mm, aspen_align_up(old, ASPEN_PAGE_SIZE),
                                aspen_align_up(end, ASPEN_PAGE_SIZE),
                                ASPEN_POPULATE_MMAP);
    return error;
}
