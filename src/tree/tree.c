/* SPDX-License-Identifier: MIT */
/*
 * tree/tree.c - reading the range tree: look-ups, walks.
 *
 * Only aspen_tree_cursor_replace() writes a node here. Readers rely on node.h
 * I1 alone: they never look at info or at the gaps. A path may be older than
 * the children that are loaded through it (path.h I1); so a walk takes only
 * keys after (before) the entry that it gave last.
 *
 * Called by everyone. Breaks first: tests/unit/tree/test_tree.c, model.
 */
#include "tree/path.h"

void
aspen_tree_init(struct aspen_tree *tree, struct aspen_tree_pool *pool)
{
    tree->pool = pool;
    tree->root = NULL;
    tree->count = 0;
    tree->rcu = false;
    tree->alone = false;
}

void
aspen_tree_rcu_enter(struct aspen_tree *tree)
{
    tree->rcu = true;
}

/* ---- Look-up ----------------------------------------------------------- */

/* The leaf under which `key` is; 0: the tree is empty. */
ASPEN_ALWAYS_INLINE node_tag
find_leaf(const struct aspen_tree *tree, uint64_t key)
{
    node_tag root = tree_root(tree);
    node_tag tag = root_node(root);
    for (unsigned level = root_height(root); level > 1; level--)
        tag = slot_child(tag, inner_search(tag, key));
    return tag;
}

void *
aspen_tree_load(const struct aspen_tree *tree, uint64_t key)
{
    node_tag leaf = find_leaf(tree, key);
    if (aspen_unlikely(!leaf))
        return NULL;
    return leaf_load(leaf, key);
}

/* The entry in a slot of a leaf, and its range. */
static inline void *
take(node_tag leaf, unsigned slot, uint64_t range[2])
{
    if (range) {
        range[0] = slot_key(leaf, slot);
        range[1] = slot_last(leaf, slot);
    }
    return aspen_load(slot_pointer(leaf, slot));
}

/* The leaf under which `key` is has nothing at or after it. */
static void *
find_in_next_leaf(const struct aspen_tree *tree, uint64_t key, uint64_t bound,
                  uint64_t range[2])
{
    struct aspen_tree_path path;
    if (!aspen_tree_path_descend(&path, tree, key))
        return NULL;
    for (;;) {
        node_tag leaf = path.at[0].node;
        unsigned slot = leaf_at_or_after(leaf, key);
        if (slot_used(leaf, slot)) {
            if (slot_key(leaf, slot) > bound)
                return NULL;
            return take(leaf, slot, range);
        }
        if (!aspen_tree_path_next(&path, &path, 0))
            return NULL;
    }
}

void *
aspen_tree_find(const struct aspen_tree *tree, uint64_t key, uint64_t bound,
                uint64_t range[2])
{
    node_tag leaf = find_leaf(tree, key);
    if (aspen_unlikely(!leaf))
        return NULL;
    unsigned slot = leaf_at_or_after(leaf, key);
    if (aspen_unlikely(!slot_used(leaf, slot)))
        return find_in_next_leaf(tree, key, bound, range);
    if (slot_key(leaf, slot) > bound)
        return NULL;
    return take(leaf, slot, range);
}

static void *
find_in_previous_leaf(const struct aspen_tree *tree, uint64_t key,
                      uint64_t bound, uint64_t range[2])
{
    struct aspen_tree_path path;
    if (!aspen_tree_path_descend(&path, tree, key))
        return NULL;
    for (;;) {
        node_tag leaf = path.at[0].node;
        unsigned slots = leaf_search(leaf, key);
        if (slots) {
            if (slot_last(leaf, slots - 1) < bound)
                return NULL;
            return take(leaf, slots - 1, range);
        }
        if (!aspen_tree_path_previous(&path, &path, 0))
            return NULL;
    }
}

void *
aspen_tree_find_back(const struct aspen_tree *tree, uint64_t key,
                     uint64_t bound, uint64_t range[2])
{
    node_tag leaf = find_leaf(tree, key);
    if (aspen_unlikely(!leaf))
        return NULL;
    unsigned slots = leaf_search(leaf, key);
    if (aspen_unlikely(!slots))
        return find_in_previous_leaf(tree, key, bound, range);
    if (slot_last(leaf, slots - 1) < bound)
        return NULL;
    return take(leaf, slots - 1, range);
}

/* ---- Walks ------------------------------------------------------------- */

void
aspen_tree_cursor_init(struct aspen_tree_cursor *cursor,
                       struct aspen_tree *tree, uint64_t key)
{
    cursor->tree = tree;
    cursor->entry = NULL;
    cursor->key = key;
    cursor->first = 0;
    cursor->last = 0;
}

static inline void *
arrive(struct aspen_tree_cursor *cursor, node_tag leaf, unsigned slot)
{
    cursor->path.at[0].slot = slot;
    cursor->first = slot_key(leaf, slot);
    cursor->last = slot_last(leaf, slot);
    cursor->entry = aspen_load(slot_pointer(leaf, slot));
    return cursor->entry;
}

static void
path_copy(struct aspen_tree_path *to, const struct aspen_tree_path *from)
{
    to->height = from->height;
    for (unsigned i = 0; i < from->height; i++)
        to->at[i] = from->at[i];
}

