/* SPDX-License-Identifier: MIT */
/*
 * tree/rebuild.c - the long way to store: level by level, new nodes for old.
 *
 *     level 1      [ . | L | R | . ]             [ . | p | q | r | . ]
 *                       /    \          ->            /    |    \
 *     leaves    [a b c]        [d e f]            [a b]  [c x]   [e f]
 *                    (x.........)
 *
 * L and R, and all between them, are replaced; the pieces p, q, r are made
 * before anything else is written.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/form.h"
#include "tree/gap_notes.h"
#include "tree/pool.h"
#include "tree/store.h"

/* Slots of two nodes, what is new between them, and a neighbour's. */
#define ITEMS_MAX (3 * COMPACT_SLOTS + PIECES_MAX)

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
    struct node_item item[ITEMS_MAX];
    unsigned pieces;
    struct node_item piece[PIECES_MAX];
    unsigned entries_added; /* of the new leaves */
    struct lost lost[HEIGHT_MAX];
    unsigned made;
    struct node *node[(HEIGHT_MAX + 2) * PIECES_MAX];
};

/* ---- Lists of slots ----------------------------------------------------- */

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

/*
 * Does the new entry, the last before `cut`, touch the one above it, with most
 * of the leaf above it? Then entries probably come from the top down: what is
 * above stays as full as it is, and the rest gets the room.
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

/* ---- Packing ------------------------------------------------------------ */

/* The gap of a new leaf; `start` is where its leading gap starts. */
static uint64_t
fill_lead(node_tag leaf, uint64_t start)
{
    uint64_t lead = slot_key(leaf, 0) - start;
    leaf_set_lead(leaf, lead);
    return aspen_max_u64(lead, aspen_tree_leaf_gap_inside(leaf));
}

/* Make a node of items [from, to); it becomes the next piece. */
static bool
make_piece(struct rebuild *r, unsigned level, unsigned from, unsigned to)
{
    const struct node_item *item = &r->item[from];
    unsigned items = to - from, form;
    struct node *node = node_get(r->tree, r->reserve);
    if (!node)
        return false;
    r->node[r->made++] = node;
    bool fits = aspen_tree_choose_form(item, items, level, &form);
    ASPEN_ASSERT(fits);
    node_tag tag = aspen_tree_fill_node(node, item, items, level, form);
    node->info.lead = 0;

    struct node_item *piece = &r->piece[r->pieces++];
    piece->pointer = (void *)tag;
    piece->key = item->key;
    if (level) {
        piece->second = aspen_tree_inner_gap(tag);
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
        if (!aspen_tree_choose_form(&r->item[from], to - from, level, &form))
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
    return aspen_tree_choose_form(r->item, cut, level, &form) &&
           aspen_tree_choose_form(&r->item[cut], r->items - cut, level, &form);
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
 * Pack the items into as few nodes as can hold them, equally filled. Keys that
 * only grow leave full nodes behind. A step that is too wide for relative keys
 * is a place to cut.
 */
static bool
pack(struct rebuild *r, unsigned level)
{
    unsigned form;
    r->pieces = 0;
    if (aspen_tree_choose_form(r->item, r->items, level, &form))
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

/* ---- Putting in place --------------------------------------------------- */

/* A dead node refills the reserve, if readers cannot be in it. */
static void
bury(struct rebuild *r, struct node_chain *dead, struct node *node)
{
    struct aspen_tree_reserve *reserve = r->reserve;

    if (r->tree->rcu || !reserve || aspen_tree_reserve_is_full(reserve)) {
        node_dispose(r->tree, dead, node);
        return;
    }
    node->link = reserve->nodes;
    reserve->nodes = node;
    reserve->count++;
}

/*
 * Dispose of a node that was replaced or dropped, and of what was dropped below
 * it: `lost` says which children of the outermost nodes live on.
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
    bury(r, dead, node);
}

/* The new nodes are visible: dispose of the old ones, update the gaps. */
static void
finish(struct rebuild *r, node_tag old, unsigned level)
{
    struct node_chain dead = {NULL, NULL, 0};
    r->tree->count += r->entries_added;
    dispose(r, &dead, old, level);
    aspen_tree_pool_retire(r->tree->pool, &dead);
    aspen_tree_changed_up_to(r->tree, r->put->last);
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
 * When the root has one child left, the child becomes the root. It may be a new
 * node that found no neighbour and has one child itself.
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
    path_publish(r->tree, path, level - 1, (node_tag)r->piece[0].pointer);
    aspen_tree_gap_changed(path, level - 1, r->piece[0].second);
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

int
aspen_tree_store_by_rebuild(struct aspen_tree *tree,
                            struct aspen_tree_reserve *reserve,
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

int
aspen_tree_store_first(struct aspen_tree *tree,
                       struct aspen_tree_reserve *reserve,
                       const struct put *put)
{
    struct node_item item = {put->first, put->last, put->entry};
    unsigned form;
    ASPEN_ASSERT(!put->above);
    if (!put->entry)
        return 0;
    struct node *node = node_get(tree, reserve);
    if (!node)
        return -ASPEN_ENOMEM;
    (void)aspen_tree_choose_form(&item, 1, 0, &form);
    node_tag tag = aspen_tree_fill_node(node, &item, 1, 0, form);
    leaf_set_lead(tag, put->first);
    aspen_store(&tree->root, (void *)(tag | (uintptr_t)1 << HEIGHT_SHIFT));
    tree->count = 1;
    return 0;
}
