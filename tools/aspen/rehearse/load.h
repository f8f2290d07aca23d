/* SPDX-License-Identifier: MIT */
/*
 * load.h - a machine that holds one captured address space.
 *
 * Only its page tables have memory (ASPEN_CONFIG_TABLES_ONLY,
 * CONTENTS_IGNORED): tens of GiB cost 32 bytes a page for the frame table and 8
 * for its entries. Unless pages are really swapped (swapped.h): then all have.
 */
#ifndef ASPEN_LOAD_H
#define ASPEN_LOAD_H

#include "snapshot/snapshot.h"

#include <aspen/inspect.h>
#include <aspen/machine.h>
#include <aspen/mm.h>

struct aspen_object;
struct swapped;

/** What it is for. */
enum machine_use {
    MACHINE_FOR_FORK,  /* faults are refused */
    MACHINE_FOR_CALLS, /* they make pages, which hold nothing */
};

/** What the hooks saw. Each pair has to balance after a fork is over. */
struct machine_events {
    uint64_t arch_prepared;
    uint64_t arch_committed;
    uint64_t arch_aborted;
    uint64_t userfault_forks; /* with at least one prepare */
    uint64_t userfault_committed;
    uint64_t userfault_aborted;
    uint64_t opened;
    uint64_t closed;
    uint64_t scanner_told;
    uint64_t brackets_opened;
    uint64_t brackets_closed;
    uint64_t released; /* objects whose last reference went */
};

struct machine {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct machine_events events;
    void *direct_map;
    size_t direct_map_bytes;
    struct aspen_object **objects;
    uint32_t object_count;
    struct swapped *swapped; /* NULL: slots are only counted */
    uint64_t left_out;       /* pages that the import has no kind for */
};

/**
 * Make the machine and import the snapshot, VMA by VMA, unmerged, each at its
 * own place.
 * Returns: 0, or -1 and a reason, with nothing left.
 */
int machine_begin(struct machine *machine, const struct snapshot *snapshot,
                  enum machine_use use, struct tool_error *error);

/** Exit of the space, end of the machine. -1 and a reason: something stayed. */
int machine_end(struct machine *machine, struct tool_error *error);

#endif
