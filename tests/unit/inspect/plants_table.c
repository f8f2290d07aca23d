/* SPDX-License-Identifier: MIT */
/*
 * plants_table.c - what the validator has to find wrong in page tables and
 * their entries.
 */
#include "plants.h"

#include "inspect/walk.h"
#include "rmap/unmap.h"
#include "space/vma.h"

/* ---- Page tables ------------------------------------------------------- */

static void
plant_table_beyond(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 1), aspen_entry_make_table(1u << 30));
}

static void
plant_table_none(struct scene *s)
{
    POKE(s, *slot_at(s->parent, ANON, 1),
         aspen_entry_make_table(frame_at(s->parent, ANON, 0)));
}

static void
plant_table_owner(struct scene *s)
{
    POKE(s, table_at(s, ANON)->owner, (uint64_t)(uintptr_t)s->child);
}

static void
plant_table_place(struct scene *s)
{
    struct aspen_frame *table = table_at(s, ANON);
    POKE(s, table->index, table->index + 512);
}

static void
plant_table_level(struct scene *s)
{
    struct aspen_frame *table = table_at(s, ANON);
    POKE(s, table->index, table->index | 1);
}

static void
plant_table_references(struct scene *s)
{
    POKE(s, table_at(s, ANON)->counts, 2 * ASPEN_FRAME_REF);
}

static void
after_stray(struct scene *s)
{
    struct aspen_gather gather;
    aspen_gather_begin(&gather, s->child, true);
    aspen_free_page_tables(&gather, NOWHERE, NOWHERE + PAGE,
                           FAR_AWAY + 40 * GIB, s->child->address_limit);
    aspen_gather_end(&gather);
}

static void
plant_table_stray(struct scene *s)
{
    struct aspen_slot slot;
    assert_int_equal(aspen_table_walk_alloc(s->child, NOWHERE, 0, &slot), 0);
    s->after = after_stray;
}

static void
after_table(struct scene *s)
{
    aspen_table_free(s->aspen, s->frame);
}

static void
plant_table_lost(struct scene *s)
{
    assert_int_equal(aspen_table_alloc(s->child, ANON, 0, &s->frame), 0);
    s->after = after_table;
}

static void
plant_top_table_lost(struct scene *s)
{
    assert_int_equal(
        aspen_table_alloc(s->child, 0, ASPEN_TABLE_LEVELS - 1, &s->frame), 0);
    s->after = after_table;
}

static void
plant_table_count(struct scene *s)
{
    uint64_t *count = &s->aspen->frame_caches[0].counts[ASPEN_COUNT_TABLE];

    POKE(s, *count, *count + 1);
}

/* ---- Entries ----------------------------------------------------------- */

static void
plant_entry_bits(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 0), 1ull << 11);
}

static void
plant_entry_marker(struct scene *s)
{
    POKE(s, *slot_at(s->child, SPECIALS + 4 * PAGE, 0),
         aspen_entry_make_marker((enum aspen_marker)9));
}

static void
plant_entry_moving(struct scene *s)
{
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, ASPEN_ENTRY_MOVING));
}

static void
plant_entry_swap_level(struct scene *s)
{
    POKE(s, *slot_at(s->child, HUGE, 1), aspen_entry_make_swap(0, 100));
}

static void
plant_entry_no_vma(struct scene *s)
{
    POKE(s, *slot_at(s->child, LOCKED + 4 * PAGE, 0),
         aspen_entry_make_leaf(0, 0, ASPEN_ENTRY_READ | ASPEN_ENTRY_SPECIAL));
}

static void
plant_entry_too_large(struct scene *s)
{
    POKE(s, *slot_at(s->parent, RAW, 1),
         aspen_entry_make_leaf(0xfe000, 1,
                               ASPEN_ENTRY_READ | ASPEN_ENTRY_SPECIAL));
}

static void
plant_entry_beyond(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 0),
         aspen_entry_make_leaf(1u << 30, 0, ASPEN_ENTRY_READ));
}

static void
plant_entry_to_table(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 0),
         aspen_entry_make_leaf(s->child->root, 0, ASPEN_ENTRY_READ));
}

static void
plant_entry_to_block(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 0),
         aspen_entry_make_leaf(frame_at(s->child, HUGE, 1), 0,
                               ASPEN_ENTRY_READ));
}

