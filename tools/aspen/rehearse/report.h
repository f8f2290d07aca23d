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
    uint64_t seed;
    uint64_t passed_ns;
};

/** Print. Returns 0, or -1: no memory. */
int report_json(const struct report *report);
int report_text(const struct report *report);

#endif
