/* SPDX-License-Identifier: MIT */
/*
 * group/tree.c - groups come and go. The invariants are those of
 * group_struct.h.
 *
 * I5  A group stands in the list until its last reference has gone: so whoever
 *     finds it there, under the lock, takes one unless there is none.
 *
 * Called by charge.c, machine/group.c and reclaim. The first test to break is
 * tests/unit/machine/test_group.c.
 */
#include "group/group.h"

void
aspen_groups_destroy(struct aspen *aspen)
{
    struct aspen_groups *groups = &aspen->groups;

    if (groups->cpus)
        aspen_port_memory_free(groups->cpus,
                               ASPEN_PORT_CPUS * sizeof(*groups->cpus));
}

void
aspen_group_publish(struct aspen_group *group)
{
    struct aspen_groups *groups = &group->aspen->groups;

    aspen_spin_lock(&groups->lock, ASPEN_LOCK_LEAF);
    group->number = ++groups->next_number;
    group->lru.tag = 1 + (group->number - 1) % (ASPEN_LRU_TAGS - 1);
    /* Behind the parent: before what is below that, which stays together. */
    if (group->parent)
        aspen_list_insert_after(&group->parent->link, &group->link);
    else
        aspen_list_push_front(&groups->list, &group->link);
    aspen_store_relaxed(&groups->count, groups->count + 1);
    aspen_spin_unlock(&groups->lock);
}

/* The last reference is gone. */
static void
group_free(struct aspen_group *group)
{
    struct aspen_groups *groups = &group->aspen->groups;

    ASPEN_ASSERT(aspen_load_relaxed(&group->memory.used) == 0);
    ASPEN_ASSERT(aspen_load_relaxed(&group->swap.used) == 0);
    aspen_spin_lock(&groups->lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&group->link);
    aspen_store_relaxed(&groups->count, groups->count - 1);
    aspen_spin_unlock(&groups->lock);
    aspen_cache_free(&group->aspen->group_cache, group);
}

bool
aspen_group_hold(struct aspen_group *group, uint64_t count)
{
    uint64_t references = aspen_load_relaxed(&group->references);

    do {
        if (references == 0)
            return false;
    } while (!aspen_compare_exchange(&group->references, &references,
                                     references + count));
    return true;
}

void
aspen_group_drop(struct aspen_group *group, uint64_t count)
{
    while (group) {
        uint64_t before = aspen_fetch_sub(&group->references, count);
        ASPEN_ASSERT(before >= count);
        if (before != count)
            return;
        struct aspen_group *parent = group->parent;
        group_free(group);
        group = parent;
        count = 1;
    }
}

bool
aspen_group_is_in(const struct aspen_group *group,
                  const struct aspen_group *above)
{
    while (group && group != above)
        group = group->parent;
    return group == above;
}

/* The lock is held. NULL: none is left of what is below `root`. */
static struct aspen_group *
behind(const struct aspen_groups *groups, const struct aspen_group *root,
       const struct aspen_list *link)
{
    if (link->next == &groups->list)
        return NULL;
    struct aspen_group *group =
        aspen_container_of(link->next, struct aspen_group, link);
    return root && group->depth <= root->depth ? NULL : group;
}

struct aspen_group *
aspen_group_next(struct aspen *aspen, struct aspen_group *root,
                 struct aspen_group *previous)
{
    struct aspen_groups *groups = &aspen->groups;
    struct aspen_group *group;

    aspen_spin_lock(&groups->lock, ASPEN_LOCK_LEAF);
    if (!previous && root)
        group = root;
    else
        group =
            behind(groups, root, previous ? &previous->link : &groups->list);
    while (group && !aspen_group_hold(group, 1))
        group = behind(groups, root, &group->link);
    aspen_spin_unlock(&groups->lock);
    if (previous)
        aspen_group_drop(previous, 1);
    return group;
}
