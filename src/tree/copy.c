/* SPDX-License-Identifier: MIT */
/*
 * tree/copy.c - duplicate and destroy, node by node.
 *
 * I1  A duplicate that fails frees what it copied and leaves `to` empty.
 * I2  Entries are never looked at.
 *
 * Recursion is as deep as the tree is high. Breaks first: test_tree.c,
 * duplicate that fails at each node.
 */
#include "tree/pool.h"

/* Free all nodes at or below `tag`, `level` 0 being a leaf, at once. */
static void
free_below(struct aspen_tree_pool *pool, node_tag tag, unsigned level)
{
    struct node *node = node_of(tag);
    if (level)
        for (unsigned i = 0; i < node->info.count; i++)
            free_below(pool, (node_tag)*slot_pointer(tag, i), level - 1);
    aspen_cache_free(&pool->nodes, node);
}

/* A copy of all at and below `tag`; 0: no memory, nothing left. */
static node_tag
copy_below(struct aspen_tree_pool *pool, node_tag tag, unsigned level)
{
    struct node *copy = aspen_cache_alloc(&pool->nodes);
    if (aspen_unlikely(!copy))
        return 0;
    memcpy(copy, node_of(tag), sizeof(*copy));
    node_tag copy_tag = (node_tag)copy | (tag & TAG_FORM);
    if (!level)
        return copy_tag;
    unsigned count = copy->info.count;
    for (unsigned i = 0; i < count; i++) {
        void **slot = slot_pointer(copy_tag, i);
        node_tag child = copy_below(pool, (node_tag)*slot, level - 1);
        if (aspen_unlikely(!child)) {
            copy->info.count = i;
            free_below(pool, copy_tag, level);
            return 0;
        }
        *slot = (void *)child;
    }
    return copy_tag;
}

int
aspen_tree_duplicate(struct aspen_tree *to, const struct aspen_tree *from)
{
    ASPEN_ASSERT(!to->root && !to->rcu);
    node_tag root = (node_tag)from->root;
    if (!root)
        return 0;
    unsigned height = root_height(root);
    node_tag copy = copy_below(to->pool, root_node(root), height - 1);
    if (!copy)
        return -ASPEN_ENOMEM;
    aspen_store(&to->root,
                (void *)(copy | ((uintptr_t)height << HEIGHT_SHIFT)));
    to->count = from->count;
    return 0;
}

static void
chain_below(struct aspen_tree *tree, struct node_chain *chain, node_tag tag,
            unsigned level)
{
    struct node *node = node_of(tag);
    if (level)
        for (unsigned i = 0; i < node->info.count; i++)
            chain_below(tree, chain, (node_tag)*slot_pointer(tag, i),
                        level - 1);
    node_dispose(tree, chain, node);
}

static node_tag
take_root(struct aspen_tree *tree)
{
    node_tag root = (node_tag)tree->root;
    aspen_store(&tree->root, NULL);
    tree->count = 0;
    return root;
}

void
aspen_tree_destroy(struct aspen_tree *tree)
{
    struct node_chain dead = {NULL, NULL, 0};
    node_tag root = take_root(tree);
    if (!root)
        return;
    chain_below(tree, &dead, root_node(root), root_height(root) - 1);
    aspen_tree_pool_retire(tree->pool, &dead);
}

void
aspen_tree_destroy_quiet(struct aspen_tree *tree)
{
    node_tag root = take_root(tree);
    if (root)
        free_below(tree->pool, root_node(root), root_height(root) - 1);
}
