/* SPDX-License-Identifier: MIT */
/*
 * ranges/cut.h - cuts a range out of the VMAs at its ends, so that those in it
 * are whole.
 *
 *             start                 end
 *               |                    |
 *     [      first     )[ ... )[    last    )     before
 *     [ below )[ first )[ ... )[last )[above)     after
 *
 *     [                first                )     before
 *     [ below )[       first         )[above)     after
 *
 * A cut can be undone, and leaves nothing then.
 */
#ifndef ASPEN_RANGES_CUT_H
#define ASPEN_RANGES_CUT_H

#include "ranges/remove.h"
#include "rmap/split.h"

struct aspen_cut {
    struct aspen_isolate low; /* its vma is NULL: nothing to undo */
    struct aspen_isolate high;
};

void aspen_cut_init(struct aspen_cut *cut);

/*
 * Cut out the range, which aspen_remove_check() has looked at. *changed: VMAs
 * were cut, so `range` names VMAs that are others now: check it again.
 *
 * Context: this and all below: the mmap lock is held for writing.
 * Returns: 0, or -ASPEN_ENOMEM (also: map count), -ASPEN_EOPNOTSUPP or
 *          -ASPEN_EINVAL (what cannot be cut there), or an open hook's error,
 *          with nothing cut.
 */
ASPEN_MUST_USE int aspen_cut_range(struct aspen_cut *cut,
                                   const struct aspen_remove *range,
                                   bool *changed);

/* The same of [start, end), which lies in one VMA. */
ASPEN_MUST_USE int aspen_cut_vma(struct aspen_cut *cut, struct aspen_vma *vma,
                                 uint64_t start, uint64_t end, bool *changed);

/* After a cut that succeeded, exactly one of them. */
void aspen_cut_undo(struct aspen_cut *cut);
void aspen_cut_done(struct aspen_cut *cut);

#endif
