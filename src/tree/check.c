/* SPDX-License-Identifier: MIT */
/*
 * tree/check.c - every invariant of a tree, by name.
 *
 * Reads each node once, in key order, with the owner's lock held. Breaks
 * first: test_tree.c, which plants one corruption of each kind.
 */
#include "tree/node.h"

struct check {
    uint64_t entries;
    uint64_t next; /* where the gap before the next entry starts */
    bool full;     /* the entry before ended at UINT64_MAX */
    uint64_t where;
};

/* What is known of a subtree from above: its keys are in [low, high]. */
struct bounds {
    uint64_t low, high;
};

static const char *
check_unused(node_tag tag, unsigned level)
{
    const struct node *node = node_of(tag);
    unsigned count = node->info.count;
    if (is_wide(tag))
        return node->base == count ? NULL : "node.count";
    for (unsigned i = 0; i < COMPACT_SLOTS; i++) {
        uint32_t key = node->compact.key[i];
        bool before = key == KEY_BEFORE;
        if (i >= count && key != KEY_NONE)
            return "node.unused";
        if (i < count && key >= KEY_BEYOND)
            return "node.key";
        if (i < count && level && before != !i)
            return "node.key";
        if (i < count && !level && before && node->base)
            return "node.key";
    }
    return NULL;
}

static const char *
check_node(node_tag tag, unsigned level)
{
    const struct node *node = node_of(tag);
    unsigned slots = slots_of(tag);
    if (!node || (is_wide(tag) && (tag & TAG_PAGED)) ||
        (tag & TAG_BITS & ~(uintptr_t)TAG_FORM))
        return "node.form";
    if (node->info.count > slots)
        return "node.count";
    if (!level && !node->info.count)
        return "leaf.empty";
    if (level && node->info.count < 2)
        return "inner.fill";
    return check_unused(tag, level);
}

static const char *
check_lead(node_tag leaf, uint64_t lead)
{
    const struct node *node = node_of(leaf);
    unsigned shift = unit_shift(leaf);
    uint32_t units = gap_encode(lead, shift);
    if (is_wide(leaf) || gap_decode(units, shift) != lead)
        units = LEAD_HUGE;
    return node->info.lead == units ? NULL : "leaf.lead";
}

static const char *
check_leaf(struct check *check, node_tag leaf, const struct bounds *bounds,
           uint64_t *gap)
{
    unsigned count = node_of(leaf)->info.count;
    *gap = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t first = slot_key(leaf, i), last = slot_last(leaf, i);
        check->where = first;
        if (first > last || check->full || first < check->next)
            return "leaf.order";
        if (first < bounds->low || last > bounds->high)
            return "leaf.bounds";
        const void *entry = *slot_pointer(leaf, i);
        if (!entry || ((uintptr_t)entry & 3))
            return "leaf.entry";
        if (!i) {
            const char *bad = check_lead(leaf, first - check->next);
            if (bad)
                return bad;
        }
        *gap = aspen_max_u64(*gap, first - check->next);
        check->full = last == UINT64_MAX;
        check->next = last + 1;
        check->entries++;
    }
    return NULL;
}

/* The noted gap of a slot against what was found below it (gap_notes.h I2). */
static bool
gap_is_noted(node_tag tag, unsigned slot, uint64_t gap)
{
    const struct node *node = node_of(tag);
    uint64_t noted =
        is_wide(tag) ? node->wide.second[slot]
                     : gap_decode(node->compact.second[slot], unit_shift(tag));
    if (noted == UINT64_MAX)
        return gap >= GAP_HUGE - 1;
    return noted >= gap && noted - gap < ASPEN_PAGE_SIZE &&
           (noted == gap || aspen_is_aligned(noted, ASPEN_PAGE_SIZE));
}

static const char *
check_below(struct check *check, node_tag tag, unsigned level,
            const struct bounds *bounds, uint64_t *gap)
{
    check->where = bounds->low;
    const char *bad = check_node(tag, level);
    if (bad)
        return bad;
    if (!level)
        return check_leaf(check, tag, bounds, gap);
    unsigned count = node_of(tag)->info.count;
    *gap = 0;
    for (unsigned i = 0; i < count; i++) {
        struct bounds part = *bounds;
        uint64_t below;
        if (i)
            part.low = slot_key(tag, i);
        if (i + 1 < count)
            part.high = slot_key(tag, i + 1) - 1;
        if (part.low < bounds->low || part.high > bounds->high ||
            part.low > part.high)
            return "inner.order";
        bad = check_below(check, (node_tag)*slot_pointer(tag, i), level - 1,
                          &part, &below);
        if (bad)
            return bad;
        check->where = part.low;
        if (!gap_is_noted(tag, i, below))
            return "inner.gap";
        *gap = aspen_max_u64(*gap, below);
    }
    return NULL;
}

const char *
aspen_tree_check(const struct aspen_tree *tree, uint64_t *where)
{
    struct check check = {0, 0, false, 0};
    struct bounds all = {0, UINT64_MAX};
    node_tag root = (node_tag)tree->root;
    const char *bad = NULL;
    uint64_t gap;
    if (root && !root_height(root))
        bad = "tree.height";
    else if (root)
        bad = check_below(&check, root_node(root), root_height(root) - 1, &all,
                          &gap);
    if (!bad && check.entries != tree->count)
        bad = "tree.count";
    if (where)
        *where = check.where;
    return bad;
}

static uint64_t
nodes_below(node_tag tag, unsigned level)
{
    uint64_t nodes = 1;
    for (unsigned i = 0; level && i < node_of(tag)->info.count; i++)
        nodes += nodes_below((node_tag)*slot_pointer(tag, i), level - 1);
    return nodes;
}

uint64_t
aspen_tree_nodes(const struct aspen_tree *tree)
{
    node_tag root = (node_tag)tree->root;
    return root ? nodes_below(root_node(root), root_height(root) - 1) : 0;
}
