/* SPDX-License-Identifier: MIT */
/*
 * tree/rehearse.c - stores that are tried on a copy, to know what they take.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/store.h"

/* For these the worst case is not much. */
#define FEW_STORES 8

bool
aspen_tree_rehearsal_pays(const struct aspen_tree *tree, uint64_t stores)
{
    /* Of a copy's nodes each has some eight ranges or more. */
    return stores > FEW_STORES &&
           stores * aspen_tree_store_needs(root_height((node_tag)tree->root)) >
               tree->count / 8;
}

int
aspen_tree_rehearse_begin(struct aspen_tree_rehearsal *rehearsal,
                          const struct aspen_tree *tree)
{
    struct aspen_tree *copy = &rehearsal->copy;

    aspen_tree_init(copy, tree->pool);
    int error = aspen_tree_duplicate(copy, tree);
    copy->rcu = tree->rcu;
    copy->alone = true;
    rehearsal->taken = (struct aspen_tree_reserve){.counts = true};
    return error;
}

int
aspen_tree_rehearse_store(struct aspen_tree_rehearsal *rehearsal,
                          uint64_t first, uint64_t last, void *entry)
{
    const struct put put = {.first = first, .last = last, .entry = entry};

    return aspen_tree_store_put(&rehearsal->copy, &rehearsal->taken, &put);
}

void
aspen_tree_rehearse_end(struct aspen_tree_rehearsal *rehearsal)
{
    aspen_tree_destroy_quiet(&rehearsal->copy);
}

int
aspen_tree_reserve_rehearsed(struct aspen_tree *tree,
                             struct aspen_tree_reserve *reserve,
                             const struct aspen_tree_rehearsal *rehearsal)
{
    reserve->path = NULL;
    return aspen_tree_reserve_nodes(tree, reserve, rehearsal->taken.count);
}
