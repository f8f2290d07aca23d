/* SPDX-License-Identifier: MIT */
/*
 * test_entries.c - page-table entries. Built once with the port's format, once
 * with AArch64's (test_entries_aarch64.c) and once with RISC-V's.
 */
#include "unit.h"

#include "paging/table.h"

#include "aspen_posix.h"
#include "format.h"

#define ALL_BITS   256u /* ASPEN_ENTRY_* are eight bits, a key and a mode */
#define MODES      (ASPEN_ENTRY_CACHE_LAST + 1u)
#define ACCESS     (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE | ASPEN_ENTRY_EXEC)
#define TOP        (ASPEN_TABLE_LEVELS - 1)
#define LEAF_LEVEL 3 /* leaves stand at levels below this */

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

static void
assert_key_and_mode(unsigned bits, unsigned key, unsigned mode)
{
    const uint64_t number = numbers[5];
    unsigned more =
        key << ASPEN_ENTRY_PKEY_SHIFT | mode << ASPEN_ENTRY_CACHE_SHIFT;
    uint64_t leaf = aspen_entry_make_leaf(number, 0, bits | more);
    uint64_t bare =
        aspen_entry_clear_bits(leaf, ASPEN_ENTRY_PKEY | ASPEN_ENTRY_CACHE);

    assert_kind(leaf, 0, LEAF);
    assert_int_equal(aspen_entry_frame(leaf), number);
    assert_int_equal(aspen_entry_bits(leaf), implied(bits) | more);
    assert_int_equal(bare, aspen_entry_make_leaf(number, 0, bits));
    assert_int_equal(aspen_entry_set_bits(bare, more), leaf);
    assert_int_equal(aspen_entry_bits(aspen_entry_write_protect(leaf)),
                     (implied(bits) | more) & ~ASPEN_ENTRY_WRITE);
}

/* Bits, keys and cache modes do not touch each other. */
static void
test_leaf_keys(void **unused)
{
    (void)unused;

    for (unsigned bits = 0; bits < ALL_BITS; bits++)
        for (unsigned key = 0; key < ASPEN_ENTRY_PKEYS; key++)
            for (unsigned mode = 0; mode < MODES; mode++)
                assert_key_and_mode(bits, key, mode);
}

/* ---- By the processors' manuals ---------------------------------------- */

/* A leaf as the processor reads it: for the user, in this space alone, no
 * shadow stack; and it may do what our bits say. */
static void
assert_reads(uint64_t leaf, unsigned level, unsigned mode)
{
    unsigned bits = aspen_entry_bits(leaf);
    struct format_entry says = format_read(leaf, level);

    bool there = bits & ACCESS && !(bits & ASPEN_ENTRY_MOVING);

    assert_int_equal(says.kind, there ? FORMAT_LEAF : FORMAT_NOTHING);
    if (!there)
        return;
    assert_int_equal(says.number, aspen_entry_frame(leaf));
    assert_int_equal(says.read, (bits & ASPEN_ENTRY_READ) != 0);
    assert_int_equal(says.write, (bits & ASPEN_ENTRY_WRITE) != 0);
    assert_int_equal(says.exec, (bits & ASPEN_ENTRY_EXEC) != 0);
    assert_int_equal(says.accessed, (bits & ASPEN_ENTRY_YOUNG) != 0);
    assert_int_equal(says.raw, (bits & ASPEN_ENTRY_SPECIAL) != 0);
    assert_int_equal(says.memory, mode);
    assert_false(says.global);
    assert_false(says.shadow_stack);
    if (says.write)
        assert_int_equal(says.dirty, (bits & ASPEN_ENTRY_DIRTY) != 0);
}

static void
test_as_processors_read(void **unused)
{
    (void)unused;
    unsigned long count = 0;

    for (unsigned level = 0; level < LEAF_LEVEL; level++)
        for (unsigned bits = 0; bits < ALL_BITS; bits++)
            for (unsigned mode = 0; mode < MODES; mode++, count++) {
                unsigned all = bits | mode << ASPEN_ENTRY_CACHE_SHIFT;
                uint64_t leaf =
                    aspen_entry_make_leaf(number_at(5, level), level, all);
                assert_reads(leaf, level, mode);
                assert_reads(aspen_entry_write_protect(leaf), level, mode);
                assert_reads(aspen_entry_set_bits(leaf, ASPEN_ENTRY_DIRTY),
                             level, mode);
            }
    for (unsigned level = 1; level < ASPEN_TABLE_LEVELS; level++) {
        struct format_entry says =
            format_read(aspen_entry_make_table(0x12345), level);
        assert_int_equal(says.kind, FORMAT_TABLE);
        assert_int_equal(says.number, 0x12345);
        assert_true(says.read && says.write && says.exec);
    }
    print_message("%lu leaves\n", count);
}

