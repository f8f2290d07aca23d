/* SPDX-License-Identifier: MIT */
/*
 * reclaim/direct.h - reclaim by who needs memory at once.
 *
 *     struct aspen_direct direct = {.aspen = aspen};
 *     do {
 *         aspen_direct_begin(&direct);
 *         error = ... allocates ...
 *     } while (aspen_direct_again(&direct, error));
 */
#ifndef ASPEN_RECLAIM_DIRECT_H
#define ASPEN_RECLAIM_DIRECT_H

#include "machine/payer.h"

/* Tries of one call; after each that failed pages leave, for the next. */
#define ASPEN_DIRECT_ATTEMPTS 16u
/* Of who asks for a page or a few tables: others who need some at the same time
 * may be faster each time. */
#define ASPEN_DIRECT_PATIENCE 256u

struct aspen_direct {
    struct aspen *aspen;
    uint64_t refused; /* frames, when the try began */
    uint32_t ended;   /* how many had reclaimed by then */
    unsigned attempts;
    unsigned idle; /* the last ones of them, in which no page left */
    bool grows; /* each time twice as many pages leave: a fault needs a page or
                   a few tables, a call any number */
    struct aspen_payer payer;
};

/* Before a try. */
void aspen_direct_begin(struct aspen_direct *direct);

/* Did the try fail for want of a frame, or because a group is full - not by a
 * plan, nor because a pager says so - and may there be another? Context: any.
 */
ASPEN_MUST_USE bool aspen_direct_wants(const struct aspen_direct *direct,
                                       int error);

/* If so take pages out of memory, of that group alone if it is one: true if
 * some left, or may have, and it is worth another try. Context: may sleep, no
 * lock is held (the test build looks). */
ASPEN_MUST_USE bool aspen_direct_again(struct aspen_direct *direct, int error);

/* All is done, or a part, and what was charged may have brought a group above
 * its `high`: then pages of it leave, up to twice as many as were charged.
 * Context: may sleep, no lock is held. */
void aspen_direct_lower_slowly(struct aspen_direct *direct);

static inline void
aspen_direct_lower(struct aspen_direct *direct)
{
    if (aspen_unlikely(direct->payer.over))
        aspen_direct_lower_slowly(direct);
}

#endif
