/* SPDX-License-Identifier: MIT */
/*
 * tree_random.h - the range tree beside its model: every sequence of stores on
 * a few keys, and long ones at random. A part of tree_tests.h.
 */
#ifndef ASPEN_TESTS_TREE_RANDOM_H
#define ASPEN_TESTS_TREE_RANDOM_H

#include "tree_model.h"

/* ---- Exhaustive: every sequence of stores on a few keys ---------------- */

#define CELLS 6
#define DEPTH 3

struct exhaustive {
    const uint64_t *edge; /* cell i is [edge[i], edge[i + 1] - 1] */
    bool rcu;
    uint64_t states;
};

static char entries[3 * 4096 * 4];

static void *
entry_number(uint64_t number)
{
    return &entries[4 * (number % (sizeof(entries) / 4))];
}

static void
compare_cells(struct aspen_tree *tree, const struct model *model,
              const uint64_t *edge)
{
    compare_all(tree, model);
    for (unsigned i = 0; i < CELLS; i++) {
        compare_key(tree, model, edge[i]);
        compare_key(tree, model, edge[i + 1] - 1);
        for (unsigned j = i; j < CELLS; j++) {
            uint64_t high = edge[j + 1] - 1;
            compare_gaps(tree, model, edge[i], high, 1);
            compare_gaps(tree, model, edge[i], high,
                         high - edge[i] + !!~(high - edge[i]));
        }
    }
}

static void
try_all(struct exhaustive *all, struct aspen_tree *tree,
        const struct model *model, unsigned depth)
{
    all->states++;
    compare_cells(tree, model, all->edge);
    if (depth == DEPTH)
        return;
    struct model *next = malloc(sizeof(*next));
    for (unsigned op = 0; op < CELLS * CELLS * 2; op++) {
        unsigned from = op % CELLS, to = op / CELLS % CELLS;
        struct aspen_tree copy;
        if (from > to)
            continue;
        void *entry = op / CELLS / CELLS ? entry_number(100 + depth) : NULL;
        uint64_t first = all->edge[from], last = all->edge[to + 1] - 1;
        next->count = model->count;
        memcpy(next->range, model->range,
               model->count * sizeof(next->range[0]));
        aspen_tree_init(&copy, &pool);
        assert_int_equal(aspen_tree_duplicate(&copy, tree), 0);
        if (all->rcu)
            aspen_tree_rcu_enter(&copy);
        assert_int_equal(aspen_tree_store(&copy, first, last, entry), 0);
        model_store(next, first, last, entry);
        try_all(all, &copy, next, depth + 1);
        aspen_tree_destroy_quiet(&copy);
    }
    free(next);
}

/* From an empty tree, and from one in which every cell has an entry. */
static void
exhaust(const uint64_t *edge, bool rcu)
{
    static struct model model;
    struct exhaustive all = {edge, rcu, 0};
    struct aspen_tree tree;
    model.count = 0;
    aspen_tree_init(&tree, &pool);
    try_all(&all, &tree, &model, 0);
    for (unsigned i = 0; i < CELLS; i++) {
        assert_int_equal(
            aspen_tree_store(&tree, edge[i], edge[i + 1] - 1, entry_number(i)),
            0);
        model_store(&model, edge[i], edge[i + 1] - 1, entry_number(i));
    }
    try_all(&all, &tree, &model, 0);
    aspen_tree_destroy(&tree);
    printf("exhaustive%s: %llu states\n", rcu ? " (RCU)" : "",
           (unsigned long long)all.states);
}

static const uint64_t edges_pages[] = {0,      0x1000, 0x3000, 0x4000,
                                       0x8000, 0x9000, 0x20000};
/* The last cell ends at UINT64_MAX. */
static const uint64_t edges_wide[] = {
    0, 1, 2, 0x1000, (uint64_t)1 << 44, UINT64_MAX, 0};

static void
test_exhaustive(void **state)
{
    (void)state;
    exhaust(edges_pages, false);
    exhaust(edges_wide, true);
}

/* ---- At random --------------------------------------------------------- */

struct keys {
    const char *name;
    uint64_t base, span, unit; /* first keys: base + unit * [0, span) */
    unsigned units;            /* ranges are up to so many units long */
};

static const struct keys patterns[] = {
    {"pages", 0x10000, 3000, 4096, 16},
    {"offsets", 0, 2000, 1, 1},
    {"offset ranges", 0, 9000, 1, 20},
    {"top", UINT64_MAX - 2999, 3000, 1, 9},
    {"top pages", ~(uint64_t)0 << 22, 1024, 4096, 9},
    {"everywhere", 0, 3000, UINT64_MAX / 3000, 3},
    {"sparse pages", 0, 3000, (uint64_t)1 << 41, 3},
    {"odd", 7, 3000, 4097, 5},
};

