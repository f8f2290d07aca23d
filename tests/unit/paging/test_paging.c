/* SPDX-License-Identifier: MIT */
/*
 * test_paging.c - page-table entries, tables, gather. Built once with the
 * port's format and once with AArch64's (test_paging_aarch64.c).
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <time.h>

#include "unit.h"

#include "paging/gather.h"

#include "aspen_posix.h"

#define ALL_BITS   128u /* ASPEN_ENTRY_* are seven bits, and a key */
#define ACCESS     (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE | ASPEN_ENTRY_EXEC)
#define TOP        (ASPEN_TABLE_LEVELS - 1)
#define LEAF_LEVEL 3 /* leaves stand at levels below this */

/* ---- Entries ----------------------------------------------------------- */

/* What a leaf made with `bits` answers. */
static unsigned
implied(unsigned bits)
{
    const unsigned read =
        ASPEN_ENTRY_WRITE | (ASPEN_ENTRY_EXECUTE_ONLY ? 0 : ASPEN_ENTRY_EXEC);

    return bits & read ? bits | ASPEN_ENTRY_READ : bits;
}

static const uint64_t numbers[] = {0,
                                   1,
                                   0x12345,
                                   0xfffff,
                                   UINT32_MAX,
                                   ((uint64_t)1 << ASPEN_ENTRY_NUMBER_BITS) - 1,
                                   (uint64_t)1
                                       << (ASPEN_ENTRY_NUMBER_BITS - 1)};

/* As a leaf of `level` has it: aligned. */
static uint64_t
number_at(size_t which, unsigned level)
{
    return aspen_align_down(numbers[which],
                            (uint64_t)1 << (ASPEN_TABLE_SHIFT * level));
}

enum kind { NONE, TABLE, LEAF, SWAP, MARKER };

/* `entry`, at `level`, is of this kind and of no other. */
static void
assert_kind(uint64_t entry, unsigned level, enum kind kind)
{
    assert_int_equal(entry == 0, kind == NONE);
    assert_int_equal(aspen_entry_is_table(entry, level), kind == TABLE);
    assert_int_equal(aspen_entry_is_leaf(entry, level), kind == LEAF);
    assert_int_equal(aspen_entry_is_swap(entry), kind == SWAP);
    assert_int_equal(aspen_entry_is_marker(entry), kind == MARKER);
}

static void
test_leaves(void **unused)
{
    (void)unused;
    unsigned long count = 0;

    for (unsigned level = 0; level < LEAF_LEVEL; level++)
        for (size_t n = 0; n < ASPEN_ARRAY_SIZE(numbers); n++)
            for (unsigned bits = 0; bits < ALL_BITS; bits++, count++) {
                uint64_t number = number_at(n, level);
                uint64_t leaf = aspen_entry_make_leaf(number, level, bits);
                assert_kind(leaf, level, LEAF);
                assert_int_equal(aspen_entry_frame(leaf), number);
                assert_int_equal(aspen_entry_bits(leaf), implied(bits));
            }
    print_message("%lu leaves\n", count);
}

/* Bits and keys do not touch each other. */
static void
test_leaf_keys(void **unused)
{
    (void)unused;

    for (unsigned bits = 0; bits < ALL_BITS; bits++)
        for (unsigned key = 0; key < 16; key++) {
            unsigned shifted = key << ASPEN_ENTRY_PKEY_SHIFT;
            uint64_t number = numbers[5];
            uint64_t leaf = aspen_entry_make_leaf(number, 0, bits | shifted);
            uint64_t bare = aspen_entry_clear_bits(leaf, ASPEN_ENTRY_PKEY);
            assert_kind(leaf, 0, LEAF);
            assert_int_equal(aspen_entry_frame(leaf), number);
            assert_int_equal(aspen_entry_bits(leaf), implied(bits) | shifted);
            assert_int_equal(bare, aspen_entry_make_leaf(number, 0, bits));
            assert_int_equal(aspen_entry_set_bits(bare, shifted), leaf);
            assert_int_equal(aspen_entry_bits(aspen_entry_write_protect(leaf)) &
                                 ASPEN_ENTRY_PKEY,
                             shifted);
        }
}

