/* SPDX-License-Identifier: MIT */
/*
 * paging/entry.h - page-table entries, whatever the processor.
 *
 * The port picks a format; each is one header of inline functions with the
 * names below. An entry is a uint64_t, 0 when nothing is there. Level 0 is
 * the table whose entries map 4 KiB pages, ASPEN_TABLE_LEVELS - 1 the top.
 *
 * Entries are stored as the processor reads them: bits that it knows stand
 * where it wants them, all others in bits that it ignores. Each format header
 * draws its entries.
 *
 * An entry is one of
 *   none      0
 *   table     leads to a table one level below (level > 0)
 *   leaf      maps a frame, or a block of frames when level > 0; may be
 *             inaccessible (PROT_NONE) and still is a leaf; so may one whose
 *             page is just being moved (ASPEN_ENTRY_MOVING)
 *   swap      area and slot of a page that is swapped out (level 0)
 *   marker    guard page, poisoned page (level 0)
 *
 * WRITE implies READ, as on processors. So does EXEC, unless the format has
 * ASPEN_ENTRY_EXECUTE_ONLY.
 * The processor may set YOUNG and DIRTY at any time. Whoever changes an entry
 * that it can see, and wants to keep them, exchanges or compares.
 *
 * Format headers define:
 *   ASPEN_TABLE_LEVELS
 *   ASPEN_ADDRESS_BITS                bits of a user address
 *   ASPEN_ADDRESS_LIMIT               exclusive top of user space
 *   ASPEN_MAP_WINDOW                  mappings go below it, but for those whose
 *                                     hint is above
 *   ASPEN_LENGTH_BELOW_LOWEST         what Linux does with a length that only
 *                                     fits below mmap_min_address. 1: refuses
 *                                     it when it looks for a place; 0: at once
 *   ASPEN_MMAP_BOTTOM_PART            where searches upwards begin: at this
 *                                     part of user space
 *   ASPEN_STACK_RANDOM                how far the top of stacks is moved at
 *                                     random; both as Linux on that processor
 *   ASPEN_ENTRY_NUMBER_BITS           bits of a leaf's number: frames have
 *                                     32, raw numbers up to this many
 *   ASPEN_ENTRY_PKEYS                 protection keys that a leaf can have
 *   ASPEN_ENTRY_EXECUTE_ONLY          1: a leaf may be EXEC and not READ; 0
 *   aspen_entry_is_table(e, level)    aspen_entry_is_leaf(e, level)
 *   aspen_entry_is_swap(e)            aspen_entry_is_marker(e)
 *   aspen_entry_frame(e)              frame of a leaf or table; raw number of
 *                                     a leaf with ASPEN_ENTRY_SPECIAL (u64)
 *   aspen_entry_make_table(frame)
 *   aspen_entry_make_leaf(number, level, bits)
 *   aspen_entry_bits(e)               ASPEN_ENTRY_* of a leaf
 *   aspen_entry_write_protect(e)      the leaf without WRITE
 *   aspen_entry_table_write_protect(e) a table entry below which nothing is
 *                                     writable (for shared tables)
 *   aspen_entry_set_bits(e, bits), aspen_entry_clear_bits(e, bits)
 *   ASPEN_ENTRY_SWAP_TAG, _SWAP_SHIFT, ASPEN_ENTRY_MARKER_TAG
 *   ASPEN_ENTRY_SWAP_EXCLUSIVE        a bit of swap entries: the page that
 *                                     was there was exclusive (internal.h)
 *   ASPEN_ENTRY_SWAP_UFFD_WP          another: it was ASPEN_ENTRY_UFFD_WP
 *   ASPEN_ENTRY_CACHE_LAST            the last cache mode that is told apart:
 *                                     those above are the same
 *   ASPEN_ENTRY_ABSENT_FLIP           bits that are inverted in entries that
 *                                     are not present, or 0
 *
 * From these tags this header makes swap entries and markers.
 */
#ifndef ASPEN_PAGING_ENTRY_H
#define ASPEN_PAGING_ENTRY_H

#include "base/bits.h"
#include <aspen_port.h>

#define ASPEN_TABLE_ENTRIES 512
#define ASPEN_TABLE_SHIFT   9

/* Bits of a leaf. A leaf without READ, WRITE and EXEC is PROT_NONE. */
#define ASPEN_ENTRY_READ    1u
#define ASPEN_ENTRY_WRITE   2u
#define ASPEN_ENTRY_EXEC    4u
#define ASPEN_ENTRY_ACCESS  7u /* these three */
#define ASPEN_ENTRY_YOUNG   8u /* accessed */
#define ASPEN_ENTRY_DIRTY   16u
#define ASPEN_ENTRY_SPECIAL 32u /* a raw frame or the zero page: uncounted */
#define ASPEN_ENTRY_UFFD_WP 64u
/* Its page is just being moved (migrate/move.c): the processor takes the leaf
 * for absent, and the other bits are what it will be again. */
#define ASPEN_ENTRY_MOVING 128u
/* And the protection key of the VMA. */
#define ASPEN_ENTRY_PKEY_SHIFT 8
#define ASPEN_ENTRY_PKEY       (15u << ASPEN_ENTRY_PKEY_SHIFT)
/* And the cache mode of a raw frame, as in its VMA's flags; 0: write-back. */
#define ASPEN_ENTRY_CACHE_SHIFT 12
#define ASPEN_ENTRY_CACHE       (3u << ASPEN_ENTRY_CACHE_SHIFT)

enum aspen_marker {
    ASPEN_MARKER_GUARD = 1,
    ASPEN_MARKER_POISON,
    ASPEN_MARKER_UFFD_WP,
};

