/* SPDX-License-Identifier: MIT */
/*
 * reclaim/anon.h - anonymous pages among those that may leave memory.
 */
#ifndef ASPEN_RECLAIM_ANON_H
#define ASPEN_RECLAIM_ANON_H

#include "frames/policy.h"
#include "swap/swap.h"

/*
 * A page that was chosen, with a reference, looked at: true if it is to leave
 * with the batch, whose the reference is then. `policy` as of
 * aspen_policy_look(). Context: as aspen_swap_out(); only tries its lock.
 */
ASPEN_MUST_USE bool aspen_anon_look(struct aspen_swap_batch *batch,
                                    const struct aspen_policy *policy,
                                    uint32_t frame);

#endif
