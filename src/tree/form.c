/* SPDX-License-Identifier: MIT */
/*
 * tree/form.c - compact where the keys allow it, wide where not.
 *
 * Breaks first: tests/unit/tree/test_tree.c.
 */
#include "tree/form.h"

/* Whether relative keys of this unit can tell the items apart. */
static bool
unit_fits(const struct node_item *item, unsigned items, unsigned level,
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

bool
aspen_tree_choose_form(const struct node_item *item, unsigned items,
                       unsigned level, unsigned *form)
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
 * The base of a compact node lies some way below the first key, so that ranges
 * stored before that key later fit as well. The distance is at least one unit,
 * so that the first key differs from KEY_BEFORE, unless nothing is before it.
 */
static uint64_t
choose_base(const struct node_item *item, unsigned items, unsigned level,
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
fill_wide(struct node *node, const struct node_item *item, unsigned items)
{
    node->base = items;
    for (unsigned i = 0; i < items; i++) {
        node->wide.key[i] = item[i].key;
        node->wide.second[i] = item[i].second;
        node->wide.pointer[i] = item[i].pointer;
    }
}

static void
fill_compact(struct node *node, const struct node_item *item, unsigned items,
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

node_tag
aspen_tree_fill_node(struct node *node, const struct node_item *item,
                     unsigned items, unsigned level, unsigned form)
{
    node_tag tag = (node_tag)node | form;
    if (is_wide(tag))
        fill_wide(node, item, items);
    else
        fill_compact(node, item, items, level, unit_shift(tag));
    node->info.count = items;
    return tag;
}
