/* SPDX-License-Identifier: MIT */
/*
 * tree/gap_search.c - the search for free room.
 *
 * Each entry stands for the gap right before it (gap_notes.h I1); each slot of
 * an inner node notes the largest gap below it, or a little more. So a search
 * that leaves a leaf jumps to the next leaf whose note is large enough; only
 * rounding can send it there in vain. No note has the gap behind the tree's
 * last entry: a search looks there last (upwards) or first (downwards).
 *
 * The owner's lock is held, shared or exclusive. Breaks first:
 * tests/unit/tree/test_tree.c.
 */
#include "tree/path.h"

/* The first slot >= `slot` whose noted gap is `length` or more; or count. */
static unsigned
gap_slot_after(node_tag tag, unsigned slot, uint64_t length)
{
    const struct node *node = node_of(tag);
    unsigned count = node->info.count;
    if (aspen_unlikely(is_wide(tag))) {
        while (slot < count && node->wide.second[slot] < length)
            slot++;
        return slot;
    }
    /* Without a branch: which one it will be cannot be predicted. */
    uint32_t units = gap_encode(length, unit_shift(tag));
    uint32_t found = 0;
#pragma GCC unroll 16
    for (unsigned i = 0; i < COMPACT_SLOTS; i++)
        found |= (uint32_t)(node->compact.second[i] >= units) << i;
    found &= ~(uint32_t)0 << slot;
    found &= ((uint32_t)1 << count) - 1;
    return found ? aspen_lowest_bit(found) : count;
}

/* One more than the last slot < `slot` whose noted gap is large enough; or 0.
 */
static unsigned
gap_slot_before(node_tag tag, unsigned slot, uint64_t length)
{
    const struct node *node = node_of(tag);
    if (is_wide(tag)) {
        while (slot && node->wide.second[slot - 1] < length)
            slot--;
        return slot;
    }
    uint32_t units = gap_encode(length, unit_shift(tag));
    while (slot && node->compact.second[slot - 1] < units)
        slot--;
    return slot;
}

/* Move to the next leaf that may have such a gap. */
static bool
seek_up(struct aspen_tree_path *path, uint64_t length)
{
    unsigned level = 1;
    unsigned from = level < path->height ? path->at[1].slot + 1 : 0;
    while (level < path->height) {
        node_tag tag = path->at[level].node;
        unsigned slot = gap_slot_after(tag, from, length);
        if (slot == node_of(tag)->info.count) {
            level++;
            from = level < path->height ? path->at[level].slot + 1 : 0;
            continue;
        }
        path->at[level].slot = slot;
        path->at[--level].node = slot_child(tag, slot);
        if (!level)
            return true;
        from = 0;
    }
    return false;
}

/* Move to the previous leaf that may have such a gap. */
static bool
seek_down(struct aspen_tree_path *path, uint64_t length)
{
    unsigned level = 1;
    unsigned below = level < path->height ? path->at[1].slot : 0;
    while (level < path->height) {
        node_tag tag = path->at[level].node;
        unsigned slot = gap_slot_before(tag, below, length);
        if (!slot) {
            level++;
            below = level < path->height ? path->at[level].slot : 0;
            continue;
        }
        path->at[level].slot = slot - 1;
        path->at[--level].node = slot_child(tag, slot - 1);
        if (!level)
            return true;
        below = node_of(path->at[level].node)->info.count;
    }
    return false;
}

/* Where the gap before the path's leaf starts. */
static uint64_t
lead_start(const struct aspen_tree_path *path)
{
    node_tag leaf = path->at[0].node;
    uint32_t units = node_of(leaf)->info.lead;
    if (aspen_unlikely(units == LEAD_HUGE))
        return path_lead_start(path);
    return slot_key(leaf, 0) - ((uint64_t)units << unit_shift(leaf));
}

