/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "host_fork.h"

#include "../clock.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)

static _Noreturn void
die(const char *what)
{
    fprintf(stderr, "aspen-bench: host: %s failed: errno %d\n", what, errno);
    exit(2);
}

static char *
map(size_t bytes, int prot, int flags)
{
    char *memory =
        mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
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

static char *
map_touched(size_t bytes)
{
    char *memory = map(bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes; i += PAGE)
        memory[i] = 1;
    return memory;
}

/* One-page VMAs side by side, every second one read-only. */
static char *
map_vmas(unsigned vmas, bool touched)
{
    size_t bytes = vmas * PAGE;
    char *memory = map(bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; touched && i < bytes; i += PAGE)
        memory[i] = 1;
    for (size_t i = 0; i < bytes; i += 2 * PAGE)
        if (mprotect(memory + i, PAGE, PROT_READ))
            die("mprotect");
    return memory;
}

/* Time fork() alone. `failing`: it has to fail with ENOMEM. */
static double
time_fork(bool failing)
{
    double begin = clock_ns();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    double end = clock_ns();
    if (failing && !(child < 0 && errno == ENOMEM))
        die("fork that has to fail");
    if (!failing && child < 0)
        die("fork");
    if (child > 0)
        waitpid(child, NULL, 0);
    return end - begin;
}

double
host_fork_bare(void)
{
    return time_fork(false);
}

static double
fork_and_unmap(char *memory, size_t bytes, bool failing)
{
    double ns = time_fork(failing);
    unmap(memory, bytes);
    return ns;
}

double
host_fork_pages(size_t bytes)
{
    return fork_and_unmap(map_touched(bytes), bytes, false);
}

double
host_fork_vmas(unsigned vmas, bool touched)
{
    return fork_and_unmap(map_vmas(vmas, touched), vmas * PAGE, false);
}

double
host_munmap_pages(size_t bytes)
{
    char *memory = map_touched(bytes);
    double begin = clock_ns();
    unmap(memory, bytes);
    return clock_ns() - begin;
}

/* Two halves, each less than memory, merge into one VMA that exceeds it. */
static size_t
half_bytes(void)
{
    struct sysinfo info;
    if (sysinfo(&info))
        die("sysinfo");
    uint64_t total = (uint64_t)(info.totalram + info.totalswap) * info.mem_unit;
    return (size_t)((total / 8 * 5) & ~(uint64_t)(PAGE - 1));
}

static char *
map_too_much(void)
{
    size_t half = half_bytes();
    char *memory = map(2 * half, PROT_NONE, MAP_NORESERVE);
    for (int i = 0; i < 2; i++)
        if (mmap(memory + (size_t)i * half, half, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            die("mmap of half of what is too much");
    return memory;
}

bool
host_fork_can_fail(const char **reason)
{
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
    int mode = file ? getc(file) : EOF;
    if (file)
        fclose(file);
    *reason = "vm.overcommit_memory is not 0: fork cannot be made to fail "
              "late without changing the host";
    return mode == '0';
}

/* Later mappings go below earlier ones, and fork copies upwards: so what is
 * too much has to be mapped first to be charged last. */
double
host_fork_pages_failing(size_t bytes)
{
    char *too_much = map_too_much();
    double ns = fork_and_unmap(map_touched(bytes), bytes, true);
    unmap(too_much, 2 * half_bytes());
    return ns;
}

double
host_fork_vmas_failing(unsigned vmas, bool touched)
{
    char *too_much = map_too_much();
    double ns = fork_and_unmap(map_vmas(vmas, touched), vmas * PAGE, true);
    unmap(too_much, 2 * half_bytes());
    return ns;
}