/* ---- Changes ----------------------------------------------------------- */

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
    assert_int_equal(swap & ASPEN_ENTRY_SWAP_EXCLUSIVE, 0);
    assert_false(aspen_entry_is_marked(swap, 0));
    swap |= ASPEN_ENTRY_SWAP_EXCLUSIVE;
    uint64_t marked = aspen_entry_mark(swap, 0);
    assert_kind(swap, 0, SWAP);
    assert_int_equal(aspen_entry_swap_type(swap), type);
    assert_int_equal(aspen_entry_swap_slot(swap), slot);
    assert_kind(marked, 0, SWAP);
    assert_int_equal(aspen_entry_swap_type(marked), type);
    assert_int_equal(aspen_entry_swap_slot(marked), slot);
    assert_true(marked & ASPEN_ENTRY_SWAP_EXCLUSIVE);
    assert_true(aspen_entry_is_marked(marked, 0));
    assert_int_equal(aspen_entry_unmark(marked, 0), swap);
}

/* A leaf is not writable then, whatever it was; all else of it stays. */
static void
test_marks(void **unused)
{
    (void)unused;
    const uint64_t place = aspen_entry_mark(0, 0);
    const uint64_t guard = aspen_entry_make_marker(ASPEN_MARKER_GUARD);

    for (unsigned bits = 0; bits < ASPEN_ENTRY_UFFD_WP; bits++) {
        uint64_t leaf = aspen_entry_make_leaf(0x12345, 0, bits);
        uint64_t marked = aspen_entry_mark(leaf, 0);
        unsigned kept = aspen_entry_bits(leaf) & ~ASPEN_ENTRY_WRITE;
        assert_false(aspen_entry_is_marked(leaf, 0));
        assert_true(aspen_entry_is_marked(marked, 0));
        assert_int_equal(aspen_entry_bits(marked), kept | ASPEN_ENTRY_UFFD_WP);
        assert_int_equal(aspen_entry_frame(marked), 0x12345);
        assert_int_equal(aspen_entry_bits(aspen_entry_unmark(marked, 0)), kept);
    }
    assert_kind(place, 0, MARKER);
    assert_true(aspen_entry_is_marked(place, 0));
    assert_int_equal(aspen_entry_mark(place, 0), place);
    assert_int_equal(aspen_entry_unmark(place, 0), 0);
    assert_int_equal(aspen_entry_mark(guard, 0), guard);
    assert_false(aspen_entry_is_marked(guard, 0));
    assert_int_equal(aspen_entry_unmark(guard, 0), guard);
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
#if defined(ASPEN_PAGING_FORMAT_RISCV_H)
static void
test_hardware_bits(void **unused)
{
    (void)unused;
    const uint64_t page = (uint64_t)0x12345 << 10;

    /* V, R, U */
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, ASPEN_ENTRY_READ),
                     page | 0x13);
    /* all that may be done, accessed and dirty */
    uint64_t clean = aspen_entry_make_leaf(0x12345, 0, ACCESS);
    assert_int_equal(clean, page | 0x1f);
    assert_int_equal(aspen_entry_bits(clean | 0xc0),
                     ACCESS | ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY);
    assert_int_equal(aspen_entry_write_protect(clean | 0xc0), page | 0xdb);
    /* X without R; PBMT of IO */
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, ASPEN_ENTRY_EXEC),
                     page | 0x19);
    assert_int_equal(
        aspen_entry_make_leaf(0x12345, 0,
                              ASPEN_ENTRY_READ | 2u << ASPEN_ENTRY_CACHE_SHIFT),
        page | 0x13 | (uint64_t)1 << 62);
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, 0) & 1, 0);
    assert_int_equal(aspen_entry_make_table(0x12345), page | 1);
    assert_int_equal(aspen_entry_make_swap(3, 7) & 1, 0);
    assert_int_equal(aspen_entry_make_marker(ASPEN_MARKER_GUARD) & 1, 0);
}
#elif defined(ASPEN_PAGING_FORMAT_AARCH64_H)
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
    /* read only and dirty is no shadow stack: bit 58 instead of bit 6 */
    assert_int_equal(aspen_entry_write_protect(aspen_entry_make_leaf(
                         0x12345, 0, ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY)),
                     0x12345005 | nx | (uint64_t)1 << 58);
    /* write-combining: PAT entry 1 */
    assert_int_equal(
        aspen_entry_make_leaf(0x12345, 0,
                              ASPEN_ENTRY_READ | 1u << ASPEN_ENTRY_CACHE_SHIFT),
        0x1234500d | nx);
    /* the processor sets accessed and dirty */
    uint64_t clean = aspen_entry_make_leaf(0x12345, 0, ACCESS);
    assert_int_equal(aspen_entry_bits(clean | 0x60),
                     ACCESS | ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY);
    assert_int_equal(aspen_entry_make_leaf(0x12345, 0, 0) & 1, 0);
    assert_int_equal(aspen_entry_make_table(0x12345), 0x12345007);
    assert_int_equal(aspen_entry_make_swap(3, 7) & 1, 0);
    assert_int_equal(aspen_entry_make_marker(ASPEN_MARKER_GUARD) & 1, 0);
}

