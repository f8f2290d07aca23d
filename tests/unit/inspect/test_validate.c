/* SPDX-License-Identifier: MIT */
/*
 * test_validate.c - the validator: clean machines have no finding; each kind
 * of corruption, planted alone, is found under the name that
 * docs/use/inspect.md gives it, and every name of that page is planted.
 */
#include "fork_parent.h"
#include "helper.h"
#include "unit.h"

#include "frames/pins.h"
#include "inspect/validate.h"
#include "inspect/walk.h"
#include "object/page_cache.h"
#include "space/swap_map.h"
#include "space/unmap.h"

#define POKES 16

/* Where fork_parent_rich() has what. */
#define ANON        (3 * MIB)  /* 512 pages, charged */
#define LOCKED      (5 * MIB)  /* 4 pages */
#define FILE_COW    (10 * MIB) /* 4 pages of the file, 4 private copies */
#define FILE_SHARED (11 * MIB)
#define SHMEM       (12 * MIB)
#define FILE_READ   (13 * MIB) /* nothing touched */
#define SPECIALS    (14 * MIB) /* 2 pages, 2 zero pages, 2 guards */
#define SWAPPED     (3 * GIB)
#define RAW         (4 * GIB)
#define HUGE        (600 * GIB)
#define NOWHERE     (1000 * GIB) /* no VMA and no table */

/* ---- A scene with everything in it ------------------------------------- */

struct poke {
    void *place;
    unsigned char old[64];
    size_t size;
};

struct scene {
    struct fork_parent *rich;
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;
    struct aspen_mm *empty; /* after exit, kept by a reference */
    uint32_t cached;        /* a frame of the page cache that nobody maps */
    struct poke pokes[POKES];
    unsigned poked;
    void (*after)(struct scene *scene); /* undoes what is no poke */
    uint32_t frame;
    void *memory;
};

static struct scene
scene_create(void)
{
    struct scene scene = {.rich = fork_parent_rich()};
    unsigned type;

    scene.aspen = scene.rich->helper.aspen;
    assert_int_equal(aspen_swap_area_add(scene.aspen, 64, &type), 0);
    assert_int_equal(type, 1);
    scene.parent = scene.rich->mm;
    assert_int_equal(aspen_fork(scene.parent, &scene.child), 0);
    assert_int_equal(aspen_mm_create(scene.aspen, &scene.empty), 0);
    aspen_mm_hold(scene.empty);
    aspen_mm_put(scene.empty);
    assert_int_equal(
        aspen_object_get_page(scene.rich->shmem, 5000, &scene.cached), 0);
    aspen_frame_put(scene.aspen, scene.cached);
    return scene;
}

static void
scene_destroy(struct scene *scene)
{
    aspen_mm_put(scene->child);
    aspen_mm_drop(scene->empty);
    fork_parent_free(scene->rich);
}

static void
remember(struct scene *scene, void *place, size_t size)
{
    assert_true(scene->poked < POKES);
    struct poke *poke = &scene->pokes[scene->poked++];
    assert_true(size <= sizeof(poke->old));
    poke->place = place;
    poke->size = size;
    memcpy(poke->old, place, size);
}

static void
restore(struct scene *scene)
{
    if (scene->after)
        scene->after(scene);
    scene->after = NULL;
    while (scene->poked) {
        struct poke *poke = &scene->pokes[--scene->poked];
        memcpy(poke->place, poke->old, poke->size);
    }
}

#define POKE(scene, at, value)                                                 \
    (remember((scene), &(at), sizeof(at)), (void)((at) = (value)))

/* ---- Finding one's way ------------------------------------------------- */

static struct aspen_vma *
vma_at(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_vma *vma = aspen_vma_at(mm, address);
    assert_non_null(vma);
    return vma;
}

static uint64_t *
slot_at(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    struct aspen_slot slot;
    uint32_t table = mm->root;
    uint64_t *entry = NULL;

    for (unsigned at = ASPEN_TABLE_LEVELS; at-- > level;) {
        entry = &aspen_table_entries(mm->aspen,
                                     table)[aspen_table_index(address, at)];
        table = (uint32_t)aspen_entry_frame(*entry);
    }
    (void)slot;
    return entry;
}

