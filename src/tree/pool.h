/* SPDX-License-Identifier: MIT */
/*
 * tree/pool.h - where dead nodes go. Private to the tree.
 */
#ifndef ASPEN_TREE_POOL_H
#define ASPEN_TREE_POOL_H

#include "tree/node.h"

/* Dead nodes on their way to the pool. */
struct node_chain {
    struct node *first;
    struct node *last;
    uint32_t count;
};

/* Free a node at once (nobody can be in it), or put it on the chain. */
static inline void
node_dispose(struct aspen_tree *tree, struct node_chain *chain,
             struct node *node)
{
    if (!tree->rcu || tree->alone) {
        aspen_cache_free(&tree->pool->nodes, node);
        return;
    }
    node->link = chain->first;
    if (!chain->first)
        chain->last = node;
    chain->first = node;
    chain->count++;
}

/* Free the chain's nodes after a grace period. An empty one is fine. */
void aspen_tree_pool_retire(struct aspen_tree_pool *pool,
                            struct node_chain *chain);

#endif
