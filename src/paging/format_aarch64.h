/* SPDX-License-Identifier: MIT */
/*
 * paging/format_aarch64.h - entries of AArch64: 4 KiB granule, four levels,
 * 48-bit addresses, stage 1, TTBR0. Our level 3 is the architecture's 0.
 *
 *          63 62 59 58 57 56 55 54 53 52 51 47      12 11 10 9 8 7 6 5 2 1 0
 *   table  0  ro    0  0  0  0  0  0  0  0   frame     0  0  0   0 0 0   1 1
 *   leaf   0  key   N  U  S  W  UX 1  0  M   number    1  A  11  R d C   g 1
 *   none-  0  key   1  U  S  W  1  1  0  0   number    1  A  11  1 1 C   g 0
 *   access
 *   moving 0  key   1  U  S  W  UX 1  m  M   number    1  A  11  R d C   g 0
 *          63    44 43        12 11 10 9 8 7          3 2 1 0
 *   swap   0        slot         U  E  0 0 type         1 0 0
 *   marker 0        marker       0  0  1 0 0            0 0 0
 *
 *   g   page: 1 at level 0, 0 above (a block)
 *   A   access flag            R   AP[2], read-only
 *   d   AP[1], the user may read it: clear in memory for execution alone. The
 *       kernel can still read such memory unless PAN is on and is EPAN
 *       (FEAT_PAN3). Without EPAN it would read for its programs what they
 *       cannot read, so config.execute_only stays NONE there, as in Linux
 *   key kept for a processor that has keys: 62-60 are POIndex of FEAT_S1POE,
 *       and ignored without it
 *   M   DBM, "may be written": processors that keep dirty state clear R when
 *       they write; on others the write faults, and the handler of the fault
 *       sets ASPEN_ENTRY_DIRTY
 *   W   dirty, as we keep it: survives write-protection. DIRTY is W or not R
 *   E   ASPEN_ENTRY_SWAP_EXCLUSIVE
 *   UX  UXN, not executable by the user; PXN (53) always
 *   N   none-access (58)       S   ASPEN_ENTRY_SPECIAL (56)
 *   m   (52) ASPEN_ENTRY_MOVING: all else is what the leaf will be again; d is
 *       clear if nobody may read
 *   U   ASPEN_ENTRY_UFFD_WP (57), of swap entries _SWAP_UFFD_WP (11); N, S, U,
 * W are left to software 11  nG: not global; 9-8 inner shareable C   the cache
 * mode: AttrIndx (4-2), of which the embedder loads the first four into
 * MAIR_EL1 as 0x0400_44ff 0  0xff write-back          1  0x44 not cached,
 * "write-combining" 2  0x00 Device-nGnRnE       3  0x04 Device-nGnRE which is
 * what Linux makes of pgprot_writecombine, _noncached, _device ro  (62)
 * APTable[1]: nothing below is writable (a shared table)
 *
 * Numbers have 36 bits: 48-bit physical addresses. 52 bits would need LPA2,
 * which moves the shareability bits.
 */
#ifndef ASPEN_PAGING_FORMAT_AARCH64_H
#define ASPEN_PAGING_FORMAT_AARCH64_H

#define ASPEN_TABLE_LEVELS        4
#define ASPEN_ADDRESS_BITS        48
#define ASPEN_ADDRESS_LIMIT       ((uint64_t)1 << 48)
#define ASPEN_MAP_WINDOW          ASPEN_ADDRESS_LIMIT
#define ASPEN_LENGTH_BELOW_LOWEST 0
#define ASPEN_MMAP_BOTTOM_PART    4
#define ASPEN_STACK_RANDOM        ((uint64_t)0x3ffff << ASPEN_PAGE_SHIFT)
#define ASPEN_ENTRY_NUMBER_BITS   36
#define ASPEN_ENTRY_PKEYS         ASPEN_PKEYS_MAX
#define ASPEN_ENTRY_EXECUTE_ONLY  1

