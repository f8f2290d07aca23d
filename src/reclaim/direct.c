/* SPDX-License-Identifier: MIT */
/*
 * reclaim/direct.c - reclaim by who needs memory at once.
 *
 * I1  Nobody waits for ever: a bounded number of attempts, each of which has
 *     taken pages out of memory, and a bounded number of looks for each.
 *
 * Called by faults, and by calls that read objects. The first test to break is
 * tests/unit/reclaim/test_direct.c.
 */
#include "reclaim/direct.h"

#include "reclaim/shrink.h"

void
aspen_direct_begin(struct aspen_direct *direct)
{
    direct->refused = aspen_load_relaxed(&direct->aspen->refused_frames);
}

bool
aspen_direct_wants(const struct aspen_direct *direct, int error)
{
    return error == -ASPEN_ENOMEM && direct->attempts < ASPEN_DIRECT_ATTEMPTS &&
           aspen_load_relaxed(&direct->aspen->refused_frames) !=
               direct->refused;
}

bool
aspen_direct_again(struct aspen_direct *direct, int error)
{
    if (!aspen_direct_wants(direct, error))
        return false;
    direct->attempts++;
    if (!aspen_shrink_some(direct->aspen, ASPEN_RECLAIM_BATCH))
        return false;
    aspen_fetch_add_relaxed(&direct->aspen->lru.direct, 1);
    return true;
}
