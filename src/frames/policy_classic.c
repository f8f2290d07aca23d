/* SPDX-License-Identifier: MIT */
/*
 * frames/policy_classic.c - an active and an inactive list, as Linux had them
 * before generations.
 *
 *                         accessed once more
 *                   +--------------------------+
 *                   |                          v
 *     new --> INACTIVE  -- accessed -->    ACTIVE <-- came back too soon
 *              ^    |     since it came        |
 *              |    v                          |
 *              |  leaves, if not               |
 *              +-------------------------------+
 *                 not accessed since the last look, while more pages are
 *                 active than inactive
 *
 * The access for which a page was read does not count: so a page is REFERENCED
 * before it becomes ACTIVE, and who reads a file once, from end to end, does
 * not push out what others use. A page that comes back before as many others
 * left as there are is ACTIVE at once.
 *
 * The first test to break is tests/unit/reclaim/test_policy.c.
 */
#include "frames/policy.h"

static unsigned
choose(struct aspen *aspen, struct aspen_lru *lru, uint32_t *frames,
       unsigned most)
{
    return aspen_lru_take(aspen, lru,
                          aspen_lru_count(lru, ASPEN_LRU_ACTIVE_LIST) >
                                  aspen_lru_count(lru, ASPEN_LRU_INACTIVE_LIST)
                              ? ASPEN_LRU_ACTIVE_LIST
                              : ASPEN_LRU_INACTIVE_LIST,
                          frames, most);
}

static bool
judge(struct aspen_lru *lru, enum aspen_lru_state *state, bool accessed)
{
    (void)lru;
    switch (*state) {
    case ASPEN_LRU_ACTIVE:
        if (!accessed)
            *state = ASPEN_LRU_INACTIVE;
        return false;
    case ASPEN_LRU_REFERENCED:
        if (accessed)
            *state = ASPEN_LRU_ACTIVE;
        return !accessed;
    default:
        if (accessed)
            *state = ASPEN_LRU_REFERENCED;
        return !accessed;
    }
}

static enum aspen_lru_state
enter(struct aspen_lru *lru, uint64_t away, bool referenced)
{
    (void)referenced;
    return away <= aspen_lru_evictable(lru) ? ASPEN_LRU_ACTIVE
                                            : ASPEN_LRU_INACTIVE;
}

const struct aspen_policy aspen_policy_classic = {choose, judge, enter};
