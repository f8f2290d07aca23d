/* SPDX-License-Identifier: MIT */
/*
 * frames/policy_adaptive.c - an active and an inactive list, as large as what
 * comes back says.
 *
 *     came back, and would have stayed     came
 *     beside those that are active           |
 *        |                                   v
 *        |                                  NEW         the 16th part
 *        |                                   |  accessed or not: made old
 *        v            accessed               v
 *      ACTIVE  <-----------------  INACTIVE, REFERENCED ----> leaves
 *        |                                   ^
 *        +-----------------------------------+
 *          more are active than `share` says, and it was not accessed
 *
 * REFERENCED pages have been active. The access for which a page was read does
 * not count: NEW pages forget it soon, so that the next look at a page says
 * whether anybody came back to it.
 *
 * A large share of active pages is right where most of what comes is of no
 * use: scans, or a few pages of many that are used more often than others
 * (SIEVE is best there). A small one is right where what was used last is used
 * next (LRU). Which it is, what comes back tells:
 *
 *   it was away for less than the 24th part   a few more inactive pages, and it
 *   of what there is                          would have stayed: share sinks
 *   longer, but less than all that there is   they would not have helped, but
 *                                             active it would stay: share rises
 *   it had been active, or is demoted and     was not active for long enough:
 *   accessed                                  share rises
 *
 * In a loop over more than fits all pages come back after the same time. Each
 * becomes active as long as that is shorter than there is room beside active
 * ones; so active ones get fewer as they get more, some stay for good, and are
 * found at each round, where LRU finds none.
 *
 * The steps were chosen by simulation, of the traces of
 * docs/design/reclaim.md and others. The first test to break is
 * tests/unit/reclaim/test_policy.c.
 */
#include "frames/policy.h"

/* `share` in units of 1 / ONE of the pages that may leave. */
#define ONE         ((uint64_t)1 << 32)
#define SHARE_FIRST (ONE / 8)
#define SHARE_LEAST (ONE / 32)
#define SHARE_MOST  (ONE / 32 * 29)

/* Steps, in sixteenths of a page. */
#define STEP_NEAR  (-64)
#define STEP_FAR   5
#define STEP_EARLY 2

#define NEW_PART  16
#define NEAR_PART 24

static uint64_t
count_of(const struct aspen_lru *lru, enum aspen_lru_kind kind)
{
    return aspen_lru_count(lru, kind);
}

/* 0 in a machine that is new. A step that another overwrites is lost, which
 * matters no more than that it came a moment later. */
static uint64_t
share_of(const struct aspen_lru *lru)
{
    uint64_t share = aspen_load_relaxed(&lru->share);

    return share ? share : SHARE_FIRST;
}

static void
move_share(struct aspen_lru *lru, int sixteenths)
{
    uint64_t pages = aspen_lru_evictable(lru);
    int64_t step = sixteenths * (int64_t)(ONE / 16) / (int64_t)(pages + !pages);
    int64_t share = (int64_t)share_of(lru) + step;

    if (share < (int64_t)SHARE_LEAST)
        share = SHARE_LEAST;
    aspen_store_relaxed(&lru->share,
                        aspen_min_u64((uint64_t)share, SHARE_MOST));
}

static unsigned
take(struct aspen *aspen, struct aspen_lru *lru, enum aspen_lru_kind kind,
     uint32_t *frames, uint64_t most)
{
    return aspen_lru_take(aspen, lru, kind, frames, (unsigned)most);
}

static unsigned
choose(struct aspen *aspen, struct aspen_lru *lru, uint32_t *frames,
       unsigned most)
{
    uint64_t new = count_of(lru, ASPEN_LRU_NEW_LIST);
    uint64_t active = count_of(lru, ASPEN_LRU_ACTIVE_LIST);
    uint64_t pages = aspen_lru_evictable(lru);
    uint64_t new_most = pages / NEW_PART;
    uint64_t active_most = pages * share_of(lru) / ONE;

    if (new > new_most)
        return take(aspen, lru, ASPEN_LRU_NEW_LIST, frames,
                    aspen_min_u64(most, new - new_most));
    if (active > active_most)
        return take(aspen, lru, ASPEN_LRU_ACTIVE_LIST, frames,
                    aspen_min_u64(most, active - active_most));
    unsigned count = take(aspen, lru, ASPEN_LRU_INACTIVE_LIST, frames, most);
    if (!count)
        count = take(aspen, lru, ASPEN_LRU_ACTIVE_LIST, frames, most);
    return count;
}

static bool
judge(struct aspen_lru *lru, enum aspen_lru_state *state, bool accessed)
{
    switch (*state) {
    case ASPEN_LRU_NEW:
        *state = ASPEN_LRU_INACTIVE;
        return false;
    case ASPEN_LRU_ACTIVE:
        if (!accessed)
            *state = ASPEN_LRU_REFERENCED;
        return false;
    default:
        if (accessed && *state == ASPEN_LRU_REFERENCED)
            move_share(lru, STEP_EARLY);
        if (accessed)
            *state = ASPEN_LRU_ACTIVE;
        return !accessed;
    }
}

static enum aspen_lru_state
enter(struct aspen_lru *lru, uint64_t away, bool referenced)
{
    uint64_t pages = aspen_lru_evictable(lru);
    uint64_t active = count_of(lru, ASPEN_LRU_ACTIVE_LIST);
    uint64_t room = pages - aspen_min_u64(active, pages);

    if (away > pages)
        return ASPEN_LRU_NEW;
    move_share(lru, (away <= pages / NEAR_PART ? STEP_NEAR : STEP_FAR) +
                        (referenced ? STEP_EARLY : 0));
    return away <= room - room / 16 ? ASPEN_LRU_ACTIVE : ASPEN_LRU_NEW;
}

const struct aspen_policy aspen_policy_adaptive = {choose, judge, enter};
