/* SPDX-License-Identifier: MIT */
/*
 * reclaim/direct.c - reclaim by who needs memory at once.
 *
 * I1  Nobody waits for ever: a bounded number of attempts, and a bounded number
 *     of looks for each.
 * I2  That nothing leaves says that nothing can, unless somebody else reclaims
 *     at the same time: he holds the pages that he looks at, and what is held
 *     stays. Then there is another attempt, once one of them has ended.
 *
 * Called by faults, and by calls that read objects. The first test to break is
 * tests/unit/reclaim/test_direct.c.
 */
#include "reclaim/direct.h"

#include "frames/lru.h"
#include "machine/pressure.h"
#include "reclaim/reclaim.h"

void
aspen_direct_begin(struct aspen_direct *direct)
{
    direct->refused = aspen_load_relaxed(&direct->aspen->refused_frames);
}

bool
aspen_direct_wants(const struct aspen_direct *direct, int error)
{
    return error == -ASPEN_ENOMEM && direct->attempts < ASPEN_DIRECT_ATTEMPTS &&
           aspen_load_relaxed(&direct->aspen->refused_frames) !=
               direct->refused;
}

struct others {
    struct aspen_lru *lru;
    uint32_t ended;
};

static bool
none_ended(const void *argument)
{
    const struct others *others = argument;

    return aspen_load(&others->lru->ended) == others->ended;
}

/* Who reclaims at the same time, if anybody does, gives back what he holds. */
static void
wait_for_others(struct aspen_lru *lru)
{
    struct others others = {lru, aspen_load(&lru->ended)};

    if (aspen_load(&lru->begun) != others.ended)
        aspen_port_wait_while(&lru->ended, none_ended, &others);
}

/* Take pages out of memory. False: none left, and nobody else was at it. */
static bool
relieve(struct aspen *aspen)
{
    struct aspen_lru *lru = &aspen->lru;
    uint32_t ended = aspen_load(&lru->ended); /* first: it may be too few */
    uint32_t begun = aspen_load(&lru->begun);
    bool any =
        aspen_reclaim_by(aspen, ASPEN_RECLAIM_BATCH, ASPEN_RECLAIM_DIRECT) > 0;

    if (any)
        return true;
    bool alone = begun == ended && aspen_load(&lru->begun) == begun + 1;
    wait_for_others(lru);
    return !alone;
}

bool
aspen_direct_again(struct aspen_direct *direct, int error)
{
    if (!aspen_direct_wants(direct, error))
        return false;
    direct->attempts++;
    aspen_fetch_add_relaxed(&direct->aspen->lru.stalls, 1);
    aspen_stall_begin(direct->aspen);
    bool relieved = relieve(direct->aspen);
    aspen_stall_end(direct->aspen);
    if (!relieved)
        return false;
    aspen_fetch_add_relaxed(&direct->aspen->lru.direct, 1);
    return true;
}
