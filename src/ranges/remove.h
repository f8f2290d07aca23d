/* SPDX-License-Identifier: MIT */
/*
 * ranges/remove.h - removes whatever is mapped in a range: all of munmap, and
 * the first half of an mmap that replaces.
 *
 *            start                 end
 *              |                      |
 *     [     first     )[ ... )[     last     )   before
 *     [ first )                       [ last )   what stays: the same VMAs
 *              [ head )[ ... )[ tail )           what goes: a list
 *
 * Where the range ends with a VMA there is no head, or no tail: the VMA goes as
 * it is. In the middle of one VMA there is a hole:
 *
 *     [                first                 )   before
 *     [ first )                       [ rest )   rest: a new VMA
 *              [        head         )           what goes
 *
 * In three parts: check (may refuse), reserve (may fail), commit (cannot).
 */
#ifndef ASPEN_RANGES_REMOVE_H
#define ASPEN_RANGES_REMOVE_H

#include "space/vma.h"

struct aspen_remove {
    struct aspen_mm *mm;
    uint64_t start;
    uint64_t end;
    struct aspen_vma *first; /* the first VMA of the range; NULL: none */
    struct aspen_vma *last;
    struct aspen_vma *head; /* NULL unless first starts before the range */
    struct aspen_vma *tail; /* NULL unless last, not first, ends after it */
    struct aspen_vma *rest;
    uint64_t pages;        /* of what goes */
    uint64_t charge_pages; /* of these, charged */
    uint64_t data_pages;   /* of these, data as RLIMIT_DATA means it */
    uint64_t locked_pages; /* of these, locked */

    /* What will end at `start` and start at `end` after the commit, or NULL:
     * until then they have their old ranges. For a hole `above` is known from
     * reserve on. */
    struct aspen_vma *below;
    struct aspen_vma *above;
    uint64_t floor;   /* where whatever is below will end */
    uint64_t ceiling; /* where whatever is above will start */

    struct aspen_tree_cursor cursor; /* about there */
};

/* As if nothing was mapped there, nor around it. */
void aspen_remove_init(struct aspen_remove *remove, struct aspen_mm *mm,
                       uint64_t start, uint64_t end);

/*
 * Look at what is mapped in [start, end).
 *
 * Context: this and all below: the mmap lock is held for writing.
 * Returns: 0, or -ASPEN_EPERM (a sealed VMA), -ASPEN_ENOMEM (a hole would
 *          exceed the map count), -ASPEN_EOPNOTSUPP (an edge inside a huge
 *          page), -ASPEN_EINVAL (the same of a huge-page object).
 */
ASPEN_MUST_USE int aspen_remove_check(struct aspen_remove *remove,
                                      struct aspen_mm *mm, uint64_t start,
                                      uint64_t end);

/* All that commit needs but tree nodes. 0, or -ASPEN_ENOMEM or an open hook's
 * error, with nothing left. */
ASPEN_MUST_USE int aspen_remove_reserve(struct aspen_remove *remove);
void aspen_remove_abort(struct aspen_remove *remove);

/*
 * Call it after reserve, with nothing stored since check. It reserves tree
 * nodes for the commit and for `more` stores of the caller that lie in [start,
 * end), which may reach beyond the range. 0, or -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_remove_reserve_tree(struct aspen_remove *remove,
                                             struct aspen_tree_reserve *reserve,
                                             unsigned more, uint64_t start,
                                             uint64_t end);

/* What is around the range is different since check: look again. */
void aspen_remove_look_around(struct aspen_remove *remove);

/* Unmap. The charge of what goes is not given back: it is the caller's. */
void aspen_remove_commit(struct aspen_remove *remove,
                         struct aspen_tree_reserve *reserve);

#endif
