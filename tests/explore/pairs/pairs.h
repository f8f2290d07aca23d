/* SPDX-License-Identifier: MIT */
/*
 * pairs.h - one table of calls, of which every two that can meet become
 * scenarios: one for each relation that the places of the two can have.
 *
 *      A's page      B's page        relation
 *      [ . # . ]     the same        same-page
 *      [ . # # ]     the next one    next-page: one VMA
 *      [ . . # ]     [ # . . ]       next-vma: what follows
 *      [ . # . ]     [ . # . ]       two-spaces: of one object, mapped shared
 *      [ . # . ]     [ . # . ]       parent-child: after a fork
 *
 * Each of the two tasks is a CPU that has all of its space cached before. Where
 * a call takes away what others may have cached a third CPU writes through what
 * it has, and asks nobody.
 */
#ifndef EXPLORE_PAIRS_H
#define EXPLORE_PAIRS_H

#include "mmu_swap.h"

#define PAIR_PAGES 6u /* two VMAs of three */

/* What one of the two works on. */
struct pair_side {
    unsigned task;
    struct aspen_mm **mm; /* NULL there: its space has ended */
    uint64_t page;
    uint64_t elsewhere;        /* nothing is mapped there */
    struct aspen_mm *children; /* that it has forked, or NULL */
};

/* What a row's call is, ORed. */
enum pair_flag {
    /* It is about one page; others are about a space, or all. */
    PAIR_OF_PAGE = 1u << 0,
    /* It needs an object behind the page. */
    PAIR_OF_OBJECT = 1u << 1,
    /* What was written there may not be read there afterwards. */
    PAIR_DESTROYS = 1u << 2,
    /* Calls beside it may be refused: the page is not to be had any more, or
     * not in that way. */
    PAIR_REFUSES = 1u << 3,
    /* It may be refused whatever there is beside it. */
    PAIR_MAY_FAIL = 1u << 4,
    /* It puts pair_byte() where that is (pair_byte_at()). */
    PAIR_WRITES = 1u << 5,
    /* It takes away translations, or what they allow. */
    PAIR_TAKES = 1u << 6,
    /* And promises that they are gone when it returns: `gone`. */
    PAIR_GONE = 1u << 7,
    /* It ends its space, which nobody else may be in then. */
    PAIR_ENDS = 1u << 8,
    /* It needs memory without an object. */
    PAIR_OF_ANON = 1u << 9,
    /* What was in memory without an object is not, when it begins. */
    PAIR_CLEARED = 1u << 10,
};

struct pair_row {
    const char *name;
    unsigned flags;
    void (*set_up)(const struct pair_side *side); /* or NULL */
    int (*make)(struct pair_side *side);          /* the call's error */
    enum mmu_gone gone;                           /* of PAIR_GONE */
};

extern const struct pair_row pair_rows[];
extern const unsigned pair_row_count;

/* What the task writes, and where in the page. */
static inline char
pair_byte(unsigned task)
{
    return (char)('a' + task);
}

static inline uint64_t
pair_byte_at(unsigned task)
{
    return 1 + task;
}

#endif
