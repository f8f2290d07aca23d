/* SPDX-License-Identifier: MIT */
/*
 * paging/move.h - page-table entries that go to another address of the same
 * space, whatever they are: pages, huge pages, swap entries, markers.
 *
 *     struct aspen_table_move move = {.mm = mm, .from = ..., ...};
 *     error = aspen_table_move_check(&move);
 *     error = aspen_table_move_reserve(&move);    may fail
 *     ...
 *     aspen_table_move_commit(&move);             cannot
 *     aspen_table_move_finish(&move);
 *
 * Context: the mmap lock is held for writing, the ranges do not overlap, and
 * nobody faults in either; who faults next to them may bring a table that both
 * are in.
 */
#ifndef ASPEN_PAGING_MOVE_H
#define ASPEN_PAGING_MOVE_H

#include "paging/table.h"

struct aspen_table_move {
    struct aspen_mm *mm; /* in: as all down to drop_userfault */
    uint64_t from;
    uint64_t to;
    uint64_t bytes;
    bool target_goes;    /* what is mapped at the target goes before commit,
                            and its page tables with it */
    bool drop_userfault; /* forget who wants to hear of writes */

    uint32_t spare; /* tables put aside; a list through table_next */
    uint64_t counted[ASPEN_TABLE_LEVELS]; /* up to where, for each level */
};

/* 0, or -ASPEN_EOPNOTSUPP: a huge page that is cut by an edge, or that would
 * not be aligned at the target. */
ASPEN_MUST_USE int aspen_table_move_check(const struct aspen_table_move *move);

/* All page tables that commit can need. 0, or -ASPEN_ENOMEM with none. */
ASPEN_MUST_USE int aspen_table_move_reserve(struct aspen_table_move *move);

/*
 * Nothing is mapped at the target, but empty tables may be there. The TLB is
 * flushed before it returns. Context: the locks of the reverse maps are held
 * for writing, so no walker is about.
 */
void aspen_table_move_commit(struct aspen_table_move *move);

/* After commit, or reserve alone: give back what is left. Context: may sleep,
 * so those locks are dropped. */
void aspen_table_move_finish(struct aspen_table_move *move);

#endif
