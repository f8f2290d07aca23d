/* SPDX-License-Identifier: MIT */
/*
 * group/group_struct.h - a memory group: a part of internal.h.
 * include/aspen/account/group.h says what groups are for; group/group.h has
 * what is done with them.
 *
 *     machine ---- group 1 ---- group 2        list: 1 2 3 4 (each before its
 *             \            \--- group 3        children, which stand together
 *              \-- group 4                     with all of theirs behind it)
 *
 *     a page:    bank->groups[frame], or NULL: nobody is charged for it
 *     a slot:    area->groups[slot], the same
 *     a space:   mm->group, NULL: the machine's
 *
 * I1  `used` is what the group and those below it are charged with: pages, and
 *     what CPUs hold ahead for them (struct aspen_group_cpu).
 * I2  `references`: one for all handles together, one for each group whose
 *     parent it is, and one for each page and slot that it is charged with
 *     itself, or that a CPU holds ahead for it. The last one frees it.
 * I3  `handles`: the embedder's and those of spaces. When none is left nobody
 *     charges it any more but who has a page of it in hand, and no CPU holds
 *     pages for it; what is charged stays charged until it is freed.
 * I4  Memory is type-stable under RCU: who found a group through a space takes
 *     a reference unless none is left, and looks again.
 */
#ifndef ASPEN_GROUP_GROUP_STRUCT_H
#define ASPEN_GROUP_GROUP_STRUCT_H

#include "base/list.h"
#include "base/lru_struct.h"
#include "base/pressure_struct.h"
#include <aspen/account/group.h>

/* So many pages a CPU charges at a time, and holds ahead. */
#define ASPEN_GROUP_BATCH 64u

/* Pages of memory, or slots of swap. All atomic. */
struct aspen_group_count {
    uint64_t used;
    uint64_t peak;
    uint64_t max;
};

/* From reclaim that comes from above. */
enum aspen_group_protection {
    ASPEN_GROUP_PROTECT_MIN, /* always */
    ASPEN_GROUP_PROTECT_LOW, /* as long as others have pages that can leave */
    ASPEN_GROUP_PROTECTIONS
};

/* Atomic, but for `sum`, which is the list lock's. All but the limit is as it
 * was when the last reclaim began. group/protect.c. */
struct aspen_group_protect {
    uint64_t asked; /* the limit */
    uint64_t asks;  /* or what it has, if that is less */
    uint64_t used;
    uint64_t below; /* what its children ask for */
    uint64_t sum;
};

/* Who asks for a victim waits for memory that is coming back; registry lock. */
struct aspen_oom_wait {
    bool waits;
    uint64_t since; /* the first answer that somebody gives back */
};

/* The validator's. */
struct aspen_group_met {
    uint64_t pages; /* charged to it or those below */
    uint64_t slots;
    uint64_t references; /* its own, for which it found a reason */
    uint64_t spaces;
};

struct aspen_group {
    struct aspen *aspen;        /* immutable, as the next three */
    struct aspen_group *parent; /* NULL: the machine */
    uint32_t number;
    uint32_t depth;      /* 1: a child of the machine's */
    uint64_t references; /* atomic */
    uint64_t handles;    /* atomic */
    struct aspen_group_count memory;
    struct aspen_group_count swap;
    struct aspen_group_protect protects[ASPEN_GROUP_PROTECTIONS];
    uint64_t high;                       /* atomic */
    uint64_t events[ASPEN_GROUP_EVENTS]; /* atomic */
    struct aspen_oom_wait oom;
    uint32_t giving_back; /* atomic: exits and failed forks of its spaces */
    struct aspen_pressure_state pressure;
    struct aspen_lru lru;
    struct aspen_list link; /* aspen->groups.list; its lock */
    struct aspen_group_met met;
};

/* What a CPU has charged ahead for a group. Lock: `lock`; a line of its own. */
struct aspen_group_cpu {
    struct aspen_port_spinlock lock;
    uint32_t pages;
    struct aspen_group *group; /* NULL: pages is 0 */
    uint64_t unused[6];
};

struct aspen_groups {
    struct aspen_port_spinlock lock; /* innermost but for caches */
    struct aspen_list list;          /* all groups; lock */
    uint32_t count;                  /* atomic; written under the lock */
    uint32_t next_number;            /* lock */
    uint32_t turn;                   /* atomic: where reclaim begins */
    bool protects;                   /* atomic: one has asked for protection */
    struct aspen_group_cpu *cpus;    /* one for each CPU; from the first group
                                        on */
};

#endif
