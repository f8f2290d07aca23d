/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.c - memory is asked for.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include <aspen/calls/reclaim.h>

#include "reclaim/shrink.h"

uint64_t
aspen_reclaim(struct aspen *aspen, uint64_t pages)
{
    return aspen_shrink_some(aspen, pages);
}
