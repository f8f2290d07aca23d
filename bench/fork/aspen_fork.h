/* SPDX-License-Identifier: MIT */
/*
 * bench/fork/aspen_fork.h - the same work as host_fork.h, given to Aspen. Each
 * function builds a parent, measures once, and takes everything down.
 */
#ifndef BENCH_ASPEN_FORK_H
#define BENCH_ASPEN_FORK_H

#include <stdbool.h>
#include <stddef.h>

enum fork_pages {
    FORK_UNTOUCHED,
    FORK_TOUCHED,
    FORK_SHUFFLED, /* touched, too */
};

/* What to fork: `bytes` of touched pages in one VMA, or `vmas` VMAs of one
 * page. Frames stand in the frame table in order of address, or shuffled. */
struct aspen_fork_case {
    size_t bytes;
    unsigned vmas;
    enum fork_pages pages;
};

struct aspen_fork_times {
    double fork;    /* aspen_fork() that succeeds */
    double failing; /* one that fails at its last hook, recovery included */
    double exit;    /* the parent's exit, alone: every page is freed */
};

struct aspen_fork_times aspen_fork_measure(const struct aspen_fork_case *work);

#endif
