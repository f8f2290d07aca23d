/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "calls_side.h"

#include "clock.h"
#include "must.h"
#include <aspen/aspen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS 2000u
#define PAGE   CALLS_PAGE
#define RW     (ASPEN_VM_READ | ASPEN_VM_WRITE)

/* Twice what is touched, for copies, and something for tables. */
#define FRAMES (uint32_t)(CALLS_COLD_BYTES / PAGE * 2 + 16384)

struct space {
    struct aspen *aspen;
    struct aspen_mm *mm;
    void *direct_map;
};

/* A direct map that the host has filled with pages: its faults are not ours. */
static void *
make_direct_map(void)
{
    void *memory = mmap(NULL, FRAMES * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory == MAP_FAILED ? -ASPEN_ENOMEM : 0, "direct map");
    madvise(memory, FRAMES * PAGE, MADV_NOHUGEPAGE);
    memset(memory, 1, FRAMES * PAGE);
    return memory;
}

static uint64_t
map(struct space *space, uint64_t address, uint64_t bytes, uint64_t access)
{
    struct aspen_mmap_args args = {
        .address = address,
        .length_bytes = bytes,
        .vm_flags = access | ASPEN_VM_NORESERVE,
        .flags = address ? ASPEN_MAP_FIXED : 0,
    };
    must(aspen_mmap(space->mm, &args, &address), "aspen_mmap");
    return address;
}

static void
unmap(struct space *space, uint64_t address, uint64_t bytes)
{
    must(aspen_munmap(space->mm, address, bytes), "aspen_munmap");
}

static void
touch(struct space *space, uint64_t address, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i += PAGE)
        must(aspen_fault(space->mm, address + i, ASPEN_ACCESS_WRITE),
             "aspen_fault");
}

static void *
open_space(unsigned vmas)
{
    struct space *space = malloc(sizeof(*space));
    struct aspen_config config;

    must(space ? 0 : -ASPEN_ENOMEM, "malloc");
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = space->direct_map = make_direct_map();
    config.map_count_max = UINT32_MAX;
    must(aspen_create(&config, &space->aspen), "aspen_create");
    must(aspen_mm_create(space->aspen, &space->mm), "aspen_mm_create");
    uint64_t others = map(space, 0, vmas * PAGE, RW);
    for (unsigned i = 0; i < vmas; i += 2)
        map(space, others + i * PAGE, PAGE, ASPEN_VM_READ);
    return space;
}

static void
close_space(void *argument)
{
    struct space *space = argument;

    aspen_mm_put(space->mm);
    must(aspen_destroy(space->aspen), "aspen_destroy");
    munmap(space->direct_map, FRAMES * PAGE);
    free(space);
}

static double
map_unmap(void *space)
{
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        unmap(space, map(space, 0, CALLS_RANGE, RW), CALLS_RANGE);
    return (clock_ns() - begin) / ROUNDS;
}

static double
map_touch_unmap(void *space)
{
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t address = map(space, 0, CALLS_RANGE, RW);
        touch(space, address, CALLS_RANGE);
        unmap(space, address, CALLS_RANGE);
    }
    return (clock_ns() - begin) / ROUNDS;
}

/* In the middle of a mapping that nothing was written to: one VMA becomes
 * three, then one again. */
static double
split_merge(void *argument)
{
    struct space *space = argument;
    uint64_t address = map(space, 0, CALLS_RANGE, RW);
    uint64_t part = address + CALLS_RANGE / 4;

    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        must(aspen_mprotect(space->mm, part, CALLS_RANGE / 4, ASPEN_VM_READ,
                            ASPEN_PKEY_SAME),
             "aspen_mprotect");
        must(aspen_mprotect(space->mm, part, CALLS_RANGE / 4, RW,
                            ASPEN_PKEY_SAME),
             "aspen_mprotect");
    }
    double ns = clock_ns() - begin;
    unmap(space, address, CALLS_RANGE);
    return ns / ROUNDS;
}

/* To and fro between two places that nothing else uses. */
static double
move_touched(void *argument)
{
    const unsigned flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED;
    struct space *space = argument;
    uint64_t from = map(space, 0, 3 * CALLS_RANGE, RW);
    uint64_t to = from + 2 * CALLS_RANGE;

    unmap(space, from + CALLS_RANGE, 2 * CALLS_RANGE);
    touch(space, from, CALLS_RANGE);
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t next = from;
        must(aspen_mremap(space->mm,
                          &(struct aspen_mremap_args){
                              .address = from,
                              .old_bytes = CALLS_RANGE,
                              .new_bytes = CALLS_RANGE,
                              .flags = flags,
                              .new_address = to,
                          },
                          &from),
             "aspen_mremap");
        to = next;
    }
    double ns = clock_ns() - begin;
    unmap(space, from, CALLS_RANGE);
    return ns / ROUNDS;
}

static double
first_touch(void *space)
{
    uint64_t address = map(space, 0, CALLS_COLD_BYTES, RW);
    double begin = clock_ns();
    touch(space, address, CALLS_COLD_BYTES);
    double ns = clock_ns() - begin;
    unmap(space, address, CALLS_COLD_BYTES);
    return ns / (double)(CALLS_COLD_BYTES / PAGE);
}

static double
copy_on_write(void *argument)
{
    struct space *space = argument;
    struct aspen_mm *child;

    uint64_t address = map(space, 0, CALLS_COLD_BYTES, RW);
    touch(space, address, CALLS_COLD_BYTES);
    must(aspen_fork(space->mm, &child), "aspen_fork");
    double begin = clock_ns();
    touch(space, address, CALLS_COLD_BYTES);
    double ns = clock_ns() - begin;
    aspen_mm_put(child);
    unmap(space, address, CALLS_COLD_BYTES);
    return ns / (double)(CALLS_COLD_BYTES / PAGE);
}

const struct calls_side calls_of_aspen = {
    .open = open_space,
    .close = close_space,
    .map_unmap = map_unmap,
    .map_touch_unmap = map_touch_unmap,
    .split_merge = split_merge,
    .first_touch = first_touch,
    .move_touched = move_touched,
    .copy_on_write = copy_on_write,
};
