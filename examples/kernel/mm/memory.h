/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the kernel's own memory.
 */
#ifndef KERNEL_MM_MEMORY_H
#define KERNEL_MM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Of physical memory: the first page is a whole one. */
void memory_init(uint64_t start, uint64_t end);

/* Zeroed; from 4096 bytes on whole pages, one after the other, and less than
 * that aligned to 16. NULL: there is none. Never sleeps. */
void *memory_alloc(size_t bytes);
void memory_free(void *memory, size_t bytes);
/* In bytes; what Aspen asked for is not counted. */
size_t memory_in_use(void);

char *string_copy(const char *text);
void string_free(char *text);

#endif
