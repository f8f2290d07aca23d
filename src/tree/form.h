/* SPDX-License-Identifier: MIT */
/*
 * tree/form.h - chooses the form of a node for the slots that it will hold, and
 * fills it. Private to the tree.
 */
#ifndef ASPEN_TREE_FORM_H
#define ASPEN_TREE_FORM_H

#include "tree/node.h"

/* One slot, decoded: a range, or a subtree with its largest gap. */
struct node_item {
    uint64_t key;
    uint64_t second;
    void *pointer;
};

/* Slot 0 of an inner node needs no key. */
static inline unsigned
first_keyed(unsigned level)
{
    return level ? 1 : 0;
}

/* The form the items fit in; false: they fit in no node. */
bool aspen_tree_choose_form(const struct node_item *item, unsigned items,
                            unsigned level, unsigned *form);

/* Make `node` one of these items, which fit in `form`; its lead is not set. */
node_tag aspen_tree_fill_node(struct node *node, const struct node_item *item,
                              unsigned items, unsigned level, unsigned form);

#endif
