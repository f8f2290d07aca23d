/* SPDX-License-Identifier: MIT */
/*
 * tree/store_leaf.c - the short way to store: within one leaf, in its form.
 *
 * The slots [from, to) of the leaf are replaced by what sticks out of them and
 * by what is put. Here `x` is stored over parts of two entries, from 1 to 3:
 *
 *     before  [a....] [b....]   [c....]         [d....]
 *     put               (x............)
 *     after   [a....] [b][x...........][c]      [d....]      4 slots -> 5
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/gap_notes.h"
#include "tree/pool.h"
#include "tree/store.h"

/* Slots [from, to) of a leaf are replaced by at most four. Keys are the leaf's
 * own: relative in a compact one, absolute in a wide one. */
struct edit {
    uint64_t key, second; /* where it puts */
    unsigned from, to;
    unsigned slots;
    struct {
        uint64_t key;
        uint64_t second;
        void *pointer;
    } slot[4];
};

static inline uint64_t
own_key(node_tag leaf, unsigned slot)
{
    const struct node *node = node_of(leaf);
    return is_wide(leaf) ? node->wide.key[slot] : node->compact.key[slot];
}

static inline uint64_t
own_second(node_tag leaf, unsigned slot)
{
    const struct node *node = node_of(leaf);
    return is_wide(leaf) ? node->wide.second[slot] : node->compact.second[slot];
}

/* A key that the leaf's own can say. */
static inline uint64_t
to_own(node_tag leaf, uint64_t key)
{
    return is_wide(leaf) ? key
                         : (key - node_of(leaf)->base) >> unit_shift(leaf);
}

static void
edit_add(struct edit *edit, uint64_t key, uint64_t second, void *pointer)
{
    edit->slot[edit->slots].key = key;
    edit->slot[edit->slots].second = second;
    edit->slot[edit->slots].pointer = pointer;
    edit->slots++;
}

/* Whether a store can be written in the leaf's own keys. */
static inline bool
put_fits(node_tag leaf, const struct put *put)
{
    if (aspen_unlikely(is_wide(leaf)))
        return true;
    unsigned shift = unit_shift(leaf);
    uint64_t base = node_of(leaf)->base;
    uint64_t mask = ((uint64_t)1 << shift) - 1;
    uint64_t unaligned = (put->first - base) | (put->last + 1 - base);
    if (put->above)
        unaligned |= put->cut - base;
    return (put->first > base || !base) && (unaligned & mask) == 0 &&
           ((put->last - base) >> shift) < KEY_BEYOND;
}

static inline void
find_compact(struct edit *edit, const struct node *node)
{
    const struct compact_slots *slots = &node->compact;
    uint32_t key = (uint32_t)edit->key;
    uint32_t second = (uint32_t)edit->second;
    unsigned from = count_at_or_below(slots->key, key);
    from -= from && slots->second[from - 1] >= key;
    unsigned to = from; /* mostly near: nobody counts them all */
    while (to < COMPACT_SLOTS && slots->key[to] <= second)
        to++;
    edit->from = from;
    edit->to = to;
}

static void
find_wide(struct edit *edit, const struct node *node)
{
    const struct wide_slots *slots = &node->wide;
    unsigned from = wide_at_or_below(node, edit->key, 0);
    from -= from && slots->second[from - 1] >= edit->key;
    unsigned to = from;
    while (to < node->base && slots->key[to] <= edit->second)
        to++;
    edit->from = from;
    edit->to = to;
}

/* Where a store of [first, last], which it fits, goes in a leaf. */
static inline void
edit_find(struct edit *edit, node_tag leaf, uint64_t first, uint64_t last)
{
    edit->key = to_own(leaf, first);
    edit->second = to_own(leaf, last);
    if (aspen_unlikely(is_wide(leaf)))
        find_wide(edit, node_of(leaf));
    else
        find_compact(edit, node_of(leaf));
}

