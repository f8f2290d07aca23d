/* SPDX-License-Identifier: MIT */
/*
 * paging/format_x86_64.h - entries of x86-64 with four levels, or five (LA57).
 *
 *          63 62 59 58 57 56 52 51          12 11 10 9 8 7 6 5 4 3 2 1 0
 *   table  0  0     0  0  0     frame          0  0  0 0 0 0 0 0 0 1 w 1
 *   leaf   NX key   d  0  0     number         0  U  S 0 P D A C C 1 w 1
 *   none-  1  key   d  a  0     ~number        0  U  S 1 P x x C C 1 0 0
 *   access
 *   moving NX key   d  a  r m   ~number        0  U  S 1 P x x C C 1 w 0
 *   swap   0  0     0  0  type  ~slot          0  U  E 0 0 x x 0 0 0 1 0
 *   marker 0  0     0  0  0     ~marker        0  U  0 0 0 x x 0 0 1 0 0
 *
 *   NX  not executable         w  writable         A, D  accessed, dirty
 *   E   ASPEN_ENTRY_SWAP_EXCLUSIVE
 *   P   page size: the leaf of a level above 0
 *   m   (52) ASPEN_ENTRY_MOVING: NX, r (53) and w are what the leaf will allow
 *       again, and the processor sees none of it
 *   S   ASPEN_ENTRY_SPECIAL    U  ASPEN_ENTRY_UFFD_WP; both in bits that the
 *       processor ignores. In a swap entry U is ASPEN_ENTRY_SWAP_UFFD_WP
 *   key protection key: the processor asks PKRU, if CR4.PKE is set; else it
 *       ignores these bits
 *   C   the cache mode: PCD and PWT, which name one of the first four entries
 *       of the PAT. The embedder loads it as Linux does:
 *           MSR 0x277 = 0x0407050600070106
 *           0  write-back    1  write-combining    2  UC-    3  UC
 *       As a processor has it after reset, entry 1 is write-through, which is
 *       slower and as right. A large leaf's PAT bit (12) stays clear, as the
 *       low bits of its number are.
 *   Bit 8 says "leaf" when bit 0 says "not present"; in a present leaf it
 *   would mean global, which no user page is. Bit 2 (user) is set in all.
 *
 * Dirty is D or d. D stands in writable leaves alone: read-only and D is what a
 * shadow stack looks like (CET), so write-protection moves D to d, where the
 * processor does not look.
 *
 * In entries that are not present
 *   - the address bits are inverted: a processor that reads them all the same
 *     (L1TF) finds an address beyond RAM, as long as RAM ends below half of the
 *     physical addresses that its caches tell apart (8 TiB with 44 bits). An
 *     entry that is 0 leads such a processor to frame 0, which is the page of
 *     zeroes, or reserved. A driver does not map raw memory in the mirror image
 *     of RAM, at the very top of the physical addresses.
 *   - bits 5 and 6 (x) mean nothing, and accessed and dirty stand elsewhere (a,
 *     d): processors were seen to set them as an entry was taken away. Such a
 *     processor (Xeon Phi x200) makes an entry of what was 0, too, and is not
 *     supported.
 *
 * In the order READ, WRITE, EXEC, YOUNG, DIRTY, SPECIAL, UFFD_WP, PKEY, CACHE
 * our bits are bits 0, 1, not 63, 5, 6, 9, 10, 59-62, 3-4 here, and YOUNG and
 * DIRTY are 57, 58 as well: shifts, no branches.
 */
#ifndef ASPEN_PAGING_FORMAT_X86_64_H
#define ASPEN_PAGING_FORMAT_X86_64_H

/* The last page of the lower half stays unused, as in Linux. */
#ifdef ASPEN_PORT_PAGING_X86_64_LA57
#define ASPEN_TABLE_LEVELS 5
#define ASPEN_ADDRESS_BITS 56
#else
#define ASPEN_TABLE_LEVELS 4
#define ASPEN_ADDRESS_BITS 47
#endif
#define ASPEN_ADDRESS_LIMIT                                                    \
    (((uint64_t)1 << ASPEN_ADDRESS_BITS) - ASPEN_PAGE_SIZE)
#define ASPEN_MAP_WINDOW          (((uint64_t)1 << 47) - ASPEN_PAGE_SIZE)
#define ASPEN_LENGTH_BELOW_LOWEST 1
#define ASPEN_MMAP_BOTTOM_PART    3
#define ASPEN_STACK_RANDOM        ((uint64_t)0x3fffff << ASPEN_PAGE_SHIFT)
#define ASPEN_ENTRY_NUMBER_BITS   40
#define ASPEN_ENTRY_PKEYS         ASPEN_PKEYS_MAX
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
#define ASPEN_X86_MOVING   ((uint64_t)1 << 52)
#define ASPEN_X86_READ     ((uint64_t)1 << 53)
#define ASPEN_X86_NX       ((uint64_t)1 << 63)
#define ASPEN_X86_NUMBER   ((((uint64_t)1 << 40) - 1) << 12)
/* How far YOUNG and DIRTY are shifted to where the processor sets them, and to
 * where it does not; and the cache mode, the other way. */
