/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/brk.h - the heap at the end of a program's data.
 */
#ifndef ASPEN_BRK_H
#define ASPEN_BRK_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Move the end of the heap, which begins where the layout says
 * (aspen_layout_set()). The heap grows as private zeroes, and shrinks as
 * munmap does.
 *
 * Units:   bytes; `brk` need not be page-aligned.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_ENOMEM (below the heap's start, beyond user space, the
 *          limits of DATA or AS, a mapping or a stack's guard gap in the way,
 *          the heap is not where it was, charge refused, map count, no memory),
 *          -ASPEN_EPERM (the layout has no heap, as in a new space: it would
 *          begin at 0, below config.mmap_min_fixed; the end is 0 and stays so.
 *          Whoever has the privilege SYS_RAWIO gets it there),
 *          -ASPEN_EAGAIN (what is to be locked is beyond the limit),
 *          -ASPEN_EINTR, or an error of aspen_munmap(). On error nothing has
 *          changed.
 *          *now, unless NULL, gets the end: the new one, or after an error the
 *          one that stays, as brk(2) returns it; untouched after -ASPEN_EINTR.
 * Source:  brk(2); Linux v6.12.
 */
ASPEN_MUST_USE int aspen_brk(struct aspen_mm *mm, uint64_t brk, uint64_t *now);

#ifdef __cplusplus
}
#endif

#endif
