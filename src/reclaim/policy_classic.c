/* SPDX-License-Identifier: MIT */
/*
 * reclaim/policy_classic.c - an active and an inactive list.
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
 * not push out what others use. The page cache makes a page ACTIVE at once that
 * comes back before as many others left as there are (object/shadow.h):
 * without that a loop over a little more than fits finds nothing, ever.
 *
 * The first test to break is tests/unit/reclaim/test_policy.c.
 */
#include "reclaim/policy.h"

static unsigned
choose(struct aspen *aspen, uint32_t *frames, unsigned most)
{
    const struct aspen_lru *lru = &aspen->lru;
    uint64_t inactive =
        aspen_load_relaxed(&lru->lists[ASPEN_LRU_INACTIVE_LIST].count);
    uint64_t active =
        aspen_load_relaxed(&lru->lists[ASPEN_LRU_ACTIVE_LIST].count);

    return aspen_lru_take(aspen,
                          active > inactive ? ASPEN_LRU_ACTIVE_LIST
                                            : ASPEN_LRU_INACTIVE_LIST,
                          frames, most);
}

static bool
judge(enum aspen_lru_state *state, bool accessed)
{
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

const struct aspen_policy aspen_policy_classic = {"classic", choose, judge};
