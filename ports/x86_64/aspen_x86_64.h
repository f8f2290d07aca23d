/* SPDX-License-Identifier: MIT */
/*
 * aspen_x86_64.h - between the x86-64 port and the kernel around it, which does
 * what aspen_kernel.h says, and besides
 *
 *   - has GS at the record of each CPU, which begins with a struct
 *     aspen_kernel_cpu;
 *   - calls aspen_x86_64_tlb_interrupt() in the handler of the interrupt that
 *     it sends by aspen_kernel_kick(), and may call it wherever it spins with
 *     interrupts off;
 *   - loads ASPEN_X86_64_PAT on each CPU before it maps raw frames that are not
 *     write-back.
 */
#ifndef ASPEN_X86_64_H
#define ASPEN_X86_64_H

#include "aspen_kernel.h"

/* What ASPEN_VM_CACHE_* name: MSR 0x277, as Linux loads it. */
#define ASPEN_X86_64_PAT 0x0407050600070106u

/* Answer a request to flush, if there is one for this CPU. Context: any. */
void aspen_x86_64_tlb_interrupt(void);

#endif
