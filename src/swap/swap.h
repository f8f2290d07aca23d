/* SPDX-License-Identifier: MIT */
/*
 * swap/swap.h - anonymous pages and those of shared memory leave memory, and
 * come back.
 *
 * The swap cache: while a page is in memory and its slot is in use, the slot
 * leads to the page (machine/swap_map.h) and holds a reference.
 *
 *      entries of spaces --leaf--> page <--- slot <--swap entry-- other spaces
 *
 * I1  A page enters the cache and is mapped from it under its frame lock. It
 *     leaves it under that lock, or with the last reference of its slot.
 * I2  A slot with references has been written, unless its page is in the cache
 *     and DIRTY.
 * I3  A page in the cache that is not locked is not exclusive: some other entry
 *     is a swap entry. So it does not change.
 * I4  Who reads or writes a slot holds a reference of it until the transfer has
 *     ended: so no slot is used anew meanwhile, and no area goes. A read that
 *     nobody waits for (machine/swap_reads.h) holds it itself, and the page,
 *     and its lock.
 */
#ifndef ASPEN_SWAP_SWAP_H
#define ASPEN_SWAP_SWAP_H

#include "machine/payer.h"
#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "paging/table.h"
#include "rmap/take.h"

#include <aspen/calls/swap.h>

/* ---- out.c ------------------------------------------------------------- */

/* Pages that leave together: each locked and held, mapped by nobody, but maybe
 * in TLBs still. */
struct aspen_swap_batch {
    struct aspen *aspen;
    struct aspen_take take;
    unsigned count;
    struct aspen_swap_leaving {
        uint32_t frame;
        unsigned type;
        uint32_t slot;
    } pages[ASPEN_SWAP_IO_PAGES];
};

/*
 * Replace all entries that lead to an anonymous page by swap entries, or by
 * nothing if it may be dropped (ASPEN_FRAME_LAZY) and was not written since.
 * The caller has locked the page and holds a reference: if the answer is 0 both
 * are the batch's from now on. The accessed bit is the caller's affair, as is
 * which pages are chosen.
 *
 * Context: may sleep; no lock inside the page's is held. Takes those of the
 *          reverse map.
 * Returns: 0; -ASPEN_EBUSY (pinned, held by others, in locked memory, no
 *          anonymous page of 4 KiB); -ASPEN_ENOSPC (no slot, or no room in the
 *          batch); -ASPEN_ENOMEM (a slot's counts). After an error all contents
 *          are in memory: entries may have become swap entries that find the
 *          page in the swap cache.
 */
ASPEN_MUST_USE int aspen_swap_out(struct aspen_swap_batch *batch,
                                  uint32_t frame);

/* Flush, write what the batch has, and let it leave memory; it is empty then.
 * What could not be written, or somebody else came for meanwhile, stays in the
 * swap cache. Returns how many pages left. Context: may sleep; no lock at or
 * inside the pages' is held, but theirs. */
unsigned aspen_swap_out_end(struct aspen_swap_batch *batch);

/* ---- in.c -------------------------------------------------------------- */

/* Slots that are wanted as well as one: bit BESIDE + n is n slots behind it. */
#define ASPEN_SWAP_BESIDE 32

/*
 * Read the slot of a swap entry into the swap cache, or wait until somebody who
 * does so, or has the page locked, is done. *frame is the page, with a
 * reference for the caller; or ASPEN_NO_FRAME: look at the entry again. Slots
 * in a row with it that are wanted (0: none) come along, as long as memory is
 * not short. The groups that slots are charged to pay for the pages, or, if
 * there are none, who reads.
 *
 * Context: may sleep; no lock is held.
 * Returns: 0, -ASPEN_ENOMEM, or the device's error: -ASPEN_EIO also if the
 *          checksum is wrong, -ASPEN_EOPNOTSUPP for an area without a device.
 */
ASPEN_MUST_USE int aspen_swap_read(struct aspen *aspen,
                                   struct aspen_payer *payer, uint64_t entry,
                                   uint64_t wanted, uint32_t *frame);

