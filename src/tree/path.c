/* SPDX-License-Identifier: MIT */
/*
 * tree/path.c - ways from the root to a leaf, and to the leaves beside it.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/path.h"

bool
aspen_tree_path_descend(struct aspen_tree_path *path,
                        const struct aspen_tree *tree, uint64_t key)
{
    node_tag root = tree_root(tree);
    if (!root)
        return false;
    path->height = root_height(root);
    node_tag tag = root_node(root);
    for (unsigned level = path->height - 1; level; level--) {
        unsigned slot = inner_search(tag, key);
        path->at[level].node = tag;
        path->at[level].slot = slot;
        tag = slot_child(tag, slot);
    }
    path->at[0].node = tag;
    path->at[0].slot = 0;
    return true;
}

unsigned
aspen_tree_path_next(struct aspen_tree_path *to,
                     const struct aspen_tree_path *path, unsigned level)
{
    unsigned top = level + 1;
    while (top < path->height &&
           !slot_used(path->at[top].node, path->at[top].slot + 1))
        top++;
    if (top >= path->height)
        return 0;
    to->at[top].node = path->at[top].node;
    to->at[top].slot = path->at[top].slot + 1;
    for (unsigned i = top; i-- > level;) {
        to->at[i].node = slot_child(to->at[i + 1].node, to->at[i + 1].slot);
        to->at[i].slot = 0;
    }
    return top;
}

unsigned
aspen_tree_path_previous(struct aspen_tree_path *to,
                         const struct aspen_tree_path *path, unsigned level)
{
    unsigned top = level + 1;
    while (top < path->height && !path->at[top].slot)
        top++;
    if (top >= path->height)
        return 0;
    to->at[top].node = path->at[top].node;
    to->at[top].slot = path->at[top].slot - 1;
    for (unsigned i = top; i-- > level;) {
        node_tag tag = slot_child(to->at[i + 1].node, to->at[i + 1].slot);
        to->at[i].node = tag;
        to->at[i].slot = node_slots_used(tag) - 1;
    }
    return top;
}

node_tag
aspen_tree_path_leaf_before(const struct aspen_tree_path *path)
{
    unsigned top = 1;
    while (top < path->height && !path->at[top].slot)
        top++;
    if (top >= path->height)
        return 0;
    node_tag tag = slot_child(path->at[top].node, path->at[top].slot - 1);
    while (--top)
        tag = slot_child(tag, node_of(tag)->info.count - 1);
    return tag;
}

bool
aspen_tree_path_last_before(const struct aspen_tree_path *path, uint64_t *last)
{
    node_tag leaf = aspen_tree_path_leaf_before(path);
    if (!leaf)
        return false;
    *last = slot_last(leaf, node_of(leaf)->info.count - 1);
    return true;
}
