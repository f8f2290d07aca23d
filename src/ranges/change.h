/* SPDX-License-Identifier: MIT */
/*
 * ranges/change.h - other flags, or another name, for a range, whatever VMAs it
 * spans: mprotect, mlock, the advices that are flags, names.
 *
 *          start               end
 *            |                  |
 *     [    first    )[ ... )[    last    )      before
 *     [first)[ part )[ ... )[part)[ last )      cut where the range ends
 *     [first)[        one        )[ last )      merged, where those in it are
 *                                               alike now
 *
 * A VMA whose flags (and name) stay the same is not touched. Each changed VMA
 * is merged with its neighbours where allowed, left to right; Linux does the
 * same. In three parts: check (may refuse), reserve (may fail), commit
 * (cannot).
 */
#ifndef ASPEN_RANGES_CHANGE_H
#define ASPEN_RANGES_CHANGE_H

#include "space/vma.h"

struct aspen_change;

/*
 * The judge: answers 0 and a VMA's new *flags, or an error that refuses the
 * change. It is asked several times and has to answer the same each time.
 */
typedef int aspen_change_judge(const struct aspen_change *change,
                               const struct aspen_vma *vma, uint64_t *flags);

struct aspen_change {
    struct aspen_mm *mm; /* in: as all down to name */
    uint64_t start;
    uint64_t end;
    aspen_change_judge *judge;
    uint64_t set; /* the judge's */
    uint64_t clear;
    bool holes_allowed;
    bool renames;            /* the range gets `name`, which may be NULL */
    struct aspen_name *name; /* the caller's reference */
    bool userfaults;         /* the range gets `userfault`, which may be NULL */
    void *userfault;         /* the caller's reference */

    bool holes;              /* out, of check too; each call says it anew */
    bool changes;            /* out, of check too: anything at all */
    struct aspen_vma *whole; /* out: has all of the range now; NULL: several
                                may */
};

/*
 * Look at all of the range.
 *
 * Context: this and apply: the mmap lock is held for writing.
 * Returns: 0, -ASPEN_ENOMEM (a hole that is not allowed), -ASPEN_EOPNOTSUPP or
 *          -ASPEN_EINVAL (an edge of a change inside a huge page), or what the
 *          judge says. Errors are those of the lowest address: -ASPEN_ENOMEM if
 *          there is no charge for what is below the VMA that refuses, or it
 *          has to be split and there are as many VMAs as may be.
 */
ASPEN_MUST_USE int aspen_change_check(struct aspen_change *change);

/*
 * Check, reserve, and commit if there is anything to change. Afterwards the
 * VMAs have their new flags, names and ranges; page-table entries are the
 * caller's to change.
 *
 * Returns: 0; an error of check; -ASPEN_ENOMEM (also: map count), or an open
 *          hook's error. On error nothing has changed.
 */
ASPEN_MUST_USE int aspen_change_apply(struct aspen_change *change);

/* The judge of those who set and clear the same everywhere. */
int aspen_change_judge_plain(const struct aspen_change *change,
                             const struct aspen_vma *vma, uint64_t *flags);

#endif
