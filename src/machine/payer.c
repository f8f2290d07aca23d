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

static void
drop(struct aspen_group **group)
{
    if (*group)
        aspen_group_drop(*group, 1);
    *group = NULL;
}

void
aspen_payer_drop(struct aspen_payer *payer, bool over)
{
    drop(&payer->full);
    if (!over)
        return;
    drop(&payer->over);
    payer->over_pages = 0;
}

/* What a charge of so many has answered, and whose pages should leave for it.
 */
static int
note(struct aspen_payer *payer, int error, struct aspen_group *above,
     uint64_t pages)
{
    struct aspen_group **place = error ? &payer->full : &payer->over;

    aspen_payer_retry(payer);
    if (above) {
        drop(place);
        *place = above;
    }
    if (above && !error)
        payer->over_pages += aspen_max_u64(pages, ASPEN_GROUP_BATCH);
    return error;
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
    struct aspen_group *above = NULL;
    int error = 0;

    if (payer->mm) {
        error = aspen_group_charge_mm(payer->mm, pages, group, &above);
    } else {
        *group = group_of_caller(aspen);
        if (*group)
            error = aspen_group_charge(*group, pages, &above);
    }
    return note(payer, error, above, pages);
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
    struct aspen_group *above = NULL;
    uint64_t pages = aspen_frame_size(aspen, frame);
    int error = aspen_group_charge(group, pages, payer ? &above : NULL);
    if (payer)
        error = note(payer, error, above, pages);
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

/* A space may go to another group, and this one may go, at any time: an RCU
 * reader may look at it. */
static struct aspen_group *
group_of(struct aspen *aspen, const struct aspen_payer *payer)
{
    if (!payer || !aspen_has_groups(aspen))
        return NULL;
    return payer->mm ? aspen_load(&payer->mm->group) : group_of_caller(aspen);
}

struct aspen_group *
aspen_payer_hold(struct aspen *aspen, const struct aspen_payer *payer)
{
    struct aspen_group *group;
    bool held;

    do {
        aspen_port_rcu_read_lock();
        group = group_of(aspen, payer);
        held = !group || aspen_group_hold(group, 1);
        aspen_port_rcu_read_unlock();
    } while (!held);
    return group;
}

bool
aspen_payer_misses(struct aspen *aspen, const struct aspen_payer *payer,
                   uint32_t tag, uint64_t away)
{
    aspen_port_rcu_read_lock();
    const struct aspen_group *group = group_of(aspen, payer);
    const struct aspen_lru *lru = group ? &group->lru : &aspen->lru;
    bool misses = lru->tag == tag && aspen_policy_is_too_soon(lru, away);
    aspen_port_rcu_read_unlock();
    return misses;
}
