/* SPDX-License-Identifier: MIT */
/*
 * reclaim/policy.h - which pages leave memory when it is short: what a policy
 * decides. It knows lists, and whether a page was accessed since it was last
 * looked at; of entries, objects and I/O it knows nothing.
 */
#ifndef ASPEN_RECLAIM_POLICY_H
#define ASPEN_RECLAIM_POLICY_H

#include "frames/lru.h"

#define ASPEN_RECLAIM_BATCH 32u

struct aspen_policy {
    const char *name;
    /* Which pages are looked at next: up to `most`, each with one more
     * reference, as aspen_lru_take(). 0: there are none. */
    unsigned (*choose)(struct aspen *aspen, uint32_t *frames, unsigned most);
    /* A page that was chosen: should it leave? If not, what it becomes. */
    bool (*judge)(enum aspen_lru_state *state, bool accessed);
};

/* Linux's classic: policy_classic.c. */
extern const struct aspen_policy aspen_policy_classic;

#endif
