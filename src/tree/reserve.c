/* SPDX-License-Identifier: MIT */
/*
 * tree/reserve.c - nodes put aside, so that stores cannot fail.
 *
 * It puts aside as many as the worst store into the tree can take, or fewer if
 * it knows that all stores stay in one leaf, or how many a rehearsal took.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/store.h"

unsigned
aspen_tree_store_needs(unsigned height)
{
    return PIECES_MAX * height + 3;
}

static unsigned
stores_need(unsigned height, unsigned stores)
{
    unsigned need = 0;
    for (unsigned i = 0; i < stores; i++)
        need += aspen_tree_store_needs(height + i < HEIGHT_MAX ? height + i
                                                               : HEIGHT_MAX);
    return need;
}

/* The same of a store that meets one leaf and leaves it enough: that and each
 * node above it, with what they get or with a neighbour that has too little,
 * become so many at the most; and one above them all. */
#define LEAF_PIECES                                                            \
    ((COMPACT_SLOTS + (FILL_MINIMUM > 3 ? FILL_MINIMUM : 3) + WIDE_SLOTS -     \
      1) /                                                                     \
     WIDE_SLOTS)

ASPEN_STATIC_ASSERT(LEAF_PIECES <= WIDE_SLOTS, "they fit in one above them");

/* What stores will meet. */
enum spread {
    SPREAD_LEAVES, /* more than one leaf, or one that loses too much */
    SPREAD_LEAF,   /* one leaf, which it may overfill */
    SPREAD_SLOTS,  /* one leaf, which has room: all go the short way */
};

/* Whether there is one leaf where all of the range belongs; the path leads
 * there, perhaps already. */
static bool
find_one_leaf(const struct aspen_tree *tree, struct aspen_tree_cursor *cursor,
              uint64_t first, uint64_t last)
{
    struct aspen_tree_path *path = &cursor->path;
    bool near = cursor->entry && path_lowest(path, 0) <= first &&
                first <= path_highest(path);
    if (!near && !aspen_tree_path_descend(path, tree, first))
        return false;
    return last <= path_highest(path);
}

/* How far this many stores inside [first, last] spread, one alone being of all
 * of it. The cursor gets to the leaf. */
static enum spread
spread_of(const struct aspen_tree *tree, struct aspen_tree_cursor *cursor,
          unsigned stores, uint64_t first, uint64_t last)
{
    const struct aspen_tree_path *path = &cursor->path;
    unsigned stay, ends;
    if (!find_one_leaf(tree, cursor, first, last))
        return SPREAD_LEAVES;
    node_tag leaf = path->at[0].node;
    if (!aspen_tree_leaf_spared(leaf, first, last, &stay, &ends) ||
        stay < (path->height > 1 ? FILL_MINIMUM : 1))
        return SPREAD_LEAVES;
    unsigned count = node_of(leaf)->info.count;
    unsigned most = stores == 1 ? stay + ends + 2 : count + 2 * stores;
    return most <= slots_of(leaf) ? SPREAD_SLOTS : SPREAD_LEAF;
}

/* Nodes come and go so many at a time: the cache's lock is most of what one
 * costs. */
#define SOME 16u

/* Give back those that were put aside after `kept`. */
static void
release_until(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
              const void *kept)
{
    void *nodes[SOME];

    while (reserve->nodes != kept) {
        uint32_t count = 0;
        for (; count < SOME && reserve->nodes != kept; count++) {
            nodes[count] = reserve->nodes;
            reserve->nodes = ((struct node *)reserve->nodes)->link;
        }
        aspen_cache_free_some(&tree->pool->nodes, nodes, count);
    }
}

int
aspen_tree_reserve_nodes(struct aspen_tree *tree,
                         struct aspen_tree_reserve *reserve, unsigned need)
{
    void *old = reserve->nodes;
    unsigned count = reserve->count;
    while (count < need) {
        void *nodes[SOME];
        uint32_t wanted = need - count < SOME ? need - count : SOME;
        uint32_t got =
            aspen_cache_alloc_some(&tree->pool->nodes, nodes, wanted);
        for (uint32_t i = 0; i < got; i++) {
            ((struct node *)nodes[i])->link = reserve->nodes;
            reserve->nodes = nodes[i];
        }
        if (aspen_unlikely(got < wanted)) {
            release_until(tree, reserve, old);
            return -ASPEN_ENOMEM;
        }
        count += got;
    }
    reserve->count = count;
    reserve->wanted = count;
    return 0;
}

int
aspen_tree_reserve(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
                   unsigned stores)
{
    reserve->path = NULL;
    return aspen_tree_reserve_nodes(
        tree, reserve, stores_need(root_height((node_tag)tree->root), stores));
}

int
aspen_tree_reserve_later(struct aspen_tree *tree,
                         struct aspen_tree_reserve *reserve)
{
    return aspen_tree_reserve_nodes(
        tree, reserve, reserve->count + aspen_tree_store_needs(HEIGHT_MAX));
}

int
aspen_tree_reserve_within(struct aspen_tree *tree,
                          struct aspen_tree_reserve *reserve,
                          struct aspen_tree_cursor *cursor, unsigned stores,
                          uint64_t first, uint64_t last)
{
    enum spread spread = spread_of(tree, cursor, stores, first, last);

    reserve->path = spread == SPREAD_SLOTS ? &cursor->path : NULL;
    if (reserve->path)
        return aspen_tree_reserve_nodes(tree, reserve, tree->rcu ? stores : 0);
    if (spread == SPREAD_LEAF && stores == 1)
        return aspen_tree_reserve_nodes(tree, reserve,
                                        LEAF_PIECES * cursor->path.height + 1);
    return aspen_tree_reserve(tree, reserve, stores);
}

void
aspen_tree_reserve_release(struct aspen_tree *tree,
                           struct aspen_tree_reserve *reserve)
{
    release_until(tree, reserve, NULL);
    reserve->count = 0;
    reserve->wanted = 0;
}
