/* SPDX-License-Identifier: MIT */
/*
 * calls/swap/add.c - a swap area comes, also when memory is short: that is when
 * it is wanted.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/reclaim/test_attempt_metadata.c.
 */
#include <aspen/calls/swap.h>

#include "machine/swap_map.h"
#include "reclaim/attempt.h"

int
aspen_swap_add(struct aspen *aspen, const struct aspen_swap_args *args,
               unsigned *type)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_swap_try_add(aspen, args, type);
    return error;
}