static void
assert_changes(uint64_t leaf, unsigned level, unsigned bits, unsigned change)
{
    uint64_t number = aspen_entry_frame(leaf);
    uint64_t set = aspen_entry_set_bits(leaf, change);
    uint64_t cleared = aspen_entry_clear_bits(leaf, change);

    assert_kind(set, level, LEAF);
    assert_kind(cleared, level, LEAF);
    assert_int_equal(aspen_entry_frame(set), number);
    assert_int_equal(aspen_entry_frame(cleared), number);
    assert_int_equal(aspen_entry_bits(set), implied(implied(bits) | change));
    assert_int_equal(aspen_entry_bits(cleared),
                     implied(implied(bits) & ~change));
}

static void
test_leaf_changes(void **unused)
{
    (void)unused;
    unsigned long count = 0;

    for (unsigned level = 0; level < LEAF_LEVEL; level++)
        for (unsigned bits = 0; bits < ALL_BITS; bits++) {
            uint64_t leaf =
                aspen_entry_make_leaf(number_at(5, level), level, bits);
            uint64_t protected = aspen_entry_write_protect(leaf);
            assert_kind(protected, level, LEAF);
            assert_int_equal(aspen_entry_frame(protected),
                             aspen_entry_frame(leaf));
            assert_int_equal(aspen_entry_bits(protected),
                             implied(bits) & ~ASPEN_ENTRY_WRITE);
            assert_int_equal(protected,
                             aspen_entry_clear_bits(leaf, ASPEN_ENTRY_WRITE));
            for (unsigned change = 0; change < ALL_BITS; change++, count++)
                assert_changes(leaf, level, bits, change);
        }
    print_message("%lu changes\n", count);
}

static void
test_tables(void **unused)
{
    (void)unused;
    static const uint32_t frames[] = {1, 2, 0x12345, 0xfffff000, UINT32_MAX};

    for (unsigned level = 1; level < ASPEN_TABLE_LEVELS; level++)
        for (size_t i = 0; i < ASPEN_ARRAY_SIZE(frames); i++) {
            uint64_t table = aspen_entry_make_table(frames[i]);
            assert_kind(table, level, TABLE);
            assert_int_equal(aspen_entry_frame(table), frames[i]);
            uint64_t protected = aspen_entry_table_write_protect(table);
            assert_int_not_equal(protected, table);
            assert_kind(protected, level, TABLE);
            assert_int_equal(aspen_entry_frame(protected), frames[i]);
        }
    for (unsigned level = 0; level < ASPEN_TABLE_LEVELS; level++)
        assert_kind(0, level, NONE);
}

static void
assert_swap(unsigned type, uint32_t slot)
{
    uint64_t swap = aspen_entry_make_swap(type, slot);

    assert_kind(swap, 0, SWAP);
    assert_int_equal(aspen_entry_swap_type(swap), type);
    assert_int_equal(aspen_entry_swap_slot(swap), slot);
}

static void
test_swap_and_markers(void **unused)
{
    (void)unused;

    for (unsigned type = 0; type < 1u << ASPEN_SWAP_TYPE_BITS; type++) {
        for (unsigned bit = 0; bit < ASPEN_SWAP_SLOT_BITS; bit++) {
            assert_swap(type, (uint32_t)1 << bit);
            assert_swap(type, ~((uint32_t)1 << bit));
        }
        assert_swap(type, 0);
        assert_swap(type, UINT32_MAX);
    }
    for (unsigned m = ASPEN_MARKER_GUARD; m <= ASPEN_MARKER_UFFD_WP; m++) {
        uint64_t marker = aspen_entry_make_marker((enum aspen_marker)m);
        assert_kind(marker, 0, MARKER);
        assert_int_equal(aspen_entry_marker(marker), m);
    }
}

