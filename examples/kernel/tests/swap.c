/* SPDX-License-Identifier: MIT */
/*
 * swap.c: a program with more memory than there is, and swapon and swapoff
 * around it, as Linux answers them.
 *
 *   swap hold MIB   writes that much, looks whether it is there, lets a child
 *                   and itself write some of it, and looks again in both
 *   swap off DISK   writes as much, and takes the disk away, which is refused,
 *                   beside another one who needs memory; then most of it goes,
 *                   and the disk as well
 *   swap errors DISK
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE       4096u
#define WRITTEN    1024u /* pages that a child, or its parent, changes */
#define HOLD_MIB   80u
#define STAY_MIB   8u
#define OTHER_MIB  8u
#define PAGES(mib) ((size_t)(mib) << 8)

static uint64_t *memory;

static uint64_t *
at(size_t page)
{
    return memory + page * (PAGE / sizeof(*memory));
}

static uint64_t
value(size_t page, unsigned word, uint64_t who)
{
    return (page * 512 + word + who * 1000000007u) * 0x9e3779b97f4a7c15u;
}

static void
put(size_t first, size_t count, uint64_t who)
{
    for (size_t page = first; page < first + count; page++)
        for (unsigned word = 0; word < 512; word++)
            at(page)[word] = value(page, word, who);
}

/* How many pages are not what was put there. */
static size_t
wrong(size_t first, size_t count, uint64_t who)
{
    size_t wrong = 0;

    for (size_t page = first; page < first + count; page++)
        for (unsigned word = 0; word < 512; word++)
            if (at(page)[word] != value(page, word, who)) {
                wrong++;
                break;
            }
    return wrong;
}

static void
say(const char *what, size_t wrong)
{
    if (wrong)
        printf("%s: %zu pages wrong\n", what, wrong);
    else
        puts(what);
    fflush(stdout);
}

static void
fill(size_t mib)
{
    memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        exit(2);
    put(0, PAGES(mib), 0);
    say("all is there", wrong(0, PAGES(mib), 0));
}

/* The first pages are the parent's own afterwards, some in the middle the
 * child's. */
static void
fork_and_write(size_t mib)
{
    size_t middle = PAGES(mib) / 2;
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        put(middle, WRITTEN, 1);
        say("in the child",
            wrong(0, middle, 0) + wrong(middle, WRITTEN, 1) +
                wrong(middle + WRITTEN, PAGES(mib) - middle - WRITTEN, 0));
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || status)
        printf("the child: %x\n", status);
    put(0, WRITTEN, 2);
    say("in its parent",
        wrong(0, WRITTEN, 2) + wrong(WRITTEN, PAGES(mib) - WRITTEN, 0));
}

static void
answers(const char *call, int result)
{
    printf("%s: %s\n", call, result ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

/* Touches memory of its own again and again; between, whoever waited for a page
 * has the processor. */
static pid_t
start_other(void)
{
    pid_t child = fork();

    if (child)
        return child;
    memory = mmap(NULL, OTHER_MIB << 20, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (uint64_t round = 0;; round++, usleep(1000))
        for (size_t page = 0; page < PAGES(OTHER_MIB); page++) {
            if (round && *at(page) != page + round - 1)
                _exit(1);
            *at(page) = page + round;
        }
}

static void
take_away(const char *disk)
{
    int status = 0;
    pid_t other = start_other();

    fill(HOLD_MIB);
    answers("swapoff", swapoff(disk));
    say("all is there", wrong(0, PAGES(HOLD_MIB), 0));
    kill(other, SIGTERM);
    waitpid(other, &status, 0);
    if (status != SIGTERM)
        printf("the other one: %x\n", status);
    munmap(at(PAGES(STAY_MIB)), (size_t)(HOLD_MIB - STAY_MIB) << 20);
    answers("swapoff", swapoff(disk));
    say("what stayed is there", wrong(0, PAGES(STAY_MIB), 0));
    answers("swapon", swapon(disk, 0));
}

/* Before it is in use. */
static void
errors(const char *disk)
{
    answers("swapon nothing", swapon("/dev/none", 0));
    answers("swapon a directory", swapon("/dev", 0));
    answers("swapon no disk", swapon("/dev/null", 0));
    answers("swapon the archive", swapon("/dev/vda", 0));
    answers("swapon unknown", swapon(disk, 1 << 30));
    answers("swapoff unused", swapoff(disk));
    answers("swapon", swapon(disk, SWAP_FLAG_PREFER | 7));
    answers("swapon again", swapon(disk, 0));
    answers("swapoff", swapoff(disk));
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    if (strcmp(argv[1], "hold") == 0) {
        fill((size_t)atoi(argv[2]));
        fork_and_write((size_t)atoi(argv[2]));
    } else if (strcmp(argv[1], "off") == 0) {
        take_away(argv[2]);
    } else {
        errors(argv[2]);
    }
    return 0;
}
