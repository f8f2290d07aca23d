/* SPDX-License-Identifier: MIT */
/*
 * tree/write.c - store and erase: which of the two ways of store.h.
 *
 * The owner's lock is held. Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/store.h"

/* The short way, if it leads there: *done. Apart, so that its path is not on
 * the stack of the long one. */
static ASPEN_NOINLINE int
store_near(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
           const struct put *put, bool *done)
{
    struct aspen_tree_path path;
    *done = true;
    if (aspen_unlikely(!aspen_tree_path_descend(&path, tree, put->first)))
        return aspen_tree_store_first(tree, reserve, put);
    prefetch_leaf(path.at[0].node);
    if (put->last <= path_highest(&path))
        return aspen_tree_store_in_leaf(tree, reserve, &path, put, done);
    *done = false;
    return 0;
}

/* Whether it erases where there is nothing. */
static bool
changes_nothing(const struct aspen_tree *tree, const struct put *put)
{
    return !put->entry && !put->above &&
           !aspen_tree_find(tree, put->first, put->last, NULL);
}

/* What the long way takes; the short one does not do. */
static ASPEN_NOINLINE int
reserve_put(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
            const struct put *put)
{
    struct aspen_tree_cursor cursor = {.tree = tree};
    return aspen_tree_reserve_within(tree, reserve, &cursor, 1, put->first,
                                     put->last);
}

int
aspen_tree_store_put(struct aspen_tree *tree,
                     struct aspen_tree_reserve *reserve, const struct put *put)
{
    struct aspen_tree_reserve own = {0};
    bool done;
    int error = store_near(tree, reserve, put, &done);
    if (done || changes_nothing(tree, put))
        return error;
    if (reserve && !reserve->counts) {
        aspen_tree_store_by_rebuild(tree, reserve, put);
        return 0;
    }
    error = reserve_put(tree, &own, put);
    if (error)
        return error;
    unsigned aside = own.count;
    own.wanted = 0; /* dead nodes do not refill it */
    aspen_tree_store_by_rebuild(tree, &own, put);
    if (reserve)
        reserve->count += aside - own.count;
    aspen_tree_reserve_release(tree, &own);
    return 0;
}

int
aspen_tree_store(struct aspen_tree *tree, uint64_t first, uint64_t last,
                 void *entry)
{
    const struct put put = {.first = first, .last = last, .entry = entry};
    if (first > last || ((uintptr_t)entry & 3))
        return -ASPEN_EINVAL;
    return aspen_tree_store_put(tree, NULL, &put);
}

int
aspen_tree_erase(struct aspen_tree *tree, uint64_t first, uint64_t last)
{
    return aspen_tree_store(tree, first, last, NULL);
}

#ifdef ASPEN_TEST_BUILD
/* The path that the reserve has kept leads to the leaf that it was about. */
static bool
is_in_tree(const struct aspen_tree *tree, const struct aspen_tree_path *kept,
           uint64_t key)
{
    struct aspen_tree_path path;
    return aspen_tree_path_descend(&path, tree, key) &&
           path.height == kept->height && path.at[0].node == kept->at[0].node;
}
#else
#define is_in_tree(tree, kept, key) true
#endif

static void
store_put_reserved(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
                   const struct put *put)
{
    bool done = true;
    int error;
    if (reserve->path) {
        ASPEN_ASSERT_TEST(is_in_tree(tree, reserve->path, put->first));
        error =
            aspen_tree_store_in_leaf(tree, reserve, reserve->path, put, &done);
    } else {
        error = aspen_tree_store_put(tree, reserve, put);
    }
    ASPEN_ASSERT(done && !error);
}

void
aspen_tree_store_reserved(struct aspen_tree *tree,
                          struct aspen_tree_reserve *reserve, uint64_t first,
                          uint64_t last, void *entry)
{
    const struct put put = {.first = first, .last = last, .entry = entry};
    ASPEN_ASSERT(first <= last && !((uintptr_t)entry & 3));
    store_put_reserved(tree, reserve, &put);
}

void
aspen_tree_store_two_reserved(struct aspen_tree *tree,
                              struct aspen_tree_reserve *reserve,
                              uint64_t first, uint64_t cut, uint64_t last,
                              void *entry, void *above)
{
    const struct put put = {first, last, entry, cut, above};
    ASPEN_ASSERT(first < cut && cut <= last && above &&
                 !(((uintptr_t)entry | (uintptr_t)above) & 3));
    store_put_reserved(tree, reserve, &put);
}
