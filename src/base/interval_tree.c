/* SPDX-License-Identifier: MIT */
/*
 * base/interval_tree.c - the augmented red-black tree.
 *
 * I1  In order of start; equal starts in order of insertion, or where
 *     insert_after put them.
 * I2  A red node has no red child; every way down from a node passes the same
 *     number of black ones.
 * I3  subtree_last is the largest `last` at or below a node.
 *
 * Left and right are child[0] and child[1], so that each mirrored case is
 * written once. The first test to break is
 * tests/unit/base/test_interval_tree.c.
 */
#include "base/interval_tree.h"

#define RED ((uintptr_t)1)

static struct aspen_interval_node *
parent_of(const struct aspen_interval_node *node)
{
    return (struct aspen_interval_node *)(node->parent_and_colour & ~RED);
}

static bool
is_red(const struct aspen_interval_node *node)
{
    return node && node->parent_and_colour & RED;
}

static void
set_parent(struct aspen_interval_node *node, struct aspen_interval_node *parent)
{
    node->parent_and_colour =
        (uintptr_t)parent | (node->parent_and_colour & RED);
}

static void
set_red(struct aspen_interval_node *node, bool red)
{
    node->parent_and_colour =
        (node->parent_and_colour & ~RED) | (red ? RED : 0);
}

static unsigned
side_of(const struct aspen_interval_node *parent,
        const struct aspen_interval_node *node)
{
    return parent->child[1] == node;
}

static uint64_t
last_below(const struct aspen_interval_node *node)
{
    uint64_t last = node->last;
    for (unsigned side = 0; side < 2; side++)
        if (node->child[side])
            last = aspen_max_u64(last, node->child[side]->subtree_last);
    return last;
}

/* Bring I3 up to date from `node` upwards, as far as something changes. */
static void
update_upwards(struct aspen_interval_node *node)
{
    for (; node; node = parent_of(node)) {
        uint64_t last = last_below(node);
        if (node->subtree_last == last)
            return;
        node->subtree_last = last;
    }
}

/* Let `node` stand where `old` stood below old's parent. */
static void
replace_below_parent(struct aspen_interval_tree *tree,
                     struct aspen_interval_node *old,
                     struct aspen_interval_node *node)
{
    struct aspen_interval_node *parent = parent_of(old);
    if (parent)
        parent->child[side_of(parent, old)] = node;
    else
        tree->root = node;
    if (node)
        set_parent(node, parent);
}

/* node's child on `side` takes node's place; node goes down the other way. */
static void
rotate_up(struct aspen_interval_tree *tree, struct aspen_interval_node *node,
          unsigned side)
{
    struct aspen_interval_node *up = node->child[side];

    replace_below_parent(tree, node, up);
    node->child[side] = up->child[!side];
    if (node->child[side])
        set_parent(node->child[side], node);
    up->child[!side] = node;
    set_parent(node, up);
    up->subtree_last = node->subtree_last;
    node->subtree_last = last_below(node);
}

static void
balance_after_insert(struct aspen_interval_tree *tree,
                     struct aspen_interval_node *node)
{
    struct aspen_interval_node *parent;

    while (is_red(parent = parent_of(node))) {
        struct aspen_interval_node *grand = parent_of(parent);
        unsigned side = side_of(grand, parent);
        struct aspen_interval_node *uncle = grand->child[!side];
        if (is_red(uncle)) {
            set_red(parent, false);
            set_red(uncle, false);
            set_red(grand, true);
            node = grand;
            continue;
        }
        if (side_of(parent, node) != side) {
            rotate_up(tree, parent, !side);
            node = parent;
            parent = parent_of(node);
        }
        set_red(parent, false);
        set_red(grand, true);
        rotate_up(tree, grand, side);
    }
    set_red(tree->root, false);
}

static void
insert_below(struct aspen_interval_tree *tree,
             struct aspen_interval_node *parent, unsigned side,
             struct aspen_interval_node *node)
{
    node->parent_and_colour = (uintptr_t)parent | RED;
    node->child[0] = NULL;
    node->child[1] = NULL;
    node->subtree_last = node->last;
    if (parent)
        parent->child[side] = node;
    else
        tree->root = node;
    tree->count++;
    update_upwards(parent);
    balance_after_insert(tree, node);
}

/*
 * `parent` has lost one black node on `side`. The standard cases follow, named
 * by what the sibling looks like.
 */
static void
balance_after_remove(struct aspen_interval_tree *tree,
                     struct aspen_interval_node *parent, unsigned side)
{
    while (parent && !is_red(parent->child[side])) {
        struct aspen_interval_node *sibling = parent->child[!side];
        if (is_red(sibling)) {
            set_red(sibling, false);
            set_red(parent, true);
            rotate_up(tree, parent, !side);
            sibling = parent->child[!side];
        }
        if (!is_red(sibling->child[0]) && !is_red(sibling->child[1])) {
            set_red(sibling, true);
            struct aspen_interval_node *node = parent;
            parent = parent_of(node);
            if (is_red(node)) {
                set_red(node, false);
                return;
            }
            if (parent)
                side = side_of(parent, node);
            continue;
        }
        if (!is_red(sibling->child[!side])) {
            set_red(sibling->child[side], false);
            set_red(sibling, true);
            rotate_up(tree, sibling, side);
            sibling = parent->child[!side];
        }
        set_red(sibling, is_red(parent));
        set_red(parent, false);
        set_red(sibling->child[!side], false);
        rotate_up(tree, parent, !side);
        return;
    }
    if (parent)
        set_red(parent->child[side], false);
    else if (tree->root)
        set_red(tree->root, false);
}

