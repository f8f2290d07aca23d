/* SPDX-License-Identifier: MIT */
/*
 * reclaim/limit.c - groups begin, and have more than they may have: pages
 * leave.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/reclaim/test_group_reclaim.c.
 */
#include <aspen/account/group.h>

#include "group/group.h"
#include "machine/group.h"
#include "reclaim/attempt.h"
#include "reclaim/reclaim.h"

int
aspen_group_create(struct aspen *aspen, struct aspen_group *parent,
                   struct aspen_group **group)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_group_make(aspen, parent, group);
    return error;
}

uint64_t
aspen_group_reclaim(struct aspen_group *group, uint64_t pages)
{
    return aspen_reclaim_by(group->aspen, group, pages, ASPEN_RECLAIM_ASKED);
}

/* As many as are too many, until nothing has left for a while: what was
 * accessed leaves at a later look. Others may charge meanwhile. */
static void
lower_to(struct aspen_group *group, uint64_t pages)
{
    unsigned idle = 0;

    for (unsigned i = 0; i < 4 * ASPEN_DIRECT_ATTEMPTS; i++) {
        uint64_t used = aspen_load_relaxed(&group->memory.used);
        if (used <= pages || idle == ASPEN_DIRECT_ATTEMPTS)
            break;
        idle = aspen_group_reclaim(group, used - pages) ? 0 : idle + 1;
        aspen_group_drain(group->aspen, NULL);
    }
}

int
aspen_group_limit_set(struct aspen_group *group, enum aspen_group_limit limit,
                      uint64_t pages)
{
    int error = aspen_group_set(group, limit, pages);

    if (!error && (limit == ASPEN_GROUP_HIGH || limit == ASPEN_GROUP_MAX))
        lower_to(group, pages);
    return error;
}

struct aspen_group *
aspen_group_full(struct aspen_group *group)
{
    for (; group; group = group->parent) {
        uint64_t ahead = aspen_group_ahead(group);
        uint64_t used = aspen_load_relaxed(&group->memory.used);
        if (used - aspen_min_u64(used, ahead) >=
            aspen_load_relaxed(&group->memory.max))
            break;
    }
    return group;
}
