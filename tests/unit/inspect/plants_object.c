/* SPDX-License-Identifier: MIT */
/*
 * plants_object.c - what the validator has to find wrong in objects, their
 * pages and names.
 */
#include "plants.h"

#include "object/page_cache.h"

static void
plant_name_unreferenced(struct scene *s)
{
    POKE(s, vma_at(s->child, LOCKED)->name->references, 0);
}

static void
plant_name_references(struct scene *s)
{
    POKE(s, vma_at(s->child, LOCKED)->name->references, 3);
}

static void
plant_name_link(struct scene *s)
{
    struct aspen_list *link = &vma_at(s->child, LOCKED)->name->link;
    POKE(s, link->next, link);
}

static void
plant_name_head(struct scene *s)
{
    POKE(s, s->aspen->names.previous, NULL);
}

static void
plant_object_link(struct scene *s)
{
    POKE(s, s->rich->shmem->link.previous, &s->rich->shmem->link);
}

static void
plant_object_head(struct scene *s)
{
    POKE(s, s->aspen->objects.next, s->aspen->objects.next->next);
}

static void
plant_i_mmap_range(struct scene *s)
{
    struct aspen_interval_node *node =
        &vma_at(s->child, FILE_READ)->i_mmap_node;
    POKE(s, node->start, node->start + 1);
}

/* The same of a mapping that has copies, and with them an anon_vma. */
static void
plant_i_mmap_range_of_copies(struct scene *s)
{
    struct aspen_interval_node *node = &vma_at(s->child, FILE_COW)->i_mmap_node;
    POKE(s, node->start, node->start + 1);
}

static void
plant_i_mmap_tree(struct scene *s)
{
    struct aspen_interval_node *node =
        &vma_at(s->child, FILE_READ)->i_mmap_node;
    POKE(s, node->subtree_last, UINT64_MAX);
}

static struct aspen_vma stranger; /* in no tree of VMAs */

static void
after_i_mmap_stranger(struct scene *s)
{
    aspen_interval_remove(&s->rich->file->i_mmap, &stranger.i_mmap_node);
}

static void
plant_i_mmap_stranger(struct scene *s)
{
    aspen_interval_insert(&s->rich->file->i_mmap, &stranger.i_mmap_node);
    s->after = after_i_mmap_stranger;
}

static void
plant_i_mmap_count(struct scene *s)
{
    POKE(s, s->rich->file->i_mmap.count, s->rich->file->i_mmap.count - 1);
}

static void
plant_i_mmap_unlinked(struct scene *s)
{
    POKE(s, s->rich->shmem->i_mmap.root, NULL);
}

static void
after_object_order(struct scene *s)
{
    exchange(&s->rich->shmem->i_mmap, &vma_at(s->parent, SHMEM)->i_mmap_node,
             &vma_at(s->child, SHMEM)->i_mmap_node);
}

static void
plant_object_order(struct scene *s)
{
    exchange(&s->rich->shmem->i_mmap, &vma_at(s->child, SHMEM)->i_mmap_node,
             &vma_at(s->parent, SHMEM)->i_mmap_node);
    s->after = after_object_order;
}

/* The same of mappings that have copies. */
static void
after_copies_order(struct scene *s)
{
    exchange(&s->rich->file->i_mmap, &vma_at(s->parent, FILE_COW)->i_mmap_node,
             &vma_at(s->child, FILE_COW)->i_mmap_node);
}

static void
plant_copies_order(struct scene *s)
{
    exchange(&s->rich->file->i_mmap, &vma_at(s->child, FILE_COW)->i_mmap_node,
             &vma_at(s->parent, FILE_COW)->i_mmap_node);
    s->after = after_copies_order;
}

static void
plant_object_shared(struct scene *s)
{
    POKE(s, s->rich->file->writable_shared, 1);
}

/* Denied while there are some. */
static void
plant_object_denied(struct scene *s)
{
    POKE(s, s->rich->file->writable_shared, -1);
}

static void
plant_object_references(struct scene *s)
{
    POKE(s, s->rich->file->references, 2);
}

static void
plant_object_pages(struct scene *s)
{
    POKE(s, s->rich->file->pages.count, 1);
}

static void
after_object_no_page(struct scene *s)
{
    assert_int_equal(aspen_tree_erase(&s->rich->file->pages, 9000, 9000), 0);
}

static void
plant_object_no_page(struct scene *s)
{
    assert_int_equal(
        aspen_tree_store(&s->rich->file->pages, 9000, 9000, s->aspen), 0);
    s->after = after_object_no_page;
}

static void
plant_object_page_offset(struct scene *s)
{
    struct aspen_frame *frame = aspen_frame_at(s->aspen, s->cached);
    POKE(s, frame->index, frame->index + 1);
}

static void
plant_object_page_owner(struct scene *s)
{
    POKE(s, aspen_frame_at(s->aspen, s->cached)->owner,
         (uint64_t)(uintptr_t)s->rich->file);
}

static void
plant_object_page_type(struct scene *s)
{
    POKE(s, aspen_frame_at(s->aspen, s->cached)->index,
         (uint64_t)ASPEN_FRAME_ANON << ASPEN_FRAME_TYPE_SHIFT | 5000);
}

const struct plant plants_object[] = {
    {"name.list", MACHINE, plant_name_link},
    {"name.list", MACHINE, plant_name_head},
    {"name.references", CHILD, plant_name_unreferenced},
    {"name.references", MACHINE, plant_name_references},
    {"object.list", MACHINE, plant_object_link},
    {"object.list", MACHINE, plant_object_head},
    {"object.i_mmap", CHILD, plant_i_mmap_range},
    {"object.i_mmap", CHILD, plant_i_mmap_range_of_copies},
    {"object.i_mmap", MACHINE, plant_i_mmap_count},
    {"object.i_mmap", MACHINE, plant_i_mmap_tree},
    {"object.i_mmap", MACHINE, plant_i_mmap_stranger},
    {"object.i_mmap", PARENT, plant_i_mmap_unlinked},
    {"object.order", CHILD, plant_object_order},
    {"object.order", CHILD, plant_copies_order},
    {"object.shared", MACHINE, plant_object_shared},
    {"object.shared", MACHINE, plant_object_denied},
    {"object.references", PARENT, plant_object_references},
    {"object.pages", MACHINE, plant_object_pages},
    {"object.page", MACHINE, plant_object_no_page},
    {"object.page", MACHINE, plant_object_page_offset},
    {"object.page", MACHINE, plant_object_page_owner},
    {"object.page", MACHINE, plant_object_page_type},
    {0},
};
