/* SPDX-License-Identifier: MIT */
/*
 * ranges/mergeable.c - which mappings may become one.
 *
 * I1  What joins could not be told apart by anything a caller can ask for.
 * I2  A VMA with several links (it or an ancestor was forked) takes no pages
 *     of one that had no anon_vma, nor the other way: they would be looked
 *     for in all of the family.
 *
 * Called by merge.c and edit.c. The first tests to break are
 * tests/unit/calls/test_mmap.c and tests/unit/calls/test_mprotect.c.
 */
#include "ranges/mergeable.h"

#include "space/anon_vma.h"
#include "space/name.h"
#include "space/release.h"

#define NEVER_JOINED                                                           \
    (ASPEN_VM_IO | ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | \
     ASPEN_VM_SPECIAL | ASPEN_VM_HUGETLB)

void
aspen_piece_init(struct aspen_piece *piece, struct aspen_vma *vma)
{
    piece->vma = vma;
    if (!vma)
        return;
    piece->start = vma->start;
    piece->end = vma->end;
    piece->flags = vma->flags;
    piece->pgoff = vma->pgoff;
    piece->object = vma->object;
    piece->userfault = vma->userfault;
    piece->name = vma->name;
    piece->embedder = vma->embedder;
    piece->anon_vma = vma->anon_vma;
    piece->single = aspen_anon_vma_is_single(vma);
}

void
aspen_piece_cut(struct aspen_piece *piece, uint64_t start, uint64_t end)
{
    piece->pgoff += (start - piece->start) >> ASPEN_PAGE_SHIFT;
    piece->start = start;
    piece->end = end;
}

static bool
is_closed(const struct aspen_object *object)
{
    return object && object->pager && object->pager->close;
}

/* Whoever is told of the end of a mapping is told of each, up to 6.1. */
static bool
stays_alone(const struct aspen_object *object)
{
    return is_closed(object) && !aspen_release_joins_what_closes(object->aspen);
}

bool
aspen_pieces_continue(const struct aspen_piece *low,
                      const struct aspen_piece *high)
{
    return low->end == high->start && low->object == high->object &&
           !stays_alone(low->object) &&
           ((low->flags ^ high->flags) & ~ASPEN_VM_SOFTDIRTY) == 0 &&
           !(low->flags & NEVER_JOINED) && low->userfault == high->userfault &&
           aspen_names_equal(low->name, high->name) && !low->embedder &&
           !high->embedder &&
           low->pgoff + ((low->end - low->start) >> ASPEN_PAGE_SHIFT) ==
               high->pgoff;
}

bool
aspen_anon_vma_fits(const struct aspen *aspen, const struct aspen_piece *piece,
                    const struct aspen_piece *neighbour)
{
    if (piece->anon_vma == neighbour->anon_vma)
        return true;
    if (!piece->anon_vma)
        return neighbour->single;
    return !neighbour->anon_vma && piece->single &&
           aspen_release_joins_either_anon_vma(aspen);
}

bool
aspen_anon_vmas_agree(const struct aspen_piece *low,
                      const struct aspen_piece *high)
{
    return !low->anon_vma || !high->anon_vma || low->anon_vma == high->anon_vma;
}

bool
aspen_vma_may_dissolve(const struct aspen_vma *vma)
{
    return !is_closed(vma->object);
}
