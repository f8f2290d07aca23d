/* SPDX-License-Identifier: MIT */
/*
 * tree/node.h - one node of the range tree: its two forms and how to search
 * them. Private to the tree; docs/design/tree.md draws it.
 *
 *            compact                           wide
 *       0    base: key of relative 0           number of slots in use
 *       8    key[15]: 32-bit, relative         key[10]: 64-bit, absolute
 *      68    second[15]: 32-bit
 *      88                                      second[10]: 64-bit
 *     128    pointer[15]
 *     168                                      pointer[10]
 *     248    info (owner's lock) or, in a dead node, the link
 *
 * In a leaf a slot is a range: key its first, second its last key, pointer
 * the entry. In an inner node a slot is a subtree: key is the lowest key
 * that is looked for there, second the largest gap in it, pointer the
 * child. Slot 0 of an inner node has no key: its parents know it.
 *
 * The form is in the low bits of the pointer that leads to a node, so it is
 * known before the node's first cache line arrives: WIDE, or compact with a
 * unit of one key or (PAGED) of 4096 keys. Relative keys are below
 * KEY_BEYOND; slots that are not in use hold KEY_NONE, so a search looks
 * at all of them without a branch and without the count.
 *
 * I1  While a tree in RCU mode leads to the node nothing changes that a reader
 *     looks at (base, key, second of a leaf, the unused slots), but for
 *     pointers, which change with one release store.
 * I2  What changes in place in RCU mode (info, second of inner nodes) is
 *     read and written only under the owner's lock.
 * I3  A leaf that is not the root has an entry, an inner node two children.
 */
#ifndef ASPEN_TREE_NODE_H
#define ASPEN_TREE_NODE_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/memory.h"
#include "tree/tree.h"
#include <aspen/error.h>

#ifdef ASPEN_TREE_TEST_FANOUT
/* Deep trees from few entries, for tests; at least 4. */
#define NODE_BYTES    256
#define COMPACT_SLOTS ASPEN_TREE_TEST_FANOUT
#define WIDE_SLOTS    (ASPEN_TREE_TEST_FANOUT - 1)
#else
#ifndef ASPEN_TREE_NODE_BYTES
#define ASPEN_TREE_NODE_BYTES 256
#endif
#define NODE_BYTES    ASPEN_TREE_NODE_BYTES
#define COMPACT_SLOTS (NODE_BYTES / 16 - 1)
#define WIDE_SLOTS    ((NODE_BYTES - 16) / 24)
#endif

/* Below it a node that loses a slot is merged with a neighbour. */
#define FILL_MINIMUM (COMPACT_SLOTS / 3)

#define KEY_NONE   UINT32_MAX
#define KEY_BEYOND (UINT32_MAX - 1) /* what keys after all become */
/*
 * Stands for keys before the base. Slot 0 of every inner node has it. Elsewhere
 * it is a key only if the base is 0, since nothing is before that.
 */
#define KEY_BEFORE 0u
#define GAP_HUGE   UINT32_MAX /* does not fit */
#define LEAD_HUGE  UINT32_MAX /* does not fit: ask the leaf before */

struct compact_slots {
    uint32_t key[COMPACT_SLOTS];
    uint32_t second[COMPACT_SLOTS];
    void *pointer[COMPACT_SLOTS];
};

struct wide_slots {
    uint64_t key[WIDE_SLOTS];
    uint64_t second[WIDE_SLOTS];
    void *pointer[WIDE_SLOTS];
};

struct node_info {
    uint32_t count;
    /* Leaf: units between the end of the entry before and the first one. */
    uint32_t lead;
};

struct node {
    uint64_t base;
    union {
        struct compact_slots compact;
        struct wide_slots wide;
        uint8_t bytes[NODE_BYTES - 16];
    };
    union {
        struct node_info info;
        struct node *link;
    };
};

