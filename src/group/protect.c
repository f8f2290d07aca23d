/* SPDX-License-Identifier: MIT */
/*
 * group/protect.c - how much of a group is protected from reclaim that comes
 * from above.
 *
 *     what it has or asks for, the lesser of both
 *       its siblings do not get more in all than what is above has: else each
 *       gets its part; what they leave of that goes to those who have more
 *
 * Called by reclaim. The first test to break is
 * tests/unit/reclaim/test_group_reclaim.c.
 */
#include "group/group.h"

/* The lock is held, in all of this. `used`: what the group has, which others
 * change meanwhile. */
static uint64_t
asks_for(const struct aspen_group *group, enum aspen_group_protection kind,
         uint64_t used)
{
    return aspen_min_u64(aspen_load_relaxed(&group->protects[kind].asked),
                         used);
}

/* Of those below `root`, what each one's children ask for in all. */
static void
sum_up(struct aspen_groups *groups, enum aspen_group_protection kind)
{
    aspen_list_for_each(link, &groups->list)
    {
        struct aspen_group *group =
            aspen_container_of(link, struct aspen_group, link);
        group->protects[kind].below = 0;
        if (group->parent)
            group->parent->protects[kind].below +=
                asks_for(group, kind, aspen_load_relaxed(&group->memory.used));
    }
}

/* a * b / c, of pages. */
static uint64_t
part(uint64_t a, uint64_t b, uint64_t c)
{
    return c ? a * b / c : 0;
}

static uint64_t
granted(const struct aspen_group *group, const struct aspen_group *root,
        enum aspen_group_protection kind)
{
    const struct aspen_group *parent = group->parent;
    uint64_t used = aspen_load_relaxed(&group->memory.used);
    uint64_t asks = asks_for(group, kind, used);

    if (group == root)
        return 0;
    if (parent == root)
        return asks;
    uint64_t given = aspen_load_relaxed(&parent->protects[kind].granted);
    uint64_t siblings = parent->protects[kind].below;
    uint64_t of_parent = aspen_load_relaxed(&parent->memory.used);
    if (siblings > given)
        return part(asks, given, siblings);
    uint64_t more = used - asks;
    return of_parent <= siblings
               ? asks
               : asks + part(given - siblings, more, of_parent - siblings);
}

static void
grant(struct aspen_groups *groups, struct aspen_group *root,
      enum aspen_group_protection kind)
{
    sum_up(groups, kind);
    aspen_list_for_each(link, &groups->list) /* parents come first */
    {
        struct aspen_group *group =
            aspen_container_of(link, struct aspen_group, link);
        if (!root || aspen_group_is_in(group, root))
            aspen_store_relaxed(&group->protects[kind].granted,
                                granted(group, root, kind));
    }
}

void
aspen_group_protect(struct aspen *aspen, struct aspen_group *root)
{
    struct aspen_groups *groups = &aspen->groups;

    if (!aspen_load_relaxed(&groups->protects))
        return;
    aspen_spin_lock(&groups->lock, ASPEN_LOCK_LEAF);
    for (unsigned kind = 0; kind < ASPEN_GROUP_PROTECTIONS; kind++)
        grant(groups, root, kind);
    aspen_spin_unlock(&groups->lock);
}