/* Entries as the processors' manuals have them, bit by bit. */
#ifdef ASPEN_PAGING_FORMAT_AARCH64_H
#define BIT(n) ((uint64_t)1 << (n))
#define PAGE_ATTRIBUTES                                                        \
    (BIT(6) | BIT(8) | BIT(9) | BIT(11) | BIT(53)) /* EL0, inner, nG, PXN */

static void
test_hardware_bits(void **unused)
{
    (void)unused;
    uint64_t page = 0x12345000 | PAGE_ATTRIBUTES;

    /* read only, not accessed, not executable */
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, ASPEN_ENTRY_READ),
                     page | 3 | BIT(7) | BIT(54));
    /* writable and clean: DBM, still read only */
    uint64_t clean =
        aspen_entry_make_leaf(0x12345, 0, ACCESS | ASPEN_ENTRY_YOUNG);
    assert_int_equal(clean, page | 3 | BIT(7) | BIT(10) | BIT(51));
    /* the processor writes through it: AP[2] goes */
    assert_int_equal(aspen_entry_bits(clean & ~BIT(7)),
                     ACCESS | ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY);
    assert_int_equal(
        aspen_entry_bits(aspen_entry_write_protect(clean & ~BIT(7))),
        ASPEN_ENTRY_READ | ASPEN_ENTRY_EXEC | ASPEN_ENTRY_YOUNG |
            ASPEN_ENTRY_DIRTY);
    /* a 2 MiB block; an inaccessible page is not valid */
    assert_int_equal(aspen_entry_make_leaf(0x12200, 1, ASPEN_ENTRY_READ) & 3,
                     1);
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, 0) & 1, 0);
    assert_int_equal(aspen_entry_make_table(0x12345), 0x12345000 | 3);
    assert_int_equal(aspen_entry_make_swap(3, 7) & 1, 0);
    assert_int_equal(aspen_entry_make_marker(ASPEN_MARKER_GUARD) & 1, 0);
}
#else
static void
test_hardware_bits(void **unused)
{
    (void)unused;
    uint64_t nx = (uint64_t)1 << 63;

    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, ASPEN_ENTRY_READ),
                     0x12345005 | nx);
    assert_int_equal(
        aspen_entry_make_leaf(0x12345, 0,
                              ACCESS | ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY),
        0x12345067);
    assert_int_equal(aspen_entry_make_leaf(0x12200, 1, ASPEN_ENTRY_READ),
                     0x12200085 | nx);
    /* the processor sets accessed and dirty */
    uint64_t clean = aspen_entry_make_leaf(0x12345, 0, ACCESS);
    assert_int_equal(aspen_entry_bits(clean | 0x60),
                     ACCESS | ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY);
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, 0) & 1, 0);
    assert_int_equal(aspen_entry_make_table(0x12345), 0x12345007);
    assert_int_equal(aspen_entry_make_swap(3, 7) & 1, 0);
    assert_int_equal(aspen_entry_make_marker(ASPEN_MARKER_GUARD) & 1, 0);
}
#endif

static void
test_spans(void **unused)
{
    (void)unused;
    uint64_t last = ASPEN_ADDRESS_LIMIT - 1;

    assert_int_equal(aspen_entry_span(0), 4096);
    assert_int_equal(aspen_entry_span(1), 2u << 20);
    assert_int_equal(aspen_entry_span(2), 1u << 30);
    assert_int_equal(aspen_table_span(0), 2u << 20);
    for (unsigned level = 0; level < ASPEN_TABLE_LEVELS; level++)
        assert_int_equal(aspen_table_index(0, level), 0);
    assert_true(last >> ASPEN_ADDRESS_BITS == 0);
    assert_true(aspen_table_index(last, TOP) < ASPEN_TABLE_ENTRIES);
    assert_int_equal(aspen_table_index(0x40201000, 0), 1);
    assert_int_equal(aspen_table_index(0x40201000, 1), 1);
    assert_int_equal(aspen_table_index(0x40201000, 2), 1);
}