/* A range of the pattern; one in 64 has odd ends or is huge. */
static void
pick_range(const struct keys *keys, uint64_t *seed, uint64_t *first,
           uint64_t *last)
{
    uint64_t bits = unit_random(seed);
    uint64_t n = unit_random(seed) % keys->span;
    uint64_t units = 1 + (bits & 0xffff) % keys->units;
    *first = keys->base + n * keys->unit;
    *last = *first + units * keys->unit - 1;
    if (bits >> 58 == 0) {
        *first += (bits >> 16) % 3;
        *last += (bits >> 20) % (100 * (keys->unit & 0xffffffff) + 1);
    }
    if (bits >> 54 == 77)
        *first = 0;
    if (bits >> 54 == 78)
        *last = UINT64_MAX;
    if (*last < *first)
        *last = UINT64_MAX;
}

static uint64_t
pick_key(const struct model *model, const struct keys *keys, uint64_t *seed)
{
    uint64_t first, last;
    unsigned how = (unsigned)(unit_random(seed) % 4);
    if (how && model->count) {
        const struct range *range =
            &model->range[unit_random(seed) % model->count];
        return (how & 1 ? range->first : range->last) + unit_random(seed) % 3 -
               1;
    }
    pick_range(keys, seed, &first, &last);
    return first;
}

static void
compare_some(struct aspen_tree *tree, const struct model *model,
             const struct keys *keys, uint64_t *seed)
{
    compare_key(tree, model, pick_key(model, keys, seed));
    uint64_t low = pick_key(model, keys, seed);
    uint64_t high = pick_key(model, keys, seed);
    if (low > high) {
        uint64_t swap = low;
        low = high;
        high = swap;
    }
    if (unit_random(seed) % 4 == 0) {
        low = 0;
        high = UINT64_MAX;
    }
    uint64_t length = 1 + unit_random(seed) % (keys->unit * 4);
    if (keys->unit == 4096)
        length = aspen_align_up(length, 4096);
    compare_gaps(tree, model, low, high, length ? length : 1);
}

enum way { PRIVATE, RCU, RESERVED, FAILING, WAYS };

/* Store with a failure at each crossing in turn, then for good. */
static void
store_failing(struct aspen_tree *tree, const struct model *model,
              uint64_t first, uint64_t last, void *entry, uint64_t *seed)
{
    enum aspen_fail_mode mode =
        unit_random(seed) % 2 ? ASPEN_FAIL_ONCE : ASPEN_FAIL_ONWARD;
    uint64_t nodes = aspen_tree_pool_nodes(&pool);
    for (uint64_t number = 1;; number++) {
        set_plan(mode, number);
        int error = aspen_tree_store(tree, first, last, entry);
        set_plan(ASPEN_FAIL_NEVER, 0);
        if (!error)
            return;
        assert_int_equal(error, -ASPEN_ENOMEM);
        assert_true(aspen_tree_pool_nodes(&pool) == nodes);
        check_tree(tree);
        assert_true(tree->count == model->count);
        if (number == 1)
            compare_forward(tree, model);
    }
}

/* For stores in [first, last], with a cursor that is there, somewhere else, or
 * has no entry. */
static void
reserve_within(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
               struct aspen_tree_cursor *cursor, unsigned stores,
               const struct range *range, uint64_t bits)
{
    aspen_tree_cursor_init(cursor, tree,
                           bits % 4 == 3 ? bits * range->last : range->first);
    if (bits % 4)
        (void)aspen_tree_next(cursor, UINT64_MAX);
    if (bits % 4 == 2)
        (void)aspen_tree_next(cursor, UINT64_MAX);
    assert_int_equal(aspen_tree_reserve_within(tree, reserve, cursor, stores,
                                               range->first, range->last),
                     0);
}

/* Erase, then store: both from what was put aside, for the range or for any. */
static void
store_reserved(struct aspen_tree *tree, const struct range *range,
               uint64_t bits)
{
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree_cursor cursor;
    if (bits % 2)
        assert_int_equal(aspen_tree_reserve(tree, &reserve, 2), 0);
    else
        reserve_within(tree, &reserve, &cursor, 2, range, bits >> 1);
    set_plan(ASPEN_FAIL_ONWARD, 1);
    aspen_tree_store_reserved(tree, &reserve, range->first, range->last, NULL);
    aspen_tree_store_reserved(tree, &reserve, range->first, range->last,
                              range->entry);
    set_plan(ASPEN_FAIL_NEVER, 0);
    aspen_tree_reserve_release(tree, &reserve);
}

/* One store, of one range or of two that touch: what was put aside is for that
 * and no more. `above` is empty (first after last) for one. */
