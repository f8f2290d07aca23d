/* SPDX-License-Identifier: MIT */
/*
 * tree/write.c - store, erase, reserve.
 *
 * Two ways to store. The short one is for a range that stays inside one
 * compact leaf which can hold the result: the slots are edited in the leaf,
 * or in RCU mode in a copy that takes the leaf's place with one store in the
 * parent. The long one rebuilds: at each level the slots that stay and those
 * that are new are listed, packed into new nodes, and the level above gets
 * these in place of the old ones; it ends where one node takes the place of
 * one, or at the root. Only then, with one store, the new nodes become
 * visible; everything that can fail came before.
 *
 * I1  The gap of a leaf is the largest gap right before one of its entries,
 *     that before its first one included (it reaches back to the last entry
 *     of the leaf before). So whoever changes the last key of a leaf
 *     updates the leaf behind it. The gap after the last entry of the tree
 *     is stored nowhere.
 * I2  What an inner node notes is never less than the gap, and at most
 *     rounded up to a page or "huge" (a note that moves between nodes of
 *     different units is not computed anew).
 * I3  A leaf that is not the root has an entry, an inner node two children.
 *
 * The owner's lock is held. Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/node.h"

/* The most nodes that take the place of one or two at a level. */
#define PIECES_MAX 4

/* Slots of two nodes, what is new between them, and a neighbour's. */
#define ITEMS_MAX (3 * COMPACT_SLOTS + PIECES_MAX)

/* What a store puts into [first, last]: `entry`, or nothing if it is NULL; from
 * `cut` on `above` instead, unless that is NULL. */
struct put {
    uint64_t first, last;
    void *entry;
    uint64_t cut;
    void *above;
};

/* One slot, decoded: a range, or a subtree with its largest gap. */
struct item {
    uint64_t key;
    uint64_t second;
    void *pointer;
};

/* What a level loses: [from, to] of the nodes from left to right. */
struct lost {
    node_tag left;
    node_tag right;
    unsigned from;      /* the first dead child of `left` */
    unsigned to;        /* the last dead child of `right` */
    node_tag neighbour; /* merged with them, its children live on; or 0 */
};

struct rebuild {
    struct aspen_tree *tree;
    struct aspen_tree_reserve *reserve; /* or NULL: allocate */
    const struct put *put;
    struct aspen_tree_path left; /* to what is replaced at a level */
    struct aspen_tree_path right;
    bool appending; /* the new entry becomes the last of the tree */
    unsigned cut;   /* of a leaf, right after the new entry; 0: anywhere */
    unsigned items;
    struct item item[ITEMS_MAX];
    unsigned pieces;
    struct item piece[PIECES_MAX];
    unsigned entries_added; /* of the new leaves */
    struct lost lost[HEIGHT_MAX];
    unsigned made;
    struct node *node[(HEIGHT_MAX + 2) * PIECES_MAX];
};

/* ---- Gaps -------------------------------------------------------------- */

/* The largest gap between two entries of a leaf. */
static uint64_t
leaf_gap_inside(node_tag leaf)
{
    const struct node *node = node_of(leaf);
    unsigned count = node->info.count;
    if (is_wide(leaf)) {
        uint64_t gap = 0;
        for (unsigned i = 1; i < count; i++)
            gap = aspen_max_u64(gap, node->wide.key[i] -
                                         node->wide.second[i - 1] - 1);
        return gap;
    }
    uint32_t units = 0;
    for (unsigned i = 1; i < count; i++) {
        uint32_t gap =
            (uint32_t)node->compact.key[i] - node->compact.second[i - 1] - 1;
        units = gap > units ? gap : units;
    }
    return (uint64_t)units << unit_shift(leaf);
}

/* Note how much is free right before the leaf's first entry. */
static void
leaf_set_lead(node_tag leaf, uint64_t lead)
{
    uint32_t units = gap_encode(lead, unit_shift(leaf));
    if (is_wide(leaf) || gap_decode(units, unit_shift(leaf)) != lead)
        units = LEAD_HUGE;
    node_of(leaf)->info.lead = units;
}

/* The leaf's gap (I1); `path` leads to it. */
static uint64_t
leaf_gap(const struct aspen_tree_path *path)
{
    node_tag leaf = path->at[0].node;
    uint32_t units = node_of(leaf)->info.lead;
    uint64_t lead = units != LEAD_HUGE
                        ? (uint64_t)units << unit_shift(leaf)
                        : slot_key(leaf, 0) - path_lead_start(path);
    return aspen_max_u64(lead, leaf_gap_inside(leaf));
}

/* The largest gap that an inner node notes. */
static uint64_t
inner_gap(node_tag tag)
{
    const struct node *node = node_of(tag);
    unsigned count = node->info.count;
    if (is_wide(tag)) {
        uint64_t gap = 0;
        for (unsigned i = 0; i < count; i++)
            gap = aspen_max_u64(gap, node->wide.second[i]);
        return gap;
    }
    uint32_t units = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t gap = node->compact.second[i];
        units = gap > units ? gap : units;
    }
    return gap_decode(units, unit_shift(tag));
}