static void
test_bits_of_flags(void **unused)
{
    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));

    (void)unused;
    assert_non_null(aspen);
    assert_int_equal(aspen_entry_bits_of(aspen, ASPEN_VM_READ | ASPEN_VM_PKEY),
                     ASPEN_ENTRY_READ | ASPEN_ENTRY_PKEY);
    for (uint64_t flags = 0; flags < 16; flags++) {
        bool any = (flags & ASPEN_VM_ACCESS) != 0;
        bool write = (flags & ASPEN_VM_WRITE) && (flags & ASPEN_VM_SHARED);
        bool exec = (flags & ASPEN_VM_EXEC) != 0;
        bool exec_alone = (flags & ASPEN_VM_ACCESS) == ASPEN_VM_EXEC;
        unsigned bits = (any ? ASPEN_ENTRY_READ : 0) |
                        (write ? ASPEN_ENTRY_WRITE : 0) |
                        (exec ? ASPEN_ENTRY_EXEC : 0);
        aspen->config.execute_only = ASPEN_EXECUTE_ONLY_NONE;
        assert_int_equal(aspen_entry_bits_of(aspen, flags | ASPEN_VM_MAYWRITE),
                         bits);
        aspen->config.execute_only = ASPEN_EXECUTE_ONLY_ENTRY;
        assert_int_equal(aspen_entry_bits_of(aspen, flags | ASPEN_VM_MAYWRITE),
                         exec_alone ? ASPEN_ENTRY_EXEC : bits);
    }
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

/* ---- A machine and a space by hand ------------------------------------- */

static uint32_t
new_table(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    uint32_t table;
    assert_int_equal(aspen_table_alloc(mm, address, level, &table), 0);
    return table;
}

static struct aspen_mm *
space_create(uint32_t frames)
{
    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));
    struct aspen_mm *mm = aspen_port_memory_alloc(sizeof(*mm));

    assert_non_null(aspen);
    assert_non_null(mm);
    aspen->config.frames = frames;
    aspen->config.direct_map = aspen_posix_direct_map_create(frames);
    assert_non_null(aspen->config.direct_map);
    assert_int_equal(aspen_frames_init(aspen), 0);
    mm->aspen = aspen;
    mm->address_limit = ASPEN_ADDRESS_LIMIT;
    mm->root = new_table(mm, 0, TOP);
    return mm;
}

static void
free_below(struct aspen_gather *gather, uint32_t table, unsigned level)
{
    struct aspen *aspen = gather->mm->aspen;
    uint64_t *entries = aspen_table_entries(aspen, table);

    for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++) {
        uint64_t entry = entries[i];
        entries[i] = 0;
        if (!aspen_entry_is_table(entry, level))
            continue;
        free_below(gather, (uint32_t)aspen_entry_frame(entry), level - 1);
        aspen_gather_table(gather, (uint32_t)aspen_entry_frame(entry));
    }
}

