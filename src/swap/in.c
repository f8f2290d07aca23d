/* SPDX-License-Identifier: MIT */
/*
 * swap/in.c - a page comes back from its slot, into the swap cache.
 *
 * I1  A page is in the cache, and locked, before it is read: who comes at the
 *     same time waits for it. When the lock is given back it is all there, or
 *     in the cache no more.
 *
 * I2  What could not be read leaves the cache, and nothing else changes: the
 *     entry stays, for whoever asks again. If no entry is left nobody needs it,
 *     and nobody is told.
 *
 * I3  Frames are taken before any page is locked, since others may have to
 *     leave for them.
 *
 * Called by fault/swap.c and WILLNEED. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "swap/swap.h"

#include "frames/policy.h"
#include "frames/watermark.h"
#include "group/group.h"
#include "machine/swap_reads.h"

/* No errors, which may be the device's: others were quicker; and pages are
 * being read, the reference to the one is gone. */
#define LOOK_AGAIN 1
#define LATER      2

/* Slots in a row, of which one is needed: frames[BESIDE + n] is for the one n
 * behind that. */
struct run {
    struct aspen *aspen;
    unsigned type;
    uint32_t slot;
    struct aspen_payer *payer;
    bool nobody_waits; /* ahead: nobody needs the one either */
    int first;         /* of those that are being read: n */
    int last;
    uint32_t frames[2 * ASPEN_SWAP_BESIDE];
};

static uint32_t *
frame_at(struct run *run, int n)
{
    return &run->frames[ASPEN_SWAP_BESIDE + n];
}

/* ---- Begin -------------------------------------------------------------- */

/* Whose its slot is: a reference, or NULL. */
static struct aspen_group *
group_at(struct run *run, int n)
{
    return aspen_swap_group_of(run->aspen, run->type, run->slot + (uint32_t)n);
}

/* Is it still that one's? Who gives it to another from now on finds the page,
 * and waits for its lock (regroup.c). */
static bool
is_still(struct run *run, int n, const struct aspen_group *group)
{
    struct aspen_group *now = group_at(run, n);

    if (now)
        aspen_group_drop(now, 1);
    return now == group;
}

/* Its slot is the caller's. The page, locked, enters the cache: 0, or an error
 * or LOOK_AGAIN, and it is the caller's to put: who has found it there
 * meanwhile may hold it still, and lock it. */
static int
enter_page(struct run *run, int n, uint32_t number)
{
    struct aspen *aspen = run->aspen;
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    struct aspen_swap_absence absence;
    struct aspen_group *group = group_at(run, n);

    int error = aspen_pay_for(aspen, run->payer, group, number);
    if (group)
        aspen_group_drop(group, 1);
    if (error)
        return error;
    aspen_frame_set_anon(aspen, number, NULL, 0);
    bool locked = aspen_frame_trylock(page);
    ASPEN_ASSERT(locked); /* it is new */
    error = aspen_swap_cache_add(aspen, run->type, run->slot + (uint32_t)n,
                                 number, &absence);
    if (!error && !is_still(run, n, group)) {
        aspen_swap_cache_drop(aspen, run->type, run->slot + (uint32_t)n,
                              number);
        error = -ASPEN_EEXIST;
    }
    if (error) {
        aspen_frame_unlock(page);
        return error == -ASPEN_EEXIST ? LOOK_AGAIN : error;
    }
    *frame_at(run, n) = number;
    aspen_lru_enter(
        aspen, number,
        aspen_policy_enter(aspen, number, absence.away, absence.referenced));
    return 0;
}

static bool
is_memory_short(const struct aspen *aspen)
{
    return aspen_watermark_free(aspen) <= aspen_load_relaxed(&aspen->zone.low);
}

/* How many wanted ones stand in a row with the slot, in one direction. */
static int
adjoining(uint64_t wanted, int step)
{
    int n = 0;

    while (n < ASPEN_SWAP_BESIDE - 1 &&
           wanted >> (ASPEN_SWAP_BESIDE + step * (n + 1)) & 1)
        n++;
    return n;
}

