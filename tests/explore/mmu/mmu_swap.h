/* SPDX-License-Identifier: MIT */
/*
 * mmu_swap.h - the scene of mmu_scene.h with a swap device, and calls of those
 * that take memory back.
 */
#ifndef MMU_SWAP_H
#define MMU_SWAP_H

#include "mmu_scene.h"

#define MMU_SLOTS 4u

/* What the device has; others may go on before each transfer. */
extern uint8_t mmu_slots[MMU_SLOTS][PAGE];

/* mmu_scene_begin() with the newest semantics and that device; CPU runs in the
 * space, and keeps what it has cached. `notifier`: as the hook. */
void mmu_swap_begin(const struct aspen_notifier_ops *notifier);

void reclaim_task(void *unused); /* until it is old enough to leave */
void lock_task(void *unused);    /* then it is there */
/* swapoff, which may be kept busy; if the area goes, nothing is left in it. */
void remove_task(void *unused);

#endif
