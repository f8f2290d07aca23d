/* SPDX-License-Identifier: MIT */
/*
 * tree/path.h - ways from the root to a leaf (struct aspen_tree_path). Private
 * to the tree.
 *
 *     at[2]   root     [ . . 2 . ]      slot 2 was taken
 *                            |
 *     at[1]   inner    [ . 1 . . ]
 *                          |
 *     at[0]   leaf     [ a b c d ]      height 3
 *
 * I1  A path holds nodes that were the tree's when it was made. In RCU mode one
 *     of them may have been replaced since: it then shows what was there at
 *     that moment, while a child that is loaded later may be newer.
 */
#ifndef ASPEN_TREE_PATH_H
#define ASPEN_TREE_PATH_H

#include "tree/node.h"

#define HEIGHT_MAX ASPEN_TREE_HEIGHT_MAX

/* Set `path` to where `key` belongs; false: the tree is empty. */
bool aspen_tree_path_descend(struct aspen_tree_path *path,
                             const struct aspen_tree *tree, uint64_t key);

/*
 * Move the path to the next or previous node of `level`, and to that node's
 * first or last slot. What it has below stays as it is. Writes the levels that
 * change to `to` (which may be `path` itself). Returns the highest level
 * written; 0: there is no such node.
 */
unsigned aspen_tree_path_next(struct aspen_tree_path *to,
                              const struct aspen_tree_path *path,
                              unsigned level);
unsigned aspen_tree_path_previous(struct aspen_tree_path *to,
                                  const struct aspen_tree_path *path,
                                  unsigned level);

/* The last key of the leaf before; false: there is none. Owner's lock. */
bool aspen_tree_path_last_before(const struct aspen_tree_path *path,
                                 uint64_t *last);

/* The key right after the leaf before: where the leading gap starts. */
static inline uint64_t
path_lead_start(const struct aspen_tree_path *path)
{
    uint64_t last;
    return aspen_tree_path_last_before(path, &last) ? last + 1 : 0;
}

/* The leaf before the path's; 0: there is none. Owner's lock. */
node_tag aspen_tree_path_leaf_before(const struct aspen_tree_path *path);

/* The lowest key that is looked for below the path's node of `level`. Owner's
 * lock, as the next. */
static inline uint64_t
path_lowest(const struct aspen_tree_path *path, unsigned level)
{
    while (++level < path->height)
        if (path->at[level].slot)
            return slot_key(path->at[level].node, path->at[level].slot);
    return 0;
}

/* The last key that belongs below the path's leaf. */
static inline uint64_t
path_highest(const struct aspen_tree_path *path)
{
    for (unsigned level = 1; level < path->height; level++) {
        node_tag tag = path->at[level].node;
        unsigned slot = path->at[level].slot + 1;
        if (slot < node_of(tag)->info.count)
            return slot_key(tag, slot) - 1;
    }
    return UINT64_MAX;
}

/* Let the slot that leads to the path's node of `level`, or the root, lead to
 * `tag`: with one store. */
static inline void
path_publish(struct aspen_tree *tree, const struct aspen_tree_path *path,
             unsigned level, node_tag tag)
{
    if (level + 1 < path->height)
        aspen_store(
            slot_pointer(path->at[level + 1].node, path->at[level + 1].slot),
            (void *)tag);
    else
        aspen_store(&tree->root,
                    (void *)(tag | ((uintptr_t)path->height << HEIGHT_SHIFT)));
}

#endif
