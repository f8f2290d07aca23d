/* SPDX-License-Identifier: MIT */
/*
 * base/bit_tree.c - a set of small numbers.
 *
 * I1  A bit above level 0 is set exactly while its word of the level below is
 *     not 0.
 *
 * Called by machine/swap_map.c. The first test to break is
 * tests/unit/base/test_bit_tree.c.
 */
#include "base/bit_tree.h"

static uint64_t
words_of(uint64_t bits)
{
    return bits / 64 + (bits % 64 != 0);
}

uint64_t
aspen_bit_tree_bytes(uint64_t bits)
{
    uint64_t words = 0;

    for (; bits > 1; bits = words_of(bits))
        words += words_of(bits);
    return (words ? words : 1) * sizeof(uint64_t);
}

void
aspen_bit_tree_fill(struct aspen_bit_tree *tree)
{
    uint64_t *words = tree->words;
    uint64_t bits = tree->bits;

    do {
        for (uint64_t i = 0; i < bits / 64; i++)
            words[i] = UINT64_MAX;
        if (bits % 64)
            words[bits / 64] = ((uint64_t)1 << bits % 64) - 1;
        bits = words_of(bits);
        words += bits;
    } while (bits > 1);
}

void
aspen_bit_tree_set(struct aspen_bit_tree *tree, uint64_t bit)
{
    uint64_t *words = tree->words;
    uint64_t bits = tree->bits;
    bool known = false; /* the levels above know of the word */

    while (!known) {
        known = words[bit / 64] != 0;
        words[bit / 64] |= (uint64_t)1 << bit % 64;
        bits = words_of(bits);
        words += bits;
        bit /= 64;
        known |= bits <= 1;
    }
}

void
aspen_bit_tree_clear(struct aspen_bit_tree *tree, uint64_t bit)
{
    uint64_t *words = tree->words;
    uint64_t bits = tree->bits;
    bool used = false; /* the word has others */

    while (!used) {
        words[bit / 64] &= ~((uint64_t)1 << bit % 64);
        used = words[bit / 64] != 0;
        bits = words_of(bits);
        words += bits;
        bit /= 64;
        used |= bits <= 1;
    }
}

/* The first word of a level. */
static const uint64_t *
level_of(const struct aspen_bit_tree *tree, unsigned level)
{
    const uint64_t *words = tree->words;
    uint64_t bits = tree->bits;

    for (; level > 0; level--) {
        bits = words_of(bits);
        words += bits;
    }
    return words;
}

static uint64_t
lowest(const uint64_t *words, uint64_t word)
{
    return word * 64 + aspen_lowest_bit(words[word]);
}

uint64_t
aspen_bit_tree_next(const struct aspen_bit_tree *tree, uint64_t from)
{
    uint64_t bits = tree->bits;
    unsigned level = 0;

    /* Up, until a word has something to the right of where we come from. */
    for (;;) {
        const uint64_t *words = level_of(tree, level);
        if (from >= bits)
            return ASPEN_BIT_NONE;
        uint64_t rest = words[from / 64] >> from % 64;
        if (rest) {
            from += aspen_lowest_bit(rest);
            break;
        }
        from = from / 64 + 1;
        bits = words_of(bits);
        level++;
    }
    while (level > 0)
        from = lowest(level_of(tree, --level), from);
    return from;
}
