/* SPDX-License-Identifier: MIT */
/*
 * foretold.h - what becomes of mappings, by a model without mappings: pages,
 * and whether a mapping starts there. Which of them may be one is written down
 * a second time, page by page. The eight classical ways to merge are counted:
 *
 *      a new range      1  both    2  below   3  above
 *      a changed part   4  the end of one goes to the mapping above
 *                       5  the start of one goes to the mapping below
 *      a changed whole  6  both    7  below   8  above
 */
#ifndef ASPEN_TESTS_FORETOLD_H
#define ASPEN_TESTS_FORETOLD_H

#include "page_model.h"

#define PAGES 40u

/* Mappings with one of these never merge. */
#define NEVER (ASPEN_VM_DONTEXPAND | ASPEN_VM_IO | ASPEN_VM_PFNMAP)

struct foretold {
    struct page pages[PAGES];
    /* Its mappings may refuse to be split, and never dissolve in another. */
    const struct aspen_object *hooked;
    uint64_t cases[9]; /* 0: without a merge */
};

struct change {
    uint64_t set;
    uint64_t clear;
    bool access; /* of mprotect: charge follows */
    bool renames;
    const char *name;
};

/* The mapping that a page is in. */
unsigned start_of(const struct foretold *m, unsigned i);
unsigned end_of(const struct foretold *m, unsigned i);

bool same_name(const char *a, const char *b);

/* A cut at `i` would split a mapping that may refuse it. */
bool cuts_hooked(const struct foretold *m, unsigned i);

/* The ends of the range lie in such mappings, which change. */
bool change_cuts_hooked(const struct foretold *m, unsigned start, unsigned end,
                        const struct change *change);

/* A mapping gets the anon_vma that `from` has. */
void take_anon(struct foretold *m, unsigned start, unsigned end,
               struct page from);

/* What calls do. Where model_map() maps, nothing is. */
void model_clear(struct foretold *m, unsigned start, unsigned end);
void model_map(struct foretold *m, unsigned start, unsigned end,
               struct page like);
void model_change(struct foretold *m, unsigned start, unsigned end,
                  const struct change *change);

/* One mapping's part goes elsewhere; without pages it is as if mapped anew. */
void model_move(struct foretold *m, unsigned from, unsigned to, unsigned count);

#endif
