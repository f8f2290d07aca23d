/* SPDX-License-Identifier: MIT */
/*
 * group/protect.c - how much of a group is protected from reclaim that comes
 * from above.
 *
 *     what it has or asks for, the lesser of both
 *       its siblings do not get more in all than what is above has: else each
 *       gets its part; what they leave of that goes to those who have more
 *
 * That depends on where reclaim comes from, and several may be under way: so
 * nothing of it is kept but what each asks for, as it was when the last one
 * began: were it looked at while pages leave, less of them would be protected
 * with each that does.
 *
 * Called by reclaim. The first test to break is
 * tests/unit/reclaim/test_group_reclaim.c.
 */
#include "group/group.h"

/* ---- What they ask for --------------------------------------------------- */

/* The lock is held. */
static void
ask(struct aspen_group *group, enum aspen_group_protection kind)
{
    struct aspen_group_protect *protect = &group->protects[kind];
    uint64_t used = aspen_load_relaxed(&group->memory.used);
    uint64_t asks = aspen_min_u64(used, aspen_load_relaxed(&protect->asked));

    aspen_store_relaxed(&protect->used, used);
    aspen_store_relaxed(&protect->asks, asks);
    protect->sum = 0;
    if (group->parent)
        group->parent->protects[kind].sum += asks;
}

/* Who looks meanwhile sees each count as it was before, or as it is now. */
static void
ask_all(struct aspen_groups *groups, enum aspen_group_protection kind)
{
    struct aspen_group *group;

    aspen_list_for_each(link, &groups->list) /* parents come first */
    {
        group = aspen_container_of(link, struct aspen_group, link);
        ask(group, kind);
    }
    aspen_list_for_each(link, &groups->list)
    {
        group = aspen_container_of(link, struct aspen_group, link);
        aspen_store_relaxed(&group->protects[kind].below,
                            group->protects[kind].sum);
    }
}

void
aspen_group_protect(struct aspen *aspen)
{
    struct aspen_groups *groups = &aspen->groups;

    if (!aspen_load_relaxed(&groups->protects))
        return;
    aspen_spin_lock(&groups->lock, ASPEN_LOCK_LEAF);
    for (unsigned kind = 0; kind < ASPEN_GROUP_PROTECTIONS; kind++)
        ask_all(groups, kind);
    aspen_spin_unlock(&groups->lock);
}

/* ---- What one gets ------------------------------------------------------- */

/* a * b / c, of pages. */
static uint64_t
part(uint64_t a, uint64_t b, uint64_t c)
{
    return c ? a * b / c : 0;
}

/* Of what the group above has got. Others may ask anew at any time: each count
 * is looked at once. */
static uint64_t
granted(const struct aspen_group_protect *protect,
        const struct aspen_group_protect *parent, uint64_t given)
{
    uint64_t asks = aspen_load_relaxed(&protect->asks);
    uint64_t used = aspen_max_u64(asks, aspen_load_relaxed(&protect->used));
    uint64_t siblings = aspen_load_relaxed(&parent->below);
    uint64_t of_parent = aspen_load_relaxed(&parent->used);

    if (siblings > given)
        return part(asks, given, siblings);
    if (of_parent <= siblings)
        return asks;
    return aspen_min_u64(
        used, asks + part(given - siblings, used - asks, of_parent - siblings));
}

/* The one at that depth on the way to the group. */
static const struct aspen_group *
above_at(const struct aspen_group *group, uint32_t depth)
{
    while (group->depth > depth)
        group = group->parent;
    return group;
}

uint64_t
aspen_group_protected(const struct aspen_group *group,
                      const struct aspen_group *root,
                      enum aspen_group_protection kind)
{
    uint32_t depth = root ? root->depth : 0;
    uint64_t given = 0;

    while (depth++ < group->depth) {
        const struct aspen_group *at = above_at(group, depth);
        const struct aspen_group_protect *protect = &at->protects[kind];
        given = at->parent == root
                    ? aspen_load_relaxed(&protect->asks)
                    : granted(protect, &at->parent->protects[kind], given);
    }
    return given;
}