/* The tree's last key; the tree is not empty. */
static uint64_t
tree_last(const struct aspen_tree *tree)
{
    struct aspen_tree_path path;
    (void)aspen_tree_path_descend(&path, tree, UINT64_MAX);
    node_tag leaf = path.at[0].node;
    return slot_last(leaf, node_of(leaf)->info.count - 1);
}

/* Whether the window is as long as `length`, and both make sense. */
static int
check_window(uint64_t low, uint64_t high, uint64_t length)
{
    if (!length || low > high)
        return -ASPEN_EINVAL;
    return high - low >= length - 1 ? 0 : -ASPEN_ENOMEM;
}

/*
 * The lowest slot after `slot` with a gap of `units` before it, or `count`. It
 * looks at all slots without a branch, since a processor could not predict
 * which one it will be.
 */
static inline unsigned
gap_after_compact(const struct compact_slots *slots, unsigned slot,
                  unsigned count, uint32_t units)
{
    uint32_t found = 0;
#pragma GCC unroll 16
    for (unsigned i = 1; i < COMPACT_SLOTS; i++)
        found |= (uint32_t)(slots->key[i] - slots->second[i - 1] > units) << i;
    found &= ~(uint32_t)0 << (slot + 1);
    found &= ((uint32_t)1 << count) - 1;
    return found ? aspen_lowest_bit(found) : count;
}

static inline unsigned
gap_after_wide(node_tag leaf, unsigned slot, unsigned count, uint64_t length)
{
    while (++slot < count)
        if (slot_key(leaf, slot) - slot_last(leaf, slot - 1) > length)
            break;
    return slot;
}

/*
 * The lowest gap in the leaf's slots from `slot` on. *start is where the gap
 * before `slot` starts; it becomes the place, or the end of the last entry.
 */
static inline bool
scan_up(node_tag leaf, unsigned slot, uint64_t length, uint64_t *start)
{
    const struct node *node = node_of(leaf);
    unsigned count = node->info.count;

    if (aspen_unlikely(slot == count))
        return false;
    uint64_t first = slot_key(leaf, slot);
    if (first > *start && first - *start >= length)
        return true;
    slot = aspen_unlikely(is_wide(leaf))
               ? gap_after_wide(leaf, slot, count, length)
               : gap_after_compact(&node->compact, slot, count,
                                   gap_encode(length, unit_shift(leaf)));
    *start = slot_last(leaf, slot - 1) + 1;
    return slot < count;
}

int
aspen_tree_gap_up(const struct aspen_tree *tree, uint64_t low, uint64_t high,
                  uint64_t length, uint64_t *start)
{
    struct aspen_tree_path path;
    int error = check_window(low, high, length);
    if (error)
        return error;
    uint64_t limit = high - (length - 1), at = low;
    if (!aspen_tree_path_descend(&path, tree, low)) {
        *start = low;
        return 0;
    }
    unsigned slot = leaf_at_or_after(path.at[0].node, low);
    while (!scan_up(path.at[0].node, slot, length, &at)) {
        if (at > limit || !at)
            return -ASPEN_ENOMEM;
        if (!seek_up(&path, length)) {
            uint64_t last = tree_last(tree);
            if (last == UINT64_MAX)
                return -ASPEN_ENOMEM;
            at = aspen_max_u64(low, last + 1);
            break;
        }
        at = aspen_max_u64(low, lead_start(&path));
        slot = 0;
    }
    if (at > limit)
        return -ASPEN_ENOMEM;
    *start = at;
    return 0;
}

/* Where a gap ends: its last key, and the entry behind it; NULL: not known. */
struct gap_end {
    uint64_t at;
    void *above;
};

/* The gap before a slot that starts at `first`. */
static void
gap_ends_before(struct gap_end *end, node_tag leaf, unsigned slot,
                uint64_t first)
{
    if (first > end->at)
        return;
    end->at = first - 1;
    end->above = *slot_pointer(leaf, slot);
}

/*
 * The highest gap that ends at or before *end, in the lowest `slots` slots of
 * the leaf. *end becomes its end. *more: the search may go on below.
 */
