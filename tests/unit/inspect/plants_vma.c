/* SPDX-License-Identifier: MIT */
/*
 * plants_vma.c - what the validator has to find wrong in the tree and its VMAs.
 */
#include "plants.h"

static void
plant_tree_count(struct scene *s)
{
    POKE(s, s->child->vmas.count, s->child->vmas.count + 1);
}

static void
plant_tree_mode(struct scene *s)
{
    POKE(s, s->child->vmas.rcu, false);
}

static void
plant_vma_mm(struct scene *s)
{
    POKE(s, vma_at(s->child, ANON)->mm, s->parent);
}

static void
plant_vma_end(struct scene *s)
{
    POKE(s, vma_at(s->child, LOCKED)->end, LOCKED + 5 * PAGE);
}

static void
plant_vma_limit(struct scene *s)
{
    POKE(s, s->child->address_limit, HUGE);
}

static void
plant_vma_flag(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->child, ANON);
    POKE(s, vma->flags, vma->flags | ASPEN_FLAG(63));
}

static void
plant_vma_shared(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->child, ANON);
    POKE(s, vma->flags, vma->flags | ASPEN_VM_SHARED);
}

static void
plant_vma_may(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->child, ANON);
    POKE(s, vma->flags, vma->flags & ~ASPEN_VM_MAYWRITE);
}

static void
plant_vma_special(struct scene *s)
{
    static const struct aspen_special special = {.name = "[special]"};
    POKE(s, vma_at(s->child, ANON)->special, &special);
}

static void
plant_vma_reader(struct scene *s)
{
    POKE(s, vma_at(s->child, ANON)->lock_readers, 1);
}

static void
plant_vma_writer(struct scene *s)
{
    POKE(s, vma_at(s->child, ANON)->lock_sequence, s->child->lock_sequence);
}

static void
plant_vma_pgoff(struct scene *s)
{
    POKE(s, vma_at(s->child, FILE_READ)->pgoff, (1ull << 52) - 1);
}

static void
plant_vma_pkey(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->child, FILE_READ);
    POKE(s, vma->flags, vma->flags | ASPEN_VM_PKEY);
}

static void
plant_vma_object(struct scene *s)
{
    static struct aspen_object foreign;
    POKE(s, vma_at(s->child, FILE_READ)->object, &foreign);
}

static void
plant_vma_name(struct scene *s)
{
    POKE(s, vma_at(s->child, FILE_READ)->name, vma_at(s->child, LOCKED)->name);
}

const struct plant plants_vma[] = {
    {"tree.structure", CHILD, plant_tree_count},
    {"tree.rcu", CHILD, plant_tree_mode},
    {"vma.mm", CHILD, plant_vma_mm},
    {"vma.range", CHILD, plant_vma_end},
    {"vma.range", CHILD, plant_vma_limit},
    {"vma.flags", CHILD, plant_vma_flag},
    {"vma.flags", CHILD, plant_vma_shared},
    {"vma.flags", CHILD, plant_vma_may},
    {"vma.flags", CHILD, plant_vma_special},
    {"vma.lock", CHILD, plant_vma_reader},
    {"vma.lock", CHILD, plant_vma_writer},
    {"vma.pgoff", CHILD, plant_vma_pgoff},
    {"vma.pkey", CHILD, plant_vma_pkey},
    {"vma.object", CHILD, plant_vma_object},
    {"vma.name", CHILD, plant_vma_name},
    {0},
};