#define ASPEN_ARM_VALID      ((uint64_t)1 << 0)
#define ASPEN_ARM_TABLE      ((uint64_t)1 << 1) /* in a leaf: a page */
#define ASPEN_ARM_USER       ((uint64_t)1 << 6)
#define ASPEN_ARM_READONLY   ((uint64_t)1 << 7)
#define ASPEN_ARM_SHAREABLE  ((uint64_t)3 << 8)
#define ASPEN_ARM_ACCESSED   ((uint64_t)1 << 10)
#define ASPEN_ARM_NOT_GLOBAL ((uint64_t)1 << 11)
#define ASPEN_ARM_MAY_WRITE  ((uint64_t)1 << 51)
#define ASPEN_ARM_MOVING     ((uint64_t)1 << 52)
#define ASPEN_ARM_PXN        ((uint64_t)1 << 53)
#define ASPEN_ARM_UXN        ((uint64_t)1 << 54)
#define ASPEN_ARM_DIRTY      ((uint64_t)1 << 55)
#define ASPEN_ARM_SPECIAL    ((uint64_t)1 << 56)
#define ASPEN_ARM_UFFD_WP    ((uint64_t)1 << 57)
#define ASPEN_ARM_NONE       ((uint64_t)1 << 58)
#define ASPEN_ARM_READ_BELOW ((uint64_t)1 << 62)
#define ASPEN_ARM_NUMBER     ((((uint64_t)1 << 36) - 1) << 12)
#define ASPEN_ARM_LEAF                                                         \
    (ASPEN_ARM_SHAREABLE | ASPEN_ARM_NOT_GLOBAL | ASPEN_ARM_PXN)
#define ASPEN_ARM_PKEY_SHIFT  59
#define ASPEN_ARM_CACHE_SHIFT 10 /* from ASPEN_ENTRY_CACHE down */

/* Entries that are not valid, and no leaf. */
#define ASPEN_ARM_SWAP   ((uint64_t)1 << 2)
#define ASPEN_ARM_MARKER ((uint64_t)1 << 9)

/* For what paging/entry.h makes of them. */
#define ASPEN_ENTRY_CACHE_LAST     3
#define ASPEN_ENTRY_SWAP_TAG       ASPEN_ARM_SWAP
#define ASPEN_ENTRY_SWAP_SHIFT     3
#define ASPEN_ENTRY_SWAP_EXCLUSIVE ASPEN_ARM_ACCESSED
#define ASPEN_ENTRY_SWAP_UFFD_WP   ASPEN_ARM_NOT_GLOBAL
#define ASPEN_ENTRY_MARKER_TAG     ASPEN_ARM_MARKER
#define ASPEN_ENTRY_ABSENT_FLIP    0

static inline bool
aspen_entry_is_table(uint64_t entry, unsigned level)
{
    return level > 0 && (entry & (ASPEN_ARM_VALID | ASPEN_ARM_TABLE)) ==
                            (ASPEN_ARM_VALID | ASPEN_ARM_TABLE);
}

static inline bool
aspen_entry_is_leaf(uint64_t entry, unsigned level)
{
    return (entry & (ASPEN_ARM_VALID | ASPEN_ARM_NONE)) != 0 &&
           (level == 0) == ((entry & ASPEN_ARM_TABLE) != 0);
}

static inline bool
aspen_entry_is_swap(uint64_t entry)
{
    return (entry & (ASPEN_ARM_VALID | ASPEN_ARM_NONE | ASPEN_ARM_SWAP)) ==
           ASPEN_ARM_SWAP;
}

static inline bool
aspen_entry_is_marker(uint64_t entry)
{
    return (entry & (ASPEN_ARM_VALID | ASPEN_ARM_NONE | ASPEN_ARM_SWAP |
                     ASPEN_ARM_MARKER)) == ASPEN_ARM_MARKER;
}

static inline uint64_t
aspen_entry_frame(uint64_t entry)
{
    return (entry & ASPEN_ARM_NUMBER) >> 12;
}

static inline uint64_t
aspen_entry_make_table(uint32_t frame)
{
    return (uint64_t)frame << 12 | ASPEN_ARM_VALID | ASPEN_ARM_TABLE;
}

static inline uint64_t
aspen_entry_table_write_protect(uint64_t entry)
{
    return entry | ASPEN_ARM_READ_BELOW;
}

