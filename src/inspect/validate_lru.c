/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_lru.c - LRU lists: whole, and exactly of those pages that
 * belong there; groups: charged with exactly what there is of theirs.
 */
#include "inspect/validate.h"

#include "frames/lru.h"
#include "group/group.h"
#include "object/page_cache.h"

static struct aspen_group *
group_at(struct aspen_list *link)
{
    return aspen_container_of(link, struct aspen_group, link);
}

/* Anonymous, or of an object's cache that could read it again, or swap it. */
static bool
belongs(struct aspen_validator *v, uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(v->aspen, number);
    const struct aspen_object *object = (const void *)(uintptr_t)frame->owner;

    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        return !(frame->index & ASPEN_FRAME_HEAD);
    return *aspen_validate_tally(v, number) & ASPEN_TALLY_CACHED &&
           (aspen_object_can_read_again(object) ||
            aspen_object_may_swap(object));
}

static bool
check_page(struct aspen_validator *v, const struct aspen_lru *lru,
           uint32_t number, unsigned kind)
{
    const struct aspen_frame *frame = aspen_frame_at(v->aspen, number);

    return ASPEN_EXPECT(v,
                        belongs(v, number) &&
                            aspen_lru_of(v->aspen, number) == lru &&
                            aspen_lru_kind_of(aspen_lru_state(frame)) == kind,
                        LRU_PAGE,
                        "frame %u: on LRU list %u, to which it does "
                        "not belong",
                        number, kind);
}

static bool
check_list(struct aspen_validator *v, const struct aspen_lru *lru,
           unsigned kind)
{
    const struct aspen_lru_list *list = &lru->lists[kind];
    uint32_t previous = ASPEN_NO_FRAME;
    uint32_t number = list->first;
    uint64_t count = 0, anon = 0;

    while (number != ASPEN_NO_FRAME && count < list->count) {
        if (!ASPEN_EXPECT(
                v,
                aspen_frame_exists(v->aspen, number) &&
                    aspen_frame_at(v->aspen, number)->previous == previous,
                LRU_LIST, "LRU list %u is broken at frame %u", kind, number) ||
            !check_page(v, lru, number, kind))
            return false;
        anon += aspen_frame_type(aspen_frame_at(v->aspen, number)) ==
                ASPEN_FRAME_ANON;
        previous = number;
        number = aspen_frame_at(v->aspen, number)->next;
        count++;
    }
    return ASPEN_EXPECT(v,
                        number == ASPEN_NO_FRAME && count == list->count &&
                            anon == list->anon && list->last == previous,
                        LRU_LIST,
                        "LRU list %u has %u pages, %u of them anonymous, but "
                        "counts %u and %u",
                        kind, count, anon, list->count, list->anon);
}

/* All lists of a machine or a group; *pages counts those of files. */
static bool
check_lists(struct aspen_validator *v, const struct aspen_lru *lru,
            uint64_t *pages)
{
    for (unsigned kind = 0; kind < ASPEN_LRU_LISTS; kind++) {
        if (!check_list(v, lru, kind))
            return false;
        *pages += lru->lists[kind].count - lru->lists[kind].anon;
    }
    return true;
}

void
aspen_validate_lru(struct aspen_validator *v)
{
    const struct aspen_leaving *leaving = &v->aspen->leaving;
    uint64_t pages = 0;

    if (!check_lists(v, &v->aspen->lru, &pages))
        return;
    aspen_list_for_each(link, &v->aspen->groups.list)
    {
        if (!check_lists(v, &group_at(link)->lru, &pages))
            return;
    }
    if (ASPEN_EXPECT(v, pages == v->lru_pages, LRU_PAGE,
                     "%u pages of objects belong on LRU lists, but %u are",
                     v->lru_pages, pages))
        (void)ASPEN_EXPECT(v, v->shadows == leaving->shadows, OBJECT_SHADOWS,
                           "%u shadows, but the machine counts %u", v->shadows,
                           leaving->shadows);
}

/* ---- Groups -------------------------------------------------------------- */

/* It stands behind its parent, or behind others below that. */
static bool
check_place(struct aspen_validator *v, const struct aspen_group *group)
{
    const struct aspen_groups *groups = &v->aspen->groups;
    const struct aspen_group *before = group->link.previous == &groups->list
                                           ? NULL
                                           : group_at(group->link.previous);

    return ASPEN_EXPECT(
        v,
        group->aspen == v->aspen &&
            group->depth == (group->parent ? group->parent->depth + 1 : 1) &&
            aspen_group_is_in(before, group->parent),
        GROUP_LIST, "group %u stands in the wrong place", group->number);
}

bool
aspen_validate_groups_begin(struct aspen_validator *v)
{
    const struct aspen_groups *groups = &v->aspen->groups;
    uint64_t count = 0;

    aspen_list_for_each(link, &groups->list)
    {
        if (!ASPEN_EXPECT(v, aspen_validate_link(link) && count < groups->count,
                          GROUP_LIST, "the list of groups is broken") ||
            !check_place(v, group_at(link)))
            return false;
        memset(&group_at(link)->met, 0, sizeof(group_at(link)->met));
        count++;
    }
    return ASPEN_EXPECT(v, count == groups->count, GROUP_LIST,
                        "%u groups are in the list, but %u are counted", count,
                        groups->count);
}

void
aspen_validate_group_met(struct aspen_group *group, uint64_t pages,
                         uint64_t slots)
{
    group->met.references += pages + slots;
    for (; group; group = group->parent) {
        group->met.pages += pages;
        group->met.slots += slots;
    }
}

/* Spaces, what CPUs hold ahead, parents. */
static void
meet_others(struct aspen_validator *v)
{
    struct aspen_groups *groups = &v->aspen->groups;

    for (unsigned i = 0; groups->cpus && i < ASPEN_PORT_CPUS; i++)
        if (groups->cpus[i].group)
            aspen_validate_group_met(groups->cpus[i].group,
                                     groups->cpus[i].pages, 0);
    aspen_list_for_each(link, &v->aspen->registry)
    {
        struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, registry_link);
        if (mm->group)
            mm->group->met.spaces++;
    }
    aspen_list_for_each(link, &groups->list)
    {
        struct aspen_group *group = group_at(link);
        group->met.references += group->handles > 0;
        if (group->parent)
            group->parent->met.references++;
    }
}

static bool
check_group(struct aspen_validator *v, const struct aspen_group *group)
{
    const struct aspen_group_met *met = &group->met;

    return ASPEN_EXPECT(v, met->pages == group->memory.used, GROUP_PAGES,
                        "group %u: %u pages are its own, but it is charged "
                        "with %u",
                        group->number, met->pages, group->memory.used) &&
           ASPEN_EXPECT(v, met->slots == group->swap.used, GROUP_SLOTS,
                        "group %u: %u slots are its own, but it is charged "
                        "with %u",
                        group->number, met->slots, group->swap.used) &&
           ASPEN_EXPECT(v, met->references == group->references,
                        GROUP_REFERENCES,
                        "group %u: there are %u reasons for it, but it has %u "
                        "references",
                        group->number, met->references, group->references) &&
           ASPEN_EXPECT(v, met->spaces <= group->handles, GROUP_REFERENCES,
                        "group %u: %u spaces are in it, but it has %u handles",
                        group->number, met->spaces, group->handles);
}

void
aspen_validate_groups_end(struct aspen_validator *v)
{
    meet_others(v);
    aspen_list_for_each(link, &v->aspen->groups.list)
    {
        if (!check_group(v, group_at(link)))
            return;
    }
}