/*
 * Go on to the next leaf below the same parent. False: there is none, or only
 * the slow way can tell.
 */
static inline bool
next_sibling(struct aspen_tree_cursor *cursor, uint64_t key, uint64_t bound)
{
    struct aspen_tree_path *path = &cursor->path;
    if (path->height < 2)
        return false;
    node_tag parent = path->at[1].node;
    unsigned slot = path->at[1].slot + 1;
    if (!slot_used(parent, slot))
        return false;
    node_tag leaf = slot_child(parent, slot);
    uint64_t first = slot_key(leaf, 0);
    if (first < key || first > bound)
        return false;
    path->at[1].slot = slot;
    path->at[0].node = leaf;
    if (slot_used(parent, slot + 1))
        prefetch_leaf(slot_child(parent, slot + 1));
    return true;
}

/* Go on to the first entry of a later leaf that is at or after `key`. */
static void *
next_leaf(struct aspen_tree_cursor *cursor, uint64_t key, uint64_t bound)
{
    struct aspen_tree_path ahead;
    path_copy(&ahead, &cursor->path);
    while (aspen_tree_path_next(&ahead, &ahead, 0)) {
        node_tag leaf = ahead.at[0].node;
        unsigned slot = leaf_at_or_after(leaf, key);
        if (!slot_used(leaf, slot))
            continue;
        if (slot_key(leaf, slot) > bound)
            return NULL;
        path_copy(&cursor->path, &ahead);
        return arrive(cursor, leaf, slot);
    }
    return NULL;
}

static void *
begin_next(struct aspen_tree_cursor *cursor, uint64_t bound)
{
    if (!aspen_tree_path_descend(&cursor->path, cursor->tree, cursor->key))
        return NULL;
    node_tag leaf = cursor->path.at[0].node;
    unsigned slot = leaf_at_or_after(leaf, cursor->key);
    if (!slot_used(leaf, slot))
        return next_leaf(cursor, cursor->key, bound);
    if (slot_key(leaf, slot) > bound)
        return NULL;
    return arrive(cursor, leaf, slot);
}

void *
aspen_tree_next(struct aspen_tree_cursor *cursor, uint64_t bound)
{
    if (aspen_unlikely(!cursor->entry))
        return begin_next(cursor, bound);
    node_tag leaf = cursor->path.at[0].node;
    unsigned slot = cursor->path.at[0].slot + 1;
    if (aspen_likely(slot_used(leaf, slot))) {
        if (aspen_unlikely(slot_key(leaf, slot) > bound))
            return NULL;
        return arrive(cursor, leaf, slot);
    }
    if (cursor->last >= bound)
        return NULL;
    if (next_sibling(cursor, cursor->last + 1, bound))
        return arrive(cursor, cursor->path.at[0].node, 0);
    return next_leaf(cursor, cursor->last + 1, bound);
}

static void *
previous_leaf(struct aspen_tree_cursor *cursor, uint64_t key, uint64_t bound)
{
    struct aspen_tree_path behind;
    path_copy(&behind, &cursor->path);
    while (aspen_tree_path_previous(&behind, &behind, 0)) {
        node_tag leaf = behind.at[0].node;
        unsigned slots = leaf_search(leaf, key);
        if (!slots)
            continue;
        if (slot_last(leaf, slots - 1) < bound)
            return NULL;
        path_copy(&cursor->path, &behind);
        return arrive(cursor, leaf, slots - 1);
    }
    return NULL;
}

static void *
begin_previous(struct aspen_tree_cursor *cursor, uint64_t bound)
{
    if (!aspen_tree_path_descend(&cursor->path, cursor->tree, cursor->key))
        return NULL;
    node_tag leaf = cursor->path.at[0].node;
    unsigned slots = leaf_search(leaf, cursor->key);
    if (!slots)
        return previous_leaf(cursor, cursor->key, bound);
    if (slot_last(leaf, slots - 1) < bound)
        return NULL;
    return arrive(cursor, leaf, slots - 1);
}

void *
aspen_tree_previous(struct aspen_tree_cursor *cursor, uint64_t bound)
{
    if (aspen_unlikely(!cursor->entry))
        return begin_previous(cursor, bound);
    node_tag leaf = cursor->path.at[0].node;
    unsigned slot = cursor->path.at[0].slot;
    if (slot) {
        if (slot_last(leaf, slot - 1) < bound)
            return NULL;
        return arrive(cursor, leaf, slot - 1);
    }
    if (cursor->first <= bound)
        return NULL;
    return previous_leaf(cursor, cursor->first - 1, bound);
}

void *
aspen_tree_cursor_before(const struct aspen_tree_cursor *cursor, uint64_t *last)
{
    node_tag leaf = cursor->path.at[0].node;
    unsigned slots = cursor->path.at[0].slot;
    if (!slots) {
        leaf = aspen_tree_path_leaf_before(&cursor->path);
        if (!leaf)
            return NULL;
        slots = node_of(leaf)->info.count;
    }
    *last = slot_last(leaf, slots - 1);
    return aspen_load(slot_pointer(leaf, slots - 1));
}

void
aspen_tree_cursor_replace(struct aspen_tree_cursor *cursor, void *entry)
{
    node_tag leaf = cursor->path.at[0].node;
    aspen_store(slot_pointer(leaf, cursor->path.at[0].slot), entry);
    cursor->entry = entry;
}
