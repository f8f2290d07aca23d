/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_map.h - how often each swap slot is referenced. No I/O.
 */
#ifndef ASPEN_MACHINE_SWAP_MAP_H
#define ASPEN_MACHINE_SWAP_MAP_H

#include "internal.h"

/* A free slot with one reference. 0, -ASPEN_ENOSPC (ASPEN_STEP_SWAP). */
ASPEN_MUST_USE int aspen_swap_alloc(struct aspen *aspen, unsigned *type,
                                    uint32_t *slot);

/*
 * One more reference. 0, -ASPEN_EINVAL (no such slot), or -ASPEN_EAGAIN: the
 * slot's byte is full and its block has no continuation; call
 * aspen_swap_continue() without spin locks, then try again. Takes no memory.
 */
ASPEN_MUST_USE int aspen_swap_duplicate(struct aspen *aspen, unsigned type,
                                        uint32_t slot);

/* Give the slot's block a continuation, if the slot still needs one. 0 or
 * -ASPEN_ENOMEM (ASPEN_STEP_SWAP). */
ASPEN_MUST_USE int aspen_swap_continue(struct aspen *aspen, unsigned type,
                                       uint32_t slot);

/* One reference less; the last frees the slot. */
void aspen_swap_free(struct aspen *aspen, unsigned type, uint32_t slot);

/* References now; 0: free. -1 when there is no such slot. */
int64_t aspen_swap_references(struct aspen *aspen, unsigned type,
                              uint32_t slot);

/* Claim a particular slot (import): one more reference, free or not; makes
 * the continuation itself. */
ASPEN_MUST_USE int aspen_swap_claim(struct aspen *aspen, unsigned type,
                                    uint32_t slot);

/* Check counts against each other; NULL or what does not hold. */
const char *aspen_swap_check(struct aspen *aspen, unsigned *type,
                             uint32_t *slot);

/* Free all areas' memory (machine destroy). */
void aspen_swap_destroy(struct aspen *aspen);

#endif