ASPEN_STATIC_ASSERT(sizeof(struct node) == NODE_BYTES, "node layout");
ASPEN_STATIC_ASSERT(WIDE_SLOTS >= 3 && 2 * COMPACT_SLOTS + 2 <= 4 * WIDE_SLOTS,
                    "what a store can need (rebuild.c) assumes this");

/* ---- Pointers to nodes ------------------------------------------------- */

#define TAG_WIDE     1u
#define TAG_PAGED    2u
#define TAG_FORM     3u
#define HEIGHT_SHIFT 2 /* in tree->root only: levels, 1 is a leaf alone */
#define TAG_BITS     63u

typedef uintptr_t node_tag; /* a pointer to a node with its form */

static inline struct node *
node_of(node_tag tag)
{
    return (struct node *)(tag & ~(uintptr_t)TAG_BITS);
}

static inline bool
is_wide(node_tag tag)
{
    return tag & TAG_WIDE;
}

static inline unsigned
unit_shift(node_tag tag)
{
    return tag & TAG_PAGED ? ASPEN_PAGE_SHIFT : 0;
}

/* Slots of a node of its form. */
static inline unsigned
slots_of(node_tag tag)
{
    return is_wide(tag) ? WIDE_SLOTS : COMPACT_SLOTS;
}

static inline unsigned
root_height(node_tag root)
{
    return (unsigned)(root & TAG_BITS) >> HEIGHT_SHIFT;
}

static inline node_tag
root_node(node_tag root)
{
    return root & ~(uintptr_t)(TAG_BITS & ~TAG_FORM);
}

static inline node_tag
tree_root(const struct aspen_tree *tree)
{
    return (node_tag)aspen_load(&tree->root);
}

/* Fetch all of a leaf: it is needed next. */
static inline void
prefetch_leaf(node_tag tag)
{
    const char *line = (const char *)node_of(tag);
    for (unsigned i = 0; i < NODE_BYTES; i += 64)
        aspen_prefetch(line + i);
}

/* ---- Slots ------------------------------------------------------------- */

static inline void **
slot_pointer(node_tag tag, unsigned slot)
{
    struct node *node = node_of(tag);
    return is_wide(tag) ? &node->wide.pointer[slot]
                        : &node->compact.pointer[slot];
}

static inline node_tag
slot_child(node_tag tag, unsigned slot)
{
    return (node_tag)aspen_load(slot_pointer(tag, slot));
}

/* First key of a leaf's slot; lowest key of an inner node's, not slot 0. */
static inline uint64_t
slot_key(node_tag tag, unsigned slot)
{
    const struct node *node = node_of(tag);
    if (is_wide(tag))
        return node->wide.key[slot];
    return node->base + ((uint64_t)node->compact.key[slot] << unit_shift(tag));
}

/* Last key of a leaf's slot. */
static inline uint64_t
slot_last(node_tag tag, unsigned slot)
{
    const struct node *node = node_of(tag);
    if (is_wide(tag))
        return node->wide.second[slot];
    return node->base +
           (((uint64_t)node->compact.second[slot] + 1) << unit_shift(tag)) - 1;
}

/* Whether the slot is in use; safe for readers, unlike info.count. */
static inline bool
slot_used(node_tag tag, unsigned slot)
{
    const struct node *node = node_of(tag);
    if (is_wide(tag))
        return slot < node->base;
    return slot < COMPACT_SLOTS && node->compact.key[slot] != KEY_NONE;
}

/* ---- Gaps (owner's lock) ------------------------------------------------ */

/* `length` in units of the node, rounded up: never less than there is. */
static inline uint32_t
gap_encode(uint64_t length, unsigned shift)
{
    uint64_t units = length >> shift;
    units += (units << shift) != length;
    return units < GAP_HUGE ? (uint32_t)units : GAP_HUGE;
}

static inline uint64_t
gap_decode(uint32_t units, unsigned shift)
{
    return units == GAP_HUGE ? UINT64_MAX : (uint64_t)units << shift;
}

/* ---- Search ------------------------------------------------------------ */

