/* SPDX-License-Identifier: MIT */
/*
 * tree/gap_notes.h - how large the gaps are, noted where a search for one goes
 * (gap_search.c). Private to the tree; the owner's lock is held.
 *
 *     inner            ( 40 )         ( 12 )          a note for each child
 *                     /                    \
 *     leaves   40 [a] 3 [b]       12 [c] 0 [d] 7 [e]    the gaps; the first of
 *              lead               lead                  each leaf is its lead
 *
 * I1  The gap of a leaf is the largest gap right before one of its entries,
 *     the one before its first entry included (that one reaches back to the
 *     last entry of the leaf before). So whoever changes the last key of a
 *     leaf updates the leaf behind it. No node stores the gap after the last
 *     entry of the tree.
 * I2  The note of an inner node is never less than the gap. It may be rounded
 *     up to a page or to "huge": a note that moves between nodes of different
 *     units is not computed anew.
 */
#ifndef ASPEN_TREE_GAP_NOTES_H
#define ASPEN_TREE_GAP_NOTES_H

#include "tree/node.h"
#include "tree/path.h"

/* Note how much is free right before the leaf's first entry. */
static inline void
leaf_set_lead(node_tag leaf, uint64_t lead)
{
    uint32_t units = gap_encode(lead, unit_shift(leaf));
    if (is_wide(leaf) || gap_decode(units, unit_shift(leaf)) != lead)
        units = LEAD_HUGE;
    node_of(leaf)->info.lead = units;
}

/* The largest gap between two entries of a leaf. */
uint64_t aspen_tree_leaf_gap_inside(node_tag leaf);

/* The leaf's gap (I1); `path` leads to it. */
uint64_t aspen_tree_leaf_gap(const struct aspen_tree_path *path);

/* The largest gap that an inner node notes. */
uint64_t aspen_tree_inner_gap(node_tag tag);

/* The subtree at `level` of the path now has this largest gap. */
void aspen_tree_gap_changed(const struct aspen_tree_path *path, unsigned level,
                            uint64_t gap);

/* The last key of the path's leaf changed: update the leaf behind it. */
void aspen_tree_last_key_changed(const struct aspen_tree_path *path);

/* What ends at `last` changed, whatever the leaves are now: update the leaf of
 * the first entry behind it. `path`: room for the way there. */
void aspen_tree_changed_up_to(const struct aspen_tree *tree, uint64_t last,
                              struct aspen_tree_path *path);

#endif
