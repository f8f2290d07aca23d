/* SPDX-License-Identifier: MIT */
/*
 * tests/host/mmap_pair.h - the same random calls on the host and in Aspen: in a
 * corner of this process and in an address space. After each both have the same
 * mappings, merges included. For tests that differ in what they call.
 */
#ifndef TESTS_HOST_MMAP_PAIR_H
#define TESTS_HOST_MMAP_PAIR_H

#include "helper.h"

/* Nothing else is there, and sanitizers allow memory there. */
#define MMAP_BASE  ((uint64_t)0x551000000000)
#define MMAP_PAGES 64u

#define MMAP_OBJECTS 3u
#define MMAP_ZEROES  2u /* that one of them is /dev/zero: private alone */

struct mmap_pair {
    enum aspen_semantics semantics;
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[MMAP_OBJECTS];
    int files[MMAP_OBJECTS];
    uint64_t random;
    /* One more call, of the range of pages; NULL: none. */
    void (*more)(struct mmap_pair *p, unsigned first, unsigned count);
    unsigned more_done; /* that changed something */
    bool forked; /* the host's children write to its files, not to Aspen's */
    bool never;  /* overcommits: then NORESERVE means nothing to it */
};

uint64_t mmap_pair_below(struct mmap_pair *p, uint64_t limit);
void *mmap_pair_address(unsigned page);
bool mmap_pair_is_alike(struct mmap_pair *p);

/* All of a test, called `name`: calls, touches and forks. Skipped where the
 * host is no Linux 6.1 or later. */
void mmap_pair_run(const char *name,
                   void (*more)(struct mmap_pair *p, unsigned first,
                                unsigned count));

#endif
