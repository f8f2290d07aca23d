/* SPDX-License-Identifier: MIT */
/*
 * tree/gap_notes.c - keeping gap_notes.h I1 and I2.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/gap_notes.h"

uint64_t
aspen_tree_leaf_gap_inside(node_tag leaf)
{
    const struct node *node = node_of(leaf);
    unsigned count = node->info.count;
    if (is_wide(leaf)) {
        uint64_t gap = 0;
        for (unsigned i = 1; i < count; i++)
            gap = aspen_max_u64(gap, node->wide.key[i] -
                                         node->wide.second[i - 1] - 1);
        return gap;
    }
    uint32_t units = 0;
    for (unsigned i = 1; i < count; i++) {
        uint32_t gap =
            (uint32_t)node->compact.key[i] - node->compact.second[i - 1] - 1;
        units = gap > units ? gap : units;
    }
    return (uint64_t)units << unit_shift(leaf);
}

uint64_t
aspen_tree_leaf_gap(const struct aspen_tree_path *path)
{
    node_tag leaf = path->at[0].node;
    uint32_t units = node_of(leaf)->info.lead;
    uint64_t lead = units != LEAD_HUGE
                        ? (uint64_t)units << unit_shift(leaf)
                        : slot_key(leaf, 0) - path_lead_start(path);
    return aspen_max_u64(lead, aspen_tree_leaf_gap_inside(leaf));
}

uint64_t
aspen_tree_inner_gap(node_tag tag)
{
    const struct node *node = node_of(tag);
    unsigned count = node->info.count;
    if (is_wide(tag)) {
        uint64_t gap = 0;
        for (unsigned i = 0; i < count; i++)
            gap = aspen_max_u64(gap, node->wide.second[i]);
        return gap;
    }
    uint32_t units = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t gap = node->compact.second[i];
        units = gap > units ? gap : units;
    }
    return gap_decode(units, unit_shift(tag));
}

/* Note the gap of a child; false if it was the same. */
static bool
inner_set_gap(node_tag tag, unsigned slot, uint64_t gap)
{
    struct node *node = node_of(tag);
    if (is_wide(tag)) {
        bool changed = node->wide.second[slot] != gap;
        node->wide.second[slot] = gap;
        return changed;
    }
    uint32_t units = gap_encode(gap, unit_shift(tag));
    bool changed = node->compact.second[slot] != units;
    node->compact.second[slot] = units;
    return changed;
}

void
aspen_tree_gap_changed(const struct aspen_tree_path *path, unsigned level,
                       uint64_t gap)
{
    while (++level < path->height) {
        node_tag tag = path->at[level].node;
        if (!inner_set_gap(tag, path->at[level].slot, gap))
            return;
        gap = aspen_tree_inner_gap(tag);
    }
}

/* What is before the path's leaf changed: update its lead and gap. */
static void
lead_refresh(const struct aspen_tree_path *path)
{
    node_tag leaf = path->at[0].node;
    leaf_set_lead(leaf, slot_key(leaf, 0) - path_lead_start(path));
    aspen_tree_gap_changed(path, 0, aspen_tree_leaf_gap(path));
}

void
aspen_tree_last_key_changed(const struct aspen_tree_path *path)
{
    struct aspen_tree_path next = *path;
    if (aspen_tree_path_next(&next, &next, 0))
        lead_refresh(&next);
}

void
aspen_tree_changed_up_to(const struct aspen_tree *tree, uint64_t last,
                         struct aspen_tree_path *path)
{
    if (last == UINT64_MAX || !aspen_tree_path_descend(path, tree, last + 1))
        return;
    unsigned slot = leaf_at_or_after(path->at[0].node, last + 1);
    if (slot == node_of(path->at[0].node)->info.count) {
        if (!aspen_tree_path_next(path, path, 0))
            return;
        slot = 0;
    }
    if (!slot)
        lead_refresh(path);
}
