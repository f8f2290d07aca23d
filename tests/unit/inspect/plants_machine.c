/* SPDX-License-Identifier: MIT */
/*
 * plants_machine.c - what the validator has to find wrong in frames, swap
 * slots, charge and caches.
 */
#include "plants.h"

#include "frames/lru.h"
#include "frames/pins.h"
#include "machine/swap_map.h"
#include "rmap/unmap.h"

static void
plant_allocator(struct scene *s)
{
    POKE(s, s->aspen->zone.free_frames, s->aspen->zone.free_frames + 1);
}

static void
plant_mapcount(struct scene *s)
{
    struct aspen_frame *frame = page_at(s, ANON);
    POKE(s, frame->counts, frame->counts + ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

static void
plant_refcount(struct scene *s)
{
    struct aspen_frame *frame = page_at(s, SHMEM);
    POKE(s, frame->counts, frame->counts + ASPEN_FRAME_REF);
}

static void
plant_frame_locked(struct scene *s)
{
    struct aspen_frame *frame = page_at(s, SHMEM);
    POKE(s, frame->index, frame->index | ASPEN_FRAME_LOCKED);
}

static void
after_frame(struct scene *s)
{
    aspen_frame_put(s->aspen, s->frame);
}

static void
plant_frame_unused(struct scene *s)
{
    assert_int_equal(
        aspen_frame_alloc(s->aspen, 0, ASPEN_STEP_FRAME, &s->frame), 0);
    s->after = after_frame;
}

static void
plant_frame_unmapped(struct scene *s)
{
    plant_frame_unused(s);
    aspen_frame_set_anon(s->aspen, s->frame, vma_at(s->parent, ANON)->anon_vma,
                         0);
}

static void
pin(struct scene *s, uint32_t frame)
{
    POKE(s, *aspen_bank_pins(s->aspen, frame),
         *aspen_bank_pins(s->aspen, frame) + 1);
    POKE(s, aspen_frame_at(s->aspen, frame)->counts,
         aspen_frame_at(s->aspen, frame)->counts + ASPEN_FRAME_REF);
    POKE(s, s->parent->pinned_pages, s->parent->pinned_pages + 1);
}

static void
plant_pinned_shared(struct scene *s)
{
    pin(s, aspen_frame_number(s->aspen, page_at(s, ANON)));
}

static void
plant_exclusive_shared(struct scene *s)
{
    struct aspen_frame *frame = page_at(s, ANON);
    POKE(s, frame->counts, frame->counts | ASPEN_FRAME_EXCLUSIVE);
}

static void
plant_exclusive_object(struct scene *s)
{
    struct aspen_frame *frame = aspen_frame_at(s->aspen, s->cached);
    POKE(s, frame->counts, frame->counts | ASPEN_FRAME_EXCLUSIVE);
}

static void
plant_says_cached(struct scene *s)
{
    struct aspen_frame *frame = page_at(s, ANON);
    POKE(s, frame->counts, frame->counts + ASPEN_FRAME_REF);
    POKE(s, *aspen_bank_slot(s->aspen, aspen_frame_number(s->aspen, frame)),
         (uint64_t)1 << 63 | (uint64_t)2 << 32 | 5);
}

static void
plant_free_slot_cached(struct scene *s)
{
    POKE(s, s->aspen->swap[2].pages[5],
         aspen_frame_number(s->aspen, page_at(s, ANON)));
}

/* The child has the same slot. */
static void
plant_exclusive_swap(struct scene *s)
{
    struct aspen_slot slot;

    uint64_t entry = aspen_table_walk(s->parent, SWAPPED, &slot);
    assert_true(aspen_entry_is_swap(entry));
    POKE(s, *slot.entry, entry | ASPEN_ENTRY_SWAP_EXCLUSIVE);
}

/* What CPU 0 has counted. */
static void
count_more(struct scene *s, enum aspen_count what, uint64_t more)
{
    uint64_t *counts = s->aspen->frame_caches[0].counts;

    POKE(s, counts[what], counts[what] + more);
}

static void
plant_anon_count(struct scene *s)
{
    count_more(s, ASPEN_COUNT_ANON, 1);
}

static void
plant_file_count(struct scene *s)
{
    count_more(s, ASPEN_COUNT_FILE, (uint64_t)-1);
}

static void
plant_shmem_count(struct scene *s)
{
    count_more(s, ASPEN_COUNT_SHMEM, 1);
}

static void
plant_embedder_count(struct scene *s)
{
    POKE(s, s->aspen->embedder_frames[ASPEN_FRAMES_DEVICE], 1);
}

static void
plant_ram_count(struct scene *s)
{
    POKE(s, s->aspen->banks.ram_frames, s->aspen->banks.ram_frames + 1);
}

static void
plant_pinned_table(struct scene *s)
{
    POKE(s, *aspen_bank_pins(s->aspen, s->parent->root), 1);
}

static void
plant_pin_uncounted(struct scene *s)
{
    pin(s, s->cached);
    POKE(s, s->parent->pinned_pages, s->parent->pinned_pages - 1);
}

static void
plant_swap_map(struct scene *s)
{
    POKE(s, s->aspen->swap[0].references, s->aspen->swap[0].references + 1);
}

static void
plant_swap_cached(struct scene *s)
{
    POKE(s, s->aspen->swap[2].cached_slots, s->aspen->swap[2].cached_slots + 1);
}

static void
after_swap(struct scene *s)
{
    aspen_swap_free(s->aspen, 0, 100);
}

static void
plant_swap_reference(struct scene *s)
{
    assert_int_equal(aspen_swap_duplicate(s->aspen, 0, 100), 0);
    s->after = after_swap;
}

static void
after_other_swap(struct scene *s)
{
    aspen_swap_free(s->aspen, 1, 5);
}

/* Not of the first area, of which the spaces have entries. */
static void
plant_other_swap_reference(struct scene *s)
{
    assert_int_equal(aspen_swap_claim(s->aspen, 1, 5), 0);
    s->after = after_other_swap;
}

static void
plant_charge(struct scene *s)
{
    uint64_t *counts = s->aspen->frame_caches[0].counts;

    POKE(s, counts[ASPEN_COUNT_COMMITTED], counts[ASPEN_COUNT_COMMITTED] + 7);
}

static void
after_memory_mm(struct scene *s)
{
    aspen_cache_free(&s->aspen->mm_cache, s->memory);
}

static void
plant_cache_mm(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->mm_cache);
    s->after = after_memory_mm;
}

static void
after_memory_vma(struct scene *s)
{
    aspen_cache_free(&s->aspen->vma_cache, s->memory);
}

static void
plant_cache_vma(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->vma_cache);
    s->after = after_memory_vma;
}

