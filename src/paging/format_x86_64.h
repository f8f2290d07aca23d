/* SPDX-License-Identifier: MIT */
/*
 * paging/format_x86_64.h - entries of x86-64 with four levels.
 *
 *          63 62 59 58 52 51          12 11 10 9 8 7 6 5 4  3  2 1 0
 *   table  0  0     0     frame          0  0  0 0 0 0 0 0  0  1 w 1
 *   leaf   NX key   0     number         0  U  S 0 P D A 0  0  1 w 1
 *   none-  1  key   0     number         0  U  S 1 P D A 0  0  1 0 0
 *   access
 *          63 44      43      12 11 10 9 8 7              3  2 1 0
 *   swap   0          slot       0  U  0 0 type              0 1 0
 *   marker 0          marker     0  U  0 0 0                 1 0 0
 *
 *   NX  not executable         w  writable         A, D  accessed, dirty
 *   P   page size: the leaf of a level above 0
 *   S   ASPEN_ENTRY_SPECIAL    U  ASPEN_ENTRY_UFFD_WP; both in bits that the
 *       processor ignores. U is kept free for swap entries and markers.
 *   key protection key: the processor asks PKRU, if CR4.PKE is set; else it
 *       ignores these bits
 *   Bit 8 says "leaf" when bit 0 says "not present"; in a present leaf it
 *   would mean global, which no user page is. Bit 2 (user) is set in all.
 *   A number's low bits are zero above level 0, so its bit 12 stays clear,
 *   where a large leaf has its PAT bit.
 *
 * In the order READ, WRITE, EXEC, YOUNG, DIRTY, SPECIAL, UFFD_WP, PKEY our bits
 * are bits 0, 1, not 63, 5, 6, 9, 10, 59-62 here: four shifts, no branches.
 */
#ifndef ASPEN_PAGING_FORMAT_X86_64_H
#define ASPEN_PAGING_FORMAT_X86_64_H

/* The last page of the lower half stays unused, as in Linux. */
#define ASPEN_ADDRESS_BITS        47
#define ASPEN_ADDRESS_LIMIT       (((uint64_t)1 << 47) - ASPEN_PAGE_SIZE)
#define ASPEN_LENGTH_BELOW_LOWEST 1
#define ASPEN_MMAP_BOTTOM         (ASPEN_ADDRESS_LIMIT / 3)
#define ASPEN_STACK_RANDOM        ((uint64_t)0x3fffff << ASPEN_PAGE_SHIFT)
#define ASPEN_ENTRY_NUMBER_BITS   40
/* What can be executed can be read. */
#define ASPEN_ENTRY_EXECUTE_ONLY 0

#define ASPEN_X86_PRESENT  ((uint64_t)1 << 0)
#define ASPEN_X86_WRITABLE ((uint64_t)1 << 1)
#define ASPEN_X86_USER     ((uint64_t)1 << 2)
#define ASPEN_X86_ACCESSED ((uint64_t)1 << 5)
#define ASPEN_X86_DIRTY    ((uint64_t)1 << 6)
#define ASPEN_X86_LARGE    ((uint64_t)1 << 7)
#define ASPEN_X86_NONE     ((uint64_t)1 << 8)
#define ASPEN_X86_SPECIAL  ((uint64_t)1 << 9)
#define ASPEN_X86_UFFD_WP  ((uint64_t)1 << 10)
#define ASPEN_X86_NX       ((uint64_t)1 << 63)
#define ASPEN_X86_NUMBER   ((((uint64_t)1 << 40) - 1) << 12)

/* Entries that are not present, and no leaf. */
#define ASPEN_X86_SWAP   ((uint64_t)1 << 1)
#define ASPEN_X86_MARKER ((uint64_t)1 << 2)

