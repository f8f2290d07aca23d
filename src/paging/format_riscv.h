/* SPDX-License-Identifier: MIT */
/*
 * paging/format_riscv.h - entries of RISC-V: Sv39 with three levels, Sv48 with
 * four (Privileged Architecture, "Supervisor-Level ISA").
 *
 *          63 62 61 60  54 53      10 9 8  7 6 5 4 3 2 1 0
 *   table  0  0     0      frame      0 ro 0 0 0 0 0 0 0 1
 *   leaf   0  C     0      number     U S  D A 0 1 X W R 1
 *   none-  0  C     0      number     U S  D A 1 1 0 0 0 0
 *   access
 *   moving 0  C     m      number     U S  D A 1 1 X W R 0
 *          63 49 48  44 43        12 11 10 9 8 6 5 4 3 2 1 0
 *   swap   0     type     slot       0     U E   0 0 0 0 1 0
 *   marker 0     0        marker     0     U 0   0 0 0 1 0 0
 *
 *   R, W, X  what may be done: none of them makes a table of an entry. Memory
 *       for execution alone is X without R, which a kernel cannot read either,
 *       unless it sets MXR
 *   m   (54) ASPEN_ENTRY_MOVING: all else is what the leaf will be again
 *   E   ASPEN_ENTRY_SWAP_EXCLUSIVE (8)
 *   4   the user's; bit 5 (global) is set in no entry that is valid, and says
 *       "leaf" in one that is not
 *   A, D  accessed, dirty. With Svadu the processor sets them; without, it
 *       faults on what is not A, and on a write to what is not D, and the
 *       handler of the fault sets both
 *   S   ASPEN_ENTRY_SPECIAL    U  ASPEN_ENTRY_UFFD_WP: left to software. In a
 *       swap entry U is ASPEN_ENTRY_SWAP_UFFD_WP
 *   C   the cache mode: PBMT of Svpbmt, which needs nothing loaded:
 *           0  as the memory is    1  NC, "write-combining"    2  IO
 *       so uncached and device are the same. Without Svpbmt these bits are
 *       reserved: config.flags has ASPEN_CONFIG_CACHE_MODES_ABSENT there
 *   ro  a note of ours: nothing below is writable (a shared table). The
 *       processor does not know it, so who shares tables has to protect the
 *       leaves as well
 *
 * There are no protection keys: a leaf has no room for them. Numbers have 44
 * bits: 56-bit physical addresses.
 *
 * In the order READ, WRITE, EXEC, YOUNG, DIRTY, SPECIAL, UFFD_WP our bits are
 * bits 1-3 and 6-9 here: two shifts.
 */
#ifndef ASPEN_PAGING_FORMAT_RISCV_H
#define ASPEN_PAGING_FORMAT_RISCV_H

#ifdef ASPEN_PORT_PAGING_RISCV_SV39
#define ASPEN_TABLE_LEVELS 3
#define ASPEN_ADDRESS_BITS 38
#else
#define ASPEN_TABLE_LEVELS 4
#define ASPEN_ADDRESS_BITS 47
#endif
#define ASPEN_ADDRESS_LIMIT       ((uint64_t)1 << ASPEN_ADDRESS_BITS)
#define ASPEN_MAP_WINDOW          ASPEN_ADDRESS_LIMIT
#define ASPEN_LENGTH_BELOW_LOWEST 0
#define ASPEN_MMAP_BOTTOM_PART    3
#define ASPEN_STACK_RANDOM        ((uint64_t)0x3ffff << ASPEN_PAGE_SHIFT)
#define ASPEN_ENTRY_NUMBER_BITS   44
#define ASPEN_ENTRY_EXECUTE_ONLY  1
#define ASPEN_ENTRY_PKEYS         1

#define ASPEN_RISCV_VALID      ((uint64_t)1 << 0)
#define ASPEN_RISCV_READ       ((uint64_t)1 << 1)
#define ASPEN_RISCV_WRITE      ((uint64_t)1 << 2)
#define ASPEN_RISCV_EXEC       ((uint64_t)1 << 3)
#define ASPEN_RISCV_USER       ((uint64_t)1 << 4)
#define ASPEN_RISCV_NONE       ((uint64_t)1 << 5)
#define ASPEN_RISCV_READ_BELOW ((uint64_t)1 << 8)
#define ASPEN_RISCV_MOVING     ((uint64_t)1 << 54)
#define ASPEN_RISCV_NUMBER     ((((uint64_t)1 << 44) - 1) << 10)
#define ASPEN_RISCV_ACCESS                                                     \
    (ASPEN_RISCV_READ | ASPEN_RISCV_WRITE | ASPEN_RISCV_EXEC)

/* How far our bits are shifted. */
#define ASPEN_RISCV_ACCESS_SHIFT 1
#define ASPEN_RISCV_STATE_SHIFT  3
#define ASPEN_RISCV_CACHE_SHIFT  49
#define ASPEN_RISCV_MOVING_SHIFT 47

