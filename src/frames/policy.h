/* SPDX-License-Identifier: MIT */
/*
 * frames/policy.h - which pages leave memory when it is short: what a policy
 * decides. It knows lists, whether a page was accessed since it was last looked
 * at, and how long one that comes back was away; of entries, objects and I/O it
 * knows nothing. So it stands beside the lists, below those who ask it: the
 * page cache, and reclaim.
 */
#ifndef ASPEN_FRAMES_POLICY_H
#define ASPEN_FRAMES_POLICY_H

#include "frames/lru.h"

#define ASPEN_NEVER_LEFT UINT64_MAX

struct aspen_policy {
    /* Which pages of the lists are looked at next: up to `most`, each with one
     * more reference, as aspen_lru_take(). 0: there are none. */
    unsigned (*choose)(struct aspen *aspen, struct aspen_lru *lru,
                       uint32_t *frames, unsigned most);
    /* A page that was chosen: should it leave? If not, what it becomes. */
    bool (*judge)(struct aspen_lru *lru, enum aspen_lru_state *state,
                  bool accessed);
    /* A page comes: what it is. `away`: how many others have left since it
     * did, or NEVER_LEFT; `referenced`: it left as a REFERENCED one. Context:
     * a page cache's lock is held. */
    enum aspen_lru_state (*enter)(struct aspen_lru *lru, uint64_t away,
                                  bool referenced);
};

/* By enum aspen_reclaim_policy. */
extern const struct aspen_policy aspen_policy_adaptive; /* policy_adaptive.c */
extern const struct aspen_policy aspen_policy_classic;  /* policy_classic.c */

static inline const struct aspen_policy *
aspen_policy_of(const struct aspen *aspen)
{
    return aspen->config.reclaim_policy == ASPEN_RECLAIM_CLASSIC
               ? &aspen_policy_classic
               : &aspen_policy_adaptive;
}

/* What becomes of a page that was looked at, which is locked: should it leave?
 * `stuck`: it cannot, whatever the policy says. NULL for a policy: somebody has
 * said that it should. */
static inline bool
aspen_policy_look(struct aspen *aspen, const struct aspen_policy *policy,
                  uint32_t number, bool stuck, bool accessed)
{
    enum aspen_lru_state old = aspen_lru_state(aspen_frame_at(aspen, number));
    enum aspen_lru_state state = old;
    bool leaves = false;

    if (stuck)
        state = ASPEN_LRU_UNEVICTABLE;
    else if (!policy)
        leaves = true;
    else if (old == ASPEN_LRU_UNEVICTABLE)
        state = ASPEN_LRU_INACTIVE;
    else
        leaves = policy->judge(aspen_lru_of(aspen, number), &state, accessed);
    if (state != old)
        aspen_lru_move(aspen, number, state);
    return leaves;
}

/* Somebody has said that the page, which the caller holds, is not needed soon:
 * that it was accessed counts no more. */
static inline void
aspen_policy_cool(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    enum aspen_lru_state state = aspen_lru_state(frame);

    if (aspen_frame_type(frame) == ASPEN_FRAME_OBJECT)
        (void)aspen_lru_mark_take(frame);
    if (state != ASPEN_LRU_INACTIVE && state != ASPEN_LRU_UNEVICTABLE)
        aspen_lru_move(aspen, number, ASPEN_LRU_INACTIVE);
}

/* Fewer pages have left since a page did than there are: it left too soon. */
static inline bool
aspen_policy_is_too_soon(const struct aspen_lru *lru, uint64_t away)
{
    return away <= aspen_lru_evictable(lru);
}

/* A page comes, or comes back: what it is. It is charged already. */
static inline enum aspen_lru_state
aspen_policy_enter(struct aspen *aspen, uint32_t frame, uint64_t away,
                   bool referenced)
{
    struct aspen_lru *lru = aspen_lru_of(aspen, frame);

    if (aspen_policy_is_too_soon(lru, away))
        aspen_fetch_add_relaxed(&aspen->leaving.refaults, 1);
    return aspen_policy_of(aspen)->enter(lru, away, referenced);
}

/* An anonymous page comes, or may be dropped from now on; the caller holds it.
 * Context: any lock but leaves. */
static inline void
aspen_policy_enter_anon(struct aspen *aspen, uint32_t frame)
{
    aspen_lru_enter(aspen, frame,
                    aspen_policy_enter(aspen, frame, ASPEN_NEVER_LEFT, false));
}

/* The same for one that is mapped, if there is a device that it could go to. */
static inline void
aspen_policy_map_anon(struct aspen *aspen, uint32_t frame)
{
    if (aspen_unlikely(aspen_load_relaxed(&aspen->banks.slots)))
        aspen_policy_enter_anon(aspen, frame);
}

#endif
