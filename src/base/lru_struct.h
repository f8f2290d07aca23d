/* SPDX-License-Identifier: MIT */
/*
 * base/lru_struct.h - what a machine's LRU lists consist of: a part of
 * internal.h. frames/lru.h has what is done with them.
 */
#ifndef ASPEN_BASE_LRU_STRUCT_H
#define ASPEN_BASE_LRU_STRUCT_H

#include "base/list.h"
#include <aspen/compiler.h>
#include <aspen_port.h>

/* What pages that may leave memory are, by their last accesses: the flags LRU.
 */
enum aspen_lru_state {
    ASPEN_LRU_INACTIVE,
    ASPEN_LRU_NEW,            /* nobody looked yet */
    ASPEN_LRU_REFERENCED = 2, /* inactive, but it was accessed before */
    ASPEN_LRU_ACTIVE = 4,
    ASPEN_LRU_UNEVICTABLE = 6, /* locked or pinned, when last looked at */
    ASPEN_LRU_STATES
};

enum aspen_lru_kind {
    ASPEN_LRU_NEW_LIST,
    ASPEN_LRU_INACTIVE_LIST, /* REFERENCED ones, too */
    ASPEN_LRU_ACTIVE_LIST,
    ASPEN_LRU_UNEVICTABLE_LIST,
    ASPEN_LRU_LISTS
};

/* Who takes pages out of memory. */
enum aspen_reclaimer {
    ASPEN_RECLAIM_ASKED,      /* aspen_reclaim() */
    ASPEN_RECLAIM_BACKGROUND, /* aspen_reclaim_tick() */
    ASPEN_RECLAIM_DIRECT,     /* who needs memory: reclaim/direct.c */
    ASPEN_RECLAIMERS
};

struct aspen_lru_list {
    uint32_t first; /* came last; ASPEN_NO_FRAME: none */
    uint32_t last;
    uint64_t count; /* atomic, as the next; written under the lock */
    uint64_t anon;  /* of these, anonymous pages */
};

/*
 * Pages in an order in which they may leave memory: those of a group, and of a
 * machine those of no group. frames/lru.c.
 *
 * I1  An order-0 page of an object is on a list if and only if it is in the
 *     page cache of one that could read it again; so whoever finds it there,
 *     under the lock, may take a reference.
 * I2  An anonymous page that can leave is on one until its last reference has
 *     gone: who finds it there takes one if there are any.
 */
struct aspen_lru {
    struct aspen_port_spinlock lock;
    struct aspen_lru_list lists[ASPEN_LRU_LISTS]; /* lock */
    uint64_t share;  /* atomic: of active pages; policy_adaptive.c */
    uint64_t credit; /* atomic: what is owed to others; reclaim/lists.c */
    uint32_t tag;    /* immutable: which clock counts what leaves */
};

/* Pages that have left, by their list's tag: what a shadow remembers the time
 * by (object/shadow.h). Groups may share one, and their shadows are older then.
 */
#define ASPEN_LRU_TAGS 64u

/* Reclaim of a machine. All but the list is atomic. */
struct aspen_leaving {
    uint64_t clocks[ASPEN_LRU_TAGS];
    uint64_t shadows;                  /* that are kept */
    uint64_t refaults;                 /* pages that came back too soon */
    uint64_t looked[ASPEN_RECLAIMERS]; /* pages that reclaim looked at */
    uint64_t left[ASPEN_RECLAIMERS];   /* ... and that left */
    uint64_t written;                  /* dirty pages it has written */
    uint64_t stalls;                   /* reclaims by who needed memory */
    uint64_t direct;                   /* of these, such as helped */
    uint64_t wakes;                    /* calls of the hook `wake` */
    uint32_t awake;                    /* the worker is; frames/watermark.c */
    uint32_t begun;             /* reclaims that have begun; as the next */
    uint32_t ended;             /* reclaim/direct.c, I2 */
    struct aspen_list shadowed; /* objects with shadows; registry lock */
};

#endif
