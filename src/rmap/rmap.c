/* SPDX-License-Identifier: MIT */
/*
 * rmap/rmap.c - from a frame to the entries that map it.
 *
 * I1  A walk meets a parent's VMA before its child's: both start at the same
 *     page offset and fork inserts the child's link right behind. So an entry
 *     that fork copies while the walk goes on is not missed.
 *
 *         VMAs at one page offset:     P        P C      P C G     P D C G
 *         after                      birth    P forks  C forks    P forks
 *                                                C        G          D
 *
 *         the walk    P ............... C       (left to right, as above)
 *         a copy, P's entry to C's:
 *           before it met P             it meets both entries
 *           after it met P              C gets what it left in P; it meets C
 *
 * I2  A VMA that is met stays linked until the walk lets go of the lock, and
 *     page tables go only after their VMAs are unlinked: the tables may be
 *     read.
 *
 * Called by swap and migration. The first test to break is
 * tests/unit/rmap/test_rmap.c.
 */
#include "rmap/rmap.h"

struct span {
    uint64_t first; /* page offsets, closed */
    uint64_t last;
};

static struct span
span_of(struct aspen *aspen, uint32_t frame)
{
    uint64_t first = aspen_frame_offset(aspen_frame_at(aspen, frame));
    unsigned order = aspen_frame_order(aspen, frame);
    return (struct span){first, first + ((uint64_t)1 << order) - 1};
}

/* Where the VMA would have the first page of the span that it covers. */
static uint64_t
address_in(const struct aspen_vma *vma, struct span span)
{
    return aspen_vma_address(vma, aspen_max_u64(span.first, vma->pgoff));
}

static void
walk_links(const struct aspen_interval_tree *links, struct span span,
           aspen_vma_visit *visit, void *context)
{
    struct aspen_interval_node *node =
        aspen_interval_first(links, span.first, span.last);

    for (; node; node = aspen_interval_next(node, span.first, span.last)) {
        struct aspen_vma *vma =
            aspen_container_of(node, struct aspen_anon_vma_link, node)->vma;
        if (!visit(context, vma, address_in(vma, span)))
            return;
    }
}

static void
walk_anonymous(struct aspen *aspen, uint32_t frame, aspen_vma_visit *visit,
               void *context)
{
    struct aspen_anon_vma *anon_vma =
        aspen_anon_vma_of_frame(aspen, aspen_frame_at(aspen, frame));

    if (!anon_vma)
        return;
    aspen_anon_vma_lock_read(anon_vma);
    walk_links(&anon_vma->links, span_of(aspen, frame), visit, context);
    aspen_anon_vma_unlock_read(anon_vma);
    aspen_anon_vma_put(aspen, anon_vma);
}

static void
walk_object(struct aspen *aspen, uint32_t frame, aspen_vma_visit *visit,
            void *context)
{
    struct aspen_object *object =
        aspen_object_of_frame(aspen_frame_at(aspen, frame));

    if (!object)
        return;
    struct span span = span_of(aspen, frame);
    aspen_i_mmap_walk(object, span.first, span.last, visit, context);
    aspen_object_put(object);
}

void
aspen_rmap_walk(struct aspen *aspen, uint32_t frame, aspen_vma_visit *visit,
                void *context)
{
    switch (aspen_frame_type(aspen_frame_at(aspen, frame))) {
    case ASPEN_FRAME_ANON:
        walk_anonymous(aspen, frame, visit, context);
        break;
    case ASPEN_FRAME_OBJECT:
        walk_object(aspen, frame, visit, context);
        break;
    default:
        break;
    }
}

/* Does the entry lead to the frame? Looked at under its table's lock. */
static bool
maps_frame(struct aspen_vma *vma, uint64_t address, uint32_t frame)
{
    struct aspen *aspen = vma->mm->aspen;
    struct aspen_slot slot;

    if (!aspen_table_walk(vma->mm, address, &slot))
        return false;
    aspen_table_lock(aspen, slot.table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot.entry);
    aspen_table_unlock(aspen, slot.table);
    return aspen_entry_is_leaf(entry, slot.level) &&
           !(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL) &&
           aspen_entry_frame(entry) == frame;
}

struct count {
    uint32_t frame;
    uint64_t entries;
};

static bool
count_entry(void *context, struct aspen_vma *vma, uint64_t address)
{
    struct count *count = context;

    count->entries += maps_frame(vma, address, count->frame);
    return true;
}

uint64_t
aspen_rmap_count(struct aspen *aspen, uint32_t frame)
{
    struct count count = {.frame = frame};

    aspen_rmap_walk(aspen, frame, count_entry, &count);
    return count.entries;
}
