/* SPDX-License-Identifier: MIT */
/*
 * fault.h - page faults.
 */
#ifndef KERNEL_MM_FAULT_H
#define KERNEL_MM_FAULT_H

#include "cpu/trap.h"

/* Of a user program, or of the kernel that touches its memory. May sleep. */
void page_fault(struct frame *frame, uint64_t address);

#endif
