/* SPDX-License-Identifier: MIT */
/*
 * machine/payer.c - who pays for a page.
 *
 * I1  A page has its group before anybody can find it, and keeps it until it is
 *     free (frames/frames.c).
 *
 * Called by whoever makes pages. The first test to break is
 * tests/unit/machine/test_group.c.
 */
#include "machine/payer.h"

#include "frames/policy.h"
#include "group/group.h"

void
aspen_payer_end(struct aspen_payer *payer)
{
    if (payer->full)
        aspen_group_drop(payer->full, 1);
    payer->full = NULL;
}

/* Of the thread that calls: it has a handle. */
static struct aspen_group *
group_of_caller(struct aspen *aspen)
{
    const struct aspen_memory_ops *memory = aspen->config.hooks.memory;

    return memory && memory->group ? memory->group(aspen->config.hooks.context)
                                   : NULL;
}

static int
charge(struct aspen *aspen, struct aspen_payer *payer, uint64_t pages,
       struct aspen_group **group)
{
    aspen_payer_end(payer);
    if (payer->mm)
        return aspen_group_charge_mm(payer->mm, pages, group, &payer->full);
    *group = group_of_caller(aspen);
    return *group ? aspen_group_charge(*group, pages, &payer->full) : 0;
}

int
aspen_pay_slowly(struct aspen *aspen, struct aspen_payer *payer, uint32_t frame)
{
    struct aspen_group *group;
    int error = charge(aspen, payer, aspen_frame_size(aspen, frame), &group);

    if (!error)
        aspen_store_relaxed(aspen_bank_group(aspen, frame), group);
    return error;
}

int
aspen_pay_for(struct aspen *aspen, struct aspen_payer *payer,
              struct aspen_group *group, uint32_t frame)
{
    if (!group || !aspen_group_is_online(group))
        return aspen_pay(aspen, payer, frame);
    if (payer)
        aspen_payer_end(payer);
    int error = aspen_group_charge(group, aspen_frame_size(aspen, frame),
                                   payer ? &payer->full : NULL);
    if (!error)
        aspen_store_relaxed(aspen_bank_group(aspen, frame), group);
    return error;
}

int
aspen_frame_alloc_paid(struct aspen *aspen, struct aspen_payer *payer,
                       uint32_t *frame)
{
    uint32_t taken;
    int error = aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_FRAME,
                                       ASPEN_FRAMES_ABOVE_MIN, &taken);
    if (error)
        return error;
    error = aspen_pay(aspen, payer, taken);
    if (aspen_unlikely(error))
        aspen_frame_put(aspen, taken);
    else
        *frame = taken;
    return error;
}

bool
aspen_payer_misses(struct aspen *aspen, const struct aspen_payer *payer,
                   uint32_t tag, uint64_t away)
{
    struct aspen_group *group = NULL;

    aspen_port_rcu_read_lock(); /* it may move, and the group go */
    if (payer && aspen_has_groups(aspen))
        group =
            payer->mm ? aspen_load(&payer->mm->group) : group_of_caller(aspen);
    const struct aspen_lru *lru = group ? &group->lru : &aspen->lru;
    bool misses = lru->tag == tag && aspen_policy_is_too_soon(lru, away);
    aspen_port_rcu_read_unlock();
    return misses;
}
