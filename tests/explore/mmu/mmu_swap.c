/* SPDX-License-Identifier: MIT */
/*
 * mmu_swap.c - see mmu_swap.h.
 */
#include "mmu_swap.h"
#include "slots.h"

#include <aspen/calls/reclaim.h>

uint8_t mmu_slots[MMU_SLOTS][PAGE];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    sim_point(mmu_slots[io->slot], io->write);
    return slots_transfer(mmu_slots, io);
}

void
mmu_swap_begin(const struct aspen_notifier_ops *notifier)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = MMU_SLOTS, .ops = &ops};
    struct aspen_config config;
    unsigned type;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.hooks.notifier = notifier;
    mmu_scene_begin(&config);
    memset(mmu_slots, '?', sizeof(mmu_slots));
    must(aspen_swap_add(mmu_scene.aspen, &args, &type));
    must(aspen_mm_activate(mmu_scene.mm, CPU));
    told_keep(CPU, mmu_scene.mm);
}

void
reclaim_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        aspen_reclaim(mmu_scene.aspen, 1);
}

void
lock_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    must(aspen_mlock(mmu_scene.mm, START, PAGE, 0));
    if (aspen_translate(mmu_scene.mm, START, ASPEN_ACCESS_READ, &frame))
        sim_fail("memory is locked, and the page is not there");
}

void
remove_task(void *unused)
{
    int error = aspen_swap_remove(mmu_scene.aspen, 0);

    (void)unused;
    if (error && error != -ASPEN_EBUSY)
        must(error);
}
