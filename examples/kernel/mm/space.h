/* SPDX-License-Identifier: MIT */
/*
 * space.h - the machine that Aspen runs, and its address spaces.
 */
#ifndef KERNEL_MM_SPACE_H
#define KERNEL_MM_SPACE_H

#include <aspen/aspen.h>

#include <stddef.h>

#define kernel_root boot_root /* boot/entry.S */
extern uint64_t boot_root[512];
extern struct aspen *machine;

void space_init(void);
/* A thread of the kernel: memory is kept free for others. */
void space_keep_free(void *unused);

/*
 * This CPU's tables are those of `mm` from now on; NULL: the kernel's own. A
 * thread of the kernel loads none, it goes on with what is there; so when a
 * space ends CPUs leave it. Interrupts are off.
 */
void space_load(struct aspen_mm *mm);
void space_leave_ended(void);

#endif