/* Note the gap of a child; false if it was the same. */
static bool
inner_set_gap(node_tag tag, unsigned slot, uint64_t gap)
{
    struct node *node = node_of(tag);
    if (is_wide(tag)) {
        bool changed = node->wide.second[slot] != gap;
        node->wide.second[slot] = gap;
        return changed;
    }
    uint32_t units = gap_encode(gap, unit_shift(tag));
    bool changed = node->compact.second[slot] != units;
    node->compact.second[slot] = units;
    return changed;
}

/* The subtree at `level` of the path now has this largest gap. */
static void
gap_propagate(const struct aspen_tree_path *path, unsigned level, uint64_t gap)
{
    while (++level < path->height) {
        node_tag tag = path->at[level].node;
        if (!inner_set_gap(tag, path->at[level].slot, gap))
            return;
        gap = inner_gap(tag);
    }
}

/* What is before the path's leaf changed: update its lead and gap. */
static void
lead_refresh(const struct aspen_tree_path *path)
{
    node_tag leaf = path->at[0].node;
    leaf_set_lead(leaf, slot_key(leaf, 0) - path_lead_start(path));
    gap_propagate(path, 0, leaf_gap(path));
}

/* The last key of the path's leaf changed: update the leaf behind it. */
static void
lead_refresh_next(const struct aspen_tree_path *path)
{
    struct aspen_tree_path next = *path;
    if (aspen_tree_path_next(&next, &next, 0))
        lead_refresh(&next);
}

/* After a rebuild: the leaf of the first entry after `last`. */
static void
lead_refresh_after(const struct aspen_tree *tree, uint64_t last)
{
    struct aspen_tree_path path;
    if (last == UINT64_MAX || !aspen_tree_path_descend(&path, tree, last + 1))
        return;
    unsigned slot = leaf_at_or_after(path.at[0].node, last + 1);
    if (slot == node_of(path.at[0].node)->info.count) {
        lead_refresh_next(&path);
        return;
    }
    if (!slot)
        lead_refresh(&path);
}

/* ---- The short way ------------------------------------------------------ */

/* Slots [from, to) of a compact leaf are replaced by at most four. */
struct edit {
    uint32_t key, second; /* where it puts, in the leaf's relative keys */
    unsigned from, to;
    unsigned slots;
    struct {
        uint32_t key;
        uint32_t second;
        void *pointer;
    } slot[4];
};

static void
edit_add(struct edit *edit, uint32_t key, uint32_t second, void *pointer)
{
    edit->slot[edit->slots].key = key;
    edit->slot[edit->slots].second = second;
    edit->slot[edit->slots].pointer = pointer;
    edit->slots++;
}

/* Whether a store can be written in the leaf's relative keys. */
static bool
put_fits(node_tag leaf, const struct put *put)
{
    unsigned shift = unit_shift(leaf);
    uint64_t base = node_of(leaf)->base;
    uint64_t mask = ((uint64_t)1 << shift) - 1;
    uint64_t unaligned = (put->first - base) | (put->last + 1 - base);
    if (put->above)
        unaligned |= put->cut - base;
    return (put->first > base || !base) && (unaligned & mask) == 0 &&
           ((put->last - base) >> shift) < KEY_BEYOND;
}

/* What a store into a compact leaf, which it fits, does to its slots. */
static void
edit_plan(struct edit *edit, node_tag leaf, const struct put *put)
{
    const struct node *node = node_of(leaf);
    const struct compact_slots *slots = &node->compact;
    unsigned shift = unit_shift(leaf);
    uint32_t key = (uint32_t)((put->first - node->base) >> shift);
    uint32_t second = (uint32_t)((put->last - node->base) >> shift);
    uint32_t entry_second = second;
    unsigned from = count_at_or_below(slots->key, key);
    from -= from && slots->second[from - 1] >= key;
    unsigned to = from; /* mostly near: nobody counts them all */
    while (to < COMPACT_SLOTS && slots->key[to] <= second)
        to++;
    edit->key = key;
    edit->second = second;
    edit->from = from;
    edit->to = to;
    edit->slots = 0;
    if (from < to && slots->key[from] < key)
        edit_add(edit, slots->key[from], key - 1, slots->pointer[from]);
    if (put->above)
        entry_second = (uint32_t)((put->cut - node->base) >> shift) - 1;
    if (put->entry)
        edit_add(edit, key, entry_second, put->entry);
    if (put->above)
        edit_add(edit, entry_second + 1, second, put->above);
    if (from < to && slots->second[to - 1] > second)
        edit_add(edit, second + 1, slots->second[to - 1],
                 slots->pointer[to - 1]);
}

