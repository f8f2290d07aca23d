/* SPDX-License-Identifier: MIT */
/*
 * base/swap_struct.h - a swap area, which internal.h includes: it stands here
 * to keep that one short.
 */
#ifndef ASPEN_BASE_SWAP_STRUCT_H
#define ASPEN_BASE_SWAP_STRUCT_H

#include "base/bit_tree.h"
#include "base/lock.h"
#include <aspen/calls/swap.h>

struct aspen_group;

#define ASPEN_SWAP_AREAS       32 /* what a swap entry can tell apart */
#define ASPEN_SWAP_BLOCK_SLOTS 1024
#define ASPEN_SWAP_COUNT_MAX   62   /* in a slot's byte; beyond: continuation */
#define ASPEN_SWAP_CONTINUED   64   /* one unit of a continuation counter */
#define ASPEN_SWAP_SPOILT      0x80 /* in the byte: a write to it has failed */
#define ASPEN_SWAP_SHADOW      0x80000000u /* in a slot's word: no frame */

/*
 * How often each slot is referenced: a byte for each slot. When one would pass
 * its maximum its block of 1,024 slots gets 32-bit counters on top: references
 * = byte + 64 * counter. A block loses its counters as soon as none of its
 * slots is above the maximum. Lock: `lock`.
 */
struct aspen_swap_area {
    struct aspen_port_spinlock lock;
    uint32_t slots;   /* atomic: written last; 0: no such area */
    int32_t priority; /* atomic: asked for without the lock, when the area
                         may be another already, as ops and by_slot */
    const struct aspen_swap_ops *ops; /* NULL: no device, counts alone */
    void *context;                    /* immutable */
    bool by_slot;                     /* atomic: ASPEN_SWAP_ROTATING */
    bool leaving;    /* atomic; written under the lock: aspen_swap_remove() */
    uint64_t *sums;  /* immutable pointer, or NULL: swap/io.c */
    uint32_t *pages; /* immutable pointer: for each slot its page in memory,
                        or what is left of one; 0: nothing. NULL without ops:
                        machine/swap_cache.c */
    struct aspen_group **groups;  /* for each slot who is charged with it, or
                                     NULL; NULL: there was never a group */
    struct aspen_bit_tree cached; /* slots with a page in memory */
    uint8_t *counts;              /* immutable pointer */
    uint32_t **continuations;     /* immutable pointer; one for each block */
    uint16_t *continued;          /* immutable pointer; of each block, how many
                                     slots have more than the maximum */
    uint64_t slots_used;
    uint64_t room; /* atomic: slots that are free and not spoilt */
    uint64_t references;
    uint64_t continuation_count;
    uint64_t cached_slots;          /* atomic: bits of `cached` */
    struct aspen_bit_tree free;     /* slots without references */
    struct aspen_bit_tree clusters; /* of 64 slots, all free */
    uint32_t *next;                 /* for each CPU: where it looks next */
};

#endif
