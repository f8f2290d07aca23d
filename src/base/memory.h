/* SPDX-License-Identifier: MIT */
/*
 * base/memory.h - the four functions of the C library that the core calls.
 * A freestanding build has no <string.h>; whoever links it supplies these.
 */
#ifndef ASPEN_BASE_MEMORY_H
#define ASPEN_BASE_MEMORY_H

#include <stddef.h>

void *memcpy(void *__restrict to, const void *__restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