static void
edit_apply(const struct edit *edit, struct node *node)
{
    struct compact_slots *slots = &node->compact;
    unsigned count = node->info.count;
    unsigned tail = count - edit->to;
    unsigned target = edit->from + edit->slots;
    if (target != edit->to) {
        memmove(&slots->key[target], &slots->key[edit->to],
                tail * sizeof(slots->key[0]));
        memmove(&slots->second[target], &slots->second[edit->to],
                tail * sizeof(slots->second[0]));
        memmove(&slots->pointer[target], &slots->pointer[edit->to],
                tail * sizeof(slots->pointer[0]));
    }
    for (unsigned i = 0; i < edit->slots; i++) {
        slots->key[edit->from + i] = edit->slot[i].key;
        slots->second[edit->from + i] = edit->slot[i].second;
        slots->pointer[edit->from + i] = edit->slot[i].pointer;
    }
    for (unsigned i = target + tail; i < count; i++) {
        slots->key[i] = KEY_NONE;
        slots->second[i] = KEY_NONE;
        slots->pointer[i] = NULL;
    }
    node->info.count = target + tail;
}

/*
 * Whether the keys that have an entry are the same before and after: the
 * replaced slots leave nothing free where it puts, and an entry goes there.
 */
static bool
edit_keeps_gaps(const struct edit *edit, const struct node *node,
                const void *entry)
{
    const struct compact_slots *slots = &node->compact;
    unsigned i = edit->from;
    if (!entry || i == edit->to || slots->key[i] > edit->key)
        return false;
    for (; i + 1 < edit->to; i++)
        if (slots->second[i] + 1 != slots->key[i + 1])
            return false;
    return slots->second[i] >= edit->second;
}