static void
store_alone(struct aspen_tree *tree, const struct range *range,
            const struct range *above, uint64_t bits)
{
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree_cursor cursor;
    bool two = above->first <= above->last;
    uint64_t last = two ? above->last : range->last;
    uint64_t unaligned = (range->first | (last + 1)) % 4096;
    struct range both = {range->first, last, NULL};
    if (two && above->first % 4096 && !unaligned)
        assert_int_equal(aspen_tree_reserve(tree, &reserve, 1), 0);
    else
        reserve_within(tree, &reserve, &cursor, 1, &both, bits);
    set_plan(ASPEN_FAIL_ONWARD, 1);
    if (two)
        aspen_tree_store_two_reserved(tree, &reserve, range->first,
                                      above->first, last, range->entry,
                                      above->entry);
    else
        aspen_tree_store_reserved(tree, &reserve, range->first, last,
                                  range->entry);
    set_plan(ASPEN_FAIL_NEVER, 0);
    aspen_tree_reserve_release(tree, &reserve);
}

/* What the store puts right above the range: as much again, or the range is cut
 * anywhere. */
static struct range
pick_above(const struct aspen_tree *tree, struct range *range, uint64_t bits)
{
    struct range above = {1, 0, NULL};
    uint64_t bytes = range->last - range->first;
    if (aspen_tree_is_empty(tree) || bits % 4 == 0 || bytes == 0 ||
        bytes >= UINT64_MAX - range->last)
        return above;
    above.first = range->last + 1;
    above.last = above.first + bytes;
    above.entry = entry_number(bits >> 8);
    if (bits % 4 == 1) {
        above.first = range->first + 1 + (bits >> 2) % bytes;
        above.last = range->last;
        range->last = above.first - 1;
    }
    return above;
}

static void
store_one_way(struct aspen_tree *tree, struct model *model, enum way way,
              const struct range *picked, uint64_t *seed)
{
    struct range store = *picked, *range = &store;
    struct range above = {1, 0, NULL};
    uint64_t bits = unit_random(seed);
    if (way == FAILING) {
        store_failing(tree, model, range->first, range->last, range->entry,
                      seed);
    } else if (way == RESERVED && bits % 4 < 2) {
        store_reserved(tree, range, bits);
    } else if (way == RESERVED) {
        above = pick_above(tree, range, bits >> 2);
        store_alone(tree, range, &above, bits >> 40);
    } else {
        assert_int_equal(
            aspen_tree_store(tree, range->first, range->last, range->entry), 0);
    }
    model_store(model, range->first, range->last, range->entry);
    if (above.entry)
        model_store(model, above.first, above.last, above.entry);
}

/* What is stored next: something new, or an entry's own range once more. */
static struct range
pick_store(const struct model *model, const struct keys *keys, uint64_t *seed,
           bool growing)
{
    struct range range;
    uint64_t bits = unit_random(seed);
    pick_range(keys, seed, &range.first, &range.last);
    range.entry = entry_number(bits >> 16);
    if (model->count && bits % 8 == 0)
        range = model->range[unit_random(seed) % model->count];
    if (bits % 16 >= (growing ? 13u : 5u))
        range.entry = NULL;
    if (range.entry && bits % 32 == 0)
        range.entry = entry_number(bits >> 30);
    return range;
}

static void
run_random(const struct keys *keys, enum way way, uint64_t seed)
{
    static struct model model;
    struct aspen_tree tree;
    unsigned steps = (way == FAILING ? 1500u : 3000u) / SCALE;
    model.count = 0;
    aspen_tree_init(&tree, &pool);
    if (way != PRIVATE && (way != RESERVED || seed % 2))
        aspen_tree_rcu_enter(&tree);
    for (unsigned i = 0; i < steps; i++) {
        struct range range =
            pick_store(&model, keys, &seed, i / (steps / 4) % 2 == 0);
        store_one_way(&tree, &model, way, &range, &seed);
        check_tree(&tree);
        compare_some(&tree, &model, keys, &seed);
        if (i % 64 == 0)
            compare_all(&tree, &model);
    }
    compare_all(&tree, &model);
    assert_int_equal(aspen_tree_erase(&tree, 0, UINT64_MAX), 0);
    assert_true(aspen_tree_is_empty(&tree));
    assert_true(aspen_tree_pool_nodes(&pool) == 0);
    aspen_tree_destroy(&tree);
}

static void
run_random_way(enum way way)
{
    uint64_t seed = unit_seed(PROGRAM, 1);
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(patterns); i++) {
        print_message("%s\n", patterns[i].name);
        run_random(&patterns[i], way, seed + i);
    }
}

static void
test_random_private(void **state)
{
    (void)state;
    run_random_way(PRIVATE);
}

static void
test_random_rcu(void **state)
{
    (void)state;
    run_random_way(RCU);
}

static void
test_random_reserved(void **state)
{
    (void)state;
    run_random_way(RESERVED);
}

static void
test_random_failing(void **state)
{
    (void)state;
    run_random_way(FAILING);
}

#endif
