/* SPDX-License-Identifier: MIT */
/*
 * plants_rmap.c - what the validator has to find wrong in reverse maps.
 */
#include "plants.h"

static void
plant_chain_without_own(struct scene *s)
{
    POKE(s, vma_at(s->child, ANON)->anon_vma, NULL);
}

static void
plant_chain_other_own(struct scene *s)
{
    POKE(s, vma_at(s->parent, ANON)->anon_vma,
         vma_at(s->parent, SPECIALS)->anon_vma);
}

static void
plant_chain_loop(struct scene *s)
{
    struct aspen_list *link = vma_at(s->child, ANON)->anon_chain.next;
    POKE(s, link->next, link);
}

static void
plant_chain_head(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, RAW);
    POKE(s, vma->anon_chain.previous, NULL);
}

static void
plant_link_range(struct scene *s)
{
    struct aspen_interval_node *node = &own_link_at(s->child, ANON)->node;
    POKE(s, node->last, node->last + 1);
}

static void
plant_link_vma(struct scene *s)
{
    POKE(s, own_link_at(s->child, ANON)->vma, vma_at(s->parent, ANON));
}

static struct aspen_anon_vma_link strange_link; /* in no chain */

static void
after_link_stranger(struct scene *s)
{
    aspen_interval_remove(&vma_at(s->parent, ANON)->anon_vma->links,
                          &strange_link.node);
}

static void
plant_link_stranger(struct scene *s)
{
    strange_link.node.start = strange_link.node.last = 1 << 20;
    aspen_interval_insert(&vma_at(s->parent, ANON)->anon_vma->links,
                          &strange_link.node);
    s->after = after_link_stranger;
}

static void
plant_anon_vma_count(struct scene *s)
{
    struct aspen_anon_vma *anon_vma = vma_at(s->parent, ANON)->anon_vma;
    POKE(s, anon_vma->links.count, 3);
}

static void
plant_anon_vma_unlinked(struct scene *s)
{
    struct aspen_anon_vma *anon_vma = vma_at(s->child, ANON)->anon_vma;
    POKE(s, anon_vma->links.root, NULL);
}

static void
plant_anon_vma_root(struct scene *s)
{
    struct aspen_anon_vma *anon_vma = vma_at(s->child, ANON)->anon_vma;
    POKE(s, anon_vma->root, anon_vma);
}

static void
plant_anon_vma_parent(struct scene *s)
{
    struct aspen_anon_vma *anon_vma = vma_at(s->child, ANON)->anon_vma;
    POKE(s, anon_vma->parent, vma_at(s->parent, SPECIALS)->anon_vma);
}

static void
after_anon_vma_order(struct scene *s)
{
    exchange(&vma_at(s->parent, ANON)->anon_vma->links,
             &link_at(s->parent, ANON)->node, &link_at(s->child, ANON)->node);
}

static void
plant_anon_vma_order(struct scene *s)
{
    exchange(&vma_at(s->parent, ANON)->anon_vma->links,
             &link_at(s->child, ANON)->node, &link_at(s->parent, ANON)->node);
    s->after = after_anon_vma_order;
}

static void
plant_anon_vma_active(struct scene *s)
{
    POKE(s, vma_at(s->child, ANON)->anon_vma->active_vmas, 2);
}

static void
plant_anon_vma_children(struct scene *s)
{
    POKE(s, vma_at(s->parent, ANON)->anon_vma->children, 1);
}

static void
plant_anon_vma_references(struct scene *s)
{
    POKE(s, vma_at(s->parent, ANON)->anon_vma->references, 3);
}

const struct plant plants_rmap[] = {
    {"anon_vma.chain", CHILD, plant_chain_without_own},
    {"anon_vma.chain", PARENT, plant_chain_other_own},
    {"anon_vma.chain", CHILD, plant_chain_loop},
    {"anon_vma.chain", PARENT, plant_chain_head},
    {"anon_vma.link", CHILD, plant_link_range},
    {"anon_vma.link", CHILD, plant_link_vma},
    {"anon_vma.link", PARENT, plant_link_stranger},
    {"anon_vma.tree", PARENT, plant_anon_vma_count},
    {"anon_vma.tree", CHILD_ALONE, plant_anon_vma_unlinked},
    {"anon_vma.root", CHILD_ALONE, plant_anon_vma_root},
    {"anon_vma.parent", CHILD_ALONE, plant_anon_vma_parent},
    {"anon_vma.order", CHILD, plant_anon_vma_order},
    {"anon_vma.active", CHILD, plant_anon_vma_active},
    {"anon_vma.children", PARENT, plant_anon_vma_children},
    {"anon_vma.references", PARENT, plant_anon_vma_references},
    {0},
};
