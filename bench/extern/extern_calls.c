/* SPDX-License-Identifier: MIT */
/*
 * bench/extern/extern_calls.c - build/aspen-bench-extern VMAS: the calls of
 * aspen_calls.c, linked with a core whose port is ordinary functions. One line
 * for each: nanoseconds, then what it is.
 */
#include "../calls_side.h"
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    const struct calls_side *side = &calls_of_aspen;
    const struct {
        const char *name;
        double (*measure)(void *space);
    } calls[] = {
        {"mmap + munmap, 16 pages", side->map_unmap},
        {"mmap, touch, munmap, 16 pages", side->map_touch_unmap},
        {"mprotect, split + merge", side->split_merge},
        {"mremap move, 16 touched pages", side->move_touched},
        {"first touch", side->first_touch},
        {"copy on write", side->copy_on_write},
    };
    unsigned vmas = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 26;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        void *space = side->open(vmas);
        printf("%.3f %s\n", calls[i].measure(space), calls[i].name);
        side->close(space);
    }
    return 0;
}