/* Tables go, leaves are forgotten; then nothing may be left. */
static void
space_destroy(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;
    struct aspen_gather gather;
    uint32_t where;

    aspen_gather_begin(&gather, mm, true);
    free_below(&gather, mm->root, TOP);
    aspen_gather_end(&gather);
    aspen_tables_drain(aspen);
    assert_int_equal(mm->page_tables, 0);
    aspen_table_free(aspen, mm->root);
    assert_int_equal(aspen->tables, 0);
    assert_null(aspen_frames_check(aspen, &where));
    aspen_frames_destroy(aspen);
    aspen_posix_direct_map_destroy(aspen->config.direct_map,
                                   aspen->config.frames);
    aspen_port_memory_free(mm, sizeof(*mm));
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

/* ---- Tables ------------------------------------------------------------ */

static void
test_table_alloc(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen *aspen = mm->aspen;

    /* The memory is dirty from an earlier life. */
    memset((char *)aspen->config.direct_map + 4096, 0xa5, 255 * 4096);
    for (unsigned level = 0; level < ASPEN_TABLE_LEVELS; level++) {
        uint64_t address = 0x123456789000;
        uint32_t table = new_table(mm, address, level);
        const struct aspen_frame *frame = &aspen->frames[table];
        uint64_t first = aspen_align_down(address, aspen_table_span(level));

        assert_int_equal(aspen_frame_type(frame), ASPEN_FRAME_TABLE);
        assert_ptr_equal((void *)(uintptr_t)frame->owner, mm);
        assert_int_equal(aspen_frame_offset(frame), first >> 12 | level);
        assert_int_equal(aspen_frame_references(frame), 1);
        for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++)
            assert_int_equal(aspen_table_entries(aspen, table)[i], 0);
        assert_int_equal(aspen->tables, 2);
        aspen_table_free(aspen, table);
    }
    memset(aspen_table_entries(aspen, mm->root), 0, 4096);
    space_destroy(mm);
}

static void
test_walk(void **unused)
{
    (void)unused;
    static const uint64_t addresses[] = {
        0,          0x1000,         0x200000,
        0x40000000, 0x7f1234567000, ASPEN_ADDRESS_LIMIT - 4096};
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(addresses); i++) {
        uint64_t address = addresses[i];
        struct aspen_slot found;

        assert_int_equal(aspen_table_walk_alloc(mm, address, 0, &slot), 0);
        assert_int_equal(slot.level, 0);
        assert_int_equal(aspen_table_walk(mm, address, &found), 0);
        assert_ptr_equal(found.entry, slot.entry);
        assert_int_equal(found.table, slot.table);
        uint64_t leaf = aspen_entry_make_leaf(i, 0, ASPEN_ENTRY_READ);
        *slot.entry = leaf;
        assert_int_equal(aspen_table_walk(mm, address + 4095, &found), leaf);
        assert_ptr_equal(found.entry, slot.entry);
        assert_int_equal(mm->page_tables, mm->aspen->tables - 1);
    }
    space_destroy(mm);
}

/* Where tables end, and where a leaf stands above. */
static void
test_walk_stops(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;
    struct aspen_slot large;

    assert_int_equal(aspen_table_walk(mm, 0x40000000, &slot), 0);
    assert_int_equal(slot.level, TOP);
    assert_int_equal(slot.table, mm->root);
    for (unsigned level = 2; level > 0; level--) {
        uint64_t address = aspen_entry_span(level) * 5;
        uint64_t leaf = aspen_entry_make_leaf(
            (uint64_t)1 << (ASPEN_TABLE_SHIFT * level), level, 0);

        assert_int_equal(aspen_table_walk_alloc(mm, address, level, &large), 0);
        assert_int_equal(large.level, level);
        *large.entry = leaf;
        assert_int_equal(aspen_table_walk(mm, address + 0x3000, &slot), leaf);
        assert_int_equal(slot.level, level);
        uint64_t tables = mm->page_tables;
        assert_int_equal(aspen_table_walk_alloc(mm, address, 0, &slot),
                         -ASPEN_EEXIST);
        assert_ptr_equal(slot.entry, large.entry);
        assert_int_equal(slot.level, level);
        assert_int_equal(mm->page_tables, tables);
    }
    space_destroy(mm);
}

static void
plan(struct aspen *aspen, enum aspen_fail_mode mode, uint64_t number)
{
    memset(&aspen->failpoints, 0, sizeof(aspen->failpoints));
    aspen->failpoints.counting = true;
    aspen->failpoints.plan.mode = mode;
    aspen->failpoints.plan.number = number;
}

