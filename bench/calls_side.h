/* SPDX-License-Identifier: MIT */
/*
 * bench/calls_side.h - the memory calls, as the host kernel does them and as
 * Aspen does: two tables of the same functions.
 */
#ifndef BENCH_CALLS_SIDE_H
#define BENCH_CALLS_SIDE_H

#include <stddef.h>

#define CALLS_PAGE  ((size_t)4096)
#define CALLS_RANGE ((size_t)16 * CALLS_PAGE) /* what most calls are about */

/* Page faults are measured over this much: more than caches hold. */
#define CALLS_COLD_BYTES ((size_t)512 << 20)

/*
 * One side. Every function returns nanoseconds for one call, pair or page,
 * measured over many. open() makes a space with `vmas` mappings of one page,
 * each unlike its neighbours, besides what is measured.
 */
struct calls_side {
    void *(*open)(unsigned vmas);
    void (*close)(void *space);
    double (*map_unmap)(void *space);       /* mmap + munmap, untouched */
    double (*map_touch_unmap)(void *space); /* with 16 writes between */
    double (*split_merge)(void *space);     /* mprotect: a part read-only, and
                                               back */
    double (*move_touched)(void *space);    /* mremap of 16 touched pages */
    double (*first_touch)(void *space);     /* a write to each new page */
    double (*copy_on_write)(void *space);   /* a write to each forked page */
};

extern const struct calls_side calls_of_host;
extern const struct calls_side calls_of_aspen;

#endif
