/* SPDX-License-Identifier: MIT */
#include "plants.h"

#include "frames/lru.h"

static struct aspen_group **
group_of(struct scene *s, uint32_t frame)
{
    return aspen_bank_group(s->aspen, frame);
}

static void
plant_count(struct scene *s)
{
    POKE(s, s->aspen->groups.count, s->aspen->groups.count + 1);
}

static void
plant_depth(struct scene *s)
{
    POKE(s, s->group->depth, 1);
}

/* It stands before its parent. */
static void
plant_order(struct scene *s)
{
    struct aspen_list *list = &s->aspen->groups.list;
    struct aspen_list *top = &s->top->link, *below = &s->group->link;

    POKE(s, list->next, below);
    POKE(s, list->previous, top);
    POKE(s, below->previous, list);
    POKE(s, below->next, top);
    POKE(s, top->previous, below);
    POKE(s, top->next, list);
}

static void
plant_link(struct scene *s)
{
    POKE(s, s->group->link.previous, &s->group->link);
}

/* A page table is charged. */
static void
plant_page(struct scene *s)
{
    POKE(s, *group_of(s, s->member->root), s->group);
}

/* A page says that a group is charged with it, which does not count it. */
static void
plant_uncounted(struct scene *s)
{
    POKE(s, *group_of(s, s->cached), s->group);
}

/* The other way round: in the one above. */
static void
plant_counted(struct scene *s)
{
    POKE(s, s->top->memory.used, s->top->memory.used + 1);
}

static void
plant_ahead(struct scene *s)
{
    struct aspen_group_cpu *cpu = s->aspen->groups.cpus;

    while (!cpu->group)
        cpu++;
    POKE(s, cpu->pages, cpu->pages - 1);
}

static void
plant_slot(struct scene *s)
{
    POKE(s, s->aspen->swap[2].groups[3], s->group);
}

static void
plant_slots(struct scene *s)
{
    POKE(s, s->top->swap.used, 1);
}

static void
plant_references(struct scene *s)
{
    POKE(s, s->group->references, s->group->references + 1);
}

/* Fewer than spaces are in it. */
static void
plant_handles(struct scene *s)
{
    POKE(s, s->top->handles, 0);
    POKE(s, s->top->references, s->top->references - 1);
    POKE(s, s->member->group, s->top);
}

/* On the machine's list, and charged to a group. */
static void
plant_list(struct scene *s)
{
    const struct aspen_lru_list *list = s->aspen->lru.lists;

    while (list->first == ASPEN_NO_FRAME)
        list++;
    POKE(s, *group_of(s, list->first), s->group);
}

const struct plant plants_group[] = {
    {"group.list", MACHINE, plant_count},
    {"group.list", MACHINE, plant_depth},
    {"group.list", MACHINE, plant_order},
    {"group.list", MACHINE, plant_link},
    {"group.page", MACHINE, plant_page},
    {"group.pages", MACHINE, plant_uncounted},
    {"group.pages", MACHINE, plant_counted},
    {"group.pages", MACHINE, plant_ahead},
    {"group.slot", MACHINE, plant_slot},
    {"group.slots", MACHINE, plant_slots},
    {"group.references", MACHINE, plant_references},
    {"group.references", MACHINE, plant_handles},
    {"lru.page", MACHINE, plant_list},
    {0},
};
