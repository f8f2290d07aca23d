/* SPDX-License-Identifier: MIT */
/**
 * aspen/failpoint.h - make any step of any call fail.
 *
 * Everything in the core that can fail passes one numbered gate. A plan says
 * which crossing of that gate is to fail. Only the test build
 * (libaspen-test.a) has the gates: in the release build no plan can be set
 * and aspen_failpoints_available() says so.
 */
#ifndef ASPEN_FAILPOINT_H
#define ASPEN_FAILPOINT_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/**
 * What kind of step crosses the gate. Names: aspen_step_name(). Those that fork
 * can have stand before ASPEN_STEP_OBJECT: reports of forks list these alone.
 */
enum aspen_step {
    ASPEN_STEP_MM,         /* memory for a struct aspen_mm */
    ASPEN_STEP_VMA,        /* memory for a struct aspen_vma */
    ASPEN_STEP_TREE_NODE,  /* memory for a node of a range tree */
    ASPEN_STEP_ANON_VMA,   /* memory for an anon_vma or a link to one */
    ASPEN_STEP_PAGE_TABLE, /* a frame for a page table, any level */
    ASPEN_STEP_FRAME,      /* a frame for contents */
    ASPEN_STEP_CHARGE,     /* commit charge, limits; charge of a group */
    ASPEN_STEP_HOOK,       /* a hook or pager of the embedder */
    ASPEN_STEP_SWAP,       /* memory for swap counts; a swap slot */
    ASPEN_STEP_INTERRUPT,  /* a poll for a fatal signal */
    ASPEN_STEP_OBJECT,     /* memory for an object (no step of fork) */
    ASPEN_STEP_NAME,       /* memory for a name of memory (neither) */
    ASPEN_STEP_GROUP,      /* memory for groups (neither) */
    ASPEN_STEP_USERFAULT,  /* memory for a userfault context (neither) */
    ASPEN_STEP_GATHER,     /* memory for frames that wait for a TLB flush; no
                              call fails by it, it flushes once more */
    ASPEN_STEP_KINDS
};

/** "mm", "vma", "tree_node", ... ; NULL when `step` is out of range. */
const char *aspen_step_name(enum aspen_step step);

enum aspen_fail_mode {
    ASPEN_FAIL_NEVER,  /* count crossings only */
    ASPEN_FAIL_ONCE,   /* crossing `number` fails, later ones do not */
    ASPEN_FAIL_ONWARD, /* it fails and so does every later one */
};

/** Called at each crossing, before it is decided whether it fails. */
typedef void aspen_failpoint_observer(void *context, enum aspen_step step,
                                      uint64_t number);

/** What crossings are to fail. Crossings are numbered from 1. */
struct aspen_failpoint_plan {
    enum aspen_fail_mode mode;
    uint64_t number;
    aspen_failpoint_observer *observer; /* may be NULL */
    void *observer_context;
};

struct aspen_failpoint_counts {
    uint64_t crossings; /* since the plan was set */
    uint64_t failed;    /* of these, how many were made to fail */
    uint64_t by_step[ASPEN_STEP_KINDS];
};

/** Whether this build has failpoints. */
bool aspen_failpoints_available(void);

/**
 * Set the plan and start counting at zero. NULL ends it.
 *
 * Context: no call of this machine is under way.
 * Returns: 0, or -ASPEN_EOPNOTSUPP in a build without failpoints,
 *          -ASPEN_EINVAL (unknown mode; number 0 with a mode that fails).
 *          On error the old plan stands.
 */
ASPEN_MUST_USE int
aspen_failpoints_set(struct aspen *aspen,
                     const struct aspen_failpoint_plan *plan);

/** Read the counts since the plan was set (all zero without failpoints). */
void aspen_failpoints_read(const struct aspen *aspen,
                           struct aspen_failpoint_counts *counts);

#ifdef __cplusplus
}
#endif

#endif