#define ASPEN_X86_SET_SHIFT   2
#define ASPEN_X86_KEPT_SHIFT  54
#define ASPEN_X86_CACHE_SHIFT 9
/* From ASPEN_ENTRY_MOVING, and READ beside it, to where they stand. */
#define ASPEN_X86_MOVING_SHIFT 45
#define ASPEN_X86_READ_SHIFT   53

/* Entries that are not present, and no leaf. */
#define ASPEN_X86_SWAP   ((uint64_t)1 << 1)
#define ASPEN_X86_MARKER ((uint64_t)1 << 2)

/* For what paging/entry.h makes of them. */
#define ASPEN_ENTRY_CACHE_LAST     3
#define ASPEN_ENTRY_SWAP_TAG       ASPEN_X86_SWAP
#define ASPEN_ENTRY_SWAP_SHIFT     52
#define ASPEN_ENTRY_SWAP_EXCLUSIVE ASPEN_X86_SPECIAL
#define ASPEN_ENTRY_SWAP_UFFD_WP   ASPEN_X86_UFFD_WP
#define ASPEN_ENTRY_MARKER_TAG     ASPEN_X86_MARKER
#define ASPEN_ENTRY_ABSENT_FLIP    ASPEN_X86_NUMBER

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

/* Where a leaf's or table's number stands, as it is. */
static inline uint64_t
aspen_x86_number(uint64_t entry)
{
    return (entry ^ ((entry & ASPEN_X86_PRESENT) - 1)) & ASPEN_X86_NUMBER;
}

static inline uint64_t
aspen_entry_frame(uint64_t entry)
{
    return aspen_x86_number(entry) >> 12;
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

/* What ASPEN_ENTRY_* `bits` look like in a leaf; the number's bits are set
 * where the number is to be inverted. */
static inline uint64_t
aspen_x86_leaf_bits(unsigned bits)
{
    uint64_t b = bits;
    bool moving = (b & ASPEN_ENTRY_MOVING) != 0;
    bool access =
        !moving &&
        (b & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE | ASPEN_ENTRY_EXEC)) != 0;
    unsigned young = access ? ASPEN_X86_SET_SHIFT : ASPEN_X86_KEPT_SHIFT;
    unsigned dirty = access && b & ASPEN_ENTRY_WRITE ? ASPEN_X86_SET_SHIFT
                                                     : ASPEN_X86_KEPT_SHIFT;

    return ASPEN_X86_USER | (b & ASPEN_ENTRY_MOVING) << ASPEN_X86_MOVING_SHIFT |
           (moving && b & ASPEN_ENTRY_ACCESS ? ASPEN_X86_READ : 0) |
           (access ? ASPEN_X86_PRESENT : ASPEN_X86_NONE | ASPEN_X86_NUMBER) |
           (b & ASPEN_ENTRY_WRITE) | (b & ASPEN_ENTRY_YOUNG) << young |
           (b & ASPEN_ENTRY_DIRTY) << dirty |
           (b & (ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP)) << 4 |
           (b & ASPEN_ENTRY_PKEY) << 51 | (~b & ASPEN_ENTRY_EXEC) << 61 |
           (b & ASPEN_ENTRY_CACHE) >> ASPEN_X86_CACHE_SHIFT;
}

static inline uint64_t
aspen_entry_make_leaf(uint64_t number, unsigned level, unsigned bits)
{
    return (number << 12 | (level ? ASPEN_X86_LARGE : 0)) ^
           aspen_x86_leaf_bits(bits);
}

static inline unsigned
aspen_entry_bits(uint64_t entry)
{
    uint64_t present = 0 - (entry & ASPEN_X86_PRESENT);
    uint64_t seen = (entry >> ASPEN_X86_SET_SHIFT & present) |
                    entry >> ASPEN_X86_KEPT_SHIFT;

    return (
        unsigned)((entry & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE)) |
                  (entry >> ASPEN_X86_READ_SHIFT & ASPEN_ENTRY_READ) |
                  (entry >> ASPEN_X86_MOVING_SHIFT & ASPEN_ENTRY_MOVING) |
                  (~entry >> 61 & ASPEN_ENTRY_EXEC) |
                  (seen & (ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY)) |
                  (entry >> 4 & (ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP)) |
                  (entry >> 51 & ASPEN_ENTRY_PKEY) |
                  (entry << ASPEN_X86_CACHE_SHIFT & ASPEN_ENTRY_CACHE));
}

static inline uint64_t
aspen_x86_replace_bits(uint64_t entry, unsigned bits)
{
    return (aspen_x86_number(entry) | (entry & ASPEN_X86_LARGE)) ^
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
    uint64_t present = 0 - (entry & ASPEN_X86_PRESENT);
    uint64_t dirty = entry & present & ASPEN_X86_DIRTY;

    return (entry & ~(ASPEN_X86_WRITABLE | ASPEN_X86_DIRTY)) |
           dirty << (ASPEN_X86_KEPT_SHIFT - ASPEN_X86_SET_SHIFT);
}

#endif