static void
test_walk_fails(void **unused)
{
    (void)unused;
    struct aspen_slot slot;

    for (unsigned onward = 0; onward < 2; onward++)
        for (unsigned n = 1; n <= TOP; n++) {
            struct aspen_mm *mm = space_create(256);

            plan(mm->aspen, onward ? ASPEN_FAIL_ONWARD : ASPEN_FAIL_ONCE, n);
            assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot),
                             -ASPEN_ENOMEM);
            assert_int_equal(mm->page_tables, n - 1);
            assert_int_equal(mm->aspen->tables, n);
            assert_int_equal(
                mm->aspen->failpoints.counts.by_step[ASPEN_STEP_PAGE_TABLE], n);
            plan(mm->aspen, ASPEN_FAIL_NEVER, 0);
            assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
            assert_int_equal(mm->page_tables, TOP);
            space_destroy(mm);
        }
}

/* Somebody else makes the same tables while we allocate ours. */
static void
be_quicker(void *context, enum aspen_step step, uint64_t number)
{
    struct aspen_mm *mm = context;
    struct aspen_slot slot;

    (void)number;
    assert_int_equal(step, ASPEN_STEP_PAGE_TABLE);
    mm->aspen->failpoints.plan.observer = NULL;
    assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
    *slot.entry = aspen_entry_make_leaf(77, 0, ASPEN_ENTRY_READ);
}

static void
test_lost_race(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;

    plan(mm->aspen, ASPEN_FAIL_NEVER, 0);
    mm->aspen->failpoints.plan.observer = be_quicker;
    mm->aspen->failpoints.plan.observer_context = mm;
    assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
    assert_int_equal(aspen_entry_frame(*slot.entry), 77);
    assert_int_equal(mm->page_tables, TOP);
    assert_int_equal(mm->aspen->tables, 1 + TOP);
    space_destroy(mm);
}

/* Everybody wants the same tables at the same time; each address gets one. */
static void *
walk_everywhere(void *argument)
{
    struct aspen_mm *mm = argument;
    struct aspen_slot slot;

    for (uint64_t i = 0; i < 200; i++)
        if (aspen_table_walk_alloc(mm, i << 39, 0, &slot))
            return argument;
    return NULL;
}

static void
test_racing_walks(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(4096);

    assert_int_equal(unit_run_threads(4, walk_everywhere, mm), 0);
    assert_int_equal(mm->page_tables, 3 * 200);
    assert_int_equal(mm->aspen->tables, 1 + 3 * 200);
    space_destroy(mm);
}

/* ---- Flushes ----------------------------------------------------------- */

struct flushes {
    struct aspen_mm *mm;
    unsigned count;
    unsigned with_tables;
    uint64_t start;
    uint64_t end;
    uint32_t watched; /* a frame or table that may go only afterwards */
};

static void
observe(void *context, uint32_t root, uint64_t start, uint64_t end, bool tables)
{
    struct flushes *flushes = context;

    assert_int_equal(root, flushes->mm->root);
    if (flushes->watched)
        assert_true(aspen_frame_references(
                        &flushes->mm->aspen->frames[flushes->watched]) > 0);
    flushes->count++;
    flushes->with_tables += tables;
    flushes->start = start;
    flushes->end = end;
}

static void
test_flush(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(64);
    struct flushes flushes = {.mm = mm};

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_tlb_flush(mm, 0x1000, 0x5000, true);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.with_tables, 1);
    assert_int_equal(flushes.start, 0x1000);
    assert_int_equal(flushes.end, 0x5000);
    assert_int_equal(mm->tlb_flushes, 1);
    assert_int_equal(mm->aspen->tlb_flushes, 1);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* ---- Gather ------------------------------------------------------------ */

/* A frame that one entry maps. */
static uint32_t
mapped_frame(struct aspen *aspen)
{
    uint32_t frame;
    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    aspen->frames[frame].counts += ASPEN_FRAME_MAP;
    return frame;
}

static void
unmap(struct aspen_gather *gather, uint32_t frame, uint64_t address)
{
    aspen_gather_range(gather, address, 4096);
    aspen_gather_frame(gather, frame);
}