/* The frame of the table of level 0, or what an entry leads to. */
static uint32_t
frame_at(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    return (uint32_t)aspen_entry_frame(*slot_at(mm, address, level));
}

static struct aspen_frame *
page_at(struct scene *scene, uint64_t address)
{
    return &scene->aspen->frames[frame_at(scene->parent, address, 0)];
}

static struct aspen_frame *
table_at(struct scene *scene, uint64_t address)
{
    return &scene->aspen->frames[frame_at(scene->parent, address, 1)];
}

static struct aspen_anon_vma_link *
link_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_container_of(vma_at(mm, address)->anon_chain.next,
                              struct aspen_anon_vma_link, same_vma);
}

/* The link to the VMA's own anon_vma: the newest. */
static struct aspen_anon_vma_link *
own_link_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_container_of(vma_at(mm, address)->anon_chain.previous,
                              struct aspen_anon_vma_link, same_vma);
}

static uint64_t
anon_leaf(struct scene *scene, uint64_t of)
{
    return aspen_entry_make_leaf(frame_at(scene->parent, of, 0), 0,
                                 ASPEN_ENTRY_READ);
}

/* ---- Lists ------------------------------------------------------------- */

static void
plant_registry_link(struct scene *s)
{
    POKE(s, s->child->registry_link.previous, &s->child->registry_link);
}

