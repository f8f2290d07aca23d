/* SPDX-License-Identifier: MIT */
/* What tests/mmu asks for, on a machine without a C library: libc.c has it. */
#ifndef BARE_STDLIB_H
#define BARE_STDLIB_H

#include <stddef.h>

/* Nothing is given back: what is asked for is asked for once. */
void *calloc(size_t count, size_t bytes);
void *realloc(void *memory, size_t bytes);
void free(void *memory);
_Noreturn void abort(void);

#endif
