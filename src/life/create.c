/* SPDX-License-Identifier: MIT */
/*
 * life/create.c - an address space that comes from no other.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/machine/test_machine.c.
 */
#include "reclaim/attempt.h"
#include "space/mm.h"
#include <aspen/mm.h>

int
aspen_mm_create(struct aspen *aspen, struct aspen_mm **mm)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_mm_alloc(aspen, NULL, mm);
    if (error)
        return error;
    aspen_tree_rcu_enter(&(*mm)->vmas);
    aspen_mm_publish(*mm);
    return 0;
}