/*
 * The same for who does not need the page yet: it comes into the cache, sooner
 * or later, if the device works by itself, and else before this returns. What
 * cannot be read leaves the cache again, and nobody hears of it.
 *
 * Context: may sleep; no lock is held.
 * Returns: 0, or -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_swap_read_ahead(struct aspen *aspen,
                                         struct aspen_payer *payer,
                                         uint64_t entry, uint64_t wanted);

/* ---- shared.c: pages of shared memory ----------------------------------- */

/*
 * The same as aspen_swap_out() for a page of the object at `offset`
 * (aspen_object_may_swap()): its slot takes its place. Its entries have been
 * taken away, by the batch's `take`.
 *
 * Context: as aspen_swap_out(); the object has a reference of the caller's.
 * Returns: 0; or -ASPEN_EBUSY (mapped or held), -ASPEN_ENOSPC, and it stays:
 *          TLBs are flushed then.
 */
ASPEN_MUST_USE int aspen_swap_out_shared(struct aspen_swap_batch *batch,
                                         struct aspen_object *object,
                                         uint64_t offset, uint32_t frame);

/*
 * As aspen_object_get_page_ahead(), and a page that is in swap comes back, with
 * those behind it that `ahead` says. *waited, unless it is NULL, becomes true
 * then.
 *
 * Context: may sleep, no lock inside the mmap and VMA locks is held.
 * Returns: as that, or as aspen_swap_read().
 */
ASPEN_MUST_USE int aspen_swap_get_page(struct aspen_object *object,
                                       uint64_t offset, enum aspen_ahead ahead,
                                       struct aspen_payer *payer, bool *waited,
                                       uint32_t *frame);

/* The page at `offset`, if it is in swap, comes back into the page cache, if
 * nobody is quicker: 0, or an error as of aspen_swap_read(). Context: the same.
 */
ASPEN_MUST_USE int aspen_swap_back_shared(struct aspen_object *object,
                                          uint64_t offset,
                                          enum aspen_ahead ahead,
                                          struct aspen_payer *payer);

/* What is in swap of these pages comes into the swap cache. Of errors nobody
 * hears. Context: may sleep, no lock is held. */
void aspen_swap_read_shared(struct aspen_object *object, uint64_t first,
                            uint64_t pages, struct aspen_payer *payer);

/* ---- ahead.c: which ones ------------------------------------------------ */

/* The first swap entry in [*address, end) of a mapping, of an area or, with
 * ASPEN_SWAP_AREAS, of any: true, *address, *slot and *entry. Context: the mmap
 * lock, or the mapping's, is held. */
ASPEN_MUST_USE bool aspen_swap_find_entry(struct aspen_mm *mm, unsigned type,
                                          uint64_t *address, uint64_t end,
                                          struct aspen_slot *slot,
                                          uint64_t *entry);

/* What is wanted as well as the entry at *slot, in [start, end) of its mapping,
 * in all at the most `pages`: by addresses beside its own. */
uint64_t aspen_swap_wanted(const struct aspen_slot *slot, uint64_t address,
                           uint64_t start, uint64_t end, unsigned pages);

/* The same for a fault, by what faults of the mapping found useful lately. */
uint64_t aspen_swap_wanted_by_fault(struct aspen_vma *vma,
                                    const struct aspen_slot *slot,
                                    uint64_t address);

/* A fault has found a page in the cache. */
void aspen_swap_found(struct aspen_vma *vma, uint32_t frame);

/* ---- io.c -------------------------------------------------------------- */

/*
 * Pages from or to slots in a row: 0, or an error (ASPEN_STEP_HOOK, always
 * crossed) and none of them counts as transferred. The caller holds the slots
 * (I4), and the pages are locked. Context: may sleep.
 */
ASPEN_MUST_USE int aspen_swap_transfer(struct aspen *aspen, unsigned type,
                                       uint32_t slot, const uint32_t *frames,
                                       unsigned count, bool write);

/* The same in two steps, so that the caller begins others before he waits. The
 * request stays where it is meanwhile. */
void aspen_swap_transfer_begin(struct aspen_swap_request *request,
                               struct aspen *aspen, unsigned type,
                               uint32_t slot, const uint32_t *frames,
                               unsigned count, bool write);
ASPEN_MUST_USE int aspen_swap_transfer_end(struct aspen *aspen,
                                           struct aspen_swap_request *request);

#endif