/*
 * How many of the node's keys are at or below `key`: no branch, and two
 * instructions a key in four chains. It is written so that compilers do not
 * make vectors of it, which take longer to set up and to sum than so few keys
 * are worth.
 */
static inline unsigned
count_at_or_below(const uint32_t *keys, uint32_t key)
{
    unsigned a = 0, b = 0, c = 0, d = 0, i = 0;
#pragma GCC unroll 16
    for (; i + 4 <= COMPACT_SLOTS; i += 4) {
        a += keys[i] <= key;
        b += keys[i + 1] <= key;
        c += keys[i + 2] <= key;
        d += keys[i + 3] <= key;
    }
#pragma GCC unroll 4
    for (; i < COMPACT_SLOTS; i++)
        a += keys[i] <= key;
    return a + b + (c + d);
}

/* `key` as the node's keys are. */
static inline uint32_t
relative_key(const struct node *node, unsigned shift, uint64_t key)
{
    uint64_t distance = key < node->base ? 0 : key - node->base;
    distance >>= shift;
    return distance < KEY_BEYOND ? (uint32_t)distance : KEY_BEYOND;
}

static inline unsigned
wide_at_or_below(const struct node *node, uint64_t key, unsigned from)
{
    unsigned count = from;
    for (unsigned i = from; i < node->base; i++)
        count += node->wide.key[i] <= key;
    return count;
}

/* The slot of an inner node under which `key` is. */
static inline unsigned
inner_search(node_tag tag, uint64_t key)
{
    const struct node *node = node_of(tag);
    if (aspen_unlikely(is_wide(tag)))
        return wide_at_or_below(node, key, 1) - 1;
    uint32_t relative = relative_key(node, unit_shift(tag), key);
    return count_at_or_below(node->compact.key, relative) - 1;
}

/* How many entries of a leaf start at or before `key`. */
static inline unsigned
leaf_search(node_tag tag, uint64_t key)
{
    const struct node *node = node_of(tag);
    if (aspen_unlikely(is_wide(tag)))
        return wide_at_or_below(node, key, 0);
    uint32_t relative = relative_key(node, unit_shift(tag), key);
    return count_at_or_below(node->compact.key, relative);
}

/* The first slot of a leaf whose last key is >= `key`; the count if none. */
static inline unsigned
leaf_at_or_after(node_tag tag, uint64_t key)
{
    const struct node *node = node_of(tag);
    if (aspen_unlikely(is_wide(tag))) {
        unsigned slot = wide_at_or_below(node, key, 0);
        return slot - (slot && node->wide.second[slot - 1] >= key);
    }
    uint32_t relative = relative_key(node, unit_shift(tag), key);
    unsigned slot = count_at_or_below(node->compact.key, relative);
    unsigned before = slot - (slot != 0);
    return slot - ((slot != 0) & (node->compact.second[before] >= relative));
}

/* The entry of a leaf at `key`, or NULL; no branch in a compact leaf. */
static inline void *
leaf_load(node_tag tag, uint64_t key)
{
    struct node *node = node_of(tag);
    if (aspen_unlikely(is_wide(tag))) {
        unsigned slot = wide_at_or_below(node, key, 0);
        if (!slot || node->wide.second[slot - 1] < key)
            return NULL;
        return aspen_load(&node->wide.pointer[slot - 1]);
    }
    uint32_t relative = relative_key(node, unit_shift(tag), key);
    unsigned slot = count_at_or_below(node->compact.key, relative);
    slot -= slot != 0;
    bool hit = (node->compact.key[slot] <= relative) &
               (node->compact.second[slot] >= relative);
    uintptr_t entry = (uintptr_t)aspen_load(&node->compact.pointer[slot]);
    return (void *)(entry & -(uintptr_t)hit);
}

/* Slots in use, counted from the keys; safe for readers. */
static inline unsigned
node_slots_used(node_tag tag)
{
    const struct node *node = node_of(tag);
    return is_wide(tag) ? (unsigned)node->base
                        : count_at_or_below(node->compact.key, KEY_BEYOND);
}

#endif