static void
plant_registry_count(struct scene *s)
{
    POKE(s, s->aspen->registry_count, 3);
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
    POKE(s, s->aspen->registry_count, 1);
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

static void
plant_not_empty(struct scene *s)
{
    POKE(s, s->empty->data_pages, 1);
}

static void
plant_empty_rss(struct scene *s)
{
    POKE(s, s->empty->rss[ASPEN_RSS_ANON], 1);
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
    POKE(s, s->child->rss[ASPEN_RSS_FILE], 1 + s->child->rss[ASPEN_RSS_FILE]);
}

static void
plant_rss_anon(struct scene *s)
{
    POKE(s, s->child->rss[ASPEN_RSS_ANON], s->child->rss[ASPEN_RSS_ANON] - 1);
}

static void
plant_rss_swap(struct scene *s)
{
    POKE(s, s->child->rss[ASPEN_RSS_SWAP], 0);
}

static void
plant_rss_shmem(struct scene *s)
{
    POKE(s, s->parent->rss[ASPEN_RSS_SHMEM], 0);
}

static void
plant_page_tables(struct scene *s)
{
    POKE(s, s->child->page_tables, s->child->page_tables - 1);
}

/* ---- Tree and VMAs ----------------------------------------------------- */

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
    aspen_free_page_tables(&gather, NOWHERE, NOWHERE + PAGE, 700 * GIB,
                           s->child->address_limit);
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
plant_table_count(struct scene *s)
{
    POKE(s, s->aspen->tables, s->aspen->tables + 1);
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
         aspen_entry_make_leaf(ASPEN_ZERO_FRAME, 0,
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
    uint64_t *slot = slot_at(s->parent, ANON, 0);
    POKE(s, *slot, aspen_entry_set_bits(*slot, ASPEN_ENTRY_PKEY));
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

/* ---- Reverse maps ------------------------------------------------------ */

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
exchange(struct aspen_interval_tree *tree, struct aspen_interval_node *first,
         struct aspen_interval_node *second)
{
    aspen_interval_remove(tree, first);
    aspen_interval_remove(tree, second);
    aspen_interval_insert(tree, first);
    aspen_interval_insert(tree, second);
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

/* ---- Objects ----------------------------------------------------------- */

static void
plant_vma_name(struct scene *s)
{
    POKE(s, vma_at(s->child, FILE_READ)->name, vma_at(s->child, LOCKED)->name);
}

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

static void
plant_object_shared(struct scene *s)
{
    POKE(s, s->rich->file->writable_shared, 1);
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
    struct aspen_frame *frame = &s->aspen->frames[s->cached];
    POKE(s, frame->index, frame->index + 1);
}

static void
plant_object_page_owner(struct scene *s)
{
    POKE(s, s->aspen->frames[s->cached].owner,
         (uint64_t)(uintptr_t)s->rich->file);
}

static void
plant_object_page_type(struct scene *s)
{
    POKE(s, s->aspen->frames[s->cached].index,
         (uint64_t)ASPEN_FRAME_ANON << ASPEN_FRAME_TYPE_SHIFT | 5000);
}

/* ---- Frames, swap, charge, caches -------------------------------------- */

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
    aspen_frame_set(&s->aspen->frames[s->frame], ASPEN_FRAME_ANON,
                    vma_at(s->parent, ANON)->anon_vma, 0, 0);
}

static void
pin(struct scene *s, uint32_t frame)
{
    POKE(s, s->aspen->pins[frame], s->aspen->pins[frame] + 1);
    POKE(s, s->aspen->frames[frame].counts,
         s->aspen->frames[frame].counts + ASPEN_FRAME_REF);
    POKE(s, s->parent->pinned_pages, s->parent->pinned_pages + 1);
}

static void
plant_pinned_shared(struct scene *s)
{
    pin(s, aspen_frame_number(s->aspen, page_at(s, ANON)));
}

static void
plant_pinned_table(struct scene *s)
{
    POKE(s, s->aspen->pins[s->parent->root], 1);
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
    POKE(s, s->aspen->committed_pages, s->aspen->committed_pages + 7);
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
plant_top_table_lost(struct scene *s)
{
    assert_int_equal(
        aspen_table_alloc(s->child, 0, ASPEN_TABLE_LEVELS - 1, &s->frame), 0);
    s->after = after_table;
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

/* ---- The table --------------------------------------------------------- */

/* Who is to find it: the whole machine, or one of its address spaces too. */
enum finder { MACHINE, PARENT, CHILD, CHILD_ALONE };

static const struct plant {
    const char *check;
    enum finder finder;
    void (*plant)(struct scene *scene);
} plants[] = {
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
    {"table.frame", CHILD, plant_table_beyond},
    {"table.frame", PARENT, plant_table_none},
    {"table.owner", PARENT, plant_table_owner},
    {"table.place", PARENT, plant_table_place},
    {"table.place", PARENT, plant_table_level},
    {"table.references", PARENT, plant_table_references},
    {"table.stray", CHILD, plant_table_stray},
    {"table.lost", MACHINE, plant_table_lost},
    {"table.count", MACHINE, plant_table_count},
    {"entry.unknown", CHILD, plant_entry_bits},
    {"entry.unknown", CHILD, plant_entry_marker},
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
    {"entry.mapcount", PARENT, plant_entry_mapcount},
    {"entry.swap", CHILD, plant_swap_unused},
    {"entry.swap", CHILD, plant_swap_no_area},
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
    {"name.list", MACHINE, plant_name_link},
    {"name.list", MACHINE, plant_name_head},
    {"name.references", CHILD, plant_name_unreferenced},
    {"name.references", MACHINE, plant_name_references},
    {"object.list", MACHINE, plant_object_link},
    {"object.list", MACHINE, plant_object_head},
    {"object.i_mmap", CHILD, plant_i_mmap_range},
    {"object.i_mmap", MACHINE, plant_i_mmap_count},
    {"object.i_mmap", MACHINE, plant_i_mmap_tree},
    {"object.i_mmap", MACHINE, plant_i_mmap_stranger},
    {"object.i_mmap", PARENT, plant_i_mmap_unlinked},
    {"object.order", CHILD, plant_object_order},
    {"object.shared", MACHINE, plant_object_shared},
    {"object.references", PARENT, plant_object_references},
    {"object.pages", MACHINE, plant_object_pages},
    {"object.page", MACHINE, plant_object_no_page},
    {"object.page", MACHINE, plant_object_page_offset},
    {"object.page", MACHINE, plant_object_page_owner},
    {"object.page", MACHINE, plant_object_page_type},
    {"frame.free_count", MACHINE, plant_allocator},
    {"frame.mapcount", MACHINE, plant_mapcount},
    {"frame.refcount", MACHINE, plant_refcount},
    {"frame.locked", MACHINE, plant_frame_locked},
    {"frame.leak", MACHINE, plant_frame_unused},
    {"frame.leak", MACHINE, plant_frame_unmapped},
    {"frame.pins", MACHINE, plant_pinned_shared},
    {"frame.pins", MACHINE, plant_pinned_table},
    {"pin.count", MACHINE, plant_pin_uncounted},
    {"swap.map", MACHINE, plant_swap_map},
    {"swap.references", MACHINE, plant_swap_reference},
    {"swap.references", MACHINE, plant_other_swap_reference},
    {"charge.sum", MACHINE, plant_charge},
    {"cache.mm", MACHINE, plant_cache_mm},
    {"cache.mm", MACHINE, plant_top_table_lost},
    {"cache.vma", MACHINE, plant_cache_vma},
    {"cache.anon_vma", MACHINE, plant_cache_anon_vma},
    {"cache.anon_vma_link", MACHINE, plant_cache_link},
    {"cache.object", MACHINE, plant_cache_object},
    {"cache.name", MACHINE, plant_cache_name},
    {"cache.tree_node", MACHINE, plant_cache_node},
};

/* ---- Tests ------------------------------------------------------------- */

static void
assert_clean(struct scene *scene)
{
    struct aspen_finding finding;

    if (aspen_validate(scene->aspen, &finding) ||
        aspen_validate_mm(scene->parent, &finding) ||
        aspen_validate_mm(scene->child, &finding) ||
        aspen_validate_mm(scene->empty, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
    assert_null(finding.check);
    assert_string_equal(finding.text, "");
}

static void
assert_found(int result, const struct aspen_finding *finding,
             const struct plant *plant)
{
    if (result != 1)
        fail_msg("%s, planted as number %zu: not found", plant->check,
                 (size_t)(plant - plants));
    if (strcmp(finding->check, plant->check) != 0)
        fail_msg("planted %s, found %s: %s", plant->check, finding->check,
                 finding->text);
    assert_true(strlen(finding->text) > 10);
    assert_true(strlen(finding->text) < ASPEN_FINDING_BYTES - 1);
    assert_null(strchr(finding->text, '\n'));
}

static void
test_plants(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    struct aspen_finding finding;

    assert_clean(&scene);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(plants); i++) {
        const struct plant *plant = &plants[i];
        plant->plant(&scene);
        if (plant->finder != CHILD_ALONE)
            assert_found(aspen_validate(scene.aspen, &finding), &finding,
                         plant);
        else /* the machine meets what follows from it, in the parent, first */
            assert_int_equal(aspen_validate(scene.aspen, &finding), 1);
        if (plant->finder != MACHINE)
            assert_found(aspen_validate_mm(plant->finder == PARENT
                                               ? scene.parent
                                               : scene.child,
                                           &finding),
                         &finding, plant);
        if (getenv("ASPEN_SHOW"))
            print_message("%-20s %s\n", finding.check, finding.text);
        restore(&scene);
        assert_clean(&scene);
    }
    print_message("%zu corruptions planted, %zu found\n",
                  ASPEN_ARRAY_SIZE(plants), ASPEN_ARRAY_SIZE(plants));
    scene_destroy(&scene);
}

/* ---- Names ------------------------------------------------------------- */

struct names {
    char names[128][32];
    size_t count;
};

static bool
has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->names[i], name))
            return true;
    return false;
}

/* Rows of a page's tables that begin with `name`. */
static void
read_names(const char *path, struct names *names)
{
    char line[512];
    FILE *file = fopen(path, "r");

    if (!file)
        fail_msg("%s: run this from the top of the project", path);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "| `%31[a-z_.]`", names->names[names->count]) == 1 &&
            strchr(names->names[names->count], '.')) {
            names->count++;
            assert_true(names->count < ASPEN_ARRAY_SIZE(names->names));
        }
    fclose(file);
}

static char *
read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 18);
    assert_non_null(file);
    assert_non_null(text);
    text[fread(text, 1, (1 << 18) - 1, file)] = 0;
    fclose(file);
    return text;
}

