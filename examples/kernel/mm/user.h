/* SPDX-License-Identifier: MIT */
/*
 * user.h - the memory of the program that called.
 *
 * It is read and written at its own addresses; faults on the way are repaired
 * as the program's own would be. So no spin lock may be held.
 */
#ifndef KERNEL_MM_USER_H
#define KERNEL_MM_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USER_LIMIT 0x7ffffffff000u

/* 0 or -EFAULT: some of it may have been copied. */
int user_read(void *to, uint64_t from, size_t bytes);
int user_write(uint64_t to, const void *from, size_t bytes);
int user_clear(uint64_t to, size_t bytes);
/* At most `bytes` with the zero: its length, -EFAULT, -ENAMETOOLONG. */
long user_string(char *to, uint64_t from, size_t bytes);

/* Where a fault at this instruction goes on if it is not repaired; 0: it does
 * not touch a program's memory. */
uint64_t user_fixup(uint64_t rip);

#endif
