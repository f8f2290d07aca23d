/* SPDX-License-Identifier: MIT */
/*
 * report.h - what a rehearsal found, for people and as JSON.
 */
#ifndef ASPEN_REPORT_H
#define ASPEN_REPORT_H

#include "rehearse/workers.h"

struct report {
    const struct snapshot *snapshot;
    const struct workers *workers;
    const char *source; /* "pid 12", "command sleep", a file */
    const char *replay; /* the snapshot's file for replay lines */
    bool kept;          /* there is such a file */
    uint64_t seed;
    uint64_t passed_ns;
};

/** Print. Returns 0, or -1: no memory. */
int report_json(const struct report *report);
int report_text(const struct report *report);

/* ---- picture.c ---------------------------------------------------------- */

/** A page that shows it. 0; or -1 and the reason. */
int report_page(const struct report *report, const char *path,
                struct tool_error *error);

/* ---- What both say ------------------------------------------------------ */

struct report_counts {
    uint64_t resident; /* pages of the process */
    uint64_t swapped;
    uint64_t done; /* rehearsals */
    uint64_t broken;
};
void report_count(const struct report *report, struct report_counts *counts);

#define REPORT_LINE_BYTES 4300u
/** The command that does that rehearsal again. */
void report_replay_line(const struct report *report, plan_item item, char *line,
                        size_t size);
/** The kind of its step. */
const char *report_step_name(const struct report *report, plan_item item);

#endif
