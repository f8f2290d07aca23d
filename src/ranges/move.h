/* SPDX-License-Identifier: MIT */
/*
 * ranges/move.h - a mapping, or a part of one, goes to another place, and may
 * come to be another size: the heart of mremap.
 *
 *      from   + pages_bytes   + gone_bytes
 *        |         |              |
 *     [..[  moves  )[  goes  ..)..)               before
 *                                       to             + to_bytes
 *                                        |                 |
 *                                        [  moved  )[ new  )       after
 *
 * In three parts: check (may refuse), reserve (may fail), commit (cannot).
 */
#ifndef ASPEN_RANGES_MOVE_H
#define ASPEN_RANGES_MOVE_H

#include "ranges/remove.h"
#include "ranges/merge.h"
#include "paging/move.h"
#include "space/split.h"

struct aspen_moves;

/* A range is cut out of the VMAs at its ends. */
struct aspen_cut {
    struct aspen_isolate low;
    struct aspen_isolate high;
};

struct aspen_move {
    struct aspen_mm *mm;   /* in: as all down to `dontunmap` */
    struct aspen_vma *vma; /* that has `from` */
    uint64_t from;
    uint64_t pages_bytes; /* whose entries move; inside vma */
    uint64_t gone_bytes;  /* that are unmapped after it; 0: none, what was
                             there stays, without its pages */
    uint64_t to;
    uint64_t to_bytes;
    bool dontunmap;
    struct aspen_moves *with; /* that it is one of, or NULL: move_all.h */

    uint64_t flags; /* of the new mapping; check's */
    uint64_t pgoff;
    struct aspen_remove target; /* reserve's, as all below */
    struct aspen_remove source;
    struct aspen_cut source_cut;
    /* Of a move with others alone. What is left with dontunmap is the VMA as it
     * was before those after it were cut. */
    struct aspen_cut target_cut;
    uint64_t remnant_start;
    uint64_t remnant_end;
    bool merges_remnant; /* the new one would be merged with it,
                                but for those after it */
    struct aspen_merge merge;
    struct aspen_vma *fresh; /* NULL: a neighbour takes it */
    struct aspen_list links; /* of fresh */
    struct aspen_table_move tables;
    struct aspen_tree_reserve own_tree;
    struct aspen_tree_reserve *tree; /* own_tree, or that of all */
    uint64_t charged_pages;
};

/*
 * Context: this and all below: the mmap lock is held for writing.
 * Returns: 0, -ASPEN_EPERM (something that goes is sealed), -ASPEN_EOPNOTSUPP,
 *          -ASPEN_EINVAL (huge pages), -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_move_check(struct aspen_move *move);

/* 0, -ASPEN_ENOMEM, an open hook's or a special mapping's error, with nothing
 * left. */
ASPEN_MUST_USE int aspen_move_reserve(struct aspen_move *move);

/* Sizes, locked pages and charge included. */
void aspen_move_commit(struct aspen_move *move);

/*
 * For a move with others, which does in two parts what reserve does, but for
 * tree nodes, which are put aside for all, and for the question to a special
 * mapping, which comes last: its source and its target are cut out of the VMAs
 * at their ends, all else is got. Each is 0, or an error as reserve's with
 * nothing left, and can be undone.
 */
ASPEN_MUST_USE int aspen_move_cut(struct aspen_move *move);
void aspen_move_uncut(struct aspen_move *move);
ASPEN_MUST_USE int aspen_move_reserve_rest(struct aspen_move *move);
void aspen_move_abort(struct aspen_move *move);
/* 0, or what the special mapping says; it is told of the way back by undo. */
ASPEN_MUST_USE int aspen_move_ask(const struct aspen_move *move);
void aspen_move_ask_undo(const struct aspen_move *move);
/* The most stores that commit makes. */
unsigned aspen_move_stores(const struct aspen_move *move);

#endif
