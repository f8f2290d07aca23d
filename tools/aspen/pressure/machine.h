/* SPDX-License-Identifier: MIT */
/*
 * pressure/machine.h - a machine that is too small: a space in it, processors
 * that access its pages, a worker that keeps memory free, and a swap device.
 *
 * A processor here has no TLB and caches nothing, and sets neither accessed nor
 * dirty: it faults until the core has noted them, as processors without
 * hardware flags do. An access is one step, beside which no page goes away.
 */
#ifndef ASPEN_PRESSURE_MACHINE_H
#define ASPEN_PRESSURE_MACHINE_H

#include "common/tool.h"
#include "pressure/areas.h"

#include <aspen/aspen.h>
#include <pthread.h>
#include <semaphore.h>

#define PRESSURE_PAGE    4096u
#define PRESSURE_THREADS 16u /* the posix port's CPUS */

/* Alone on its cache line. */
struct pressure_cpu {
    pthread_mutex_t lock; /* held for a whole access */
    uint64_t faults;      /* of its thread's alone, as the next two */
    uint64_t refused;     /* that answered an error */
    uint64_t reads;       /* of a device or file, that it began */
    char room[64];
};

struct pressure_machine {
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t
        start; /* of the pages, in `mm`, that pressure_machine_map() maps */
    uint32_t pages;
    uint32_t frames;
    void *direct_map;
    struct pressure_cpu cpus[PRESSURE_THREADS];
    unsigned patience; /* of an access that finds no memory */
    int refused_with;  /* atomic: the last error of an access */
    struct pressure_areas swap;
    struct aspen_object *file; /* NULL: pages are in swap */
    char *file_bytes;
    uint64_t file_reads; /* atomic, pages, as the next one */
    uint64_t file_writes;
    /* The worker. */
    sem_t work;
    pthread_t worker;
    bool has_worker;
    uint32_t ending; /* atomic */
};

struct pressure_machine_args {
    uint32_t frames;
    uint32_t pages;
    const char *swap; /* a device's name, or "none": the pages are a file's */
    unsigned swap_flags; /* ASPEN_SWAP_* */
    struct pressure_faults faults;
    bool can_fail; /* some of these are asked for */
    uint64_t seed; /* of what fails */
};

/** With an empty space. -1 and the reason; pressure_machine_end() follows in
 * any case. */
int pressure_machine_begin(struct pressure_machine *machine,
                           const struct pressure_machine_args *args,
                           struct tool_error *error);

/** The pages appear in the space. -1 and the reason. */
int pressure_machine_map(struct pressure_machine *machine,
                         struct tool_error *error);

/** All goes. False: something did not, and the reason. */
bool pressure_machine_end(struct pressure_machine *machine,
                          struct tool_error *error);

/** The worker ends: no call of the machine is under way but the caller's. */
void pressure_machine_rest(struct pressure_machine *machine);

/** This thread is the CPU from now on. */
void pressure_machine_enter(struct pressure_machine *machine, unsigned cpu);

/**
 * An access to the page at `address` of `mm`, which is active on the CPU:
 * compare it with `expected`, then write `next` (NULL: it is a read).
 * *wrong_bytes gets what differed. While there is no memory it waits, with
 * patience: others take pages out. 0, or the fault's error: nothing was
 * compared or written.
 */
int pressure_access(struct pressure_machine *machine, unsigned cpu,
                    struct aspen_mm *mm, uint64_t address, const void *expected,
                    const void *next, uint64_t *wrong_bytes);

#endif
