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

struct aspen_frame;
struct aspen_group;

#define ASPEN_SWAP_AREAS       32 /* what a swap entry can tell apart */
#define ASPEN_SWAP_BLOCK_SLOTS 1024
#define ASPEN_SWAP_COUNT_MAX   62   /* in a slot's byte; beyond: continuation */
#define ASPEN_SWAP_CONTINUED   64   /* one unit of a continuation counter */
#define ASPEN_SWAP_SPOILT      0x80 /* in the byte: a write to it has failed */
#define ASPEN_SWAP_SHADOW      0x80000000u /* in a slot's word: no frame */

#define ASPEN_SWAP_READS 32 /* of an area, that nobody waits for */

/* What a device is given; `io` is the device's until it has said how that
 * ended: machine/swap_reads.c. */
struct aspen_swap_request {
    struct aspen_swap_io io;
    struct aspen_swap_area *area;
    int error;        /* how it ended */
    uint32_t pending; /* atomic: somebody waits until it is 0 */
    bool is_read;     /* a part of the next: nobody waits */
    void *memory[ASPEN_SWAP_IO_PAGES];
};

/* Pages that are read while nobody waits: locked, and held, as their slots are.
 */
struct aspen_swap_read {
    struct aspen_swap_request request;
    struct aspen_frame *pages[ASPEN_SWAP_IO_PAGES];
};

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
    bool leaving;   /* atomic; written under the lock: aspen_swap_remove() */
    uint64_t *sums; /* immutable pointer, or NULL: machine/swap_reads.c */
    struct aspen_swap_read *reads; /* immutable pointer: ASPEN_SWAP_READS of
                                      them; NULL: a transfer has ended when the
                                      device returns */
    uint32_t reads_used;           /* atomic: bits, which of them are in use */
    uint32_t reads_ended;          /* atomic: bits, what the device has ended */
    uint32_t reads_begun;          /* atomic: how many so far, */
    uint32_t reads_finished; /* ... and of these, that hold nothing more */
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