/* Entries that are not valid, and no leaf. */
#define ASPEN_RISCV_SWAP   ((uint64_t)1 << 1)
#define ASPEN_RISCV_MARKER ((uint64_t)1 << 2)

/* For what paging/entry.h makes of them. */
#define ASPEN_ENTRY_CACHE_LAST     2
#define ASPEN_ENTRY_SWAP_TAG       ASPEN_RISCV_SWAP
#define ASPEN_ENTRY_SWAP_SHIFT     44
#define ASPEN_ENTRY_SWAP_EXCLUSIVE ((uint64_t)1 << 8)
#define ASPEN_ENTRY_SWAP_UFFD_WP   ((uint64_t)1 << 9)
#define ASPEN_ENTRY_MARKER_TAG     ASPEN_RISCV_MARKER
#define ASPEN_ENTRY_ABSENT_FLIP    0

static inline bool
aspen_entry_is_table(uint64_t entry, unsigned level)
{
    return level > 0 && (entry & (ASPEN_RISCV_VALID | ASPEN_RISCV_ACCESS)) ==
                            ASPEN_RISCV_VALID;
}

static inline bool
aspen_entry_is_leaf(uint64_t entry, unsigned level)
{
    (void)level;
    return entry & ASPEN_RISCV_VALID ? (entry & ASPEN_RISCV_ACCESS) != 0
                                     : (entry & ASPEN_RISCV_NONE) != 0;
}

static inline bool
aspen_entry_is_swap(uint64_t entry)
{
    return (entry & (ASPEN_RISCV_VALID | ASPEN_RISCV_NONE |
                     ASPEN_RISCV_SWAP)) == ASPEN_RISCV_SWAP;
}

static inline bool
aspen_entry_is_marker(uint64_t entry)
{
    return (entry & (ASPEN_RISCV_VALID | ASPEN_RISCV_NONE | ASPEN_RISCV_SWAP |
                     ASPEN_RISCV_MARKER)) == ASPEN_RISCV_MARKER;
}

static inline uint64_t
aspen_entry_frame(uint64_t entry)
{
    return (entry & ASPEN_RISCV_NUMBER) >> 10;
}

static inline uint64_t
aspen_entry_make_table(uint32_t frame)
{
    return (uint64_t)frame << 10 | ASPEN_RISCV_VALID;
}

static inline uint64_t
aspen_entry_table_write_protect(uint64_t entry)
{
    return entry | ASPEN_RISCV_READ_BELOW;
}

/* What ASPEN_ENTRY_* `bits` look like in a leaf. */
static inline uint64_t
aspen_riscv_leaf_bits(unsigned bits)
{
    const unsigned state = ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY |
                           ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP;
    uint64_t b = bits;
    uint64_t access =
        b & (ASPEN_ENTRY_READ | ASPEN_ENTRY_WRITE | ASPEN_ENTRY_EXEC);

    if (b & ASPEN_ENTRY_WRITE)
        access |= ASPEN_ENTRY_READ;
    return ASPEN_RISCV_USER |
           (access && !(b & ASPEN_ENTRY_MOVING) ? ASPEN_RISCV_VALID
                                                : ASPEN_RISCV_NONE) |
           (b & ASPEN_ENTRY_MOVING) << ASPEN_RISCV_MOVING_SHIFT |
           access << ASPEN_RISCV_ACCESS_SHIFT |
           (b & state) << ASPEN_RISCV_STATE_SHIFT |
           (b & ASPEN_ENTRY_CACHE) << ASPEN_RISCV_CACHE_SHIFT;
}

static inline uint64_t
aspen_entry_make_leaf(uint64_t number, unsigned level, unsigned bits)
{
    (void)level;
    return number << 10 | aspen_riscv_leaf_bits(bits);
}

static inline unsigned
aspen_entry_bits(uint64_t entry)
{
    const unsigned state = ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY |
                           ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_UFFD_WP;

    return (unsigned)((entry & ASPEN_RISCV_ACCESS) >> ASPEN_RISCV_ACCESS_SHIFT |
                      (entry >> ASPEN_RISCV_STATE_SHIFT & state) |
                      (entry >> ASPEN_RISCV_MOVING_SHIFT & ASPEN_ENTRY_MOVING) |
                      (entry >> ASPEN_RISCV_CACHE_SHIFT & ASPEN_ENTRY_CACHE));
}

static inline uint64_t
aspen_riscv_replace_bits(uint64_t entry, unsigned bits)
{
    return (entry & ASPEN_RISCV_NUMBER) | aspen_riscv_leaf_bits(bits);
}

static inline uint64_t
aspen_entry_set_bits(uint64_t entry, unsigned bits)
{
    return aspen_riscv_replace_bits(entry, aspen_entry_bits(entry) | bits);
}

static inline uint64_t
aspen_entry_clear_bits(uint64_t entry, unsigned bits)
{
    return aspen_riscv_replace_bits(entry, aspen_entry_bits(entry) & ~bits);
}

static inline uint64_t
aspen_entry_write_protect(uint64_t entry)
{
    return entry & ~ASPEN_RISCV_WRITE;
}

#endif
