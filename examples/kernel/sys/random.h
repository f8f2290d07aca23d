/* SPDX-License-Identifier: MIT */
/*
 * random.h - numbers that are hard to guess for a test, not for an attacker.
 */
#ifndef KERNEL_SYS_RANDOM_H
#define KERNEL_SYS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_fill(void *to, size_t bytes);
/* To a program: how many, or -EFAULT. */
long random_give(uint64_t to, size_t bytes);
/* Whole pages, fewer than so many, in bytes. */
uint64_t random_pages(uint64_t count);

#endif
