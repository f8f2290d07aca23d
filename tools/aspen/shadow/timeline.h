/* SPDX-License-Identifier: MIT */
/*
 * timeline.h - what was mapped when, of each space that a shadow follows: the
 * mappings that it began with, and after each call what is there now. For the
 * page that --html writes; without it there is none, and nothing is kept.
 */
#ifndef ASPEN_SHADOW_TIMELINE_H
#define ASPEN_SHADOW_TIMELINE_H

#include "common/tool.h"

#include <aspen/mm.h>
#include <jansson.h>
#include <sys/types.h>

struct timeline;

/** How the two sides differed. */
struct timeline_difference {
    pid_t pid;
    uint64_t call;
    char *text;
};

/** All of a run, in the order in which spaces came. */
struct timelines {
    struct timeline *first;
    struct timeline **last; /* where the next one goes; NULL: none so far */
    struct timeline *now;   /* whose call is looked at */
    struct timeline_difference *differences;
    size_t difference_count;
    size_t difference_room;
    bool wanted;
};

/** One more, with what is mapped; NULL: not wanted, or no memory. The list's.
 */
struct timeline *timeline_begin(struct timelines *timelines, pid_t pid,
                                struct aspen_mm *mm);

/** The next call begins, of which the rest is told. NULL: nothing happens, here
 * as below. */
void timeline_call(struct timeline *timeline, const char *name);

/** It was about [start, end): what is there now. */
void timeline_touch(struct timeline *timeline, struct aspen_mm *mm,
                    uint64_t start, uint64_t end);

/** The call that is looked at differs from the kernel's: `text` says how. */
void timelines_differ(struct timelines *timelines, const char *text);

void timelines_free(struct timelines *timelines);

/* ---- For the page ------------------------------------------------------- */

pid_t timeline_pid(const struct timeline *timeline);
uint64_t timeline_calls(const struct timeline *timeline);
/** How many changes are not kept, since there were too many. */
uint64_t timeline_left_out(const struct timeline *timeline);
struct timeline *timeline_next(const struct timeline *timeline);
/** As views.time of page.js takes it; NULL: no memory. */
json_t *timeline_json(const struct timeline *timeline);

#endif
