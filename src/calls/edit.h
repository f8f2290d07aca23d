/* SPDX-License-Identifier: MIT */
/*
 * calls/edit.h - other flags, or another name, for a range, whatever VMAs it
 * spans: mprotect, mlock, the advices that are flags, names.
 *
 *        start                 end
 *          |                    |
 *     [   first   )[ ... )[   last   )      before
 *     [ first )[  head + ... + tail  )      one that became like its
 *                              [ last )     neighbours is one with them
 *
 * A VMA whose flags (and name) stay is left alone; where one's change, both its
 * boundaries are looked at, from left to right, and what may be one becomes
 * one. So Linux. In three parts: check (may refuse), reserve (may fail),
 * commit (cannot).
 */
#ifndef ASPEN_CALLS_EDIT_H
#define ASPEN_CALLS_EDIT_H

#include "space/vma.h"

struct aspen_edit;

/*
 * What becomes of a VMA's flags: 0 and *flags, or an error that refuses the
 * edit. It is asked several times and has to say the same each time.
 */
typedef int aspen_edit_judge(const struct aspen_edit *edit,
                             const struct aspen_vma *vma, uint64_t *flags);

struct aspen_edit {
    struct aspen_mm *mm; /* in: as all down to name */
    uint64_t start;
    uint64_t end;
    aspen_edit_judge *judge;
    uint64_t set; /* the judge's */
    uint64_t clear;
    bool holes_allowed;
    bool renames;            /* the range gets `name`, which may be NULL */
    struct aspen_name *name; /* the caller's reference */

    bool holes;              /* out of check, as all down to `pages` */
    struct aspen_vma *first; /* in the range, or across its start */
    bool changes;            /* anything at all */
    uint64_t charge_pages;   /* that become ACCOUNT */
    uint64_t uncharge_pages; /* that were */
    uint64_t data_pages;     /* that become data */
    uint64_t pages;          /* whose flags change */

    struct aspen_vma *below; /* reserve's, as all below: ends at the start */
    unsigned stores;
    unsigned parts;
    struct aspen_vma *head;  /* the range's part of its first VMA */
    struct aspen_vma *above; /* what of that VMA is above the range */
    struct aspen_vma *tail;  /* the range's part of its last VMA */
    struct aspen_list links;
    struct aspen_tree_reserve reserve;
};

/*
 * Look at all of the range.
 *
 * Context: this and all below: the mmap lock is held for writing.
 * Returns: 0, -ASPEN_ENOMEM (a hole that is not allowed), -ASPEN_EOPNOTSUPP or
 *          -ASPEN_EINVAL (an edge of a change inside a huge page), or what the
 *          judge says. Errors are those of the lowest address.
 */
ASPEN_MUST_USE int aspen_edit_check(struct aspen_edit *edit);

/* All that commit needs, charge included. 0, -ASPEN_ENOMEM (also: map count),
 * or an open hook's error, with nothing left. */
ASPEN_MUST_USE int aspen_edit_reserve(struct aspen_edit *edit);

/* The VMAs have their flags and ranges. Entries are the caller's. */
void aspen_edit_commit(struct aspen_edit *edit);

/* All three, if there is anything to change: 0, or an error of check or
 * reserve and nothing has changed. */
ASPEN_MUST_USE int aspen_edit_apply(struct aspen_edit *edit);

/* The judge of those who set and clear the same everywhere. */
int aspen_edit_judge_plain(const struct aspen_edit *edit,
                           const struct aspen_vma *vma, uint64_t *flags);

#endif
