/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the calls of the conflict matrix, each made by one of two tasks in
 * a place of its own.
 */
#ifndef CONFLICTS_CALLS_H
#define CONFLICTS_CALLS_H

#include "explore.h"

#define MIB        (1ull << 20)
#define GIB        (1ull << 30)
#define REGION     (4 * MIB)    /* what a side has; two page tables */
#define BESIDE     (300 * PAGE) /* a page there has brought each table */
#define CHILD_MOST 8u

/* What one task calls, and where. */
struct side {
    struct aspen_mm *mm;
    uint64_t region; /* its mapping begins there */
    uint64_t page;   /* the page that it is about */
    struct aspen_object *file;
    struct aspen_mm *children[CHILD_MOST]; /* that forks made */
    unsigned child_count;
};

struct call {
    const char *name;
    bool whole;    /* changes mappings: it has its region for itself */
    bool of_space; /* is about all of a space */
    /* Before it: map the region, and bring in what it needs there; or NULL. */
    void (*map)(struct side *side);
    void (*fill)(struct side *side);
    void (*make)(struct side *side);
};

extern const struct call calls[];
extern const unsigned call_count;

/* The plan of what fails, which is the test build's alone. */
bool call_is_for_tests(const char *name);

#endif