static void
after_memory_anon_vma(struct scene *s)
{
    aspen_cache_free(&s->aspen->anon_vma_cache, s->memory);
}

static void
plant_cache_anon_vma(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->anon_vma_cache);
    s->after = after_memory_anon_vma;
}

static void
after_memory_link(struct scene *s)
{
    aspen_cache_free(&s->aspen->anon_vma_link_cache, s->memory);
}

static void
plant_cache_link(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->anon_vma_link_cache);
    s->after = after_memory_link;
}

static void
after_memory_object(struct scene *s)
{
    aspen_cache_free(&s->aspen->object_cache, s->memory);
}

static void
plant_cache_object(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->object_cache);
    s->after = after_memory_object;
}

static void
after_memory_name(struct scene *s)
{
    aspen_cache_free(&s->aspen->name_cache, s->memory);
}

static void
plant_cache_name(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->name_cache);
    s->after = after_memory_name;
}

static void
after_memory_node(struct scene *s)
{
    aspen_cache_free(&s->aspen->tree_pool.nodes, s->memory);
}

static void
plant_cache_node(struct scene *s)
{
    s->memory = aspen_cache_alloc(&s->aspen->tree_pool.nodes);
    s->after = after_memory_node;
}

static void
plant_lru_count(struct scene *s)
{
    POKE(s, s->aspen->lru.lists[1].count, s->aspen->lru.lists[1].count + 1);
}

