/* SPDX-License-Identifier: MIT */
/*
 * ranges/move_all.h - several mappings go by one distance to another place: all
 * of them, or none.
 *
 *        from                          end
 *         [ move 0 )[ move 1 )   [ move 2 )       each a mapping, or its part
 *             |         |            |
 *             v         v            v
 *         [        )[        )   [        )       the target; what is mapped
 *                                                 in its gaps stays
 *
 * Each is a move of its own, and the result is as if they were made one after
 * the other. None may fail once the first was made: so the sources and targets
 * of all are cut out of the VMAs at their ends before anything else; then each
 * move reserves what it needs, knowing what those before it will leave.
 */
#ifndef ASPEN_RANGES_MOVE_ALL_H
#define ASPEN_RANGES_MOVE_ALL_H

#include "ranges/move.h"

struct aspen_move_all {
    struct aspen_mm *mm;
    uint64_t count;
    struct aspen_move *move; /* so many, in order; NULL: not allocated */

    /* What the last one that was planned leaves. */
    struct aspen_candidate result;
    bool rehearses;
    struct aspen_tree_rehearsal rehearsal; /* of the commits of those planned */
    struct aspen_tree_reserve tree;
};

/* Memory for `count` moves, which are the caller's to plan. 0 or -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_move_all_alloc(struct aspen_move_all *all,
                                        struct aspen_mm *mm, uint64_t count);
void aspen_move_all_free(struct aspen_move_all *all);

/*
 * Each was checked (aspen_move_check()). All move or none. Afterwards
 * aspen_move_all_free() gives `move` back, either way.
 *
 * Context: the mmap lock is held for writing.
 * Returns: 0, or an error as aspen_move_apply()'s, with nothing changed.
 */
ASPEN_MUST_USE int aspen_move_all_apply(struct aspen_move_all *all);

#endif