static void
plant_kind_anon(struct scene *s)
{
    POKE(s, *slot_at(s->parent, FILE_SHARED, 0), anon_leaf(s, ANON));
}

static void
plant_kind_swap(struct scene *s)
{
    POKE(s, *slot_at(s->parent, FILE_SHARED, 0), aspen_entry_make_swap(0, 100));
}

static void
plant_kind_zero(struct scene *s)
{
    POKE(s, *slot_at(s->parent, FILE_SHARED, 0),
         aspen_entry_make_leaf(0, 0, ASPEN_ENTRY_READ | ASPEN_ENTRY_SPECIAL));
}

static void
plant_kind_raw(struct scene *s)
{
    POKE(s, *slot_at(s->parent, ANON, 0),
         aspen_entry_make_leaf(9, 0, ASPEN_ENTRY_READ | ASPEN_ENTRY_SPECIAL));
}

static void
plant_kind_unaligned(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, HUGE);
    POKE(s, vma->flags, vma->flags | ASPEN_VM_PFNMAP);
    POKE(s, *slot_at(s->parent, HUGE, 1),
         aspen_entry_make_leaf(0xfe001, 1,
                               ASPEN_ENTRY_READ | ASPEN_ENTRY_SPECIAL));
}

static void
plant_kind_object(struct scene *s)
{
    POKE(s, *slot_at(s->parent, ANON, 0), anon_leaf(s, FILE_SHARED));
}

static void
plant_offset_anon(struct scene *s)
{
    POKE(s, *slot_at(s->child, ANON, 0), anon_leaf(s, ANON + PAGE));
}

static void
plant_offset_object(struct scene *s)
{
    POKE(s, *slot_at(s->parent, SHMEM, 0), anon_leaf(s, SHMEM + PAGE));
}

static void
plant_owner_anon(struct scene *s)
{
    POKE(s, page_at(s, ANON)->owner, (uint64_t)(uintptr_t)s->aspen);
}

static void
plant_owner_family(struct scene *s)
{
    POKE(s, *slot_at(s->parent, LOCKED, 0), anon_leaf(s, SPECIALS));
}

static void
plant_owner_object(struct scene *s)
{
    POKE(s, *slot_at(s->parent, SHMEM, 0), anon_leaf(s, FILE_SHARED));
}

static void
plant_no_anon_vma_swap(struct scene *s)
{
    POKE(s, *slot_at(s->parent, RAW, 0), aspen_entry_make_swap(0, 100));
}

static void
plant_no_anon_vma_guard(struct scene *s)
{
    POKE(s, *slot_at(s->parent, RAW, 0),
         aspen_entry_make_marker(ASPEN_MARKER_GUARD));
}

static void
plant_no_anon_vma_page(struct scene *s)
{
    POKE(s, *slot_at(s->parent, RAW, 0), anon_leaf(s, ANON));
}

static void
make_writable(struct scene *s, uint64_t address)
{
    uint64_t *slot = slot_at(s->parent, address, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, ASPEN_ENTRY_WRITE));
}

static void
plant_write_cow(struct scene *s)
{
    make_writable(s, ANON);
}

static void
plant_write_object(struct scene *s)
{
    make_writable(s, FILE_COW);
}

static void
plant_write_zero(struct scene *s)
{
    make_writable(s, SPECIALS + 2 * PAGE);
}

static void
plant_write_zero_of_a_device(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, RAW);

    POKE(s, vma->flags, vma->flags | ASPEN_VM_WRITE | ASPEN_VM_MAYWRITE);
    POKE(s, s->parent->data_pages,
         s->parent->data_pages + aspen_vma_pages(vma));
    POKE(s, *slot_at(s->parent, RAW, 0),
         aspen_entry_make_leaf(s->aspen->zero_frame, 0,
                               ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE |
                                   ASPEN_ENTRY_SPECIAL));
}

static void
plant_access_write(struct scene *s)
{
    make_writable(s, RAW);
}

static void
plant_access_exec(struct scene *s)
{
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, ASPEN_ENTRY_EXEC));
}

static void
plant_access_none(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, RAW);
    POKE(s, vma->flags, vma->flags & ~ASPEN_VM_READ);
}

static void
plant_entry_pkey(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, ANON);
    POKE(s, s->aspen->config.pkeys, ASPEN_PKEYS_MAX);
    POKE(s, vma->flags, vma->flags | ASPEN_VM_PKEY);
}