/* Frames for so many, unless memory is short: no page is locked yet. */
static unsigned
get_spares(struct aspen *aspen, uint32_t *spares, unsigned most)
{
    unsigned count = 0;

    while (count < most && !is_memory_short(aspen) &&
           !aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_FRAME,
                                   ASPEN_FRAMES_ABOVE_MIN, &spares[count]))
        count++;
    return count;
}

/* Its slot's for as long as it is read, or an error and nothing has changed. */
static int
enter_with_slot(struct run *run, int n, uint32_t number)
{
    struct aspen *aspen = run->aspen;
    int64_t slot = (int64_t)run->slot + n;

    if (slot < 0)
        return -ASPEN_EINVAL;
    int error = aspen_swap_duplicate(aspen, run->type, (uint32_t)slot);
    if (error)
        return error;
    error = enter_page(run, n, number);
    if (error)
        aspen_swap_free(aspen, run->type, (uint32_t)slot);
    return error;
}

/* True: page n comes along; else the frame is given back: it may have been paid
 * for, and is no other slot's then. Takes no memory. */
static bool
enter_ahead(struct run *run, int n, uint32_t number)
{
    struct aspen *aspen = run->aspen;

    if (enter_with_slot(run, n, number)) {
        aspen_frame_put(aspen, number);
        return false;
    }
    aspen_swap_ahead_set(aspen, number);
    aspen_fetch_add_relaxed(&aspen->swap_ra, 1);
    return true;
}

/* So many in one direction, as far as they go, and as there are frames for: how
 * many of these went. `end` is the run's in that direction. */
static unsigned
enter_beside(struct run *run, int *end, int step, int most,
             const uint32_t *spares, unsigned count)
{
    unsigned used = 0;

    while (used < count && *end != step * most &&
           enter_ahead(run, *end + step, spares[used++]))
        *end += step;
    return used;
}

/* Those behind, then those before; the rest of the frames are given back. */
static void
enter_neighbours(struct run *run, int behind, int before,
                 const uint32_t *spares, unsigned count)
{
    unsigned used = enter_beside(run, &run->last, 1, behind, spares, count);

    used +=
        enter_beside(run, &run->first, -1, before, spares + used, count - used);
    while (used < count)
        aspen_frame_put(run->aspen, spares[used++]);
}

/* ---- End ---------------------------------------------------------------- */

/* Read, or not: then it leaves the cache (I2). The page's reference is the
 * caller's. */
static void
end_page(struct run *run, int n, int error)
{
    aspen_swap_end_page(run->aspen, run->type, run->slot + (uint32_t)n,
                        *frame_at(run, n), error);
}

/* Of these, those that are not needed. */
static void
end_pages(struct run *run, int first, int last, int error)
{
    for (int n = first; n <= last; n++)
        if (n) {
            end_page(run, n, error);
            aspen_frame_put(run->aspen, *frame_at(run, n));
        }
}

/* They are read without anybody who waits; false: not, and are the caller's. */
static bool
begin_pages(struct run *run, int first, int last)
{
    return aspen_swap_read_begin(
        run->aspen, run->type, run->slot + (uint32_t)first,
        frame_at(run, first), (unsigned)(last - first + 1));
}

/* A device with that much to do is not asked for what nobody needs. */
static void
begin_neighbours(struct run *run, int first, int last)
{
    if (first <= last && !begin_pages(run, first, last))
        end_pages(run, first, last, -ASPEN_EAGAIN);
}

static void
begin_transfer(struct run *run, struct aspen_swap_request *request, int first,
               int last)
{
    aspen_swap_transfer_begin(request, run->aspen, run->type,
                              run->slot + (uint32_t)first, frame_at(run, first),
                              (unsigned)(last - first + 1), false);
}

/* The one that is needed comes first, and is waited for alone. */
static int
read_apart(struct run *run)
{
    struct aspen_swap_request request;

    begin_transfer(run, &request, 0, 0);
    begin_neighbours(run, 1, run->last);
    begin_neighbours(run, run->first, -1);
    return aspen_swap_transfer_end(run->aspen, &request);
}