/* Whether what is replaced sticks out below, above. */
static inline bool
sticks_out_below(const struct edit *edit, node_tag leaf)
{
    return edit->from < edit->to && own_key(leaf, edit->from) < edit->key;
}

static inline bool
sticks_out_above(const struct edit *edit, node_tag leaf)
{
    return edit->from < edit->to &&
           own_second(leaf, edit->to - 1) > edit->second;
}

/* What a store into a leaf, which it fits, does to its slots. */
static void
edit_plan(struct edit *edit, node_tag leaf, const struct put *put)
{
    edit_find(edit, leaf, put->first, put->last);
    uint64_t key = edit->key, second = edit->second, entry_second = second;
    edit->slots = 0;
    if (sticks_out_below(edit, leaf))
        edit_add(edit, own_key(leaf, edit->from), key - 1,
                 *slot_pointer(leaf, edit->from));
    if (put->above)
        entry_second = to_own(leaf, put->cut) - 1;
    if (put->entry)
        edit_add(edit, key, entry_second, put->entry);
    if (put->above)
        edit_add(edit, entry_second + 1, second, put->above);
    if (sticks_out_above(edit, leaf))
        edit_add(edit, second + 1, own_second(leaf, edit->to - 1),
                 *slot_pointer(leaf, edit->to - 1));
}

static void
apply_compact(const struct edit *edit, struct node *node, unsigned target,
              unsigned tail)
{
    struct compact_slots *slots = &node->compact;
    if (target != edit->to) {
        memmove(&slots->key[target], &slots->key[edit->to],
                tail * sizeof(slots->key[0]));
        memmove(&slots->second[target], &slots->second[edit->to],
                tail * sizeof(slots->second[0]));
        memmove(&slots->pointer[target], &slots->pointer[edit->to],
                tail * sizeof(slots->pointer[0]));
    }
    for (unsigned i = 0; i < edit->slots; i++) {
        slots->key[edit->from + i] = (uint32_t)edit->slot[i].key;
        slots->second[edit->from + i] = (uint32_t)edit->slot[i].second;
        slots->pointer[edit->from + i] = edit->slot[i].pointer;
    }
    for (unsigned i = target + tail; i < node->info.count; i++) {
        slots->key[i] = KEY_NONE;
        slots->second[i] = KEY_NONE;
        slots->pointer[i] = NULL;
    }
}

static void
apply_wide(const struct edit *edit, struct node *node, unsigned target,
           unsigned tail)
{
    struct wide_slots *slots = &node->wide;
    memmove(&slots->key[target], &slots->key[edit->to],
            tail * sizeof(slots->key[0]));
    memmove(&slots->second[target], &slots->second[edit->to],
            tail * sizeof(slots->second[0]));
    memmove(&slots->pointer[target], &slots->pointer[edit->to],
            tail * sizeof(slots->pointer[0]));
    for (unsigned i = 0; i < edit->slots; i++) {
        slots->key[edit->from + i] = edit->slot[i].key;
        slots->second[edit->from + i] = edit->slot[i].second;
        slots->pointer[edit->from + i] = edit->slot[i].pointer;
    }
    node->base = target + tail;
}

static void
edit_apply(const struct edit *edit, node_tag leaf)
{
    struct node *node = node_of(leaf);
    unsigned tail = node->info.count - edit->to;
    unsigned target = edit->from + edit->slots;
    if (aspen_unlikely(is_wide(leaf)))
        apply_wide(edit, node, target, tail);
    else
        apply_compact(edit, node, target, tail);
    node->info.count = target + tail;
}

/*
 * Do the same keys have an entry before and after? They do if an entry is put
 * where the replaced slots left no gap.
 */
