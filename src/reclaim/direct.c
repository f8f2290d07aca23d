/* SPDX-License-Identifier: MIT */
/*
 * reclaim/direct.c - reclaim by who needs memory at once.
 *
 * I1  Nobody waits for ever: a bounded number of attempts, and a bounded number
 *     of looks for each. While pages leave there are more of them for who needs
 *     little: that somebody else was faster is no want of memory. How often
 *     none leaves has a bound of its own, be others at it or not.
 * I2  That nothing leaves says that nothing can, unless somebody else reclaims
 *     at the same time: he holds the pages that he looks at, and what is held
 *     stays. Then there is another attempt, once one of them has ended. Of a
 *     group it says so after several attempts: it is small, and its own spaces
 *     may have accessed all of it just now. Pages that are being read from swap
 *     while nobody waits are locked: one of these reads is waited for first.
 *
 * Called by faults, by calls that read objects, and by attempt.c. The first
 * test to break is tests/unit/reclaim/test_direct.c.
 */
#include "reclaim/direct.h"

#include "frames/lru.h"
#include "group/group.h"
#include "machine/pressure.h"
#include "machine/swap_reads.h"
#include "reclaim/reclaim.h"

/* At the most 128 MiB leave for one attempt, so that it ends soon when somebody
 * wants it to. */
#define DOUBLED_MOST 10u

void
aspen_direct_begin(struct aspen_direct *direct)
{
    direct->ended = aspen_load(&direct->aspen->leaving.ended);
    direct->refused = aspen_load_relaxed(&direct->aspen->refused_frames);
    aspen_payer_retry(&direct->payer);
}

static bool
has_tried(const struct aspen_direct *direct)
{
    return direct->idle >= ASPEN_DIRECT_ATTEMPTS ||
           direct->attempts >=
               (direct->grows ? ASPEN_DIRECT_ATTEMPTS : ASPEN_DIRECT_PATIENCE);
}

bool
aspen_direct_wants(const struct aspen_direct *direct, int error)
{
    return error == -ASPEN_ENOMEM && !has_tried(direct) &&
           (direct->payer.full ||
            aspen_load_relaxed(&direct->aspen->refused_frames) !=
                direct->refused);
}

struct others {
    struct aspen_leaving *leaving;
    uint32_t ended;
};

static bool
none_ended(const void *argument)
{
    const struct others *others = argument;

    return aspen_load(&others->leaving->ended) == others->ended;
}

/* Who reclaims at the same time, if anybody does, gives back what he holds. */
static void
wait_for_others(struct aspen_leaving *leaving)
{
    struct others others = {leaving, aspen_load(&leaving->ended)};

    if (aspen_load(&leaving->begun) != others.ended)
        aspen_port_wait_while(&leaving->ended, none_ended, &others);
}

/* Take pages out of memory, of a group that is full, or of any. False: none
 * left, and nobody else was at it. */
static bool
relieve(struct aspen_direct *direct, uint64_t pages)
{
    struct aspen *aspen = direct->aspen;
    struct aspen_group *full = direct->payer.full;
    struct aspen_leaving *leaving = &aspen->leaving;
    uint32_t begun = aspen_load(&leaving->begun);
    bool any = aspen_reclaim_by(aspen, full, pages, ASPEN_RECLAIM_DIRECT) > 0;

    direct->idle = any ? 0 : direct->idle + 1;
    if (any)
        return true;
    /* I2: all that could leave may be on its way here. */
    if (aspen_swap_wait_any(aspen))
        return true;
    /* What others have let go since the try began was not there for it. */
    bool alone =
        begun == direct->ended && aspen_load(&leaving->begun) == begun + 1;
    wait_for_others(leaving);
    return !alone;
}

/* For the next attempt: what it was refused, and what others take meanwhile. */
static uint64_t
pages_for(const struct aspen_direct *direct)
{
    uint64_t doubled = direct->grows ? direct->attempts : 0;

    return (uint64_t)ASPEN_RECLAIM_BATCH
           << aspen_min_u64(doubled, DOUBLED_MOST);
}

static bool
try_to_relieve(struct aspen_direct *direct)
{
    struct aspen *aspen = direct->aspen;
    uint64_t pages = pages_for(direct);

    direct->attempts++;
    aspen_fetch_add_relaxed(&aspen->leaving.stalls, 1);
    struct aspen_group *stalled = aspen_stall_begin(aspen, &direct->payer);
    bool relieved = relieve(direct, pages);
    aspen_stall_end(aspen, stalled);
    if (relieved)
        aspen_fetch_add_relaxed(&aspen->leaving.direct, 1);
    return relieved;
}

bool
aspen_direct_again(struct aspen_direct *direct, int error)
{
    bool again = aspen_direct_wants(direct, error);

    if (again && !try_to_relieve(direct) && !direct->payer.full)
        again = false; /* I2 */
    if (has_tried(direct))
        again = false;
    if (!again && error == -ASPEN_ENOMEM && direct->payer.full)
        aspen_group_note(direct->payer.full, ASPEN_GROUP_EVENT_OOM);
    aspen_payer_retry(&direct->payer);
    return again;
}

void
aspen_direct_lower_slowly(struct aspen_direct *direct)
{
    struct aspen_group *group = direct->payer.over;
    uint64_t excess = aspen_group_excess(group);

    if (excess) {
        struct aspen_group *stalled =
            aspen_stall_begin(direct->aspen, &direct->payer);
        aspen_group_note(group, ASPEN_GROUP_EVENT_HIGH);
        aspen_reclaim_by(direct->aspen, group,
                         aspen_min_u64(excess, 2 * direct->payer.over_pages),
                         ASPEN_RECLAIM_DIRECT);
        aspen_stall_end(direct->aspen, stalled);
    }
    aspen_payer_end(&direct->payer);
}
