/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "calls_side.h"

#include "clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 2000u
#define PAGE   CALLS_PAGE

struct space {
    char *vmas;
    size_t bytes;
};

static _Noreturn void
die(const char *what)
{
    fprintf(stderr, "aspen-bench: host: %s failed: errno %d\n", what, errno);
    exit(2);
}

static char *
map(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

static void
unmap(char *memory, size_t bytes)
{
    if (munmap(memory, bytes))
        die("munmap");
}

static void *
open_space(unsigned vmas)
{
    struct space *space = malloc(sizeof(*space));
    if (!space)
        die("malloc");
    space->bytes = vmas * PAGE;
    space->vmas = map(space->bytes);
    for (size_t i = 0; i < space->bytes; i += 2 * PAGE)
        if (mprotect(space->vmas + i, PAGE, PROT_READ))
            die("mprotect");
    return space;
}

static void
close_space(void *argument)
{
    struct space *space = argument;
    unmap(space->vmas, space->bytes);
    free(space);
}

static void
touch(char *memory, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += PAGE)
        *(volatile char *)(memory + i) = 1;
}

static double
map_unmap(void *space)
{
    (void)space;
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        unmap(map(CALLS_RANGE), CALLS_RANGE);
    return (clock_ns() - begin) / ROUNDS;
}

static double
map_touch_unmap(void *space)
{
    (void)space;
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        char *memory = map(CALLS_RANGE);
        touch(memory, CALLS_RANGE);
        unmap(memory, CALLS_RANGE);
    }
    return (clock_ns() - begin) / ROUNDS;
}

/* In the middle of a mapping that nothing was written to. */
static double
split_merge(void *space)
{
    char *memory = map(CALLS_RANGE);
    char *part = memory + CALLS_RANGE / 4;

    (void)space;
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        if (mprotect(part, CALLS_RANGE / 4, PROT_READ) ||
            mprotect(part, CALLS_RANGE / 4, PROT_READ | PROT_WRITE))
            die("mprotect");
    double ns = clock_ns() - begin;
    unmap(memory, CALLS_RANGE);
    return ns / ROUNDS;
}

/* To and fro between two places that nothing else uses. */
static double
move_touched(void *space)
{
    char *from = map(3 * CALLS_RANGE);
    char *to = from + 2 * CALLS_RANGE;

    (void)space;
    unmap(from + CALLS_RANGE, 2 * CALLS_RANGE);
    touch(from, CALLS_RANGE);
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++) {
        char *next = from;
        from = mremap(from, CALLS_RANGE, CALLS_RANGE,
                      MREMAP_MAYMOVE | MREMAP_FIXED, to);
        if (from == MAP_FAILED)
            die("mremap");
        to = next;
    }
    double ns = clock_ns() - begin;
    unmap(from, CALLS_RANGE);
    return ns / ROUNDS;
}

static char *
map_small_pages(size_t bytes)
{
    char *memory = map(bytes);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

static double
first_touch(void *space)
{
    (void)space;
    char *memory = map_small_pages(CALLS_COLD_BYTES);
    double begin = clock_ns();
    touch(memory, CALLS_COLD_BYTES);
    double ns = clock_ns() - begin;
    unmap(memory, CALLS_COLD_BYTES);
    return ns / (double)(CALLS_COLD_BYTES / PAGE);
}

/* A child that holds every page until it is told to go. */
static pid_t
fork_holder(int go[2])
{
    char byte;

    if (pipe(go))
        die("pipe");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(go[1]);
        _exit(read(go[0], &byte, 1) < 0);
    }
    return child;
}

static double
copy_on_write(void *space)
{
    int go[2];
    (void)space;
    char *memory = map_small_pages(CALLS_COLD_BYTES);
    touch(memory, CALLS_COLD_BYTES);
    pid_t child = fork_holder(go);
    double begin = clock_ns();
    touch(memory, CALLS_COLD_BYTES);
    double ns = clock_ns() - begin;
    close(go[0]);
    close(go[1]);
    waitpid(child, NULL, 0);
    unmap(memory, CALLS_COLD_BYTES);
    return ns / (double)(CALLS_COLD_BYTES / PAGE);
}

const struct calls_side calls_of_host = {
    .open = open_space,
    .close = close_space,
    .map_unmap = map_unmap,
    .map_touch_unmap = map_touch_unmap,
    .split_merge = split_merge,
    .first_touch = first_touch,
    .move_touched = move_touched,
    .copy_on_write = copy_on_write,
};