/* Slot of the path's parent of `level`, or the root, that leads there. */
static void
publish(struct aspen_tree *tree, const struct aspen_tree_path *path,
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

static struct node *
node_get(struct aspen_tree *tree, struct aspen_tree_reserve *reserve)
{
    if (!reserve)
        return aspen_cache_alloc(&tree->pool->nodes);
    struct node *node = reserve->nodes;
    ASPEN_ASSERT(node);
    reserve->nodes = node->link;
    reserve->count--;
    return node;
}

/* Gaps after an edit of the path's leaf. */
static void
edit_gaps(const struct aspen_tree_path *path, uint32_t key_before,
          uint32_t last_before)
{
    node_tag leaf = path->at[0].node;
    struct node *node = node_of(leaf);
    if (node->compact.key[0] != key_before)
        leaf_set_lead(leaf, slot_key(leaf, 0) - path_lead_start(path));
    if (path->height == 1)
        return;
    gap_propagate(path, 0, leaf_gap(path));
    if (node->compact.second[node->info.count - 1] != last_before)
        lead_refresh_next(path);
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
    uint32_t key_before = node->compact.key[0];
    uint32_t last_before = node->compact.second[count - 1];
    if (tree->rcu) {
        struct node *copy = node_get(tree, reserve);
        if (!copy)
            return -ASPEN_ENOMEM;
        memcpy(copy, node, sizeof(*copy));
        edit_apply(edit, copy);
        path->at[0].node = (node_tag)copy | (leaf & TAG_FORM);
        publish(tree, path, 0, path->at[0].node);
        struct node_chain dead = {NULL, NULL, 0};
        node_dispose(tree, &dead, node);
        aspen_tree_pool_retire(tree->pool, &dead);
        node = copy;
    } else {
        edit_apply(edit, node);
    }
    tree->count += node->info.count;
    tree->count -= count;
    if (!keeps_gaps)
        edit_gaps(path, key_before, last_before);
    return 0;
}

/*
 * Try to store the short way. *done says whether the store was done (or
 * failed for memory) or has to go the long way.
 */
static int
store_in_leaf(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
              struct aspen_tree_path *path, const struct put *put, bool *done)
{
    node_tag leaf = path->at[0].node;
    struct node *node = node_of(leaf);
    struct edit edit;
    *done = false;
    if (is_wide(leaf) || !put_fits(leaf, put))
        return 0;
    edit_plan(&edit, leaf, put);
    unsigned replaced = edit.to - edit.from;
    if (!edit.slots && !replaced) {
        *done = true;
        return 0;
    }
    if (put->entry && replaced == 1 && edit.slots == 1 &&
        node->compact.key[edit.from] == edit.key &&
        node->compact.second[edit.from] == edit.second) {
        aspen_store(&node->compact.pointer[edit.from], put->entry);
        *done = true;
        return 0;
    }
    unsigned count = node->info.count + edit.slots - replaced;
    if (count > COMPACT_SLOTS || !count ||
        (count < FILL_MINIMUM && edit.slots < replaced && path->height > 1))
        return 0;
    *done = true;
    bool keeps_gaps = edit_keeps_gaps(&edit, node, put->entry);
    return edit_commit(tree, reserve, path, &edit, keeps_gaps);
}

/* ---- The long way: lists of slots ---------------------------------------- */

static void
item_add(struct rebuild *r, uint64_t key, uint64_t second, void *pointer)
{
    ASPEN_ASSERT_TEST(r->items < ITEMS_MAX);
    r->item[r->items].key = key;
    r->item[r->items].second = second;
    r->item[r->items].pointer = pointer;
    r->items++;
}

/* What the store puts; whether there is any. */
static bool
items_add_put(struct rebuild *r)
{
    const struct put *put = r->put;
    if (put->entry)
        item_add(r, put->first, put->above ? put->cut - 1 : put->last,
                 put->entry);
    if (put->above)
        item_add(r, put->cut, put->last, put->above);
    return put->entry || put->above;
}

static void
items_add_leaf(struct rebuild *r, node_tag leaf, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        item_add(r, slot_key(leaf, i), slot_last(leaf, i),
                 *slot_pointer(leaf, i));
}

/* `lowest`: the key of slot 0, known to the parents alone. */
static void
items_add_inner(struct rebuild *r, node_tag tag, unsigned from, unsigned to,
                uint64_t lowest)
{
    const struct node *node = node_of(tag);
    for (unsigned i = from; i < to; i++) {
        uint64_t gap =
            is_wide(tag) ? node->wide.second[i]
                         : gap_decode(node->compact.second[i], unit_shift(tag));
        item_add(r, i ? slot_key(tag, i) : lowest, gap, *slot_pointer(tag, i));
    }
}

/* The lowest key that is looked for below the path's node of `level`. */
static uint64_t
path_lowest(const struct aspen_tree_path *path, unsigned level)
{
    while (++level < path->height)
        if (path->at[level].slot)
            return slot_key(path->at[level].node, path->at[level].slot);
    return 0;
}

/*
 * Whether the new entry, the last before `cut`, touches the one above it and
 * most of the leaf is above it: so it looks where entries come from the top
 * down. What is above is left as full as it is then, the rest has room.
 */
static bool
grows_down(const struct rebuild *r, unsigned cut)
{
    return r->items - cut >= COMPACT_SLOTS / 2 &&
           r->item[cut].key == r->put->last + 1;
}

/* The slots of the leaves that stay, with the new entry between them. */
static void
list_leaf(struct rebuild *r)
{
    node_tag left = r->left.at[0].node, right = r->right.at[0].node;
    uint64_t first = r->put->first, last = r->put->last;
    unsigned from = leaf_at_or_after(left, first);
    unsigned to = leaf_search(right, last);
    unsigned right_count = node_of(right)->info.count;
    r->items = 0;
    items_add_leaf(r, left, 0, from);
    if (from < node_of(left)->info.count && slot_key(left, from) < first)
        item_add(r, slot_key(left, from), first - 1, *slot_pointer(left, from));
    bool puts = items_add_put(r);
    unsigned cut = r->items;
    if (to && slot_last(right, to - 1) > last)
        item_add(r, last + 1, slot_last(right, to - 1),
                 *slot_pointer(right, to - 1));
    else
        r->appending = puts && to == right_count;
    items_add_leaf(r, right, to, right_count);
    if (puts && grows_down(r, cut))
        r->cut = cut;
}

/* The children that stay, with the pieces of the level below between them. */
static void
list_inner(struct rebuild *r, unsigned level)
{
    node_tag left = r->left.at[level].node, right = r->right.at[level].node;
    r->items = 0;
    items_add_inner(r, left, 0, r->left.at[level].slot,
                    path_lowest(&r->left, level));
    for (unsigned i = 0; i < r->pieces; i++)
        item_add(r, r->piece[i].key, r->piece[i].second, r->piece[i].pointer);
    unsigned count = node_of(right)->info.count;
    if (r->right.at[level].slot + 1 < count)
        r->appending = false;
    items_add_inner(r, right, r->right.at[level].slot + 1, count, 0);
}

static void
list_node(struct rebuild *r, node_tag tag, unsigned level, uint64_t lowest)
{
    unsigned count = node_of(tag)->info.count;
    if (level)
        items_add_inner(r, tag, 0, count, lowest);
    else
        items_add_leaf(r, tag, 0, count);
}

static bool
take_next(struct rebuild *r, unsigned level)
{
    if (!aspen_tree_path_next(&r->right, &r->right, level))
        return false;
    r->lost[level].neighbour = r->right.at[level].node;
    list_node(r, r->right.at[level].node, level, path_lowest(&r->right, level));
    r->appending = false;
    return true;
}

static bool
take_previous(struct rebuild *r, unsigned level)
{
    if (!aspen_tree_path_previous(&r->left, &r->left, level))
        return false;
    node_tag tag = r->left.at[level].node;
    unsigned count = node_of(tag)->info.count, items = r->items;
    memmove(&r->item[count], &r->item[0], items * sizeof(r->item[0]));
    r->items = 0;
    r->lost[level].neighbour = tag;
    list_node(r, tag, level, path_lowest(&r->left, level));
    r->items += items;
    r->appending = false;
    return true;
}

/* Too few slots: list a neighbour's as well, best one of the same parent. */
static void
list_neighbour(struct rebuild *r, unsigned level)
{
    if (!r->left.at[level + 1].slot && take_next(r, level))
        return;
    if (!take_previous(r, level))
        (void)take_next(r, level);
}

/* ---- The long way: packing ------------------------------------------------
 */

/* Slot 0 of an inner node needs no key. */
static unsigned
first_keyed(unsigned level)
{
    return level ? 1 : 0;
}

/* Whether relative keys of this unit can tell the items apart. */
static bool
unit_fits(const struct item *item, unsigned items, unsigned level,
          unsigned shift)
{
    unsigned i = first_keyed(level);
    if (i == items)
        return true;
    uint64_t mask = ((uint64_t)1 << shift) - 1;
    uint64_t start = item[i].key;
    uint64_t end = level ? item[items - 1].key : item[items - 1].second;
    uint64_t unaligned = 0;
    for (; i < items; i++) {
        unaligned |= item[i].key - start;
        if (!level)
            unaligned |= item[i].second + 1 - start;
    }
    bool based = start > mask || !start; /* see choose_base() */
    return based && !(unaligned & mask) &&
           ((end - start) >> shift) < KEY_BEYOND - 1;
}

/* The form the items fit in; false: they fit in no node. */
static bool
choose_form(const struct item *item, unsigned items, unsigned level,
            unsigned *form)
{
    if (items <= COMPACT_SLOTS) {
        *form = TAG_PAGED;
        if (unit_fits(item, items, level, ASPEN_PAGE_SHIFT))
            return true;
        *form = 0;
        if (unit_fits(item, items, level, 0))
            return true;
    }
    *form = TAG_WIDE;
    return items <= WIDE_SLOTS;
}

/*
 * The base of a compact node: some way below the first key, so that what is
 * stored before it later fits as well; at least one unit, so that it differs
 * from KEY_BEFORE, unless nothing is before it.
 */
static uint64_t
choose_base(const struct item *item, unsigned items, unsigned level,
            unsigned shift)
{
    unsigned i = first_keyed(level);
    if (i == items)
        return 0;
    uint64_t key = item[i].key;
    uint64_t end = level ? item[items - 1].key : item[items - 1].second;
    uint64_t spare = (KEY_BEYOND - ((end - key) >> shift)) / 2;
    return key - (aspen_min_u64(spare, key >> shift) << shift);
}

static void
fill_wide(struct node *node, const struct item *item, unsigned items)
{
    node->base = items;
    for (unsigned i = 0; i < items; i++) {
        node->wide.key[i] = item[i].key;
        node->wide.second[i] = item[i].second;
        node->wide.pointer[i] = item[i].pointer;
    }
}

static void
fill_compact(struct node *node, const struct item *item, unsigned items,
             unsigned level, unsigned shift)
{
    struct compact_slots *slots = &node->compact;
    uint64_t base = choose_base(item, items, level, shift);
    node->base = base;
    for (unsigned i = 0; i < items; i++) {
        slots->key[i] = (uint32_t)((item[i].key - base) >> shift);
        slots->second[i] = level ? gap_encode(item[i].second, shift)
                                 : (uint32_t)((item[i].second - base) >> shift);
        slots->pointer[i] = item[i].pointer;
    }
    if (level)
        slots->key[0] = KEY_BEFORE;
    for (unsigned i = items; i < COMPACT_SLOTS; i++) {
        slots->key[i] = KEY_NONE;
        slots->second[i] = level ? 0 : KEY_NONE;
        slots->pointer[i] = NULL;
    }
}

/* The gap of a new leaf; `start` is where its leading gap starts. */
static uint64_t
fill_lead(node_tag leaf, uint64_t start)
{
    uint64_t lead = slot_key(leaf, 0) - start;
    leaf_set_lead(leaf, lead);
    return aspen_max_u64(lead, leaf_gap_inside(leaf));
}

/* Make a node of items [from, to); it becomes the next piece. */
static bool
make_piece(struct rebuild *r, unsigned level, unsigned from, unsigned to)
{
    const struct item *item = &r->item[from];
    unsigned items = to - from, form;
    struct node *node = node_get(r->tree, r->reserve);
    if (!node)
        return false;
    r->node[r->made++] = node;
    bool fits = choose_form(item, items, level, &form);
    ASPEN_ASSERT(fits);
    node_tag tag = (node_tag)node | form;
    if (is_wide(tag))
        fill_wide(node, item, items);
    else
        fill_compact(node, item, items, level, unit_shift(tag));
    node->info.count = items;
    node->info.lead = 0;

    struct item *piece = &r->piece[r->pieces++];
    piece->pointer = (void *)tag;
    piece->key = item->key;
    if (level) {
        piece->second = inner_gap(tag);
        return true;
    }
    if (from)
        piece->second = fill_lead(tag, item[-1].second + 1);
    else
        piece->second = fill_lead(tag, path_lead_start(&r->left));
    return true;
}

/* Whether `pieces` equal shares fit in a node each. */
static bool
shares_fit(const struct rebuild *r, unsigned level, unsigned pieces)
{
    unsigned form;
    for (unsigned i = 0; i < pieces; i++) {
        unsigned from = r->items * i / pieces;
        unsigned to = r->items * (i + 1) / pieces;
        if (!choose_form(&r->item[from], to - from, level, &form))
            return false;
    }
    return true;
}

/* The slot before which the keys make their widest step. */
static unsigned
widest_step(const struct rebuild *r, unsigned level)
{
    uint64_t widest = 0;
    unsigned at = r->items / 2;
    unsigned edge = 1 + first_keyed(level);
    for (unsigned i = edge; i + edge <= r->items; i++) {
        uint64_t step = r->item[i].key - r->item[i - 1].key;
        if (step > widest) {
            widest = step;
            at = i;
        }
    }
    return at;
}

static bool
cut_fits(const struct rebuild *r, unsigned level, unsigned cut)
{
    unsigned form;
    return choose_form(r->item, cut, level, &form) &&
           choose_form(&r->item[cut], r->items - cut, level, &form);
}

/* Whether a full node and the rest are two good nodes. */
static bool
leave_full(const struct rebuild *r, unsigned level, unsigned slots)
{
    unsigned keyed = first_keyed(level);
    return r->items > slots && cut_fits(r, level, slots - keyed);
}

static bool
pack_two(struct rebuild *r, unsigned level, unsigned cut)
{
    return make_piece(r, level, 0, cut) && make_piece(r, level, cut, r->items);
}

/*
 * Pack the items into as few nodes as hold them, equally filled. Keys that
 * only grow leave full nodes behind; a step too wide for relative keys is
 * where to cut.
 */
static bool
pack(struct rebuild *r, unsigned level)
{
    unsigned form;
    r->pieces = 0;
    if (choose_form(r->item, r->items, level, &form))
        return make_piece(r, level, 0, r->items);
    if (r->appending && leave_full(r, level, COMPACT_SLOTS))
        return pack_two(r, level, COMPACT_SLOTS - first_keyed(level));
    if (r->appending && leave_full(r, level, WIDE_SLOTS))
        return pack_two(r, level, WIDE_SLOTS - first_keyed(level));
    if (!level && r->cut && cut_fits(r, level, r->cut))
        return pack_two(r, level, r->cut);
    unsigned pieces = (r->items + COMPACT_SLOTS - 1) / COMPACT_SLOTS;
    if (pieces == 1 || !shares_fit(r, level, pieces)) {
        unsigned cut = widest_step(r, level);
        if (cut_fits(r, level, cut))
            return pack_two(r, level, cut);
        pieces = (r->items + WIDE_SLOTS - 1) / WIDE_SLOTS;
    }
    for (unsigned i = 0; i < pieces; i++)
        if (!make_piece(r, level, r->items * i / pieces,
                        r->items * (i + 1) / pieces))
            return false;
    return true;
}

/* ---- The long way: putting in place ---------------------------------------
 */

/*
 * Dispose of a node that was replaced or fell away, and of what fell away
 * below it: `lost` says which children of the outermost nodes live on.
 */
static void
dispose(struct rebuild *r, struct node_chain *dead, node_tag tag,
        unsigned level)
{
    const struct lost *lost = &r->lost[level];
    struct node *node = node_of(tag);
    if (!level) {
        r->tree->count -= node->info.count;
    } else if (tag != lost->neighbour) {
        unsigned from = tag == lost->left ? lost->from : 0;
        unsigned to = tag == lost->right ? lost->to + 1 : node->info.count;
        for (unsigned i = from; i < to; i++)
            dispose(r, dead, (node_tag)*slot_pointer(tag, i), level - 1);
    }
    node_dispose(r->tree, dead, node);
}

/* The new nodes are visible: dispose of the old ones, update the gaps. */
static void
finish(struct rebuild *r, node_tag old, unsigned level)
{
    struct node_chain dead = {NULL, NULL, 0};
    r->tree->count += r->entries_added;
    dispose(r, &dead, old, level);
    aspen_tree_pool_retire(r->tree->pool, &dead);
    lead_refresh_after(r->tree, r->put->last);
}

/* More pieces than one at the top: levels above it. */
static bool
add_levels(struct rebuild *r, unsigned *height)
{
    while (r->pieces > 1) {
        memcpy(r->item, r->piece, r->pieces * sizeof(r->item[0]));
        r->items = r->pieces;
        if (*height == HEIGHT_MAX || !pack(r, *height))
            return false;
        ++*height;
    }
    return true;
}

/* The pieces take the place of the whole tree; false: no memory. */
static bool
replace_root(struct rebuild *r)
{
    unsigned height = r->left.height;
    node_tag old = r->left.at[height - 1].node;
    node_tag root = 0;
    if (!add_levels(r, &height))
        return false;
    if (r->pieces)
        root =
            (node_tag)r->piece[0].pointer | ((uintptr_t)height << HEIGHT_SHIFT);
    aspen_store(&r->tree->root, (void *)root);
    finish(r, old, r->left.height - 1);
    return true;
}

/*
 * One child is left below the root: it becomes the root. It may be a new node
 * that found no neighbour and has one child itself.
 */
static void
drop_root(struct rebuild *r)
{
    unsigned height = r->left.height - 1;
    node_tag old = r->left.at[height].node;
    node_tag root = (node_tag)r->item[0].pointer;
    while (height > 1 && node_of(root)->info.count == 1) {
        struct node *node = node_of(root);
        root = (node_tag)*slot_pointer(root, 0);
        aspen_cache_free(&r->tree->pool->nodes, node);
        height--;
    }
    root |= (uintptr_t)height << HEIGHT_SHIFT;
    aspen_store(&r->tree->root, (void *)root);
    finish(r, old, r->left.height - 1);
}

/* One piece takes the place of one child at `level`. */
static void
replace_child(struct rebuild *r, unsigned level)
{
    const struct aspen_tree_path *path = &r->left;
    node_tag old = slot_child(path->at[level].node, path->at[level].slot);
    publish(r->tree, path, level - 1, (node_tag)r->piece[0].pointer);
    gap_propagate(path, level - 1, r->piece[0].second);
    finish(r, old, level - 1);
}

/* List and pack one level. False: no memory. */
static bool
rebuild_level(struct rebuild *r, unsigned level)
{
    struct lost *lost = &r->lost[level];
    lost->left = r->left.at[level].node;
    lost->right = r->right.at[level].node;
    lost->from = r->left.at[level].slot;
    lost->to = r->right.at[level].slot;
    lost->neighbour = 0;
    if (level)
        list_inner(r, level);
    else
        list_leaf(r);
    bool top = level + 1 == r->left.height;
    if (!top && r->items && r->items < FILL_MINIMUM + first_keyed(level))
        list_neighbour(r, level);
    if (!level)
        r->entries_added = r->items;
    if (!r->items) {
        r->pieces = 0;
        return true;
    }
    if (top && level && r->items == 1)
        return true;
    return pack(r, level);
}

static bool
rebuild(struct rebuild *r)
{
    unsigned height = r->left.height;
    if (!rebuild_level(r, 0))
        return false;
    for (unsigned level = 1; level < height; level++) {
        if (r->left.at[level].node == r->right.at[level].node &&
            r->left.at[level].slot == r->right.at[level].slot &&
            r->pieces == 1) {
            replace_child(r, level);
            return true;
        }
        if (!rebuild_level(r, level))
            return false;
    }
    if (height > 1 && r->items == 1) {
        drop_root(r);
        return true;
    }
    return replace_root(r);
}

/* Whether it erases where there is nothing. */
static bool
changes_nothing(const struct aspen_tree *tree, const struct put *put)
{
    return !put->entry && !put->above &&
           !aspen_tree_find(tree, put->first, put->last, NULL);
}

static int
store_by_rebuild(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
                 const struct put *put)
{
    struct rebuild r;
    if (changes_nothing(tree, put))
        return 0;
    r.tree = tree;
    r.reserve = reserve;
    r.put = put;
    r.made = 0;
    r.pieces = 0;
    r.appending = false;
    r.cut = 0;
    (void)aspen_tree_path_descend(&r.left, tree, put->first);
    (void)aspen_tree_path_descend(&r.right, tree, put->last);
    if (rebuild(&r))
        return 0;
    while (r.made)
        aspen_cache_free(&tree->pool->nodes, r.node[--r.made]);
    return -ASPEN_ENOMEM;
}

/* The first entry of an empty tree; it is never put together with another. */
static int
store_first(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
            const struct put *put)
{
    struct item item = {put->first, put->last, put->entry};
    unsigned form;
    ASPEN_ASSERT(!put->above);
    if (!put->entry)
        return 0;
    struct node *node = node_get(tree, reserve);
    if (!node)
        return -ASPEN_ENOMEM;
    (void)choose_form(&item, 1, 0, &form);
    node_tag tag = (node_tag)node | form;
    if (is_wide(tag))
        fill_wide(node, &item, 1);
    else
        fill_compact(node, &item, 1, 0, unit_shift(tag));
    node->info.count = 1;
    leaf_set_lead(tag, put->first);
    aspen_store(&tree->root, (void *)(tag | (uintptr_t)1 << HEIGHT_SHIFT));
    tree->count = 1;
    return 0;
}

/* ---- Public ------------------------------------------------------------ */

/* The last key that belongs below the path's leaf. */
static uint64_t
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

static int
store(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
      const struct put *put)
{
    struct aspen_tree_path path;
    if (aspen_unlikely(!aspen_tree_path_descend(&path, tree, put->first)))
        return store_first(tree, reserve, put);
    prefetch_leaf(path.at[0].node);
    if (put->last <= path_highest(&path)) {
        bool done;
        int error = store_in_leaf(tree, reserve, &path, put, &done);
        if (done)
            return error;
    }
    return store_by_rebuild(tree, reserve, put);
}

int
aspen_tree_store(struct aspen_tree *tree, uint64_t first, uint64_t last,
                 void *entry)
{
    const struct put put = {.first = first, .last = last, .entry = entry};
    if (first > last || ((uintptr_t)entry & 3))
        return -ASPEN_EINVAL;
    return store(tree, NULL, &put);
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
        error = store_in_leaf(tree, reserve, reserve->path, put, &done);
    } else {
        error = store(tree, reserve, put);
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

/* The most nodes that one store into a tree of this height takes. */
static unsigned
store_needs(unsigned height)
{
    return PIECES_MAX * height + 3;
}

static unsigned
stores_need(unsigned height, unsigned stores)
{
    unsigned need = 0;
    for (unsigned i = 0; i < stores; i++)
        need += store_needs(height + i < HEIGHT_MAX ? height + i : HEIGHT_MAX);
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
enum reach {
    REACH_LEAVES, /* more than one leaf, or one that loses too much */
    REACH_LEAF,   /* one leaf, which it may overfill */
    REACH_SLOTS,  /* one leaf, which has room: all go the short way */
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

/* How far this many stores inside [first, last] reach, one alone being of all
 * of it. The cursor gets to the leaf. */
static enum reach
reach_of(const struct aspen_tree *tree, struct aspen_tree_cursor *cursor,
         unsigned stores, uint64_t first, uint64_t last)
{
    const struct put nothing = {.first = first, .last = last};
    const struct aspen_tree_path *path = &cursor->path;
    if (!find_one_leaf(tree, cursor, first, last))
        return REACH_LEAVES;
    node_tag leaf = path->at[0].node;
    if (is_wide(leaf) || !put_fits(leaf, &nothing))
        return REACH_LEAVES;
    struct edit edit;
    edit_plan(&edit, leaf, &nothing);
    unsigned count = node_of(leaf)->info.count;
    unsigned stay = count - (edit.to - edit.from);
    if (stay < (path->height > 1 ? FILL_MINIMUM : 1))
        return REACH_LEAVES;
    unsigned most = stores == 1 ? stay + edit.slots + 2 : count + 2 * stores;
    return most <= COMPACT_SLOTS ? REACH_SLOTS : REACH_LEAF;
}

/* Give back those that were put aside after `kept`. */
static void
release_until(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
              const void *kept)
{
    while (reserve->nodes != kept) {
        struct node *node = reserve->nodes;
        reserve->nodes = node->link;
        aspen_cache_free(&tree->pool->nodes, node);
    }
}

/* Top up to `need` nodes: 0, or -ASPEN_ENOMEM with none added. */
static int
top_up(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
       unsigned need)
{
    void *old = reserve->nodes;
    unsigned count = reserve->count;
    while (count < need) {
        struct node *node = aspen_cache_alloc(&tree->pool->nodes);
        if (aspen_unlikely(!node)) {
            release_until(tree, reserve, old);
            return -ASPEN_ENOMEM;
        }
        node->link = reserve->nodes;
        reserve->nodes = node;
        count++;
    }
    reserve->count = count;
    return 0;
}

int
aspen_tree_reserve(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
                   unsigned stores)
{
    reserve->path = NULL;
    return top_up(tree, reserve,
                  stores_need(root_height((node_tag)tree->root), stores));
}

int
aspen_tree_reserve_later(struct aspen_tree *tree,
                         struct aspen_tree_reserve *reserve)
{
    return top_up(tree, reserve, reserve->count + store_needs(HEIGHT_MAX));
}

int
aspen_tree_reserve_within(struct aspen_tree *tree,
                          struct aspen_tree_reserve *reserve,
                          struct aspen_tree_cursor *cursor, unsigned stores,
                          uint64_t first, uint64_t last)
{
    enum reach reach = reach_of(tree, cursor, stores, first, last);

    reserve->path = reach == REACH_SLOTS ? &cursor->path : NULL;
    if (reserve->path)
        return top_up(tree, reserve, tree->rcu ? stores : 0);
    if (reach == REACH_LEAF && stores == 1)
        return top_up(tree, reserve, LEAF_PIECES * cursor->path.height + 1);
    return aspen_tree_reserve(tree, reserve, stores);
}

void
aspen_tree_reserve_release(struct aspen_tree *tree,
                           struct aspen_tree_reserve *reserve)
{
    release_until(tree, reserve, NULL);
    reserve->count = 0;
}
