/* SPDX-License-Identifier: MIT */
/*
 * tree/store.h - the two ways to store, for write.c, which stores, reserve.c,
 * which puts nodes aside for it, and rehearse.c, which tries it. Private to the
 * tree; the owner's lock is held.
 *
 * The short way, store_leaf.c, is for a range that stays inside one leaf which
 * can hold the result in its form. It edits the slots in the leaf; in RCU mode
 * it edits a copy, which takes the leaf's place with one store in the parent.
 *
 * The long way, rebuild.c, goes up level by level. At each level it lists the
 * slots that stay and those that are new, packs them into new nodes, and hands
 * these to the level above in place of the old ones. It ends where one node
 * takes the place of one, or at the root. Only then, with one store, do the new
 * nodes become visible. It cannot fail: all nodes were put aside before.
 */
#ifndef ASPEN_TREE_STORE_H
#define ASPEN_TREE_STORE_H

#include "tree/node.h"
#include "tree/path.h"

/* The most nodes that take the place of one or two at a level. */
#define PIECES_MAX 4

/* What a store puts into [first, last]: `entry`, or nothing if it is NULL; from
 * `cut` on `above` instead, unless that is NULL. */
struct put {
    uint64_t first, last;
    void *entry;
    uint64_t cut;
    void *above;
};

static inline struct node *
node_take(struct aspen_tree_reserve *reserve)
{
    struct node *node = reserve->nodes;
    ASPEN_ASSERT(node);
    reserve->nodes = node->link;
    reserve->count--;
    return node;
}

/* A node for a store, from the reserve if there is one; NULL: no memory. */
static inline struct node *
node_get(struct aspen_tree *tree, struct aspen_tree_reserve *reserve)
{
    if (!reserve)
        return aspen_cache_alloc(&tree->pool->nodes);
    if (reserve->counts) {
        struct node *counted = aspen_cache_alloc(&tree->pool->nodes);
        reserve->count += counted != NULL;
        return counted;
    }
    return node_take(reserve);
}

/* Either way, as it is best: write.c. 0 or -ASPEN_ENOMEM with nothing changed.
 */
int aspen_tree_store_put(struct aspen_tree *tree,
                         struct aspen_tree_reserve *reserve,
                         const struct put *put);

/* ---- The short way: store_leaf.c --------------------------------------- */

/*
 * Try to store the short way, in the path's leaf, to which all of the range
 * belongs. *done: the store was done, or there was no memory; else it has to go
 * the long way.
 */
int aspen_tree_store_in_leaf(struct aspen_tree *tree,
                             struct aspen_tree_reserve *reserve,
                             struct aspen_tree_path *path,
                             const struct put *put, bool *done);

/*
 * How many slots of the leaf a store of [first, last] leaves untouched, and how
 * many of the others stick out of it at an end: 0 to 2. False: the short way
 * does not work for this leaf and these keys.
 */
bool aspen_tree_leaf_spared(node_tag leaf, uint64_t first, uint64_t last,
                            unsigned *stay, unsigned *ends);

/* ---- Nodes for it: reserve.c ------------------------------------------- */

/* The most nodes that one store into a tree of this height takes. */
unsigned aspen_tree_store_needs(unsigned height);

/* Top up to `need` nodes: 0, or -ASPEN_ENOMEM with none added. */
ASPEN_MUST_USE int aspen_tree_reserve_nodes(struct aspen_tree *tree,
                                            struct aspen_tree_reserve *reserve,
                                            unsigned need);

/* ---- The long way: rebuild.c ------------------------------------------- */

/* The reserve has enough, see reserve.c; it counts nothing. */
void aspen_tree_store_by_rebuild(struct aspen_tree *tree,
                                 struct aspen_tree_reserve *reserve,
                                 const struct put *put);

/* The first entry of an empty tree; it is never put together with another. */
int aspen_tree_store_first(struct aspen_tree *tree,
                           struct aspen_tree_reserve *reserve,
                           const struct put *put);

#endif