/* Where a processor with the L1 terminal fault goes, of whose addresses the
 * caches tell 44 bits apart: never below 8 TiB. */
static void
assert_beyond_ram(uint64_t entry)
{
    assert_int_equal(format_read(entry, 0).kind, FORMAT_NOTHING);
    assert_true(format_read(entry, 0).terminal % ((uint64_t)1 << 32) >=
                (uint64_t)1 << 31);
}

static void
test_terminal_fault(void **unused)
{
    (void)unused;

    for (unsigned n = 0; n < 31; n++) /* of a frame, or slot */
        for (unsigned bits = 0; bits < ALL_BITS; bits++) {
            uint32_t number = (uint32_t)1 << n | bits;
            uint64_t leaf = aspen_entry_make_leaf(number, 0, bits);
            assert_beyond_ram(aspen_entry_clear_bits(leaf, ACCESS));
            assert_beyond_ram(aspen_entry_set_bits(
                aspen_entry_clear_bits(leaf, ACCESS), ASPEN_ENTRY_DIRTY));
            assert_beyond_ram(aspen_entry_write_protect(
                aspen_entry_make_leaf(number, 0, bits & ~ACCESS)));
            assert_beyond_ram(aspen_entry_make_swap(bits % 32, number));
            assert_beyond_ram(aspen_entry_make_marker(1 + bits % 3));
        }
}

/* What the processor may set in an entry that is taken away while it looks. */
static void
test_set_as_it_went(void **unused)
{
    (void)unused;
    const uint64_t set = 0x60;

    for (unsigned bits = 0; bits < ALL_BITS; bits++) {
        unsigned left = bits & ~ACCESS;
        uint64_t none = aspen_entry_make_leaf(0x12345, 0, left);
        uint64_t swap = aspen_entry_make_swap(bits % 32, 0x12345);
        uint64_t marker = aspen_entry_make_marker(1 + bits % 3);

        assert_kind(none | set, 0, LEAF);
        assert_int_equal(aspen_entry_bits(none | set), left);
        assert_int_equal(aspen_entry_frame(none | set), 0x12345);
        assert_int_equal(aspen_entry_set_bits(none | set, ACCESS),
                         aspen_entry_make_leaf(0x12345, 0, left | ACCESS));
        assert_int_equal(
            aspen_entry_bits(aspen_entry_write_protect(none | set)), left);
        assert_int_equal(aspen_entry_swap_type(swap | set), bits % 32);
        assert_int_equal(aspen_entry_swap_slot(swap | set), 0x12345);
        assert_int_equal(aspen_entry_marker(marker | set), 1 + bits % 3);
        assert_kind(swap | set, 0, SWAP);
        assert_kind(marker | set, 0, MARKER);
    }
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_leaf_keys),
        cmocka_unit_test(test_leaf_changes),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_swap_and_markers),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_as_processors_read),
        cmocka_unit_test(test_hardware_bits),
#ifdef ASPEN_PAGING_FORMAT_X86_64_H
        cmocka_unit_test(test_terminal_fault),
        cmocka_unit_test(test_set_as_it_went),
#endif
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_bits_of_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
