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

/* Slots of two nodes, and what is new between them. A neighbour's come to few.
 */
#define ITEMS_MAX (2 * COMPACT_SLOTS + PIECES_MAX)

struct rebuild {
    struct aspen_tree *tree;
    struct aspen_tree_reserve *reserve;
    const struct put *put;
    /*
     * To what is replaced at the level that is listed, and what was at those
     * below it: from left.at[] up to right.at[], in each of the two only the
     * children from or up to its slot. What they were merged with lives on.
     */
    struct aspen_tree_path left;
    struct aspen_tree_path right;
    node_tag neighbour[HEIGHT_MAX]; /* at that level; or 0 */
    bool appending; /* the new entry becomes the last of the tree */
    unsigned cut;   /* of a leaf, right after the new entry; 0: anywhere */
    unsigned items;
    struct node_item item[ITEMS_MAX];
    unsigned pieces;
    struct node_item piece[PIECES_MAX];
    unsigned entries_added; /* of the new leaves */
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
    r->neighbour[level] = r->right.at[level].node;
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
    r->neighbour[level] = tag;
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
static void
make_piece(struct rebuild *r, unsigned level, unsigned from, unsigned to)
{
    const struct node_item *item = &r->item[from];
    unsigned items = to - from, form;
    struct node *node = node_take(r->reserve);
    bool fits = aspen_tree_choose_form(item, items, level, &form);
    ASPEN_ASSERT(fits);
    node_tag tag = aspen_tree_fill_node(node, item, items, level, form);
    node->info.lead = 0;

    struct node_item *piece = &r->piece[r->pieces++];
    piece->pointer = (void *)tag;
    piece->key = item->key;
    if (level)
        piece->second = aspen_tree_inner_gap(tag);
    else if (from)
        piece->second = fill_lead(tag, item[-1].second + 1);
    else
        piece->second = fill_lead(tag, path_lead_start(&r->left));
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

/* Where keys that only grow, up or down, want to be cut; 0: anywhere. */
static unsigned
growing_cut(const struct rebuild *r, unsigned level)
{
    if (r->appending && leave_full(r, level, COMPACT_SLOTS))
        return COMPACT_SLOTS - first_keyed(level);
    if (r->appending && leave_full(r, level, WIDE_SLOTS))
        return WIDE_SLOTS - first_keyed(level);
    return !level && r->cut && cut_fits(r, level, r->cut) ? r->cut : 0;
}

static void
pack_two(struct rebuild *r, unsigned level, unsigned cut)
{
    make_piece(r, level, 0, cut);
    make_piece(r, level, cut, r->items);
}

static void
pack_shares(struct rebuild *r, unsigned level, unsigned pieces)
{
    for (unsigned i = 0; i < pieces; i++)
        make_piece(r, level, r->items * i / pieces,
                   r->items * (i + 1) / pieces);
}

/*
 * Pack the items into as few nodes as can hold them, equally filled. Keys that
 * only grow leave full nodes behind. A step that is too wide for relative keys
 * is a place to cut.
 */
static void
pack(struct rebuild *r, unsigned level)
{
    unsigned pieces = (r->items + COMPACT_SLOTS - 1) / COMPACT_SLOTS;
    unsigned cut;

    r->pieces = 0;
    if (shares_fit(r, level, 1))
        pack_shares(r, level, 1);
    else if ((cut = growing_cut(r, level)) != 0)
        pack_two(r, level, cut);
    else if (shares_fit(r, level, pieces))
        pack_shares(r, level, pieces);
    else if (cut_fits(r, level, cut = widest_step(r, level)))
        pack_two(r, level, cut);
    else
        pack_shares(r, level, (r->items + WIDE_SLOTS - 1) / WIDE_SLOTS);
}

/* ---- Putting in place --------------------------------------------------- */

/* A dead node refills the reserve, if readers cannot be in it. */
static void
bury(struct rebuild *r, struct node_chain *dead, struct node *node)
{
    struct aspen_tree_reserve *reserve = r->reserve;

    if (r->tree->rcu || aspen_tree_reserve_is_full(reserve)) {
        node_dispose(r->tree, dead, node);
        return;
    }
    node->link = reserve->nodes;
    reserve->nodes = node;
    reserve->count++;
}

/*
 * Dispose of a node that was replaced or dropped, and of what was dropped below
 * it: of the outermost nodes some children live on, of a neighbour all.
 */
static void
dispose(struct rebuild *r, struct node_chain *dead, node_tag tag,
        unsigned level)
{
    struct node *node = node_of(tag);
    if (!level) {
        r->tree->count -= node->info.count;
    } else if (tag != r->neighbour[level]) {
        bool left = tag == r->left.at[level].node;
        bool right = tag == r->right.at[level].node;
        unsigned from = left ? r->left.at[level].slot : 0;
        unsigned to = right ? r->right.at[level].slot + 1 : node->info.count;
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
    aspen_tree_changed_up_to(r->tree, r->put->last, &r->right);
}

/* More pieces than one at the top: levels above it. */
static unsigned
add_levels(struct rebuild *r, unsigned height)
{
    while (r->pieces > 1) {
        memcpy(r->item, r->piece, r->pieces * sizeof(r->item[0]));
        r->items = r->pieces;
        ASPEN_ASSERT(height < HEIGHT_MAX);
        pack(r, height++);
    }
    return height;
}

/* The pieces take the place of the whole tree. */
static void
replace_root(struct rebuild *r)
{
    node_tag old = r->left.at[r->left.height - 1].node;
    node_tag root = 0;
    unsigned height = add_levels(r, r->left.height);
    if (r->pieces)
        root =
            (node_tag)r->piece[0].pointer | ((uintptr_t)height << HEIGHT_SHIFT);
    aspen_store(&r->tree->root, (void *)root);
    finish(r, old, r->left.height - 1);
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

/* List and pack one level. The paths may end up at a neighbour, but for what
 * they have here. */
static void
rebuild_level(struct rebuild *r, unsigned level)
{
    const struct aspen_tree_step left = r->left.at[level];
    const struct aspen_tree_step right = r->right.at[level];
    r->neighbour[level] = 0;
    if (level)
        list_inner(r, level);
    else
        list_leaf(r);
    bool top = level + 1 == r->left.height;
    if (!top && r->items && r->items < FILL_MINIMUM + first_keyed(level))
        list_neighbour(r, level);
    if (!level)
        r->entries_added = r->items;
    if (!r->items)
        r->pieces = 0;
    else if (!top || !level || r->items > 1)
        pack(r, level);
    r->left.at[level] = left;
    r->right.at[level] = right;
}

static void
rebuild(struct rebuild *r)
{
    unsigned height = r->left.height;
    rebuild_level(r, 0);
    for (unsigned level = 1; level < height; level++) {
        if (r->left.at[level].node == r->right.at[level].node &&
            r->left.at[level].slot == r->right.at[level].slot &&
            r->pieces == 1) {
            replace_child(r, level);
            return;
        }
        rebuild_level(r, level);
    }
    if (height > 1 && r->items == 1)
        drop_root(r);
    else
        replace_root(r);
}

void
aspen_tree_store_by_rebuild(struct aspen_tree *tree,
                            struct aspen_tree_reserve *reserve,
                            const struct put *put)
{
    struct rebuild r;
    r.tree = tree;
    r.reserve = reserve;
    r.put = put;
    r.pieces = 0;
    r.appending = false;
    r.cut = 0;
    (void)aspen_tree_path_descend(&r.left, tree, put->first);
    (void)aspen_tree_path_descend(&r.right, tree, put->last);
    rebuild(&r);
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
