/* SPDX-License-Identifier: MIT */
/*
 * reclaim/lists.c - whose pages are looked at, and how many of them.
 *
 * I1  A walk has a reference of the group whose lists are at hand: so they
 *     stay, and the walk finds on from there.
 *
 * Called by reclaim.c. The first test to break is
 * tests/unit/reclaim/test_group_reclaim.c.
 */
#include "reclaim/lists.h"

#include "group/group.h"

/* Parts of a page that credit is counted in. */
#define PARTS 65536u

/* ---- Walking ------------------------------------------------------------- */

void
aspen_lists_begin(struct aspen_lists *lists, struct aspen *aspen,
                  struct aspen_group *root, bool low_goes)
{
    *lists = (struct aspen_lists){
        .aspen = aspen, .root = root, .low_goes = low_goes};
    if (aspen_has_groups(aspen))
        lists->first = aspen_fetch_add_relaxed(&aspen->groups.turn, 1) %
                       (aspen_load_relaxed(&aspen->groups.count) + 1);
}

static struct aspen_lru *
lists_of(const struct aspen_lists *lists)
{
    return lists->group ? &lists->group->lru : &lists->aspen->lru;
}

/* The next in their order, those of the machine first: NULL after the last. */
static struct aspen_lru *
step(struct aspen_lists *lists)
{
    bool begins = !lists->begun;

    lists->begun = true;
    if (begins && !lists->root)
        return lists_of(lists);
    if (aspen_has_groups(lists->aspen))
        lists->group =
            aspen_group_next(lists->aspen, lists->root, lists->group);
    return lists->group ? lists_of(lists) : NULL;
}

struct aspen_lru *
aspen_lists_next(struct aspen_lists *lists)
{
    for (;;) {
        struct aspen_lru *lru = step(lists);
        bool before = lists->at++ < lists->first;
        if (lru && lists->around == before)
            return lru;
        if (lru && !lists->around)
            continue;
        aspen_lists_end(lists);
        if (lists->around || !lists->first)
            return NULL;
        lists->around = true;
        lists->begun = false;
        lists->at = 0;
    }
}

void
aspen_lists_end(struct aspen_lists *lists)
{
    if (lists->group)
        aspen_group_drop(lists->group, 1);
    lists->group = NULL;
}

/* ---- How many ------------------------------------------------------------ */

static uint64_t
granted(const struct aspen_lists *lists, enum aspen_group_protection kind)
{
    return aspen_group_protected(lists->group, lists->root, kind);
}

/* How many pages of a group stay, of those that it and groups below have. */
static uint64_t
protected_pages(const struct aspen_lists *lists)
{
    uint64_t min = granted(lists, ASPEN_GROUP_PROTECT_MIN);

    return lists->low_goes
               ? min
               : aspen_max_u64(min, granted(lists, ASPEN_GROUP_PROTECT_LOW));
}

uint64_t
aspen_lists_spare(const struct aspen_lists *lists)
{
    uint64_t pages = aspen_lru_evictable(lists_of(lists));

    if (!lists->group || !aspen_load_relaxed(&lists->aspen->groups.protects))
        return pages;
    uint64_t used = aspen_load_relaxed(&lists->group->memory.used);
    return aspen_min_u64(pages,
                         used - aspen_min_u64(used, protected_pages(lists)));
}

void
aspen_lists_note(const struct aspen_lists *lists)
{
    struct aspen_group *group = lists->group;

    if (lists->low_goes && group &&
        aspen_load_relaxed(&group->memory.used) <=
            granted(lists, ASPEN_GROUP_PROTECT_LOW))
        aspen_group_note(group, ASPEN_GROUP_EVENT_LOW);
}

uint64_t
aspen_lists_spare_of_all(struct aspen *aspen, struct aspen_group *root,
                         bool low_goes)
{
    struct aspen_lists lists;
    uint64_t sum = 0;

    aspen_lists_begin(&lists, aspen, root, low_goes);
    while (aspen_lists_next(&lists))
        sum += aspen_lists_spare(&lists);
    return sum;
}

bool
aspen_lists_have_anon(struct aspen *aspen)
{
    struct aspen_lists lists;
    struct aspen_lru *lru;
    bool any = false;

    aspen_lists_begin(&lists, aspen, NULL, true);
    while (!any && (lru = aspen_lists_next(&lists)) != NULL)
        any = aspen_lru_evictable_anon(lru) > 0;
    aspen_lists_end(&lists);
    return any;
}

uint64_t
aspen_lists_share(const struct aspen_lists *lists, uint64_t pages,
                  uint64_t spare)
{
    struct aspen_lru *lru = lists_of(lists);
    uint64_t own = aspen_lists_spare(lists);

    if (pages >= spare || own >= spare)
        return own;
    /* There are 2^32 frames at the most. */
    uint64_t share = own * pages / spare;
    uint64_t credit =
        aspen_load_relaxed(&lru->credit) + own * pages % spare * PARTS / spare;
    aspen_store_relaxed(&lru->credit, credit % PARTS);
    return share + credit / PARTS;
}