static void
plant_entry_cache(struct scene *s)
{
    uint64_t *slot = slot_at(s->parent, RAW, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, 1u << ASPEN_ENTRY_CACHE_SHIFT));
}

static void
plant_entry_cache_of_ram(struct scene *s)
{
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, 1u << ASPEN_ENTRY_CACHE_SHIFT));
}

static void
plant_mark_of_nobody(struct scene *s)
{
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, *slot, aspen_entry_mark(*slot, 0));
}

static void
plant_mark_writable(struct scene *s)
{
    struct aspen_vma *vma = vma_at(s->parent, ANON);
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, vma->flags, vma->flags | ASPEN_VM_UFFD_WP);
    POKE(s, *slot,
         aspen_entry_set_bits(*slot, ASPEN_ENTRY_UFFD_WP | ASPEN_ENTRY_WRITE));
}

static void
plant_entry_mapcount(struct scene *s)
{
    POKE(s, page_at(s, ANON)->counts, 2 * ASPEN_FRAME_REF);
}

static void
plant_swap_unused(struct scene *s)
{
    POKE(s, *slot_at(s->child, SWAPPED, 0), aspen_entry_make_swap(0, 3000));
}

static void
plant_swap_no_area(struct scene *s)
{
    POKE(s, *slot_at(s->child, SWAPPED, 0), aspen_entry_make_swap(9, 1));
}

const struct plant plants_table[] = {
    {"table.frame", CHILD, plant_table_beyond},
    {"table.frame", PARENT, plant_table_none},
    {"table.owner", PARENT, plant_table_owner},
    {"table.place", PARENT, plant_table_place},
    {"table.place", PARENT, plant_table_level},
    {"table.references", PARENT, plant_table_references},
    {"table.stray", CHILD, plant_table_stray},
    {"table.lost", MACHINE, plant_table_lost},
    {"table.count", MACHINE, plant_table_count},
    {"cache.mm", MACHINE, plant_top_table_lost},
    {"entry.unknown", CHILD, plant_entry_bits},
    {"entry.unknown", CHILD, plant_entry_marker},
    {"entry.unknown", PARENT, plant_entry_moving},
    {"entry.unknown", CHILD, plant_entry_swap_level},
    {"entry.place", CHILD, plant_entry_no_vma},
    {"entry.place", PARENT, plant_entry_too_large},
    {"entry.frame", CHILD, plant_entry_beyond},
    {"entry.frame", CHILD, plant_entry_to_table},
    {"entry.frame", CHILD, plant_entry_to_block},
    {"entry.kind", PARENT, plant_kind_anon},
    {"entry.kind", PARENT, plant_kind_swap},
    {"entry.kind", PARENT, plant_kind_zero},
    {"entry.kind", PARENT, plant_kind_raw},
    {"entry.kind", PARENT, plant_kind_object},
    {"entry.kind", PARENT, plant_kind_unaligned},
    {"entry.offset", CHILD, plant_offset_anon},
    {"entry.offset", PARENT, plant_offset_object},
    {"entry.owner", PARENT, plant_owner_anon},
    {"entry.owner", PARENT, plant_owner_family},
    {"entry.owner", PARENT, plant_owner_object},
    {"entry.anon_vma", PARENT, plant_no_anon_vma_swap},
    {"entry.anon_vma", PARENT, plant_no_anon_vma_guard},
    {"entry.anon_vma", PARENT, plant_no_anon_vma_page},
    {"entry.write", PARENT, plant_write_cow},
    {"entry.write", PARENT, plant_write_object},
    {"entry.write", PARENT, plant_write_zero},
    {"entry.write", PARENT, plant_write_zero_of_a_device},
    {"entry.access", PARENT, plant_access_write},
    {"entry.access", PARENT, plant_access_exec},
    {"entry.access", PARENT, plant_access_none},
    {"entry.pkey", PARENT, plant_entry_pkey},
    {"entry.cache", PARENT, plant_entry_cache},
    {"entry.cache", PARENT, plant_entry_cache_of_ram},
    {"entry.userfault", PARENT, plant_mark_of_nobody},
    {"entry.userfault", PARENT, plant_mark_writable},
    {"entry.mapcount", PARENT, plant_entry_mapcount},
    {"entry.swap", CHILD, plant_swap_unused},
    {"entry.swap", CHILD, plant_swap_no_area},
    {0},
};
