/* SPDX-License-Identifier: MIT */
/*
 * workers.h - processes that rehearse, each with a machine of its own.
 *
 * A process each, so that a crash is a result like any other: it is known in
 * which rehearsal it happened.
 */
#ifndef ASPEN_WORKERS_H
#define ASPEN_WORKERS_H

#include "rehearse/plan.h"

#include <sys/types.h>

#define WORKERS_MAX 64u
/* After so many broken rehearsals nobody needs more of them. */
#define BREAKS_MAX 20u

/** A rehearsal that broke a promise. */
struct workers_break {
    plan_item item;
    uint32_t held; /* what held nevertheless */
    char text[400];
};

/** What the first worker found out. */
struct workers_facts {
    uint64_t steps;
    uint64_t page_tables; /* of the parent, the top one not counted */
    uint64_t left_out;    /* pages that were not imported */
    uint64_t swapped;     /* pages that are really swapped */
};

struct workers_control; /* shared by all processes */

struct workers {
    struct workers_control *control;
    const struct snapshot *snapshot;
    unsigned jobs;
    pid_t processes[WORKERS_MAX]; /* 0: none */
    struct workers_facts facts;
    uint8_t *kinds;                   /* of each step */
    uint64_t possible;                /* rehearsals there are */
    uint64_t planned;                 /* rehearsals to do */
    plan_item *items;                 /* shared */
    struct rehearsal_result *results; /* shared */
    size_t shared_bytes;
    int shared_fd;
};

/**
 * Start the workers and count the steps. On success every step's kind is in
 * `kinds`.
 * Returns: 0; -1 and a reason; 1 and a reason when what broke is a promise.
 */
int workers_begin(struct workers *workers, const struct snapshot *snapshot,
                  unsigned jobs, struct tool_error *error);

/**
 * Make the plan: all rehearsals in the order for `seed`, or only `single`
 * (not 0). -1 and a reason.
 */
int workers_plan(struct workers *workers, uint64_t seed, plan_item single,
                 uint64_t limit, struct tool_error *error);

/**
 * Rehearse what is planned; stop after `seconds` (0: never) if much would be
 * left to do. 0; -1 and a reason: a worker could not work; 1 and a reason: a
 * promise broke outside of any rehearsal.
 */
int workers_run(struct workers *workers, uint64_t seconds,
                struct tool_error *error);

/** How many rehearsals broke, and the first of them (up to BREAKS_MAX). */
uint64_t workers_breaks(const struct workers *workers,
                        const struct workers_break **breaks);

/** Ends processes and gives back memory. */
void workers_end(struct workers *workers);

#endif