static bool
is_planted(const char *name)
{
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(plants); i++)
        if (!strcmp(plants[i].check, name))
            return true;
    return false;
}

static bool
is_ours(const char *name)
{
    for (unsigned i = 0; i < ASPEN_CHECK_KINDS; i++)
        if (!strcmp(aspen_check_name((enum aspen_check)i), name))
            return true;
    return false;
}

/* Code, page and plants have the same names; those of the allocator are in
 * frames.h and planted by test_frames.c. */
static void
test_names(void **unused)
{
    (void)unused;
    static struct names names;
    char *header = read_file("src/frames/frames.h");
    char *frames = read_file("tests/unit/frames/test_frames.c");
    size_t allocator = 0;

    read_names("docs/use/inspect.md", &names);
    for (unsigned i = 0; i < ASPEN_CHECK_KINDS; i++) {
        const char *name = aspen_check_name((enum aspen_check)i);
        if (!has_name(&names, name))
            fail_msg("docs/use/inspect.md does not have %s", name);
        if (!is_planted(name))
            fail_msg("%s is not planted", name);
    }
    for (size_t i = 0; i < names.count; i++) {
        char comment[48], quoted[48];
        if (is_ours(names.names[i]))
            continue;
        snprintf(comment, sizeof(comment), " *   %s ", names.names[i]);
        snprintf(quoted, sizeof(quoted), "\"%s\"", names.names[i]);
        if (!strstr(header, comment) || !strstr(frames, quoted))
            fail_msg("docs/use/inspect.md has %s, which is nowhere else",
                     names.names[i]);
        allocator++;
    }
    assert_int_equal(names.count, ASPEN_CHECK_KINDS + allocator);
    assert_int_equal(allocator, 12);
    free(header);
    free(frames);
}

