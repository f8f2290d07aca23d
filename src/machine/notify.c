/* SPDX-License-Identifier: MIT */
/*
 * machine/notify.c - what second MMUs go by (aspen/calls/mmu.h).
 *
 *     who changes   open++   hook   entries, flush   hook   sequence++, open--
 *     who fills          begin         look at entries         retry
 *                                                  (under the hook's own lock)
 *
 * Who fills may look at entries at any time. If it asks before the hook has
 * taken its lock, the hook drops what it put there. If it asks later it sees
 * that a bracket is open, or that one has ended since it began.
 *
 * I1  A bracket is counted as open before its hook is called and until after
 *     the hook of its end: so whoever takes the hook's lock after the hook sees
 *     it.
 * I2  The sequence moves before the bracket is counted off: whoever sees none
 *     open sees the sequence of those that were. Entries changed before that:
 *     whoever begins with the new sequence sees the new entries.
 * I3  `range` covers all that are open, and is never narrowed while one is; it
 *     may be too wide, which costs another look.
 *
 * Called by whoever changes entries, and by the embedder. The first test to
 * break is tests/unit/machine/test_notify.c.
 */
#include "machine/notify.h"

#include "base/bits.h"
#include "base/lock.h"
#include <aspen/calls/mmu.h>

static bool
overlaps(const struct aspen_notify_range *range, uint64_t start, uint64_t end)
{
    return range->start < end && start < range->end;
}

/* ---- Brackets ---------------------------------------------------------- */

void
aspen_notify_open(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    struct aspen_notify *notify = &mm->notify;
    struct aspen_notify_range *range = &notify->range;

    aspen_spin_lock(&notify->lock, ASPEN_LOCK_LEAF);
    uint32_t open = aspen_load_relaxed(&notify->open);
    range->start = open ? aspen_min_u64(range->start, start) : start;
    range->end = open ? aspen_max_u64(range->end, end) : end;
    aspen_store_relaxed(&notify->open, open + 1); /* I1 */
    aspen_spin_unlock(&notify->lock);
    hooks->notifier->invalidate_start(hooks->context, mm, start, end);
}

void
aspen_notify_close(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    struct aspen_notify *notify = &mm->notify;

    hooks->notifier->invalidate_end(hooks->context, mm, start, end);
    aspen_spin_lock(&notify->lock, ASPEN_LOCK_LEAF);
    uint64_t sequence = aspen_load_relaxed(&notify->sequence);
    notify->ended[sequence % ASPEN_NOTIFY_ENDED] =
        (struct aspen_notify_range){start, end};
    aspen_store(&notify->sequence, sequence + 1);
    aspen_store(&notify->open, aspen_load_relaxed(&notify->open) - 1); /* I2 */
    bool waiting = notify->waiting;
    notify->waiting = false;
    aspen_spin_unlock(&notify->lock);
    if (waiting)
        aspen_port_wake_all(notify);
}

/* ---- Who fills --------------------------------------------------------- */

uint64_t
aspen_mmu_begin(const struct aspen_mm *mm)
{
    return aspen_load(&mm->notify.sequence);
}

/* The lock is held. */
static bool
is_open(const struct aspen_notify *notify, uint64_t start, uint64_t end)
{
    return aspen_load_relaxed(&notify->open) &&
           overlaps(&notify->range, start, end);
}

/* Has one ended since, that overlaps? So it is if nobody knows any more. */
static bool
has_ended(const struct aspen_notify *notify, uint64_t begun, uint64_t start,
          uint64_t end)
{
    uint64_t sequence = aspen_load_relaxed(&notify->sequence);

    if (sequence - begun > ASPEN_NOTIFY_ENDED)
        return true;
    for (; begun != sequence; begun++)
        if (overlaps(&notify->ended[begun % ASPEN_NOTIFY_ENDED], start, end))
            return true;
    return false;
}

bool
aspen_mmu_retry(struct aspen_mm *mm, uint64_t begun, uint64_t start,
                uint64_t end)
{
    struct aspen_notify *notify = &mm->notify;

    if (aspen_likely(!aspen_load(&notify->open) &&
                     aspen_load(&notify->sequence) == begun)) /* I2 */
        return false;
    aspen_spin_lock(&notify->lock, ASPEN_LOCK_LEAF);
    bool retry =
        is_open(notify, start, end) || has_ended(notify, begun, start, end);
    aspen_spin_unlock(&notify->lock);
    return retry;
}

struct awaited {
    const struct aspen_notify *notify;
    uint64_t sequence;
};

static bool
has_not_moved(const void *argument)
{
    const struct awaited *awaited = argument;

    return aspen_load(&awaited->notify->sequence) == awaited->sequence;
}

void
aspen_mmu_wait(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_notify *notify = &mm->notify;
    struct awaited awaited = {.notify = notify};

    for (;;) {
        aspen_spin_lock(&notify->lock, ASPEN_LOCK_LEAF);
        bool open = is_open(notify, start, end);
        notify->waiting |= open;
        awaited.sequence = aspen_load_relaxed(&notify->sequence);
        aspen_spin_unlock(&notify->lock);
        if (!open)
            return;
        aspen_port_wait_while(notify, has_not_moved, &awaited);
    }
}

/* ---- Young ------------------------------------------------------------- */

bool
aspen_notify_test_young(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;

    return hooks->notifier && hooks->notifier->test_young &&
           hooks->notifier->test_young(hooks->context, mm, start, end);
}

bool
aspen_notify_clear_young(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;

    if (hooks->notifier && hooks->notifier->clear_young)
        return hooks->notifier->clear_young(hooks->context, mm, start, end);
    aspen_notify_start(mm, start, end);
    aspen_notify_end(mm, start, end);
    return false;
}
