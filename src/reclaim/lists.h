/* SPDX-License-Identifier: MIT */
/*
 * reclaim/lists.h - whose pages are looked at, and how many of them: the lists
 * of a machine and of its groups, or those of a group and of all below it.
 *
 *     struct aspen_lists lists;
 *     aspen_lists_begin(&lists, aspen, root);
 *     while ((lru = aspen_lists_next(&lists)) != NULL)
 *         ... of aspen_lists_spare(&lists) pages aspen_lists_share(...) ...
 */
#ifndef ASPEN_RECLAIM_LISTS_H
#define ASPEN_RECLAIM_LISTS_H

#include "frames/lru.h"

struct aspen_lists {
    struct aspen *aspen;
    struct aspen_group *root;  /* NULL: the machine */
    struct aspen_group *group; /* whose lists are at hand, with a reference;
                                  NULL: the machine's */
    uint32_t first;            /* where this walk began */
    uint32_t at;               /* how many are behind */
    bool begun;
    bool around;   /* those before the first come now */
    bool low_goes; /* what `low` protects may leave as well */
};

/* Each walk begins with another one. `low_goes`: if all else was in vain.
 * Context: any lock but leaves. */
void aspen_lists_begin(struct aspen_lists *lists, struct aspen *aspen,
                       struct aspen_group *root, bool low_goes);

/* NULL: each was there once, and nothing is held. Else they are there until the
 * next call, or the end. */
struct aspen_lru *aspen_lists_next(struct aspen_lists *lists);

/* Before all were there. */
void aspen_lists_end(struct aspen_lists *lists);

/* Pages of the lists at hand that may leave, as far as they are not protected
 * (aspen_group_protect()). */
uint64_t aspen_lists_spare(const struct aspen_lists *lists);

/* Of all of them. */
uint64_t aspen_lists_spare_of_all(struct aspen *aspen, struct aspen_group *root,
                                  bool low_goes);

/* Has any an anonymous page that may leave? */
bool aspen_lists_have_anon(struct aspen *aspen);

/* Pages of the lists at hand are about to leave. */
void aspen_lists_note(const struct aspen_lists *lists);

/* So many of `pages` that are to leave are those of the lists at hand, which
 * have their part of all `spare` ones. What is less than a page counts the next
 * time. */
uint64_t aspen_lists_share(const struct aspen_lists *lists, uint64_t pages,
                           uint64_t spare);

#endif
