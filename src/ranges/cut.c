/* SPDX-License-Identifier: MIT */
/*
 * ranges/cut.c - cuts a range out of the VMAs at its ends.
 *
 * Called by move and move_all. The first test to break is
 * tests/unit/calls/test_mremap.c.
 */
#include "ranges/cut.h"

void
aspen_cut_init(struct aspen_cut *cut)
{
    cut->low.vma = NULL;
    cut->high.vma = NULL;
}

/* One end, or both ends of one VMA. */
static int
isolate(struct aspen_isolate *isolate, struct aspen_vma *vma, uint64_t start,
        uint64_t end)
{
    int error = aspen_vma_isolate(isolate, vma, start, end);
    if (error)
        isolate->vma = NULL;
    return error;
}

int
aspen_cut_range(struct aspen_cut *cut, const struct aspen_remove *range,
                bool *changed)
{
    struct aspen_vma *first = range->first;
    struct aspen_vma *last = range->last;

    aspen_cut_init(cut);
    *changed = first && (first->start < range->start || last->end > range->end);
    if (!*changed)
        return 0;
    int error =
        isolate(&cut->low, first, aspen_max_u64(first->start, range->start),
                aspen_min_u64(first->end, range->end));
    if (error || first == last)
        return error;
    error = isolate(&cut->high, last, last->start,
                    aspen_min_u64(last->end, range->end));
    if (error)
        aspen_cut_undo(cut);
    return error;
}

int
aspen_cut_vma(struct aspen_cut *cut, struct aspen_vma *vma, uint64_t start,
              uint64_t end, bool *changed)
{
    aspen_cut_init(cut);
    *changed = vma->start < start || vma->end > end;
    return *changed ? isolate(&cut->low, vma, start, end) : 0;
}

void
aspen_cut_undo(struct aspen_cut *cut)
{
    if (cut->high.vma)
        aspen_isolate_undo(&cut->high);
    if (cut->low.vma)
        aspen_isolate_undo(&cut->low);
}

void
aspen_cut_done(struct aspen_cut *cut)
{
    if (cut->low.vma)
        aspen_isolate_done(&cut->low);
    if (cut->high.vma)
        aspen_isolate_done(&cut->high);
}
