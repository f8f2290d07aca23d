/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the kernel's own memory.
 */
#ifndef KERNEL_MM_MEMORY_H
#define KERNEL_MM_MEMORY_H

#include <aspen/machine.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* While the machine is made its memory comes from here, whole pages of physical
 * memory; then the rest of it is the machine's. */
void memory_begin(uint64_t start, uint64_t end);
void memory_goes_on(void);

/* Zeroed, aligned to 16; more than 2,048 bytes are whole pages, one after the
 * other. NULL: there is none. May sleep: pages leave memory for it. */
void *memory_alloc(size_t bytes);
/* The same with a lock of Aspen's held: nothing leaves. */
void *memory_try(size_t bytes);
/* So many pages leave, for another attempt: pages side by side are not free at
 * once when others are. False: there were enough attempts, or none left. */
bool memory_make_room(unsigned attempt, unsigned pages);
void memory_free(void *memory, size_t bytes);
/* In bytes; what Aspen and devices have is not counted. */
size_t memory_in_use(void);
/* Pages that are free, or hold what can be read from the disk again. */
static inline uint64_t
memory_available(const struct aspen_counters *counters)
{
    return counters->frames_free + counters->inactive_file +
           counters->active_file;
}
/* Zeroed pages for what a device reads and writes; they stay. */
void *memory_device(size_t bytes);

char *string_copy(const char *text);
void string_free(char *text);

#endif