/* All of them; if that fails the one that is needed, alone. */
static int
read_together(struct run *run)
{
    struct aspen_swap_request request;

    begin_transfer(run, &request, run->first, run->last);
    int error = aspen_swap_transfer_end(run->aspen, &request);
    end_pages(run, run->first, run->last, error);
    if (error && run->first != run->last) {
        begin_transfer(run, &request, 0, 0);
        error = aspen_swap_transfer_end(run->aspen, &request);
    }
    return error;
}

static int
read_run(struct run *run)
{
    int error;

    if (run->nobody_waits && begin_pages(run, run->first, run->last))
        return LATER;
    if (aspen_swap_reads_later(run->aspen, run->type) && !run->nobody_waits)
        error = read_apart(run);
    else
        error = read_together(run);
    if (error && aspen_swap_references(run->aspen, run->type, run->slot) == 1)
        error = LOOK_AGAIN; /* I2 */
    end_page(run, 0, error);
    return error;
}

/* 0 and *frame, with a reference; LATER; LOOK_AGAIN; an error. The caller holds
 * the slot, and does no more afterwards. */
static int
read_pages(struct run *run, uint64_t wanted, uint32_t *frame)
{
    const int behind = adjoining(wanted, 1), before = adjoining(wanted, -1);
    struct aspen *aspen = run->aspen;
    uint32_t spares[ASPEN_SWAP_IO_PAGES - 1];

    int error = aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_FRAME,
                                       ASPEN_FRAMES_ABOVE_MIN, frame);
    if (error) {
        aspen_swap_free(aspen, run->type, run->slot);
        return error;
    }
    unsigned count =
        get_spares(aspen, spares,
                   (unsigned)aspen_min_u64((unsigned)(behind + before),
                                           ASPEN_SWAP_IO_PAGES - 1));
    error = enter_page(run, 0, *frame);
    if (error) {
        enter_neighbours(run, 0, 0, spares, count);
        aspen_swap_free(aspen, run->type, run->slot);
    } else {
        enter_neighbours(run, behind, before, spares, count);
        error = read_run(run);
    }
    if (error && error != LATER)
        aspen_frame_put(aspen, *frame);
    return error;
}

int
aspen_swap_read(struct aspen *aspen, struct aspen_payer *payer, uint64_t entry,
                uint64_t wanted, uint32_t *frame)
{
    struct run run = {
        .aspen = aspen,
        .type = aspen_entry_swap_type(entry),
        .slot = aspen_entry_swap_slot(entry),
        .payer = payer,
    };
    aspen_swap_finish(aspen, run.type);
    uint32_t found = aspen_swap_cache_find(aspen, run.type, run.slot);

    if (found != ASPEN_NO_FRAME) { /* until it is read, or written */
        aspen_swap_wait_page(aspen, run.type, found);
        *frame = found;
        return 0;
    }
    *frame = ASPEN_NO_FRAME;
    int error = aspen_swap_hold(aspen, run.type, run.slot);
    if (error) /* EINVAL: it is free by now */
        return error == -ASPEN_EINVAL ? 0 : error;
    error = read_pages(&run, wanted, &found);
    if (!error)
        *frame = found;
    return error == LOOK_AGAIN ? 0 : error;
}

int
aspen_swap_read_ahead(struct aspen *aspen, struct aspen_payer *payer,
                      uint64_t entry, uint64_t wanted)
{
    struct run run = {
        .aspen = aspen,
        .type = aspen_entry_swap_type(entry),
        .slot = aspen_entry_swap_slot(entry),
        .payer = payer,
        .nobody_waits = true,
    };
    uint32_t frame;

    aspen_swap_finish(aspen, run.type);
    int error = aspen_swap_hold(aspen, run.type, run.slot);
    if (error)
        return error == -ASPEN_ENOMEM ? error : 0;
    error = read_pages(&run, wanted, &frame);
    if (!error)
        aspen_frame_put(aspen, frame);
    aspen_swap_finish(aspen, run.type); /* devices may be quick */
    return error == -ASPEN_ENOMEM ? error : 0;
}