/* ---- Clean machines ---------------------------------------------------- */

static void
assert_valid(struct aspen *aspen, struct aspen_mm *const *mms, size_t count)
{
    struct aspen_finding finding;
    if (aspen_validate(aspen, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
    for (size_t i = 0; i < count; i++)
        if (aspen_validate_mm(mms[i], &finding))
            fail_msg("mm: %s: %s", finding.check, finding.text);
}

/* Generations that fork, write, unmap and exit at random. */
static void
test_clean(void **unused)
{
    (void)unused;
    enum { MMS = 8 };
    static const uint64_t places[] = {ANON,  ANON + MIB, LOCKED,
                                      SHMEM, FILE_COW,   FILE_SHARED};
    uint64_t seed = unit_seed("test_validate", 7);
    struct fork_parent *rich = fork_parent_rich();
    struct aspen_mm *mms[MMS] = {rich->mm};
    size_t count = 1;
    unsigned faults = 0;
    int error;

    for (unsigned step = 0; step < 400; step++) {
        size_t i = unit_random(&seed) % count;
        uint64_t address =
            places[unit_random(&seed) % 6] + unit_random(&seed) % 16 * PAGE;
        switch (unit_random(&seed) % 8) {
        case 0:
            if (count < MMS && aspen_fork(mms[i], &mms[count]) == 0)
                count++;
            break;
        case 1:
            if (i > 0) {
                aspen_mm_put(mms[i]);
                mms[i] = mms[--count];
            }
            break;
        case 2:
            assert_int_equal(aspen_munmap(mms[i], address,
                                          (1 + unit_random(&seed) % 16) * PAGE),
                             0);
            break;
        case 3: {
            struct aspen_mmap_args args = {
                .address = address,
                .length_bytes = (1 + unit_random(&seed) % 16) * PAGE,
                .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
                .place = ASPEN_MAP_FIXED,
            };
            assert_int_equal(aspen_mmap(mms[i], &args, &address), 0);
            break;
        }
        default:
            error =
                aspen_fault(mms[i], address,
                            step % 2 ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
            faults += error == 0;
        }
        assert_valid(rich->helper.aspen, mms, count);
    }
    assert_true(faults > 50);
    while (--count)
        aspen_mm_put(mms[count]);
    assert_valid(rich->helper.aspen, mms, 1);
    fork_parent_free(rich);
}

/* A machine with nothing in it, and one whose memory for tallies is refused
 * only where the port refuses: nothing to plant, so just the plain answer. */
static void
test_nothing(void **unused)
{
    (void)unused;
    struct fork_parent *parent = fork_parent_empty();
    assert_valid(parent->helper.aspen, &parent->mm, 1);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_plants),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
