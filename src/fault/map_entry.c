/* SPDX-License-Identifier: MIT */
/*
 * fault/map_entry.c - one page-table entry of a fault, and what the hardware
 * would see.
 *
 * I1  An entry that counts its frame holds one reference and one map count of
 *     it; both are there before the entry is. That it is resident is counted
 *     before the table's lock is given back: nobody can take it off sooner.
 *
 * Called by the other files of this layer, and by whoever has no hardware
 * that walks tables. The first test to break is tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "space/pkeys.h"

static void
count_page(struct aspen_fault *fault, struct aspen_frame *frame)
{
    aspen_fetch_add_relaxed(&frame->counts, ASPEN_FRAME_MAP);
    aspen_mm_rss_add(fault->mm, aspen_rss_of(frame), 1);
}

bool
aspen_fault_map_at(struct aspen_fault *fault, const struct aspen_slot *slot,
                   uint64_t entry)
{
    struct aspen *aspen = fault->aspen;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    bool done = aspen_load_relaxed(slot->entry) == 0;
    if (done) {
        if (!(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL))
            count_page(fault,
                       &aspen->frames[(uint32_t)aspen_entry_frame(entry)]);
        aspen_store(slot->entry, entry);
    }
    aspen_table_unlock(aspen, slot->table);
    return done;
}

int
aspen_fault_map(struct aspen_fault *fault, uint64_t entry, bool *done)
{
    struct aspen_slot slot;

    *done = false;
    int error = aspen_table_walk_alloc(fault->mm, fault->address, 0, &slot);
    if (error == -ASPEN_EEXIST)
        return 0;
    if (!error)
        *done = aspen_fault_map_at(fault, &slot, entry);
    return error;
}

void
aspen_fault_set_bits(struct aspen_fault *fault, const struct aspen_slot *slot,
                     uint64_t entry, unsigned bits)
{
    struct aspen *aspen = fault->aspen;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    /* The processor may have set bits meanwhile: then the access looks again
     * and finds them. */
    aspen_compare_exchange(slot->entry, &entry,
                           aspen_entry_set_bits(entry, bits));
    aspen_table_unlock(aspen, slot->table);
}

/* ---- What the hardware would see --------------------------------------- */

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

/* Walk down; *writable: no table on the way forbids writing. */
static uint64_t
walk(struct aspen_mm *mm, uint64_t address, unsigned *level, bool *writable)
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

    if (address >= mm->address_limit)
        return -ASPEN_EFAULT;
    aspen_port_rcu_read_lock();
    uint64_t entry = walk(mm, address, &level, &writable);
    aspen_port_rcu_read_unlock();

    if (!aspen_entry_is_leaf(entry, level))
        return -ASPEN_EFAULT;
    unsigned bits = aspen_entry_bits(entry);
    if (!bits_allow(bits, access,
                    rights ? aspen_rights_of(mm->aspen, *rights)
                           : aspen_rights(mm)) ||
        (access == ASPEN_ACCESS_WRITE && !writable))
        return -ASPEN_EFAULT;
    uint64_t number = aspen_entry_frame(entry);
    if (bits & ASPEN_ENTRY_SPECIAL && number != ASPEN_ZERO_FRAME)
        return -ASPEN_EOPNOTSUPP;
    number += (address & (aspen_entry_span(level) - 1)) >> ASPEN_PAGE_SHIFT;
    *frame = (uint32_t)number;
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