/* For what paging/entry.h makes of them. */
#define ASPEN_ENTRY_SWAP_TAG   ASPEN_X86_SWAP
#define ASPEN_ENTRY_SWAP_SHIFT 3
#define ASPEN_ENTRY_MARKER_TAG ASPEN_X86_MARKER

static inline bool
aspen_entry_is_table(uint64_t entry, unsigned level)
{
    return level > 0 &&
           (entry & (ASPEN_X86_PRESENT | ASPEN_X86_LARGE)) == ASPEN_X86_PRESENT;
}

static inline bool
aspen_entry_is_leaf(uint64_t entry, unsigned level)
{
    return (entry & (ASPEN_X86_PRESENT | ASPEN_X86_NONE)) != 0 &&
           (level == 0 || (entry & ASPEN_X86_LARGE) != 0);
}

static inline bool
aspen_entry_is_swap(uint64_t entry)
{
    return (entry & (ASPEN_X86_PRESENT | ASPEN_X86_NONE | ASPEN_X86_SWAP)) ==
           ASPEN_X86_SWAP;
}

static inline bool
aspen_entry_is_marker(uint64_t entry)
{
    return (entry & (ASPEN_X86_PRESENT | ASPEN_X86_NONE | ASPEN_X86_SWAP |
                     ASPEN_X86_MARKER)) == ASPEN_X86_MARKER;
}

static inline uint64_t
aspen_entry_frame(uint64_t entry)
{
    return (entry & ASPEN_X86_NUMBER) >> 12;
}

static inline uint64_t
aspen_entry_make_table(uint32_t frame)
{
    return (uint64_t)frame << 12 | ASPEN_X86_PRESENT | ASPEN_X86_WRITABLE |
           ASPEN_X86_USER;
}

static inline uint64_t
aspen_entry_table_write_protect(uint64_t entry)
{
    return entry & ~ASPEN_X86_WRITABLE;
}

/* What ASPEN_ENTRY_* `bits` look like in a leaf. */
static inline uint64_t
aspen_x86_leaf_bits(unsigned bits)
{
    uint64_t b = bits;
    bool access =
        (b & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE | ASPEN_ENTRY_EXEC)) != 0;
    return ASPEN_X86_USER | (access ? ASPEN_X86_PRESENT : ASPEN_X86_NONE) |
           (b & ASPEN_ENTRY_WRITE) |
           (b & (ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY)) << 2 |
           (b & (ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP)) << 4 |
           (b & ASPEN_ENTRY_PKEY) << 51 | (~b & ASPEN_ENTRY_EXEC) << 61;
}

static inline uint64_t
aspen_entry_make_leaf(uint64_t number, unsigned level, unsigned bits)
{
    return number << 12 | (level ? ASPEN_X86_LARGE : 0) |
           aspen_x86_leaf_bits(bits);
}

static inline unsigned
aspen_entry_bits(uint64_t entry)
{
    return (
        unsigned)((entry & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE)) |
                  (~entry >> 61 & ASPEN_ENTRY_EXEC) |
                  (entry >> 2 & (ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY)) |
                  (entry >> 4 & (ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP)) |
                  (entry >> 51 & ASPEN_ENTRY_PKEY));
}

static inline uint64_t
aspen_x86_replace_bits(uint64_t entry, unsigned bits)
{
    return (entry & (ASPEN_X86_NUMBER | ASPEN_X86_LARGE)) |
           aspen_x86_leaf_bits(bits);
}

static inline uint64_t
aspen_entry_set_bits(uint64_t entry, unsigned bits)
{
    return aspen_x86_replace_bits(entry, aspen_entry_bits(entry) | bits);
}

static inline uint64_t
aspen_entry_clear_bits(uint64_t entry, unsigned bits)
{
    return aspen_x86_replace_bits(entry, aspen_entry_bits(entry) & ~bits);
}

static inline uint64_t
aspen_entry_write_protect(uint64_t entry)
{
    return entry & ~ASPEN_X86_WRITABLE;
}

#endif
