/* SPDX-License-Identifier: MIT */
/*
 * ranges/move.h - a mapping, or a part of one, goes to another place and may
 * change its size: the heart of mremap.
 *
 *      from   + pages_bytes   + unmapped_bytes
 *        |         |              |
 *     [..[  moves  )[   goes   ..)..)                before
 *
 *                                       to             + to_bytes
 *                                        |                 |
 *     [..)                       [..)    [  moved  )[ new  )       after
 *
 *   smaller   pages_bytes = to_bytes < unmapped_bytes: the rest is unmapped
 *   the same  all three are equal
 *   larger    pages_bytes = unmapped_bytes < to_bytes: the new part is empty
 *   copied    pages_bytes = unmapped_bytes = 0: shared memory is mapped twice
 *   DONTUNMAP unmapped_bytes = 0: the old mapping stays, without its pages
 *
 * What is mapped at the target is unmapped. The moved mapping becomes a VMA of
 * its own, or is merged with its neighbours there (ranges/merge.h).
 *
 * In three parts: check (may refuse), reserve (may fail), commit (cannot).
 */
#ifndef ASPEN_RANGES_MOVE_H
#define ASPEN_RANGES_MOVE_H

#include "paging/move.h"
#include "ranges/cut.h"
#include "ranges/merge.h"
#include "ranges/remove.h"

struct aspen_move {
    struct aspen_mm *mm;   /* in: as all down to `dontunmap` */
    struct aspen_vma *vma; /* that has `from` */
    uint64_t from;
    uint64_t pages_bytes;    /* whose entries move; inside vma */
    uint64_t unmapped_bytes; /* that are unmapped after it */
    uint64_t to;
    uint64_t to_bytes;
    bool dontunmap;

    uint64_t flags; /* of the new mapping; check's */
    uint64_t pgoff;
    struct aspen_remove target; /* check's and reserve's */
    struct aspen_remove source;
    struct aspen_cut source_cut;
    struct aspen_cut target_cut; /* aspen_move_cut()'s */
    /*
     * With dontunmap: what was one mapping with the source when that was cut,
     * whatever was cut out of it later. Empty: the VMA that is there then.
     *
     *              remnant_start            remnant_end
     *               |                        |
     *               [     [ source )         )
     *     [  new   )[ ... )                        merges_remnant
     */
    uint64_t remnant_start;
    uint64_t remnant_end;
    bool merges_remnant; /* the new one would be merged with that, if nothing
                            had been cut out in between */
    struct aspen_merge merge;
    struct aspen_vma *fresh; /* NULL: a neighbour gets it */
    struct aspen_list links; /* of fresh */
    struct aspen_table_move tables;
    struct aspen_tree_reserve *tree;
    uint64_t charged_pages;
};

/*
 * Context: this and all below: the mmap lock is held for writing.
 * Returns: 0, -ASPEN_EPERM (it would unmap something sealed),
 *          -ASPEN_EOPNOTSUPP, -ASPEN_EINVAL (huge pages), -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_move_check(struct aspen_move *move);

/*
 * After check: reserve and commit; sizes, locked pages and charge included.
 *
 * Returns: 0, -ASPEN_ENOMEM, an open hook's or a special mapping's error, with
 *          nothing changed.
 */
ASPEN_MUST_USE int aspen_move_apply(struct aspen_move *move);

/* ---- The steps of it, for whoever makes several ------------------------ */

/* What will be beside the target when the mapping gets there. */
struct aspen_move_neighbours {
    struct aspen_vma *below; /* ends where the target starts; or NULL */
    struct aspen_vma *above; /* starts where the target ends; or NULL */
    /* What `below` will be by then; NULL: as it is. */
    const struct aspen_candidate *below_then;
    /* What is there instead of `above`, but goes before; or NULL. */
    struct aspen_vma *above_goes;
};

/* Source and target are cut out of the VMAs at their ends, whatever was cut
 * since check. 0, or an error as apply's with nothing cut; can be undone. */
ASPEN_MUST_USE int aspen_move_cut(struct aspen_move *move);
void aspen_move_uncut(struct aspen_move *move);

/* All that commit needs, but for nodes of the tree, for which the caller sets
 * `tree`, and the word of a special mapping. `neighbours` NULL: those that are
 * there. 0, or an error as apply's with nothing left. */
ASPEN_MUST_USE int
aspen_move_reserve(struct aspen_move *move,
                   const struct aspen_move_neighbours *neighbours);
void aspen_move_abort(struct aspen_move *move);

/* The most stores that commit makes: what is at the target goes, the new
 * mapping comes, the old one goes. */
#define ASPEN_MOVE_STORES 3

/* A special mapping may say no, the last that can: 0, or what it says; it is
 * told of the way back by undo. */
ASPEN_MUST_USE int aspen_move_ask(const struct aspen_move *move);
void aspen_move_ask_undo(const struct aspen_move *move);

void aspen_move_commit(struct aspen_move *move);

#endif
