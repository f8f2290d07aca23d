/* SPDX-License-Identifier: MIT */
/*
 * base/memory.h - the port's memory, and the four functions of the C library
 * that the core calls. A freestanding build has no <string.h>; whoever links it
 * supplies these.
 */
#ifndef ASPEN_BASE_MEMORY_H
#define ASPEN_BASE_MEMORY_H

#include "base/atomic.h"
#include <aspen_port.h>
#include <stddef.h>

void *memcpy(void *__restrict to, const void *__restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/* NULL is counted. */
static inline void *
aspen_memory_alloc(size_t bytes, uint64_t *refused)
{
    void *memory = aspen_port_memory_alloc(bytes);

    if (!memory)
        aspen_fetch_add_relaxed(refused, 1);
    return memory;
}

#endif