static void
test_gather_nothing(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(64);

    for (unsigned quiet = 0; quiet < 2; quiet++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, quiet);
        aspen_gather_flush(&gather);
        aspen_gather_end(&gather);
        assert_int_equal(mm->tlb_flushes, 0);
    }
    space_destroy(mm);
}

/* Each batch is flushed before it is freed; what is left of it at the end. */
static void
test_gather_frames(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    struct aspen_mm *mm = space_create(2048);
    struct flushes flushes = {.mm = mm};
    uint64_t free_before = aspen_frames_free_count(mm->aspen);
    uint32_t frames[COUNT];
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    for (unsigned i = 0; i < COUNT; i++)
        frames[i] = mapped_frame(mm->aspen);
    aspen_gather_begin(&gather, mm, false);
    for (unsigned i = 0; i < COUNT; i++) {
        /* When this one overflows the batch, the batch is flushed first. */
        if (i % ASPEN_GATHER_FRAMES == 0 && i)
            flushes.watched = frames[i - ASPEN_GATHER_FRAMES];
        unmap(&gather, frames[i], 0x100000 + i * 0x1000ul);
    }
    assert_int_equal(flushes.count, (COUNT - 1) / ASPEN_GATHER_FRAMES);
    flushes.watched = frames[COUNT - 1];
    aspen_gather_end(&gather);
    assert_int_equal(flushes.count, (COUNT - 1) / ASPEN_GATHER_FRAMES + 1);
    assert_int_equal(flushes.with_tables, 0);
    assert_int_equal(flushes.end, 0x100000 + COUNT * 0x1000ul);
    assert_int_equal(aspen_frames_free_count(mm->aspen), free_before);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* The entry that is cleared when a full batch goes must be flushed with it or
 * after it, never forgotten. */
static void
test_gather_covers_all(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(1024);
    struct flushes flushes = {.mm = mm};
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_gather_begin(&gather, mm, false);
    for (unsigned i = 0; i < ASPEN_GATHER_FRAMES; i++)
        unmap(&gather, mapped_frame(mm->aspen), 0x100000 + i * 0x1000ul);
    assert_int_equal(flushes.count, 0);
    uint32_t last = mapped_frame(mm->aspen);
    flushes.watched = last;
    unmap(&gather, last, 0x900000);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.start, 0x100000);
    assert_int_equal(flushes.end, 0x901000);
    aspen_gather_end(&gather);
    assert_int_equal(aspen_frame_references(&mm->aspen->frames[last]), 0);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* A table linked at `address`, cut off and gathered. */
static uint32_t
cut_table(struct aspen_gather *gather, uint64_t address)
{
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(gather->mm, address, 1, &slot), 0);
    uint32_t table = new_table(gather->mm, address, 0);
    gather->mm->page_tables++;
    *slot.entry = aspen_entry_make_table(table);
    *slot.entry = 0;
    aspen_gather_range(gather, address, 4096);
    aspen_gather_table(gather, table);
    return table;
}

static void
test_gather_quiet(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(1024);
    struct flushes flushes = {.mm = mm};
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_gather_begin(&gather, mm, true);
    for (unsigned i = 0; i < 500; i++)
        unmap(&gather, mapped_frame(mm->aspen), i * 0x1000ul);
    uint32_t table = cut_table(&gather, 0x200000);
    flushes.watched = table;
    assert_int_equal(flushes.count, 0);
    aspen_gather_end(&gather);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.with_tables, 1);
    assert_int_equal(flushes.start, 0);
    assert_true(flushes.end >= 500 * 0x1000);
    assert_true(aspen_frame_is_zero(&mm->aspen->frames[table]));
    assert_int_equal(aspen_tables_waiting(mm->aspen), 0);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* A reader under RCU keeps tables; what comes meanwhile is collected. What is
 * seen inside the reader is judged after it, or a failure would hang. */
