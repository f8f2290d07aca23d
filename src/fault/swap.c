/* SPDX-License-Identifier: MIT */
/*
 * fault/swap.c - an entry that leads to a swap slot: the page is mapped from
 * the swap cache, into which it is read first, without locks.
 *
 * I1  A page is mapped under its lock and the table's, while the entry is the
 *     one that was looked at: so its slot is in use, and no transfer under way.
 * I2  The page is exclusive if the swap entry says so; or if nobody else has
 *     it: no entry, no other swap entry, no other reference. Then the page
 *     leaves the cache, also if somebody still holds the slot who was about to
 *     read it: what is in the cache is not written to. Else it stays read-only,
 *     and a write makes a copy (cow.c).
 *
 * I3  The first that maps a page makes it his anon_vma's; one that others may
 *     map later the root's, which leads to all of them.
 *
 * I4  What a device could not read is an error if the entry leads there still:
 *     by then the slot may have become another page's.
 *
 * Called by fault.c. The first test to break is tests/unit/swap/test_swap.c.
 */
#include "fault/fault.h"

#include "machine/pressure.h"
#include "machine/swap_reads.h"
#include "paging/icache.h"
#include "swap/swap.h"

static int
need_page(struct aspen_fault *fault, uint64_t entry, uint64_t wanted)
{
    if (fault->nowait)
        return -ASPEN_EAGAIN;
    /* It may be that of a fault before, whose copy is what is in swap now: I2
     * of fault.h. */
    aspen_fault_drop_page(fault);
    fault->swap_entry = entry;
    fault->swap_error = 0;
    fault->swap_wanted = wanted;
    return ASPEN_FAULT_SWAP;
}

int
aspen_fault_read_swap(struct aspen_fault *fault)
{
    uint32_t frame;

    fault->major = true;
    struct aspen_group *stalled =
        aspen_stall_begin(fault->aspen, &fault->direct.payer);
    int error = aspen_swap_read(fault->aspen, &fault->direct.payer,
                                fault->swap_entry, fault->swap_wanted, &frame);
    aspen_stall_end(fault->aspen, stalled);
    if (!error && frame != ASPEN_NO_FRAME)
        aspen_frame_put(fault->aspen, frame); /* the cache has it */
    if (error == -ASPEN_ENOMEM)
        return error;
    fault->swap_error = error; /* I4 */
    return 0;
}

/* I2. Both are locked; the entry has a reference of the slot. */
static bool
is_ours_alone(const struct aspen_fault *fault, uint64_t entry,
              const struct aspen_frame *page)
{
    if (entry & ASPEN_ENTRY_SWAP_EXCLUSIVE)
        return true;
    return aspen_swap_references(fault->aspen, aspen_entry_swap_type(entry),
                                 aspen_entry_swap_slot(entry)) == 1 &&
           aspen_load(&page->counts) == 2 * ASPEN_FRAME_REF;
}

/* I3 */
static void
set_owner(const struct aspen_fault *fault, struct aspen_frame *page,
          bool exclusive)
{
    const uint64_t bits = ((uint64_t)1 << ASPEN_FRAME_INDEX_BITS) - 1;
    struct aspen_anon_vma *own = aspen_load(&fault->vma->anon_vma);
    uint64_t offset = aspen_vma_offset(fault->vma, fault->address);

    ASPEN_ASSERT_TEST(own);
    aspen_store(&page->owner,
                (uint64_t)(uintptr_t)(exclusive ? own : own->root));
    if (aspen_frame_offset(page) == offset)
        return;
    aspen_fetch_and(&page->index, ~bits); /* others set flags meanwhile */
    aspen_fetch_or(&page->index, offset);
}

/* The page is in the slot's cache; all is locked. */
static void
map_locked(struct aspen_fault *fault, const struct aspen_slot *slot,
           uint64_t entry, uint32_t frame)
{
    struct aspen_frame *page = aspen_frame_at(fault->aspen, frame);
    bool exclusive = is_ours_alone(fault, entry, page);

    if (aspen_frame_map_count(page) == 0)
        set_owner(fault, page, exclusive);
    if (exclusive)
        aspen_swap_cache_drop(fault->aspen, aspen_entry_swap_type(entry),
                              aspen_entry_swap_slot(entry), frame);
    aspen_fetch_add(&page->counts, ASPEN_FRAME_REF + ASPEN_FRAME_MAP +
                                       (exclusive ? ASPEN_FRAME_EXCLUSIVE : 0));
    aspen_mm_rss_sub(fault->mm, ASPEN_RSS_SWAP, 1);
    aspen_mm_rss_add(fault->mm, ASPEN_RSS_ANON, 1);
    unsigned bits =
        exclusive ? aspen_fault_own_bits(fault) : aspen_fault_bits(fault);
    uint64_t leaf = aspen_entry_make_leaf(frame, 0, bits);
    if (aspen_entry_is_marked(entry, 0))
        leaf = aspen_entry_mark(leaf, 0);
    aspen_store(slot->entry, aspen_icache_entry(fault->aspen, leaf));
}

/* The page is locked. Whoever was quicker: the access looks again. */
static void
map_page(struct aspen_fault *fault, const struct aspen_slot *slot,
         uint64_t entry, uint32_t frame)
{
    struct aspen *aspen = fault->aspen;
    unsigned type = aspen_entry_swap_type(entry);
    uint32_t number = aspen_entry_swap_slot(entry);

    aspen_table_own(aspen, slot->table);
    aspen_table_lock_settled(fault->mm, slot->table, fault->address,
                             fault->address + ASPEN_PAGE_SIZE);
    bool done = aspen_load_relaxed(slot->entry) == entry &&
                aspen_swap_cache_has(aspen, type, number, frame);
    if (done)
        map_locked(fault, slot, entry, frame);
    aspen_table_unlock(aspen, slot->table);
    if (done)
        aspen_swap_free(aspen, type, number);
}

int
aspen_fault_swap(struct aspen_fault *fault, const struct aspen_slot *slot,
                 uint64_t entry)
{
    struct aspen *aspen = fault->aspen;
    uint32_t frame = aspen_swap_cache_find(aspen, aspen_entry_swap_type(entry),
                                           aspen_entry_swap_slot(entry));

    if (frame == ASPEN_NO_FRAME && fault->swap_error &&
        fault->swap_entry == entry)
        return fault->swap_error; /* I4 */
    if (frame == ASPEN_NO_FRAME)
        return need_page(
            fault, entry,
            aspen_swap_wanted_by_fault(fault->vma, slot, fault->address));
    struct aspen_frame *page = aspen_frame_at(aspen, frame);
    bool locked = aspen_frame_trylock(page);
    if (!locked) { /* it may just have been read */
        aspen_swap_finish(aspen, aspen_entry_swap_type(entry));
        locked = aspen_frame_trylock(page);
    }
    if (locked) {
        aspen_swap_found(fault->vma, frame);
        map_page(fault, slot, entry, frame);
        aspen_frame_unlock(page);
    }
    aspen_frame_put(aspen, frame);
    return locked ? 0 : need_page(fault, entry, 0);
}
