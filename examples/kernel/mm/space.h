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

/* As aspen_mm_create(), aspen_fork(), aspen_exec_prepare(), and the kernel's
 * half of the top page table is in it. */
int space_create(struct aspen_mm **mm);
int space_fork(struct aspen_mm *parent, struct aspen_mm **child);
int space_exec_prepare(struct aspen_mm *mm, struct aspen_mm **next);
/* Of a space that no CPU has loaded: the validator knows no kernel's half. */
void space_show_kernel(struct aspen_mm *mm, bool shown);

#endif
