/* SPDX-License-Identifier: MIT */
/*
 * load_parts.h - a machine while it is built from a snapshot: what the files
 * load*.c share.
 */
#ifndef ASPEN_LOAD_PARTS_H
#define ASPEN_LOAD_PARTS_H

#include "rehearse/load.h"

#define PAGE SNAPSHOT_PAGE_SIZE

/* Swap as the import sees it: the kernel's areas, and one for the rest. */
struct swap_plan {
    uint64_t last_slot[32]; /* + 1, by the kernel's type; 0: not used */
    uint64_t pages[32];
    unsigned area[32];  /* ours */
    uint64_t own_slots; /* pages that get a slot of their own */
    uint64_t next_own;
    unsigned own_area;
};

/* What of an object's pages the import needs to know beforehand. */
struct object_plan {
    uint64_t end; /* in pages */
    bool has_pages;
    bool has_small;
    bool has_huge;
};

struct building {
    struct machine *machine;
    const struct snapshot *snapshot;
    enum machine_use use;
    struct tool_error *error;
    struct swap_plan swap;
    struct object_plan *objects;
};

/* ---- load_hooks.c ------------------------------------------------------- */

extern const struct aspen_pager_ops load_pager_ops;
void load_hooks(struct machine *machine, struct aspen_hooks *hooks);

/* ---- load_import.c ------------------------------------------------------ */

/* All VMAs. -1: building->error. */
int load_import(struct building *building);

#endif