static bool
edit_keeps_gaps(const struct edit *edit, node_tag leaf, const void *entry)
{
    unsigned i = edit->from;
    if (!entry || i == edit->to || own_key(leaf, i) > edit->key)
        return false;
    for (; i + 1 < edit->to; i++)
        if (own_second(leaf, i) + 1 != own_key(leaf, i + 1))
            return false;
    return own_second(leaf, i) >= edit->second;
}

/* Gaps after an edit of the path's leaf. */
static void
edit_gaps(const struct aspen_tree_path *path, uint64_t key_before,
          uint64_t last_before)
{
    node_tag leaf = path->at[0].node;
    if (own_key(leaf, 0) != key_before)
        leaf_set_lead(leaf, slot_key(leaf, 0) - path_lead_start(path));
    if (path->height == 1)
        return;
    aspen_tree_gap_changed(path, 0, aspen_tree_leaf_gap(path));
    if (own_second(leaf, node_of(leaf)->info.count - 1) != last_before)
        aspen_tree_last_key_changed(path);
}

/* Edit the leaf, or a copy that takes its place. */
static int
edit_commit(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
            struct aspen_tree_path *path, const struct edit *edit,
            bool keeps_gaps)
{
    node_tag leaf = path->at[0].node;
    struct node *node = node_of(leaf);
    uint32_t count = node->info.count;
    uint64_t key_before = own_key(leaf, 0);
    uint64_t last_before = own_second(leaf, count - 1);
    if (tree->rcu) {
        struct node *copy = node_get(tree, reserve);
        if (!copy)
            return -ASPEN_ENOMEM;
        memcpy(copy, node, sizeof(*copy));
        path->at[0].node = (node_tag)copy | (leaf & TAG_FORM);
        edit_apply(edit, path->at[0].node);
        path_publish(tree, path, 0, path->at[0].node);
        struct node_chain dead = {NULL, NULL, 0};
        node_dispose(tree, &dead, node);
        aspen_tree_pool_retire(tree->pool, &dead);
        node = copy;
    } else {
        edit_apply(edit, leaf);
    }
    tree->count += node->info.count;
    tree->count -= count;
    if (!keeps_gaps)
        edit_gaps(path, key_before, last_before);
    return 0;
}

int
aspen_tree_store_in_leaf(struct aspen_tree *tree,
                         struct aspen_tree_reserve *reserve,
                         struct aspen_tree_path *path, const struct put *put,
                         bool *done)
{
    node_tag leaf = path->at[0].node;
    struct node *node = node_of(leaf);
    struct edit edit;
    *done = false;
    if (!put_fits(leaf, put))
        return 0;
    edit_plan(&edit, leaf, put);
    unsigned replaced = edit.to - edit.from;
    if (!edit.slots && !replaced) {
        *done = true;
        return 0;
    }
    if (put->entry && replaced == 1 && edit.slots == 1 &&
        own_key(leaf, edit.from) == edit.key &&
        own_second(leaf, edit.from) == edit.second) {
        aspen_store(slot_pointer(leaf, edit.from), put->entry);
        *done = true;
        return 0;
    }
    unsigned count = node->info.count + edit.slots - replaced;
    if (count > slots_of(leaf) || !count ||
        (count < FILL_MINIMUM && edit.slots < replaced && path->height > 1))
        return 0;
    *done = true;
    bool keeps_gaps = edit_keeps_gaps(&edit, leaf, put->entry);
    return edit_commit(tree, reserve, path, &edit, keeps_gaps);
}

bool
aspen_tree_leaf_spared(node_tag leaf, uint64_t first, uint64_t last,
                       unsigned *stay, unsigned *ends)
{
    const struct put nothing = {.first = first, .last = last};
    struct edit edit;
    if (!put_fits(leaf, &nothing))
        return false;
    edit_find(&edit, leaf, first, last);
    *stay = node_of(leaf)->info.count - (edit.to - edit.from);
    *ends = (unsigned)sticks_out_below(&edit, leaf) +
            (unsigned)sticks_out_above(&edit, leaf);
    return true;
}
