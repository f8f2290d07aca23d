/* SPDX-License-Identifier: MIT */
/*
 * port_memory.h - the port's memory as one part of a kernel would give it: from
 * frames of the machine itself. For a program with one file that includes this,
 * and is linked with --wrap for both functions.
 */
#ifndef ASPEN_TESTS_PORT_MEMORY_H
#define ASPEN_TESTS_PORT_MEMORY_H

#include "helper.h"

#include <aspen/frames.h>

static struct helper *home;     /* whose frames the port gives; or NULL */
static unsigned long home_gave; /* how often */

void *__real_aspen_port_memory_alloc(size_t bytes);
void *__wrap_aspen_port_memory_alloc(size_t bytes);
void __real_aspen_port_memory_free(void *memory, size_t bytes);
void __wrap_aspen_port_memory_free(void *memory, size_t bytes);

static bool
is_at_home(const void *memory)
{
    return home && (uintptr_t)memory - (uintptr_t)home->direct_map <
                       home->direct_map_bytes;
}

void *
__wrap_aspen_port_memory_alloc(size_t bytes)
{
    struct aspen_frames_args args = {.kind = ASPEN_FRAMES_METADATA,
                                     .flags = ASPEN_FRAMES_ZEROED};
    uint32_t first;

    if (!home)
        return __real_aspen_port_memory_alloc(bytes);
    while (PAGE << args.order < bytes)
        args.order++;
    if (aspen_frames_alloc(home->aspen, &args, &first))
        return NULL;
    home_gave++;
    return (char *)home->direct_map + first * PAGE;
}

void
__wrap_aspen_port_memory_free(void *memory, size_t bytes)
{
    if (is_at_home(memory))
        aspen_frames_free(
            home->aspen,
            (uint32_t)(((uintptr_t)memory - (uintptr_t)home->direct_map) /
                       PAGE));
    else
        __real_aspen_port_memory_free(memory, bytes);
}

#endif
