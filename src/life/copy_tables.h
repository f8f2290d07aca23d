/* SPDX-License-Identifier: MIT */
/*
 * life/copy_tables.h - the pages of one VMA, copied by fork.
 */
#ifndef ASPEN_LIFE_COPY_TABLES_H
#define ASPEN_LIFE_COPY_TABLES_H

#include "machine/payer.h"
#include "space/vma.h"

/*
 * Does fork have to copy page-table entries of this VMA? Not when every page
 * can be found again by a fault (shared and untouched private file pages), and
 * no entry of `to`, its copy, is to be protected by userfault.
 */
bool aspen_copy_tables_wanted(const struct aspen_vma *to,
                              const struct aspen_vma *from);

/*
 * Copy the entries of `from` into the address space of `to`, its copy, which
 * is linked into the reverse maps already. Private pages become read-only in
 * both, but for those that the child gets a copy of (pinned, COPYONFORK); each
 * copied entry counts one reference and one map of its frame, or one reference
 * of its swap slot. `payer`: for such copies, in the group of both spaces.
 *
 * Context: both mmap locks and the lock of `from` are held for writing.
 * Returns: 0, or -ASPEN_ENOMEM (ASPEN_STEP_PAGE_TABLE, ASPEN_STEP_SWAP,
 *          ASPEN_STEP_FRAME for copies): what was copied stays, whole
 *          entry by entry, for the recovery of fork.
 */
ASPEN_MUST_USE int aspen_copy_tables(struct aspen_vma *to,
                                     struct aspen_vma *from,
                                     struct aspen_payer *payer);

#endif
