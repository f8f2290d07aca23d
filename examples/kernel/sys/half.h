/* SPDX-License-Identifier: MIT */
/*
 * half.h - Linux's answers that are half done, for programs that rely on them:
 * mprotect, mremap and mlock that fail and have changed something all the same.
 * With the boot option answers=half the calls are these.
 */
#ifndef KERNEL_HALF_H
#define KERNEL_HALF_H

#include <aspen/aspen.h>

/* The boot option answers=half; half_init() looks. */
extern bool half_answers;
void half_init(void);

/* Answers as the calls of the same names. */
int half_mprotect(struct aspen_mm *mm, uint64_t address, uint64_t bytes,
                  uint64_t vm_flags);
int half_mremap(struct aspen_mm *mm, const struct aspen_mremap_args *args,
                uint64_t *result);
int half_mlock(struct aspen_mm *mm, uint64_t address, uint64_t bytes);

#endif
