/* SPDX-License-Identifier: MIT */
/*
 * every_call.h - a space with some of everything, and a row about each call
 * that test_every_call.c makes in it.
 */
#ifndef ASPEN_TESTS_EVERY_CALL_H
#define ASPEN_TESTS_EVERY_CALL_H

#include "helper.h"

#include <aspen/calls/swap.h>

#define AT(page) ((uint64_t)(page)*PAGE)

/* Where things are in the space, in pages. */
enum {
    ANON = 100,      /* 10, of which 4 are touched */
    COW = 104,       /* of these, one that a child shares */
    ZERO = 106,      /* and one that was read */
    FILE_ = 120,     /* 10, of a file with hooks; the third was written */
    SHM = 140,       /* 4, shared */
    SHF = 150,       /* 4, of the file from its 20th, shared; one was written */
    LEFT = 160,      /* 2, then a gap of 2 */
    RIGHT = 164,     /* 2 */
    READ_ONLY = 180, /* 4 */
    MIXED = 190,     /* 4: nothing; nothing, writable; a page */
    HEAP = 500,      /* 4, of which none is touched */
    STACK = 1000,
    RAW = 2000,     /* 4, raw frames */
    DRIVEN = 2010,  /* 4, shared memory and raw frames */
    FREE = 2600,    /* nothing is there */
    EMPTY = 3000,   /* 10, nothing */
    SLOTS = 6000,   /* 64, swapped out but for the first */
    OUT = 7000,     /* 4, of which the first two are on a swap device */
    HUGE = 1 << 20, /* 512 */
    RESERVED = 4000 /* a frame: 96 of them are not the machine's */
};

#define MOVE (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)

struct every {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *file;
    struct aspen_object *shmem;
    struct aspen_object *charged;
    unsigned area;
    int64_t opened; /* mappings of the file, by its hooks */
    int64_t spaces; /* by the hooks mm_init and mm_exit */
    uint64_t done;  /* of an import that goes on where it stopped */
    struct aspen_mm *made_mm;
    struct aspen_object *made_object;
    struct aspen_userfault *made_userfault;
    uint32_t pinned[8]; /* frames */
    uint64_t pins;
    const struct call *call;
};

extern const struct aspen_swap_ops every_device;

struct call {
    const char *function;
    const char *what;
    int (*run)(struct every *e, const struct call *call);
    unsigned kinds; /* of step that it has, as bits; 0: none at all */
    bool cached;
    bool progressive;
    uint64_t first; /* page */
    uint64_t pages;
    uint64_t flags; /* of the mapping, or the access */
    unsigned kind;  /* of import */
    bool file;
    bool elsewhere; /* aspen_mmap picks the place */
    uint64_t to;    /* mremap: the page wanted; new pages are `flags`, its
                       flags `kind` */
};

/* For struct helper_failing; `context` is a struct every with its call. */
void every_setup(void *context);
int every_run(void *context);
void every_done(void *context);
void every_teardown(void *context);

#endif
