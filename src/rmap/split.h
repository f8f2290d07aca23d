/* SPDX-License-Identifier: MIT */
/*
 * rmap/split.h - VMAs that change their range: a part of one becomes a VMA
 * of its own, or one grows or shrinks. The reverse maps follow; the range
 * tree, counters and charge are the caller's.
 *
 *     struct aspen_vma *part;
 *     error = aspen_vma_part(vma, start, end, &part);     may fail
 *     ...
 *     aspen_vma_part_commit(part, vma);                   cannot
 *     aspen_vma_resize(vma, vma->start, start);
 *     ... store both in the tree ...
 *
 *     before    |------------ vma ------------|
 *     part      |------------ vma ------------|   part has links to the
 *                              |--- part -----|   anon_vmas: walks meet both
 *     commit    |------------ vma ------------|   so it does by the i_mmap
 *                              |--- part -----|
 *     resize    |---- vma -----|--- part -----|   each page is met once again
 *
 * Context: the mmap lock is held for writing.
 */
#ifndef ASPEN_RMAP_SPLIT_H
#define ASPEN_RMAP_SPLIT_H

#include "space/vma.h"

/* May pages of the VMA go up to `address`? -ASPEN_EOPNOTSUPP when a huge page
 * lies across it, -ASPEN_EINVAL when it is one of a huge-page object, else 0.
 */
ASPEN_MUST_USE int aspen_vma_check_huge(const struct aspen_vma *vma,
                                        uint64_t address);

/* May the VMA be cut at `address`? The same, or -ASPEN_EINVAL when it is a
 * special mapping. */
ASPEN_MUST_USE int aspen_vma_check_edge(const struct aspen_vma *vma,
                                        uint64_t address);

/*
 * A VMA for [start, end) of `from`, which lies inside it: memory, links to
 * from's anon_vmas, a reference on its object, its open hook. It is in no
 * tree and on no i_mmap yet.
 * 0, or -ASPEN_ENOMEM or the hook's error with nothing left.
 */
ASPEN_MUST_USE int aspen_vma_part(struct aspen_vma *from, uint64_t start,
                                  uint64_t end, struct aspen_vma **part);

/* Give it back instead. NULL is allowed. */
void aspen_vma_part_abort(struct aspen_vma *part);

/* It becomes one of its mm's: i_mmap, map_count. Before the VMA that it is a
 * part of shrinks, so that no reverse-map walker misses a page. */
void aspen_vma_part_commit(struct aspen_vma *part,
                           const struct aspen_vma *from);

/* A new VMA, complete, becomes one of its mm's: i_mmap, tree, map_count. Its
 * pages are nowhere else. */
void aspen_vma_add(struct aspen_vma *vma, struct aspen_tree_reserve *reserve);

/*
 * Cut a VMA so that [start, end) of it is a VMA of its own, the same one, and
 * what is below and above has new ones. It can be undone, and then nothing was
 * there. Nothing happens when the range is all of it.
 *
 *                       start     end
 *     before    |------------ vma ------------|
 *     isolate   |- below -|-- vma --|- above -|
 *     undo      |------------ vma ------------|   below, above: dissolved
 *     done      |- below -|-- vma --|- above -|   reserves given back
 *
 * isolate: 0, or -ASPEN_ENOMEM (also: map count), what aspen_vma_check_edge()
 * answers for an edge, or an open hook's error.
 * After it exactly one of undo and done follows.
 */
struct aspen_isolate {
    struct aspen_vma *vma;
    struct aspen_vma *below;
    struct aspen_vma *above;
    struct aspen_tree_reserve reserve;
};

ASPEN_MUST_USE int aspen_vma_isolate(struct aspen_isolate *isolate,
                                     struct aspen_vma *vma, uint64_t start,
                                     uint64_t end);
void aspen_isolate_undo(struct aspen_isolate *isolate);
void aspen_isolate_done(struct aspen_isolate *isolate);

/* It has become a part of another VMA, which has its pages: no tree leads to
 * it any more, and its object does not want to hear of it. */
void aspen_vma_dissolve(struct aspen_vma *vma);

/* The VMA, write-locked by the caller, is [start, end) from now on; pgoff
 * moves with start, and so do its links. */
void aspen_vma_resize(struct aspen_vma *vma, uint64_t start, uint64_t end);

#endif
