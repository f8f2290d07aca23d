/* SPDX-License-Identifier: MIT */
/*
 * reclaim/anon.c - anonymous pages among those that may leave memory.
 *
 *     chosen by the policy, beside pages of files
 *       -> locked, pinned, or there is no slot   UNEVICTABLE
 *       -> accessed, or kept by the policy       stays
 *       -> else                                  with the batch, to swap; or,
 *          lazily freed and not written since, to nowhere
 *
 * They are on the lists from when they are mapped (frames/policy.h), if there
 * is a swap device, or they are freed lazily.
 *
 * Called by reclaim.c. The first test to break is tests/unit/swap/test_anon.c.
 */
#include "reclaim/anon.h"

#include "frames/pins.h"
#include "reclaim/age.h"

/* ---- One page ---------------------------------------------------------- */

/* Has it no place to go to? */
static bool
is_stuck(struct aspen *aspen, uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(aspen, number);
    unsigned type;
    uint32_t slot;

    return !(aspen_load(&frame->index) & ASPEN_FRAME_LAZY) &&
           !aspen_swap_slot_of(aspen, number, &type, &slot) &&
           !aspen_swap_has_room(aspen, number);
}

/* It is locked: should it leave? */
static bool
judge(struct aspen *aspen, const struct aspen_policy *policy, uint32_t number)
{
    struct aspen_age age = {.locked = true};

    if (!is_stuck(aspen, number))
        age = aspen_anon_age(aspen, number);
    bool stuck = age.locked || aspen_frame_pins(aspen, number) > 0;
    return aspen_policy_look(aspen, policy, number, stuck, age.accessed);
}

/* It is locked. */
static bool
look_locked(struct aspen_swap_batch *batch, const struct aspen_policy *policy,
            uint32_t number)
{
    struct aspen *aspen = batch->aspen;

    /* It may be a page that an object has lost. */
    return aspen_frame_type(aspen_frame_at(aspen, number)) ==
               ASPEN_FRAME_ANON &&
           judge(aspen, policy, number) && !aspen_swap_out(batch, number);
}

bool
aspen_anon_look(struct aspen_swap_batch *batch,
                const struct aspen_policy *policy, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(batch->aspen, number);

    if (!aspen_frame_trylock(frame))
        return false;
    bool leaves = look_locked(batch, policy, number);
    if (!leaves)
        aspen_frame_unlock(frame);
    return leaves;
}
