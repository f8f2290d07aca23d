/* SPDX-License-Identifier: MIT */
/**
 * aspen/account/pressure.h - how much time is lost for want of memory.
 *
 * A thread stalls while it takes pages out of memory for itself, waits for
 * somebody who does, reads a page back from swap, or reads a page of a file
 * again that left memory too soon. What it would have to wait for in any case -
 * the first read of a page, the mmap lock - is no stall, and neither is the
 * work of aspen_reclaim() and aspen_reclaim_tick(), which nobody waits for.
 *
 * Time comes from the hook `clock` of struct aspen_memory_ops; without it all
 * of this is 0. It is read when a stall begins and when it ends: so a fault
 * that does not stall pays nothing.
 */
#ifndef ASPEN_PRESSURE_H
#define ASPEN_PRESSURE_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_group;

struct aspen_stalls {
    uint64_t total; /* microseconds, since the machine was made */
    /* Of the last 10, 60 and 300 seconds, in hundredths of a percent: 0 to
     * 10,000. Weights sink by e each so many seconds; periods of 2 seconds that
     * have ended count, and no part of one. */
    uint32_t avg10;
    uint32_t avg60;
    uint32_t avg300;
};

struct aspen_pressure {
    struct aspen_stalls some; /* one thread stalled, or more */
    struct aspen_stalls full; /* all that had something to do */
};

/**
 * What was lost up to now.
 *
 * Context: any, but for spin locks of the core. Asks the clock.
 * Source:  Linux's /proc/pressure/memory.
 */
void aspen_pressure_read(struct aspen *aspen, struct aspen_pressure *pressure);

/**
 * So many threads have something to do from now on: they run, wait for a
 * processor, or stall. While at least as many stall, and there are any, that is
 * `full`. 0, as in a new machine: nobody knows, and `full` stays as it is.
 *
 * Context: as aspen_pressure_read(); meant for a scheduler, when it changes.
 */
void aspen_pressure_threads(struct aspen *aspen, uint32_t threads);

/**
 * The same of a group (aspen/account/group.h), since it was made: of threads
 * that stall in spaces that are in it or below it, or that the hook `group`
 * names it for.
 *
 * Context: as those for a machine; the caller has a handle.
 * Source:  Linux's memory.pressure.
 */
void aspen_group_pressure_read(struct aspen_group *group,
                               struct aspen_pressure *pressure);
void aspen_group_pressure_threads(struct aspen_group *group, uint32_t threads);

#ifdef __cplusplus
}
#endif

#endif
