/* SPDX-License-Identifier: MIT */
/*
 * fuzz/failing.h - the calls of the mix on the address space of a real process,
 * each failing at each of its steps.
 */
#ifndef ASPEN_FUZZ_FAILING_H
#define ASPEN_FUZZ_FAILING_H

#include "common/tally.h"
#include "common/tool.h"

struct fuzz_failing {
    const char *snapshot; /* in: a file, as all down to `calls` */
    uint64_t seed;
    uint64_t calls;

    uint64_t made;        /* that came to their end */
    uint64_t failures;    /* of steps */
    uint64_t tolerated;   /* of these, the call succeeded all the same */
    uint64_t broken;      /* 0 or 1: it ends there */
    struct tally by_call; /* failures */
    char what[512];       /* broke */
};

/* 0, or -1 and a reason. */
int fuzz_failing_run(struct fuzz_failing *failing, struct tool_error *error);

#endif