static void
test_gather_tables_wait(void **unused)
{
    (void)unused;
    enum { ROUNDS = 10 };
    struct aspen_mm *mm = space_create(1024);
    struct aspen *aspen = mm->aspen;
    struct aspen_frame seen[ROUNDS];
    uint64_t waiting[ROUNDS];
    uint32_t cut[ROUNDS];

    aspen_port_rcu_read_lock();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, false);
        (void)cut_table(&gather, i * 0x400000ul);
        cut[i] = cut_table(&gather, i * 0x400000ul + 0x200000);
        aspen_gather_end(&gather);
        waiting[i] = aspen_tables_waiting(aspen);
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        seen[i] = aspen->frames[cut[i]];
    aspen_port_rcu_read_unlock();

    assert_int_equal(mm->tlb_flushes, ROUNDS);
    assert_int_equal(aspen->tables, 1 + mm->page_tables);
    aspen_tables_drain(aspen);
    assert_int_equal(aspen_tables_waiting(aspen), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(waiting[i], 2 * (i + 1));
        assert_int_equal(aspen_frame_type(&seen[i]), ASPEN_FRAME_TABLE);
        assert_int_equal(seen[i].owner, 0);
        assert_true(aspen_frame_is_zero(&aspen->frames[cut[i]]));
    }
    space_destroy(mm);
}

/* Reads for so long that far more tables come than may wait. */
static void *
read_long(void *argument)
{
    const struct timespec hold = {.tv_nsec = 40 * 1000 * 1000};

    while (!aspen_load((uint32_t *)argument)) {
        aspen_port_rcu_read_lock();
        nanosleep(&hold, NULL);
        aspen_port_rcu_read_unlock();
    }
    return NULL;
}

/* Memory that waits is bounded. */
static void
test_waiting_is_bounded(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(16384);
    uint64_t most = 0;
    uint32_t stop = 0;
    pthread_t reader;

    assert_int_equal(pthread_create(&reader, NULL, read_long, &stop), 0);
    for (unsigned i = 0; i < 4000; i++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, false);
        (void)cut_table(&gather, i % 512 * 0x200000ul);
        aspen_gather_end(&gather);
        most = aspen_max_u64(most, aspen_tables_waiting(mm->aspen));
    }
    aspen_store(&stop, 1u);
    pthread_join(reader, NULL);
    print_message("at most %lu tables waited\n", (unsigned long)most);
    assert_true(most <= 1024);
    space_destroy(mm);
}

/* Tables are cut off by several threads while callbacks free others. */
static void *
cut_many(void *argument)
{
    struct aspen_mm *mm = argument;

    for (unsigned i = 0; i < 2000; i++) {
        struct aspen_gather gather;
        uint32_t table;
        if (aspen_table_alloc(mm, 0, 0, &table))
            return argument;
        aspen_fetch_add_relaxed(&mm->page_tables, 1);
        aspen_gather_begin(&gather, mm, false);
        aspen_gather_table(&gather, table);
        aspen_gather_end(&gather);
    }
    return NULL;
}

static void
test_waiting_threads(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(16384);

    assert_int_equal(unit_run_threads(3, cut_many, mm), 0);
    aspen_tables_drain(mm->aspen);
    assert_int_equal(mm->aspen->tables, 1);
    space_destroy(mm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_leaf_keys),
        cmocka_unit_test(test_leaf_changes),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_swap_and_markers),
        cmocka_unit_test(test_hardware_bits),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_bits_of_flags),
        cmocka_unit_test(test_table_alloc),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_stops),
        cmocka_unit_test(test_walk_fails),
        cmocka_unit_test(test_lost_race),
        cmocka_unit_test(test_racing_walks),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_gather_nothing),
        cmocka_unit_test(test_gather_frames),
        cmocka_unit_test(test_gather_covers_all),
        cmocka_unit_test(test_gather_quiet),
        cmocka_unit_test(test_gather_tables_wait),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_waiting_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
