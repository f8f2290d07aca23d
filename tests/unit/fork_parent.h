/* SPDX-License-Identifier: MIT */
/*
 * fork_parent.h - an address space that takes fork through every row of
 * docs/design/fork.md, walkers that look at a fork from outside while it runs,
 * and the labels that say which row a crossing belongs to.
 */
#ifndef FORK_PARENT_H
#define FORK_PARENT_H

#include "helper.h"
#include "internal.h"

/* What the hooks and walkers of one machine saw. */
struct fork_events {
    uint64_t opened;
    uint64_t closed;
    uint64_t userfault_prepared;
    uint64_t userfault_committed;
    uint64_t userfault_aborted;
    uint64_t begun; /* spaces, as mm_init and mm_exit hear of them */
    uint64_t ended;
    uint64_t arch_prepared;
    uint64_t arch_committed;
    uint64_t arch_aborted;
    uint64_t scanner_forks;
    uint64_t brackets_started;
    uint64_t brackets_ended;
    uint64_t walks;        /* walks by the observer */
    uint64_t children_met; /* VMAs of a BUILDING child met by them */
    const char *broken;    /* what a walker saw that must not be; or NULL */
    /* Hooks that refuse, for tests of the hooks themselves. */
    int init_error;
    int open_error;
    int userfault_error;
    int arch_error;
};

struct fork_parent {
    struct helper helper; /* its machine */
    struct aspen_mm *mm;
    struct aspen_object *file;
    struct aspen_object *shmem;
    uint32_t pinned[2]; /* frames of the rich one */
    struct fork_events events;
};

/* A machine with a parent that has it all / that has no VMA / `vmas` touched
 * VMAs of one page. Fail the test when that cannot be had. */
struct fork_parent *fork_parent_rich(void);
struct fork_parent *fork_parent_empty(void);
struct fork_parent *fork_parent_many(unsigned vmas);
/* Parent exits, machine goes: nothing may be left. */
void fork_parent_free(struct fork_parent *parent);

/* Look at the machine as reverse-map, registry and swap-list walkers do; finds
 * go to events.broken. Safe at any crossing inside fork. */
void fork_walkers(struct fork_parent *parent);

/* What a crossing belongs to. */
struct fork_label {
    unsigned row;   /* of docs/design/fork.md */
    unsigned level; /* row 16, page_table: of the table that is made */
};

/*
 * Labels for the crossings of a whole fork, which are predicted from the
 * parent's VMAs and page tables. False when the sequence is another one.
 */
bool fork_label_steps(const struct fork_parent *parent,
                      const enum aspen_step *steps, uint64_t count,
                      struct fork_label *labels);

#endif