/* What ASPEN_ENTRY_* `bits` look like in a leaf. */
static inline uint64_t
aspen_arm_leaf_bits(unsigned bits)
{
    bool write = (bits & ASPEN_ENTRY_WRITE) != 0;
    bool dirty = (bits & ASPEN_ENTRY_DIRTY) != 0;
    bool read = (bits & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE)) != 0;
    bool moving = (bits & ASPEN_ENTRY_MOVING) != 0;
    bool access = !moving && (read || bits & ASPEN_ENTRY_EXEC);
    uint64_t pkey = (bits & ASPEN_ENTRY_PKEY) >> ASPEN_ENTRY_PKEY_SHIFT;

    return ASPEN_ARM_LEAF | (access ? ASPEN_ARM_VALID : ASPEN_ARM_NONE) |
           (moving ? ASPEN_ARM_MOVING : 0) |
           (read || !(moving || access) ? ASPEN_ARM_USER : 0) |
           (bits & ASPEN_ENTRY_CACHE) >> ASPEN_ARM_CACHE_SHIFT |
           pkey << ASPEN_ARM_PKEY_SHIFT | (write ? ASPEN_ARM_MAY_WRITE : 0) |
           (write && dirty ? 0 : ASPEN_ARM_READONLY) |
           (dirty ? ASPEN_ARM_DIRTY : 0) |
           (bits & ASPEN_ENTRY_EXEC ? 0 : ASPEN_ARM_UXN) |
           (bits & ASPEN_ENTRY_YOUNG ? ASPEN_ARM_ACCESSED : 0) |
           (bits & ASPEN_ENTRY_SPECIAL ? ASPEN_ARM_SPECIAL : 0) |
           (bits & ASPEN_ENTRY_UFFD_WP ? ASPEN_ARM_UFFD_WP : 0);
}

static inline uint64_t
aspen_entry_make_leaf(uint64_t number, unsigned level, unsigned bits)
{
    return number << 12 | (level ? 0 : ASPEN_ARM_TABLE) |
           aspen_arm_leaf_bits(bits);
}

static inline unsigned
aspen_entry_bits(uint64_t entry)
{
    bool dirty = (entry & ASPEN_ARM_DIRTY) || !(entry & ASPEN_ARM_READONLY);

    bool read =
        entry & (ASPEN_ARM_VALID | ASPEN_ARM_MOVING) && entry & ASPEN_ARM_USER;
    unsigned pkey = (unsigned)(entry >> ASPEN_ARM_PKEY_SHIFT) & 15u;

    return (read ? ASPEN_ENTRY_READ : 0) |
           (entry & ASPEN_ARM_MOVING ? ASPEN_ENTRY_MOVING : 0) |
           pkey << ASPEN_ENTRY_PKEY_SHIFT |
           ((unsigned)entry << ASPEN_ARM_CACHE_SHIFT & ASPEN_ENTRY_CACHE) |
           (entry & ASPEN_ARM_MAY_WRITE ? ASPEN_ENTRY_WRITE : 0) |
           (entry & ASPEN_ARM_UXN ? 0 : ASPEN_ENTRY_EXEC) |
           (entry & ASPEN_ARM_ACCESSED ? ASPEN_ENTRY_YOUNG : 0) |
           (dirty ? ASPEN_ENTRY_DIRTY : 0) |
           (entry & ASPEN_ARM_SPECIAL ? ASPEN_ENTRY_SPECIAL : 0) |
           (entry & ASPEN_ARM_UFFD_WP ? ASPEN_ENTRY_UFFD_WP : 0);
}

static inline uint64_t
aspen_arm_replace_bits(uint64_t entry, unsigned bits)
{
    return (entry & (ASPEN_ARM_NUMBER | ASPEN_ARM_TABLE)) |
           aspen_arm_leaf_bits(bits);
}

static inline uint64_t
aspen_entry_set_bits(uint64_t entry, unsigned bits)
{
    return aspen_arm_replace_bits(entry, aspen_entry_bits(entry) | bits);
}

static inline uint64_t
aspen_entry_clear_bits(uint64_t entry, unsigned bits)
{
    return aspen_arm_replace_bits(entry, aspen_entry_bits(entry) & ~bits);
}

static inline uint64_t
aspen_entry_write_protect(uint64_t entry)
{
    uint64_t dirty = (entry & ASPEN_ARM_READONLY) ? 0 : ASPEN_ARM_DIRTY;
    return (entry & ~ASPEN_ARM_MAY_WRITE) | ASPEN_ARM_READONLY | dirty;
}

#endif
