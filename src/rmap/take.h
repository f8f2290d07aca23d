/* SPDX-License-Identifier: MIT */
/*
 * rmap/take.h - takes pages away from all spaces that map them, and flushes the
 * TLBs of many pages at once.
 *
 *     struct aspen_take take = {0};
 *     each page: aspen_take_page(&take, ...)
 *     aspen_take_flush(&take);
 *     ... only now: was it written, does anybody hold it; write it, free it
 *
 * Whoever finds an entry gone before the flush flushes as well, if it has to be
 * so for him: until then this is counted as pending (paging/table.h).
 */
#ifndef ASPEN_RMAP_TAKE_H
#define ASPEN_RMAP_TAKE_H

#include "space/vma.h"

/* Spaces that are flushed together; for one more all of them are, first. */
#define ASPEN_TAKE_SPACES 4

struct aspen_take {
    unsigned count;
    struct aspen_take_space {
        struct aspen_mm *mm;            /* a reference; counted as pending, */
        unsigned part;                  /* ... in this part of it */
        bool changed;                   /* there is something to flush */
        uint64_t gone[ASPEN_RSS_KINDS]; /* pages, by kind */
        uint64_t start;                 /* what was looked at */
        uint64_t end;
    } spaces[ASPEN_TAKE_SPACES];
};

/* Every page's entries that were taken are in no TLB from now on. Context: as
 * aspen_tlb_flush(); no lock outside an mm's reference is needed. */
void aspen_take_flush(struct aspen_take *take);

/*
 * An entry leads to the page: 1 if it was replaced, ASPEN_TAKE_KEPT if it
 * allows less and leads there still, 0 if it stays, or an error, which ends the
 * walk. The table's lock is held. What the page counts is the caller's affair;
 * that the space has one less, for 1, is not.
 */
#define ASPEN_TAKE_KEPT 2
typedef int aspen_take_entry(void *context, struct aspen_vma *vma,
                             const struct aspen_slot *slot);

/*
 * Ask `entry` of each entry that leads to the page; `object`: whose it is, or
 * NULL of an anonymous one. The caller has locked it and holds it, and keeps
 * both until the flush. 0, or the error of `entry`.
 *
 * A second MMU is told page by page: of a space that has brackets, what was
 * taken until now is flushed before this returns.
 *
 * Context: may sleep; no lock inside the page's is held. Takes those of the
 *          reverse map.
 */
ASPEN_MUST_USE int aspen_take_page(struct aspen_take *take, struct aspen *aspen,
                                   struct aspen_object *object, uint32_t frame,
                                   aspen_take_entry *entry, void *context);

#endif