/* `next`, which has no child before it, takes the place of `node`. */
static void
exchange_with_next(struct aspen_interval_tree *tree,
                   struct aspen_interval_node *node,
                   struct aspen_interval_node *next)
{
    replace_below_parent(tree, node, next);
    set_red(next, is_red(node));
    for (unsigned side = 0; side < 2; side++) {
        next->child[side] = node->child[side];
        if (next->child[side])
            set_parent(next->child[side], next);
    }
}

static struct aspen_interval_node *
outermost(struct aspen_interval_node *node, unsigned side)
{
    while (node->child[side])
        node = node->child[side];
    return node;
}

/* The neighbour of `node` in order: side 0 before it, side 1 after it. */
static struct aspen_interval_node *
neighbour(const struct aspen_interval_node *node, unsigned side)
{
    if (node->child[side])
        return outermost(node->child[side], !side);
    struct aspen_interval_node *parent = parent_of(node);
    while (parent && side_of(parent, node) == side) {
        node = parent;
        parent = parent_of(node);
    }
    return parent;
}

void
aspen_interval_insert(struct aspen_interval_tree *tree,
                      struct aspen_interval_node *node)
{
    struct aspen_interval_node *parent = NULL;
    unsigned side = 0;

    for (struct aspen_interval_node *at = tree->root; at;
         at = at->child[side]) {
        parent = at;
        side = node->start >= at->start;
    }
    insert_below(tree, parent, side, node);
}

void
aspen_interval_insert_after(struct aspen_interval_tree *tree,
                            struct aspen_interval_node *before,
                            struct aspen_interval_node *node)
{
    if (before->child[1])
        insert_below(tree, outermost(before->child[1], 0), 0, node);
    else
        insert_below(tree, before, 1, node);
}

void
aspen_interval_remove(struct aspen_interval_tree *tree,
                      struct aspen_interval_node *node)
{
    struct aspen_interval_node
        *gap_parent; /* below it, on `side`, a node goes missing */
    struct aspen_interval_node *moved;
    unsigned side;
    bool black;

    if (node->child[0] && node->child[1]) {
        struct aspen_interval_node *next = outermost(node->child[1], 0);
        black = !is_red(next);
        moved = next->child[1];
        gap_parent = parent_of(next);
        side = side_of(gap_parent, next);
        replace_below_parent(tree, next, moved);
        if (gap_parent == node)
            gap_parent = next;
        exchange_with_next(tree, node, next);
        next->subtree_last = last_below(next);
    } else {
        moved = node->child[node->child[0] == NULL];
        black = !is_red(node);
        gap_parent = parent_of(node);
        side = gap_parent ? side_of(gap_parent, node) : 0;
        replace_below_parent(tree, node, moved);
    }
    tree->count--;
    for (struct aspen_interval_node *at = gap_parent; at; at = parent_of(at))
        at->subtree_last = last_below(at);
    if (black)
        balance_after_remove(tree, gap_parent, side);
}

/* The first in order at or below `node` that overlaps [first, last]. */
static struct aspen_interval_node *
first_below(struct aspen_interval_node *node, uint64_t first, uint64_t last)
{
    while (node && node->subtree_last >= first) {
        struct aspen_interval_node *before = node->child[0];
        if (before && before->subtree_last >= first) {
            node = before; /* something there ends late enough */
            continue;
        }
        if (node->start > last)
            return NULL;
        if (node->last >= first)
            return node;
        node = node->child[1];
    }
    return NULL;
}

struct aspen_interval_node *
aspen_interval_first(const struct aspen_interval_tree *tree, uint64_t first,
                     uint64_t last)
{
    return first_below(tree->root, first, last);
}

struct aspen_interval_node *
aspen_interval_next(const struct aspen_interval_node *node, uint64_t first,
                    uint64_t last)
{
    for (;;) {
        struct aspen_interval_node *found =
            first_below(node->child[1], first, last);
        if (found)
            return found;
        /* Up to the first ancestor that comes after this one. */
        struct aspen_interval_node *parent = parent_of(node);
        while (parent && side_of(parent, node) == 1) {
            node = parent;
            parent = parent_of(node);
        }
        if (!parent || parent->start > last)
            return NULL;
        if (parent->last >= first)
            return parent;
        node = parent;
    }
}

struct aspen_interval_node *
aspen_interval_previous(const struct aspen_interval_node *node)
{
    return neighbour(node, 0);
}

const char *
aspen_interval_tree_check(const struct aspen_interval_tree *tree)
{
    const struct aspen_interval_node *previous = NULL;
    uint64_t count = 0;
    unsigned black_height = 0;

    if (is_red(tree->root))
        return "the root is red";
    if (!tree->root)
        return tree->count ? "an empty tree counts nodes" : NULL;
    for (const struct aspen_interval_node *node = outermost(tree->root, 0);
         node; node = neighbour(node, 1)) {
        unsigned height = 0;
        if (++count > tree->count)
            return "more nodes than counted";
        if (previous && previous->start > node->start)
            return "out of order";
        if (node->subtree_last != last_below(node))
            return "subtree_last is wrong";
        for (unsigned side = 0; side < 2; side++) {
            const struct aspen_interval_node *child = node->child[side];
            if (child && parent_of(child) != node)
                return "a child does not know its parent";
            if (is_red(node) && is_red(child))
                return "a red node has a red child";
        }
        previous = node;
        if (node->child[0] && node->child[1])
            continue;
        for (const struct aspen_interval_node *up = node; up;
             up = parent_of(up))
            height += !is_red(up);
        if (black_height && height != black_height)
            return "black heights differ";
        black_height = height;
    }
    return count == tree->count ? NULL : "fewer nodes than counted";
}
