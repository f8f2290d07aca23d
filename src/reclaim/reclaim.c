/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.c - memory is asked for.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include <aspen/calls/reclaim.h>

#include "reclaim/shrink.h"

/* A page that is active becomes inactive, referenced, and leaves at the fourth
 * look, unless it is accessed. */
#define LOOKS_A_PAGE 4

uint64_t
aspen_reclaim(struct aspen *aspen, uint64_t pages)
{
    return aspen_shrink(aspen, pages,
                        LOOKS_A_PAGE * aspen_lru_evictable(&aspen->lru));
}
