/* SPDX-License-Identifier: MIT */
/*
 * base/interval_tree.h - an augmented red-black tree of closed intervals that
 * may overlap and repeat. Its nodes live in the elements. Used for the VMAs
 * that map an object (i_mmap) and for the links of an anon_vma.
 *
 * The node stores its keys and does not fetch them from the element, so a
 * descent touches one cache line a level.
 *
 * Locks: the owner's; readers need it shared, writers exclusively.
 */
#ifndef ASPEN_BASE_INTERVAL_TREE_H
#define ASPEN_BASE_INTERVAL_TREE_H

#include "base/bits.h"

struct aspen_interval_node {
    uintptr_t parent_and_colour;          /* bit 0: red */
    struct aspen_interval_node *child[2]; /* before, after */
    uint64_t start;                       /* closed interval [start, last] */
    uint64_t last;
    uint64_t subtree_last; /* the largest `last` at or below this node */
};

struct aspen_interval_tree {
    struct aspen_interval_node *root; /* NULL: empty */
    uint64_t count;
};

static inline void
aspen_interval_tree_init(struct aspen_interval_tree *tree)
{
    tree->root = NULL;
    tree->count = 0;
}

/* Insert by node->start; after all nodes with an equal start. */
void aspen_interval_insert(struct aspen_interval_tree *tree,
                           struct aspen_interval_node *node);

/*
 * Insert directly after `before`, which has the same start: whoever walks the
 * tree in order meets `before` first. No descent from the root.
 */
void aspen_interval_insert_after(struct aspen_interval_tree *tree,
                                 struct aspen_interval_node *before,
                                 struct aspen_interval_node *node);

void aspen_interval_remove(struct aspen_interval_tree *tree,
                           struct aspen_interval_node *node);

/* The first node, in order, that overlaps [first, last]; then the next one. */
struct aspen_interval_node *
aspen_interval_first(const struct aspen_interval_tree *tree, uint64_t first,
                     uint64_t last);
struct aspen_interval_node *
aspen_interval_next(const struct aspen_interval_node *node, uint64_t first,
                    uint64_t last);

/* The node right before `node` in order, or NULL. */
struct aspen_interval_node *
aspen_interval_previous(const struct aspen_interval_node *node);

/* NULL, or the name of the first invariant that does not hold. */
const char *aspen_interval_tree_check(const struct aspen_interval_tree *tree);

#endif
