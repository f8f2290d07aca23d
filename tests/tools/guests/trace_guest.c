/* SPDX-License-Identifier: MIT */
/*
 * trace_guest.c - what tests/tools/trace.sh looks for in a trace: changes of
 * mappings and accesses at addresses that it knows. `trace_guest TRACE` waits
 * now and then until that file says what it has done.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST  0x100000ul /* a page, as the next ones */
#define MOVED  0x200000ul
#define SHARED 0x300000ul
#define WATCH  0x400000ul

static volatile char *
at(unsigned long page)
{
    return (volatile char *)(page * PAGE);
}

static void
map_at(unsigned long page, unsigned long pages, int flags)
{
    EXPECT(mmap((void *)at(page), pages * PAGE, RW,
                flags | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == at(page));
}

/* Changes and what is accessed between them. */
static void
change(void)
{
    map_at(FIRST, 16, MAP_PRIVATE);
    for (unsigned i = 0; i < 4; i++)
        *at(FIRST + i) = 1;
    (void)*at(FIRST + 5);
    EXPECT(mremap((void *)at(FIRST), 16 * PAGE, 16 * PAGE,
                  MREMAP_MAYMOVE | MREMAP_FIXED,
                  (void *)at(MOVED)) == at(MOVED));
    *at(MOVED + 3) = 2; /* again */
    *at(MOVED + 6) = 2;
    EXPECT(madvise((void *)at(MOVED), 2 * PAGE, MADV_DONTNEED) == 0);
    *at(MOVED) = 3;
    EXPECT(mprotect((void *)at(MOVED + 8), 4 * PAGE, PROT_READ) == 0);
    EXPECT(munmap((void *)at(MOVED + 12), 4 * PAGE) == 0);
    map_at(MOVED + 3, 1, MAP_PRIVATE); /* instead */
    map_at(SHARED, 2, MAP_SHARED);
    *at(SHARED + 1) = 4;
}

/* A child writes what it has got. */
static void
make_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        *at(MOVED + 7) = 5;
        _exit(0);
    }
    EXPECT(child > 0 && waitpid(child, NULL, 0) == child);
    EXPECT(*at(MOVED + 7) == 0);
}

static int
says(const char *trace, const char *record)
{
    char line[200];
    int found = 0;
    FILE *file = fopen(trace, "re");

    while (file && fgets(line, sizeof(line), file))
        found |= strcmp(line, record) == 0;
    if (file)
        fclose(file);
    return found;
}

/* Nothing but time lets the second be seen behind the first. */
static void
wait_between(const char *trace)
{
    map_at(WATCH, 16, MAP_PRIVATE);
    *at(WATCH + 9) = 6;
    for (unsigned tries = 0; tries < 3000 && !says(trace, "w 400009\n");
         tries++)
        usleep(10000);
    *at(WATCH + 1) = 7;
}

int
main(int argc, char **argv)
{
    if (argc == 1) /* what it has become */
        return 0;
    change();
    make_child();
    wait_between(argv[1]);
    if (wrong)
        return wrong;
    execl(argv[0], argv[0], (char *)NULL);
    return 1;
}