static bool
scan_down(const struct aspen_tree_path *path, unsigned slots, uint64_t length,
          uint64_t limit, struct gap_end *end, bool *more)
{
    node_tag leaf = path->at[0].node;
    struct gap_end at = *end;
    *more = false;
    while (slots) {
        uint64_t last = slot_last(leaf, --slots);
        if (last < at.at && at.at - last >= length) {
            *end = at;
            return true;
        }
        uint64_t first = slot_key(leaf, slots);
        if (first <= limit)
            return false;
        gap_ends_before(&at, leaf, slots, first);
    }
    uint64_t start = lead_start(path);
    *end = at;
    *more = true;
    return start <= at.at && at.at - start >= length - 1;
}

int
aspen_tree_gap_down(const struct aspen_tree *tree, uint64_t low, uint64_t high,
                    uint64_t length, uint64_t *start, void **above)
{
    struct aspen_tree_path path;
    struct gap_end end = {high, NULL};
    *above = NULL;
    int error = check_window(low, high, length);
    if (error)
        return error;
    uint64_t limit = low + (length - 1);
    if (!aspen_tree_path_descend(&path, tree, high)) {
        *start = high - (length - 1);
        return 0;
    }
    unsigned slots = leaf_search(path.at[0].node, high);
    bool more;
    while (!scan_down(&path, slots, length, limit, &end, &more)) {
        if (!more || end.at < limit || !seek_down(&path, length))
            return -ASPEN_ENOMEM;
        node_tag leaf = path.at[0].node;
        slots = node_of(leaf)->info.count - 1;
        uint64_t first = slot_key(leaf, slots);
        if (first <= limit)
            return -ASPEN_ENOMEM;
        gap_ends_before(&end, leaf, slots, first);
    }
    if (end.at < limit)
        return -ASPEN_ENOMEM;
    *start = end.at - (length - 1);
    *above = end.above;
    return 0;
}

/* The largest gap seen so far; `found` false: none. */
struct largest {
    bool found;
    uint64_t first, last;
};

static void
consider(struct largest *best, uint64_t first, uint64_t last)
{
    if (best->found && last - first <= best->last - best->first)
        return;
    best->found = true;
    best->first = first;
    best->last = last;
}

/* The gaps of a leaf from `slot` on. False: the window ends here. */
static bool
scan_largest(struct largest *best, node_tag leaf, unsigned slot, uint64_t high,
             uint64_t start)
{
    unsigned count = node_of(leaf)->info.count;
    for (; slot < count; slot++) {
        if (start > high)
            return false;
        uint64_t first = slot_key(leaf, slot);
        if (first > start)
            consider(best, start, aspen_min_u64(first - 1, high));
        if (first > high || slot_last(leaf, slot) >= high)
            return false;
        start = slot_last(leaf, slot) + 1;
    }
    return true;
}

int
aspen_tree_gap_largest(const struct aspen_tree *tree, uint64_t low,
                       uint64_t high, uint64_t range[2])
{
    struct aspen_tree_path path;
    struct largest best = {false, 0, 0};
    if (low > high)
        return -ASPEN_EINVAL;
    if (!aspen_tree_path_descend(&path, tree, low)) {
        range[0] = low;
        range[1] = high;
        return 0;
    }
    uint64_t start = low;
    unsigned slot = leaf_at_or_after(path.at[0].node, low);
    while (scan_largest(&best, path.at[0].node, slot, high, start)) {
        if (!seek_up(&path, best.found ? best.last - best.first + 2 : 1)) {
            uint64_t last = tree_last(tree);
            if (last < high)
                consider(&best, aspen_max_u64(low, last + 1), high);
            break;
        }
        start = aspen_max_u64(low, lead_start(&path));
        slot = 0;
    }
    if (!best.found)
        return -ASPEN_ENOMEM;
    range[0] = best.first;
    range[1] = best.last;
    return 0;
}