#define ASPEN_SWAP_TYPE_BITS 5
#define ASPEN_SWAP_SLOT_BITS 32

/* A test may ask for another format on a port that says x86-64. */
#if defined(ASPEN_PORT_PAGING_AARCH64)
#include "paging/format_aarch64.h"
#elif defined(ASPEN_PORT_PAGING_RISCV_SV39) ||                                 \
    defined(ASPEN_PORT_PAGING_RISCV_SV48)
#include "paging/format_riscv.h"
#elif defined(ASPEN_PORT_PAGING_X86_64) ||                                     \
    defined(ASPEN_PORT_PAGING_X86_64_LA57)
#include "paging/format_x86_64.h"
#else
#error "aspen_port.h names no page-table format: see docs/use/porting.md"
#endif

/*
 * Entries that the processor is not to look into have one layout: a tag and a
 * place for the swap type that the format picks, the slot or marker from bit 12
 * on; and the format may want some of that inverted.
 */
static inline uint64_t
aspen_entry_make_swap(unsigned type, uint32_t slot)
{
    return (ASPEN_ENTRY_SWAP_TAG | (uint64_t)type << ASPEN_ENTRY_SWAP_SHIFT |
            (uint64_t)slot << 12) ^
           ASPEN_ENTRY_ABSENT_FLIP;
}

static inline unsigned
aspen_entry_swap_type(uint64_t entry)
{
    return (unsigned)((entry ^ ASPEN_ENTRY_ABSENT_FLIP) >>
                      ASPEN_ENTRY_SWAP_SHIFT) &
           ((1u << ASPEN_SWAP_TYPE_BITS) - 1);
}

static inline uint32_t
aspen_entry_swap_slot(uint64_t entry)
{
    return (uint32_t)((entry ^ ASPEN_ENTRY_ABSENT_FLIP) >> 12);
}

static inline uint64_t
aspen_entry_make_marker(enum aspen_marker marker)
{
    return (ASPEN_ENTRY_MARKER_TAG | (uint64_t)marker << 12) ^
           ASPEN_ENTRY_ABSENT_FLIP;
}

static inline enum aspen_marker
aspen_entry_marker(uint64_t entry)
{
    return (enum aspen_marker)((entry ^ ASPEN_ENTRY_ABSENT_FLIP) >> 12 & 0xff);
}

/*
 * Marked: userfault protects the page from writes, or, where there is none, the
 * place. A leaf that is marked is not writable.
 */
static inline bool
aspen_entry_is_marked(uint64_t entry, unsigned level)
{
    if (aspen_entry_is_leaf(entry, level))
        return aspen_entry_bits(entry) & ASPEN_ENTRY_UFFD_WP;
    if (aspen_entry_is_swap(entry))
        return entry & ASPEN_ENTRY_SWAP_UFFD_WP;
    return aspen_entry_is_marker(entry) &&
           aspen_entry_marker(entry) == ASPEN_MARKER_UFFD_WP;
}

/* A leaf, swap entry, marker or nothing, marked. Guards and poison stay. */
static inline uint64_t
aspen_entry_mark(uint64_t entry, unsigned level)
{
    if (!entry)
        return aspen_entry_make_marker(ASPEN_MARKER_UFFD_WP);
    if (aspen_entry_is_leaf(entry, level))
        return aspen_entry_set_bits(
            aspen_entry_clear_bits(entry, ASPEN_ENTRY_WRITE),
            ASPEN_ENTRY_UFFD_WP);
    return aspen_entry_is_swap(entry) ? entry | ASPEN_ENTRY_SWAP_UFFD_WP
                                      : entry;
}

/* The same not marked; 0: nothing is left of it. */
static inline uint64_t
aspen_entry_unmark(uint64_t entry, unsigned level)
{
    if (aspen_entry_is_leaf(entry, level))
        return aspen_entry_clear_bits(entry, ASPEN_ENTRY_UFFD_WP);
    if (aspen_entry_is_swap(entry))
        return entry & ~ASPEN_ENTRY_SWAP_UFFD_WP;
    return aspen_entry_is_marked(entry, level) ? 0 : entry;
}

/* Can leaves lead to raw frames `number` and on? The zero page's is never one
 * of them, nor is 0, by which hooks say none. */
static inline bool
aspen_entry_raw_valid(const struct aspen *aspen, uint64_t number,
                      uint64_t pages)
{
    const uint64_t end = (uint64_t)1 << ASPEN_ENTRY_NUMBER_BITS;

    return number != 0 && number < end && pages <= end - number &&
           (aspen->zero_frame < number || aspen->zero_frame >= number + pages);
}

/* The exclusive top of user space in each space of a machine. */
static inline uint64_t
aspen_address_limit(const struct aspen_config *config)
{
    return config->address_limit ? config->address_limit : ASPEN_ADDRESS_LIMIT;
}

/* Bytes that one entry at `level` covers. */
static inline uint64_t
aspen_entry_span(unsigned level)
{
    return (uint64_t)1 << (ASPEN_PAGE_SHIFT + ASPEN_TABLE_SHIFT * level);
}

/* Bytes that a whole table at `level` covers. */
static inline uint64_t
aspen_table_span(unsigned level)
{
    return aspen_entry_span(level + 1);
}

static inline unsigned
aspen_table_index(uint64_t address, unsigned level)
{
    return (unsigned)(address >>
                      (ASPEN_PAGE_SHIFT + ASPEN_TABLE_SHIFT * level)) &
           (ASPEN_TABLE_ENTRIES - 1);
}

#endif
