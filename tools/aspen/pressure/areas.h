/* SPDX-License-Identifier: MIT */
/*
 * pressure/areas.h - the swap areas of a machine under pressure: they count
 * reads, fail when they are told to, and are exchanged for others while they
 * are in use.
 */
#ifndef ASPEN_PRESSURE_AREAS_H
#define ASPEN_PRESSURE_AREAS_H

#include "common/tool.h"

#include <aspen_posix_swap.h>
#include <pthread.h>

#define PRESSURE_AREAS 8u

/** What a device does wrong, of 1,000 transfers. */
struct pressure_faults {
    unsigned errors; /* fail at once */
    unsigned shorts; /* do the first half, and fail */
    unsigned gone;   /* begin a time in which all fail */
    unsigned lies;   /* are reads that give something else */
    bool late;       /* all end later, and in another order */
    bool full;       /* there are too few slots; of areas, not of a device */
};

/* To what several threads count. */
static inline void
pressure_add(uint64_t *counter, uint64_t more)
{
    __atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

struct pressure_area;

struct pressure_areas {
    struct aspen *aspen;
    const char *swap; /* the device's name */
    uint32_t slots;
    unsigned flags; /* ASPEN_SWAP_* */
    struct pressure_faults faults;
    bool can_fail;   /* some of these are asked for */
    uint32_t calm;   /* atomic: nothing fails any more */
    uint64_t failed; /* atomic: transfers that failed on purpose */
    uint64_t seed;
    pthread_mutex_t lock; /* for all below */
    struct pressure_area *areas[PRESSURE_AREAS];
    struct aspen_posix_swap_counters ended; /* what those counted that went */
    uint64_t removed;
};

void pressure_areas_begin(struct pressure_areas *areas);
/** After the machine. */
void pressure_areas_end(struct pressure_areas *areas);

/** One more; all of it is the machine's. -1 and the reason. */
int pressure_areas_add(struct pressure_areas *areas, struct tool_error *error);

/** One more, and all others go, if they can; if not, they stay for now. */
void pressure_areas_renew(struct pressure_areas *areas);

/** Of all there were. */
void pressure_areas_count(struct pressure_areas *areas,
                          struct aspen_posix_swap_counters *counters);

/** Reads that this thread begins are counted there. */
void pressure_count_reads(uint64_t *reads);
void pressure_note_read(void);

#endif