static void
after_lru(struct scene *s)
{
    aspen_lru_remove(s->aspen, s->frame);
}

/* The zero page is on no list. */
static void
plant_lru_page(struct scene *s)
{
    s->frame = s->aspen->zero_frame;
    aspen_lru_add(s->aspen, s->frame, ASPEN_LRU_INACTIVE);
    s->after = after_lru;
}

/* It stands on another list than it says. */
static void
plant_lru_state(struct scene *s)
{
    const struct aspen_lru_list *list = s->aspen->lru.lists;
    struct aspen_frame *frame;

    while (list->first == ASPEN_NO_FRAME)
        list++;
    frame = aspen_frame_at(s->aspen, list->first);
    POKE(s, frame->index,
         frame->index ^
             (uint64_t)(aspen_lru_state(frame) ^ ASPEN_LRU_UNEVICTABLE)
                 << ASPEN_FRAME_LRU_SHIFT);
}

static void
plant_lru_anon(struct scene *s)
{
    POKE(s, s->aspen->lru.lists[1].anon, 1);
}

static void
plant_shadows(struct scene *s)
{
    POKE(s, s->rich->file->shadows, 1);
}

static void
plant_shadow_sum(struct scene *s)
{
    POKE(s, s->aspen->leaving.shadows, 1);
}

static void
plant_swapped(struct scene *s)
{
    POKE(s, s->rich->shmem->swapped, 1);
}

static void
plant_swapped_sum(struct scene *s)
{
    POKE(s, s->aspen->swapped_object_count, 1);
}

const struct plant plants_machine[] = {
    {"lru.list", MACHINE, plant_lru_count},
    {"lru.list", MACHINE, plant_lru_anon},
    {"lru.page", MACHINE, plant_lru_page},
    {"lru.page", MACHINE, plant_lru_state},
    {"object.shadows", MACHINE, plant_shadows},
    {"object.shadows", MACHINE, plant_shadow_sum},
    {"object.swapped", MACHINE, plant_swapped},
    {"object.swapped", MACHINE, plant_swapped_sum},
    {"frame.free_count", MACHINE, plant_allocator},
    {"frame.mapcount", MACHINE, plant_mapcount},
    {"frame.refcount", MACHINE, plant_refcount},
    {"frame.locked", MACHINE, plant_frame_locked},
    {"frame.leak", MACHINE, plant_frame_unused},
    {"frame.leak", MACHINE, plant_frame_unmapped},
    {"frame.pins", MACHINE, plant_pinned_shared},
    {"frame.pins", MACHINE, plant_pinned_table},
    {"swap.cache", MACHINE, plant_says_cached},
    {"swap.map", MACHINE, plant_free_slot_cached},
    {"swap.map", MACHINE, plant_swap_cached},
    {"entry.swap", PARENT, plant_exclusive_swap},
    {"frame.exclusive", MACHINE, plant_exclusive_shared},
    {"frame.exclusive", MACHINE, plant_exclusive_object},
    {"count.pages", MACHINE, plant_anon_count},
    {"count.pages", MACHINE, plant_file_count},
    {"count.pages", MACHINE, plant_shmem_count},
    {"count.frames", MACHINE, plant_embedder_count},
    {"count.frames", MACHINE, plant_ram_count},
    {"pin.count", MACHINE, plant_pin_uncounted},
    {"swap.map", MACHINE, plant_swap_map},
    {"swap.references", MACHINE, plant_swap_reference},
    {"swap.references", MACHINE, plant_other_swap_reference},
    {"charge.sum", MACHINE, plant_charge},
    {"cache.mm", MACHINE, plant_cache_mm},
    {"cache.vma", MACHINE, plant_cache_vma},
    {"cache.anon_vma", MACHINE, plant_cache_anon_vma},
    {"cache.anon_vma_link", MACHINE, plant_cache_link},
    {"cache.object", MACHINE, plant_cache_object},
    {"cache.name", MACHINE, plant_cache_name},
    {"cache.tree_node", MACHINE, plant_cache_node},
    {0},
};
