/* SPDX-License-Identifier: MIT */
/*
 * guest.h - what the programs have in common that tests/tools/shadow.sh runs
 * alone and under aspen shadow.
 */
#ifndef ASPEN_TESTS_GUEST_H
#define ASPEN_TESTS_GUEST_H

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)

static int wrong;

#define EXPECT(condition)                                                      \
    do {                                                                       \
        if (!(condition)) {                                                    \
            wrong = 1;                                                         \
            fprintf(stderr, "line %d: not %s (errno %d)\n", __LINE__,          \
                    #condition, errno);                                        \
        }                                                                      \
    } while (0)

static inline char *
map(unsigned long pages)
{
    return mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static inline long
refused(void *address)
{
    return address == MAP_FAILED ? errno : 0;
}

#endif
