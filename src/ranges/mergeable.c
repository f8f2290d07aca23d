/* SPDX-License-Identifier: MIT */
/*
 * ranges/mergeable.c - which mappings may become one.
 *
 * I1  Nothing that a caller can ask tells two mappings that merge apart.
 * I2  A VMA with several links (it or an ancestor was forked) takes no pages
 *     from one without an anon_vma, nor the other way round: every search for
 *     them would go through the whole family.
 *
 * Called by the other files of this layer. The first tests to break are
 * tests/unit/ranges/test_merge.c and tests/unit/calls/test_mprotect.c.
 */
#include "ranges/mergeable.h"

#include "rmap/anon_vma.h"
#include "space/name.h"
#include "machine/release.h"

#define NEVER_MERGED (ASPEN_VM_DRIVER | ASPEN_VM_HUGETLB)

void
aspen_candidate_init(struct aspen_candidate *candidate, struct aspen_vma *vma)
{
    candidate->vma = vma;
    if (!vma)
        return;
    candidate->start = vma->start;
    candidate->end = vma->end;
    candidate->flags = vma->flags;
    candidate->pgoff = vma->pgoff;
    candidate->object = vma->object;
    candidate->userfault = vma->userfault;
    candidate->name = vma->name;
    candidate->embedder = vma->embedder;
    aspen_candidate_inherit_anon_vma(candidate, vma);
}

void
aspen_candidate_inherit_anon_vma(struct aspen_candidate *candidate,
                                 const struct aspen_vma *vma)
{
    candidate->anon_vma = vma->anon_vma;
    candidate->single = aspen_anon_vma_is_single(vma);
}

void
aspen_candidate_cut(struct aspen_candidate *candidate, uint64_t start,
                    uint64_t end)
{
    candidate->pgoff += (start - candidate->start) >> ASPEN_PAGE_SHIFT;
    candidate->start = start;
    candidate->end = end;
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
    return is_closed(object) &&
           !aspen_release_merges_what_closes(object->aspen);
}

bool
aspen_mergeable(const struct aspen_candidate *low,
                const struct aspen_candidate *high)
{
    return low->end == high->start && low->object == high->object &&
           !stays_alone(low->object) &&
           ((low->flags ^ high->flags) & ~ASPEN_VM_SOFTDIRTY) == 0 &&
           !(low->flags & NEVER_MERGED) && low->userfault == high->userfault &&
           aspen_names_equal(low->name, high->name) && !low->embedder &&
           !high->embedder &&
           low->pgoff + ((low->end - low->start) >> ASPEN_PAGE_SHIFT) ==
               high->pgoff;
}

bool
aspen_mergeable_anon_vma(const struct aspen *aspen,
                         const struct aspen_candidate *candidate,
                         const struct aspen_candidate *neighbour)
{
    if (candidate->anon_vma == neighbour->anon_vma)
        return true;
    if (!candidate->anon_vma)
        return neighbour->single;
    return !neighbour->anon_vma && candidate->single &&
           aspen_release_merges_either_anon_vma(aspen);
}

bool
aspen_mergeable_between(const struct aspen_candidate *low,
                        const struct aspen_candidate *high)
{
    return !low->anon_vma || !high->anon_vma || low->anon_vma == high->anon_vma;
}

bool
aspen_vma_may_dissolve(const struct aspen_vma *vma)
{
    return !is_closed(vma->object);
}
