/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_reads.h - pages are read from swap while nobody waits, and who
 * comes for one of them.
 */
#ifndef ASPEN_MACHINE_SWAP_READS_H
#define ASPEN_MACHINE_SWAP_READS_H

#include "machine/swap_map.h"

/*
 * Begin to read pages from slots in a row. The caller has locked the pages and
 * holds them, they are in the slots' cache, and he holds the slots. True: all
 * of that is the read's from now on, and may have ended already. False: the
 * device does not work by itself, or has as much to do as it is given at a
 * time, and nothing has changed.
 *
 * Context: may sleep, as devices may; no lock at or inside the pages' is held,
 *          but theirs. Crosses ASPEN_STEP_HOOK: the read fails then.
 */
ASPEN_MUST_USE bool aspen_swap_read_begin(struct aspen *aspen, unsigned type,
                                          uint32_t slot, const uint32_t *frames,
                                          unsigned count);

/* Does the area's device work by itself? The caller holds a slot of it. */
bool aspen_swap_reads_later(const struct aspen *aspen, unsigned type);

/* A page that was to be read is, or leaves the cache; its lock, and the slot's
 * reference of who reads, are given back. */
void aspen_swap_end_page(struct aspen *aspen, unsigned type, uint32_t slot,
                         uint32_t frame, int error);

/*
 * What the device has ended: pages that could be read are good, the others
 * leave the cache, and all are unlocked. Costs a load if there is nothing.
 * Context: any lock but leaves.
 */
void aspen_swap_finish(struct aspen *aspen, unsigned type);
void aspen_swap_finish_all(struct aspen *aspen);

/* Wait until nobody has locked the page, which was found in the cache of a slot
 * of the area, and is held. Context: may sleep; no lock at or inside the
 * pages' is held. */
void aspen_swap_wait_page(struct aspen *aspen, unsigned type, uint32_t frame);

/*
 * If pages are being read that nobody waits for: wait until some of them are
 * there, or could not be read, and can leave memory. False: none are. Context:
 * as before.
 */
bool aspen_swap_wait_any(struct aspen *aspen);

/* Wait until all have ended. Context: as before, and nobody else finishes them:
 * the machine ends. */
void aspen_swap_wait_reads(struct aspen *aspen);

/* Does a read that nobody waits for hold the slot? For who validates. */
bool aspen_swap_is_being_read(const struct aspen *aspen, unsigned type,
                              uint32_t slot);

/* A slot's checksum is that of what was written last, kept and asked for by who
 * holds the slot and has locked its page; without checksums nothing is kept,
 * and all are right. */
void aspen_swap_keep_sums(const struct aspen_swap_request *request);
bool aspen_swap_sums_are_right(const struct aspen_swap_request *request);

#endif
