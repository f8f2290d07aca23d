/* SPDX-License-Identifier: MIT */
/*
 * base/bit_tree.h - a set of small numbers: the next one is found in a few
 * steps, however many there are.
 *
 *     level 2                         [1...]          a bit for each word of
 *     level 1             [101...           ]         the level below: is any
 *     level 0   [0010...][0000...][1100...] ...       bit in it set?
 *
 * All levels stand in one array, the lowest first. The owner's lock.
 */
#ifndef ASPEN_BASE_BIT_TREE_H
#define ASPEN_BASE_BIT_TREE_H

#include "base/bits.h"

#define ASPEN_BIT_NONE UINT64_MAX

struct aspen_bit_tree {
    uint64_t *words;
    uint64_t bits; /* numbers are below this; at least 1 */
};

/* What `words` takes for so many bits. */
uint64_t aspen_bit_tree_bytes(uint64_t bits);

/* `words` is zero, and every number below `bits` becomes a member. */
void aspen_bit_tree_fill(struct aspen_bit_tree *tree);

void aspen_bit_tree_set(struct aspen_bit_tree *tree, uint64_t bit);
void aspen_bit_tree_clear(struct aspen_bit_tree *tree, uint64_t bit);

static inline bool
aspen_bit_tree_has(const struct aspen_bit_tree *tree, uint64_t bit)
{
    return tree->words[bit / 64] >> bit % 64 & 1;
}

/* The lowest member from `from` on, or ASPEN_BIT_NONE. */
uint64_t aspen_bit_tree_next(const struct aspen_bit_tree *tree, uint64_t from);

#endif
