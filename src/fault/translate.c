/* SPDX-License-Identifier: MIT */
/*
 * fault/translate.c - what the hardware would see at an address, and what a
 * second MMU may put in.
 *
 * Called by whoever has no hardware that walks tables. The first test to break
 * is tests/unit/fault/test_fault.c.
 */
#include <aspen/fault.h>
#include <aspen/calls/mmu.h>

#include "paging/table.h"
#include "space/pkeys.h"

static unsigned
bits_needed(unsigned access)
{
    switch (access) {
    case ASPEN_ACCESS_WRITE:
        return ASPEN_ENTRY_WRITE;
    case ASPEN_ACCESS_EXEC:
        return ASPEN_ENTRY_EXEC;
    default:
        return ASPEN_ENTRY_READ;
    }
}

/* Walk down; *writable: no table on the way forbids writing. RCU. */
static uint64_t
walk_tables(struct aspen_mm *mm, uint64_t address, unsigned *level,
            bool *writable)
{
    uint32_t table = mm->root;

    *writable = true;
    for (*level = ASPEN_TABLE_LEVELS - 1;; --*level) {
        uint64_t *entries = aspen_table_entries(mm->aspen, table);
        uint64_t entry =
            aspen_load(&entries[aspen_table_index(address, *level)]);
        if (!aspen_entry_is_table(entry, *level))
            return entry;
        if (aspen_entry_table_write_protect(entry) == entry)
            *writable = false;
        table = (uint32_t)aspen_entry_frame(entry);
    }
}

/* The leaf at an address, or 0. */
static uint64_t
leaf_at(struct aspen_mm *mm, uint64_t address, unsigned *level, bool *writable)
{
    if (address >= mm->address_limit)
        return 0;
    aspen_port_rcu_read_lock();
    uint64_t entry = walk_tables(mm, address, level, writable);
    aspen_port_rcu_read_unlock();
    return aspen_entry_is_leaf(entry, *level) &&
                   !(aspen_entry_bits(entry) & ASPEN_ENTRY_MOVING)
               ? entry
               : 0;
}

/* Of the page of 4 KiB inside of the leaf. */
static uint64_t
number_of(uint64_t entry, unsigned level, uint64_t address)
{
    return aspen_entry_frame(entry) +
           ((address & (aspen_entry_span(level) - 1)) >> ASPEN_PAGE_SHIFT);
}

/* The zero page is not counted either, but it is the machine's. */
static bool
is_raw(const struct aspen *aspen, uint64_t entry)
{
    return aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL &&
           aspen_entry_frame(entry) != aspen->zero_frame;
}

/* ---- For an access ----------------------------------------------------- */

/* What a leaf says about an access, the tables above it aside. */
static bool
bits_allow(unsigned bits, unsigned access, uint32_t rights)
{
    unsigned pkey = (bits & ASPEN_ENTRY_PKEY) >> ASPEN_ENTRY_PKEY_SHIFT;

    return bits & bits_needed(access) &&
           aspen_rights_allow(rights, pkey, access);
}

/* `rights`: NULL for those of the thread. They are asked for when the entry is
 * known: by then it is known, too, whether its key is the space's own. */
static int
translate(struct aspen_mm *mm, uint64_t address, unsigned access,
          const uint32_t *rights, uint32_t *frame)
{
    unsigned level;
    bool writable;

    uint64_t entry = leaf_at(mm, address, &level, &writable);
    if (!entry)
        return -ASPEN_EFAULT;
    unsigned bits = aspen_entry_bits(entry);
    if (!bits_allow(bits, access,
                    rights ? aspen_rights_of(mm->aspen, *rights)
                           : aspen_rights(mm)) ||
        (access == ASPEN_ACCESS_WRITE && !writable))
        return -ASPEN_EFAULT;
    if (is_raw(mm->aspen, entry))
        return -ASPEN_EOPNOTSUPP;
    *frame = (uint32_t)number_of(entry, level, address);
    return 0;
}

int
aspen_translate(struct aspen_mm *mm, uint64_t address, unsigned access,
                uint32_t *frame)
{
    return translate(mm, address, access, NULL, frame);
}

int
aspen_translate_with_rights(struct aspen_mm *mm, uint64_t address,
                            unsigned access, uint32_t rights, uint32_t *frame)
{
    return translate(mm, address, access, &rights, frame);
}

/* ---- For a second MMU -------------------------------------------------- */

/* Only with all noted that the access would have to. */
static bool
may_write(unsigned bits, bool writable)
{
    return writable && bits & ASPEN_ENTRY_WRITE && bits & ASPEN_ENTRY_DIRTY;
}

int
aspen_mmu_translate(struct aspen_mm *mm, uint64_t address,
                    struct aspen_translation *to)
{
    unsigned level;
    bool writable;

    uint64_t entry = leaf_at(mm, address, &level, &writable);
    if (!entry)
        return -ASPEN_EFAULT;
    unsigned bits = aspen_entry_bits(entry);
    if (!(bits & ASPEN_ENTRY_YOUNG) || !(bits & ASPEN_ENTRY_ACCESS))
        return -ASPEN_EFAULT;
    *to = (struct aspen_translation){
        .number = number_of(entry, level, address),
        .leaf_bytes = aspen_entry_span(level),
        .read = bits & ASPEN_ENTRY_READ,
        .write = may_write(bits, writable),
        .exec = bits & ASPEN_ENTRY_EXEC,
        .raw = is_raw(mm->aspen, entry),
        .pkey = (bits & ASPEN_ENTRY_PKEY) >> ASPEN_ENTRY_PKEY_SHIFT,
        .cache =
            (uint64_t)((bits & ASPEN_ENTRY_CACHE) >> ASPEN_ENTRY_CACHE_SHIFT)
            << ASPEN_VM_CACHE_SHIFT,
    };
    return 0;
}
