/* SPDX-License-Identifier: MIT */
/*
 * guest.h - what the programs have in common that tests/tools/shadow.sh runs
 * alone and under aspen shadow.
 */
#ifndef ASPEN_TESTS_GUEST_H
#define ASPEN_TESTS_GUEST_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
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

struct kind {
    const char *name;
    void (*run)(void);
};

/* What main() does with a table of them: the status. */
static inline int
run_kind(int argc, char **argv, const struct kind *kinds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (argc == 2 && strcmp(argv[1], kinds[i].name) == 0) {
            kinds[i].run();
            return wrong;
        }
    return 2;
}

#endif
