/* SPDX-License-Identifier: MIT */
/*
 * plants_mm.c - what the validator has to find wrong in address spaces, and the
 * lists that a machine has of them.
 */
#include "plants.h"

/* ---- Lists ------------------------------------------------------------- */

static void
plant_registry_link(struct scene *s)
{
    POKE(s, s->child->registry_link.previous, &s->child->registry_link);
}

static void
plant_registry_count(struct scene *s)
{
    POKE(s, s->aspen->registry_count, s->aspen->registry_count + 1);
}

static void
plant_registry_state(struct scene *s)
{
    POKE(s, s->child->state, ASPEN_MM_EMPTY);
}

static void
take_out(struct scene *s, struct aspen_list *link)
{
    POKE(s, link->previous->next, link->next);
    POKE(s, link->next->previous, link->previous);
    POKE(s, link->next, link);
    POKE(s, link->previous, link);
}

static void
plant_registry_missing(struct scene *s)
{
    take_out(s, &s->child->registry_link);
    POKE(s, s->aspen->registry_count, s->aspen->registry_count - 1);
}

static void
plant_swap_list_link(struct scene *s)
{
    POKE(s, s->aspen->swap_list.next, &s->child->swap_link);
}

static void
plant_swap_list_count(struct scene *s)
{
    POKE(s, s->aspen->swap_list_count, 1);
}

static void
plant_swap_list_flag(struct scene *s)
{
    POKE(s, s->parent->flags, s->parent->flags & ~ASPEN_MM_SWAPPED);
}

static void
plant_swap_list_missing(struct scene *s)
{
    take_out(s, &s->child->swap_link);
    POKE(s, s->aspen->swap_list_count, 1);
    POKE(s, s->child->flags, s->child->flags & ~ASPEN_MM_SWAPPED);
}

/* ---- Address spaces ---------------------------------------------------- */

static void
plant_building(struct scene *s)
{
    POKE(s, s->child->state, ASPEN_MM_BUILDING);
}

static void
plant_no_users(struct scene *s)
{
    POKE(s, s->child->users, 0);
}

/* It has pages. */
static void
plant_reaped(struct scene *s)
{
    POKE(s, s->child->flags,
         s->child->flags | ASPEN_MM_KILLED | ASPEN_MM_UNSTABLE |
             ASPEN_MM_OOM_SKIP);
}

static void
plant_not_empty(struct scene *s)
{
    POKE(s, s->empty->data_pages, 1);
}

static void
plant_empty_rss(struct scene *s)
{
    POKE(s, s->empty->parts[0].rss[ASPEN_RSS_ANON], 1);
}

static void
plant_map_count(struct scene *s)
{
    POKE(s, s->child->map_count, s->child->map_count + 1);
}

static void
plant_total(struct scene *s)
{
    POKE(s, s->child->total_pages, s->child->total_pages + 1);
}

static void
plant_data(struct scene *s)
{
    POKE(s, s->child->data_pages, s->child->data_pages - 1);
}

static void
plant_exec(struct scene *s)
{
    POKE(s, s->child->exec_pages, 1);
}

static void
plant_stack(struct scene *s)
{
    POKE(s, s->child->stack_pages, 1);
}

static void
plant_peak(struct scene *s)
{
    POKE(s, s->child->peak_pages, s->child->total_pages - 1);
}

static void
plant_locked(struct scene *s)
{
    POKE(s, s->child->locked_pages, 4);
}

/* A machine without keys: 0 alone is given out, and the space keeps none. */
static void
plant_key_given_out(struct scene *s)
{
    POKE(s, s->child->pkeys, 3);
}

static void
plant_key_0_taken_back(struct scene *s)
{
    POKE(s, s->child->pkeys, 0);
}

static void
plant_key_kept(struct scene *s)
{
    POKE(s, s->child->execute_only_pkey, 0);
}

static void
plant_rss_file(struct scene *s)
{
    POKE(s, s->child->parts[0].rss[ASPEN_RSS_FILE],
         1 + s->child->parts[0].rss[ASPEN_RSS_FILE]);
}

static void
plant_rss_anon(struct scene *s)
{
    POKE(s, s->child->parts[0].rss[ASPEN_RSS_ANON],
         s->child->parts[0].rss[ASPEN_RSS_ANON] - 1);
}

static void
plant_rss_swap(struct scene *s)
{
    POKE(s, s->child->parts[0].rss[ASPEN_RSS_SWAP], 0);
}

static void
plant_rss_shmem(struct scene *s)
{
    POKE(s, s->parent->parts[0].rss[ASPEN_RSS_SHMEM], 0);
}

static void
plant_page_tables(struct scene *s)
{
    POKE(s, s->child->page_tables, s->child->page_tables - 1);
}

const struct plant plants_mm[] = {
    {"registry.list", MACHINE, plant_registry_link},
    {"registry.list", MACHINE, plant_registry_count},
    {"registry.state", CHILD, plant_registry_state},
    {"registry.missing", CHILD, plant_registry_missing},
    {"swap_list.list", MACHINE, plant_swap_list_link},
    {"swap_list.list", MACHINE, plant_swap_list_count},
    {"swap_list.flag", PARENT, plant_swap_list_flag},
    {"swap_list.missing", CHILD, plant_swap_list_missing},
    {"mm.state", CHILD, plant_building},
    {"mm.references", CHILD, plant_no_users},
    {"mm.reaped", CHILD, plant_reaped},
    {"mm.empty", MACHINE, plant_not_empty},
    {"mm.empty", MACHINE, plant_empty_rss},
    {"mm.map_count", CHILD, plant_map_count},
    {"mm.sizes", CHILD, plant_total},
    {"mm.sizes", CHILD, plant_data},
    {"mm.sizes", CHILD, plant_exec},
    {"mm.sizes", CHILD, plant_stack},
    {"mm.sizes", CHILD, plant_locked},
    {"mm.sizes", CHILD, plant_peak},
    {"mm.rss", CHILD, plant_rss_file},
    {"mm.rss", CHILD, plant_rss_anon},
    {"mm.rss", CHILD, plant_rss_swap},
    {"mm.rss", PARENT, plant_rss_shmem},
    {"mm.page_tables", CHILD, plant_page_tables},
    {"mm.pkeys", CHILD, plant_key_given_out},
    {"mm.pkeys", CHILD, plant_key_0_taken_back},
    {"mm.pkeys", CHILD, plant_key_kept},
    {0},
};
