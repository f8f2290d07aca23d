/* SPDX-License-Identifier: MIT */
/*
 * The range tree against a plain model: a sorted array of ranges. Included
 * by test_tree.c and, with nodes of four slots, by test_tree_deep.c.
 */
#include "base/bits.h"
#include "tree/node.h"
#include "unit.h"

#include <aspen/error.h>
#include <pthread.h>

#ifdef ASPEN_TREE_TEST_FANOUT
#define PROGRAM "test_tree_deep"
#define SCALE   3
#else
#define PROGRAM "test_tree"
#define SCALE   1
#endif

/* ---- The model --------------------------------------------------------- */

struct range {
    uint64_t first, last;
    void *entry;
};

#define MODEL_MAX 4096

struct model {
    unsigned count;
    struct range range[MODEL_MAX];
};

static void
model_add(struct model *model, uint64_t first, uint64_t last, void *entry)
{
    assert_true(model->count < MODEL_MAX);
    model->range[model->count++] = (struct range){first, last, entry};
}

static void
model_store(struct model *model, uint64_t first, uint64_t last, void *entry)
{
    static struct model old;
    bool done = !entry;
    old.count = model->count;
    memcpy(old.range, model->range, model->count * sizeof(old.range[0]));
    model->count = 0;
    for (unsigned i = 0; i < old.count; i++) {
        const struct range *range = &old.range[i];
        if (range->first < first)
            model_add(model, range->first,
                      aspen_min_u64(range->last, first - 1), range->entry);
        if (!done && range->last >= first) {
            model_add(model, first, last, entry);
            done = true;
        }
        if (range->last > last)
            model_add(model, aspen_max_u64(range->first, last + 1), range->last,
                      range->entry);
    }
    if (!done)
        model_add(model, first, last, entry);
}

/* The first range whose last key is >= key; count: none. */
static unsigned
model_at_or_after(const struct model *model, uint64_t key)
{
    unsigned low = 0, high = model->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (model->range[middle].last < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void *
model_load(const struct model *model, uint64_t key)
{
    unsigned i = model_at_or_after(model, key);
    bool hit = i < model->count && model->range[i].first <= key;
    return hit ? model->range[i].entry : NULL;
}

static bool
model_gap_up(const struct model *model, uint64_t low, uint64_t high,
             uint64_t length, uint64_t *start)
{
    uint64_t at = low;
    for (unsigned i = model_at_or_after(model, low); i < model->count; i++) {
        const struct range *range = &model->range[i];
        if (range->first > at) {
            uint64_t end = aspen_min_u64(high, range->first - 1);
            if (end >= at && end - at >= length - 1) {
                *start = at;
                return true;
            }
        }
        at = range->last + 1;
        if (!at || at > high)
            return false;
    }
    *start = at;
    return high - at >= length - 1;
}

static bool
model_gap_down(const struct model *model, uint64_t low, uint64_t high,
               uint64_t length, uint64_t *start)
{
    uint64_t end = high;
    for (unsigned i = model->count; i-- > 0;) {
        const struct range *range = &model->range[i];
        if (range->first > high)
            continue;
        if (range->last < end) {
            uint64_t from = aspen_max_u64(low, range->last + 1);
            if (from <= end && end - from >= length - 1) {
                *start = end - (length - 1);
                return true;
            }
        }
        if (!range->first || range->first - 1 < low)
            return false;
        end = aspen_min_u64(end, range->first - 1);
    }
    if (end < low || end - low < length - 1)
        return false;
    *start = end - (length - 1);
    return true;
}

static bool
model_largest(const struct model *model, uint64_t low, uint64_t high,
              uint64_t range[2])
{
    bool found = false;
    uint64_t at = low;
    unsigned i = model_at_or_after(model, low);
    for (;; i++) {
        bool past = i >= model->count || model->range[i].first > high;
        uint64_t end = past ? high : model->range[i].first - 1;
        if ((past || model->range[i].first > at) &&
            (!found || end - at > range[1] - range[0])) {
            range[0] = at;
            range[1] = end;
            found = true;
        }
        if (past || model->range[i].last >= high)
            return found;
        at = model->range[i].last + 1;
    }
}

/* ---- Comparing --------------------------------------------------------- */

static struct aspen_failpoints failpoints;
static struct aspen_tree_pool pool;

static void
set_plan(enum aspen_fail_mode mode, uint64_t number)
{
    memset(&failpoints, 0, sizeof(failpoints));
    failpoints.plan.mode = mode;
    failpoints.plan.number = number;
    failpoints.counting = mode != ASPEN_FAIL_NEVER;
}

static int
pool_setup(void **state)
{
    (void)state;
    set_plan(ASPEN_FAIL_NEVER, 0);
    return aspen_tree_pool_init(&pool, &failpoints);
}

static int
pool_teardown(void **state)
{
    (void)state;
    if (aspen_tree_pool_nodes(&pool) != 0)
        return 1;
    aspen_tree_pool_destroy(&pool);
    return 0;
}

static void
check_tree(const struct aspen_tree *tree)
{
    uint64_t where = 0;
    const char *bad = aspen_tree_check(tree, &where);
    if (bad)
        fail_msg("%s at %#llx", bad, (unsigned long long)where);
}

static void
compare_forward(struct aspen_tree *tree, const struct model *model)
{
    struct aspen_tree_cursor cursor;
    aspen_tree_cursor_init(&cursor, tree, 0);
    for (unsigned i = 0; i < model->count; i++) {
        const struct range *range = &model->range[i];
        if (range->first)
            assert_null(aspen_tree_next(&cursor, range->first - 1));
        assert_ptr_equal(aspen_tree_next(&cursor, range->first), range->entry);
        assert_true(cursor.first == range->first);
        assert_true(cursor.last == range->last);
        uint64_t last = UINT64_MAX;
        assert_ptr_equal(aspen_tree_cursor_before(&cursor, &last),
                         i ? range[-1].entry : NULL);
        assert_true(last == (i ? range[-1].last : UINT64_MAX));
    }
    assert_null(aspen_tree_next(&cursor, UINT64_MAX));
}

static void
compare_backward(struct aspen_tree *tree, const struct model *model)
{
    struct aspen_tree_cursor cursor;
    aspen_tree_cursor_init(&cursor, tree, UINT64_MAX);
    for (unsigned i = model->count; i-- > 0;) {
        const struct range *range = &model->range[i];
        if (range->last < UINT64_MAX)
            assert_null(aspen_tree_previous(&cursor, range->last + 1));
        assert_ptr_equal(aspen_tree_previous(&cursor, range->last),
                         range->entry);
        assert_true(cursor.first == range->first);
        assert_true(cursor.last == range->last);
    }
    assert_null(aspen_tree_previous(&cursor, 0));
}

/* Everything that can be asked about one key. */
static void
compare_key(struct aspen_tree *tree, const struct model *model, uint64_t key)
{
    unsigned i = model_at_or_after(model, key);
    const struct range *at = i < model->count ? &model->range[i] : NULL;
    bool inside = at && at->first <= key;
    uint64_t range[2];
    struct aspen_tree_cursor cursor;

    assert_ptr_equal(aspen_tree_load(tree, key), inside ? at->entry : NULL);
    aspen_tree_cursor_init(&cursor, tree, key);
    if (at) {
        assert_ptr_equal(aspen_tree_find(tree, key, UINT64_MAX, range),
                         at->entry);
        assert_true(range[0] == at->first && range[1] == at->last);
        assert_ptr_equal(aspen_tree_find(tree, key, at->first, NULL),
                         at->entry);
        if (at->first)
            assert_null(aspen_tree_find(tree, key, at->first - 1, NULL));
        assert_ptr_equal(aspen_tree_next(&cursor, UINT64_MAX), at->entry);
    } else {
        assert_null(aspen_tree_find(tree, key, UINT64_MAX, range));
        assert_null(aspen_tree_next(&cursor, UINT64_MAX));
    }
    const struct range *before = inside ? at : NULL;
    if (!inside && i)
        before = &model->range[i - 1];
    aspen_tree_cursor_init(&cursor, tree, key);
    if (before) {
        assert_ptr_equal(aspen_tree_find_back(tree, key, 0, range),
                         before->entry);
        assert_true(range[0] == before->first && range[1] == before->last);
        assert_ptr_equal(aspen_tree_find_back(tree, key, before->last, NULL),
                         before->entry);
        if (before->last < UINT64_MAX)
            assert_null(
                aspen_tree_find_back(tree, key, before->last + 1, NULL));
        assert_ptr_equal(aspen_tree_previous(&cursor, 0), before->entry);
    } else {
        assert_null(aspen_tree_find_back(tree, key, 0, range));
        assert_null(aspen_tree_previous(&cursor, 0));
    }
}

static void
compare_gaps(const struct aspen_tree *tree, const struct model *model,
             uint64_t low, uint64_t high, uint64_t length)
{
    uint64_t got = 1, want = 1, range[2], largest[2];
    void *above;
    bool found = high - low >= length - 1 &&
                 model_gap_up(model, low, high, length, &want);
    int error = aspen_tree_gap_up(tree, low, high, length, &got);
    assert_int_equal(error, found ? 0 : -ASPEN_ENOMEM);
    if (found)
        assert_true(got == want);
    found = high - low >= length - 1 &&
            model_gap_down(model, low, high, length, &want);
    error = aspen_tree_gap_down(tree, low, high, length, &got, &above);
    assert_int_equal(error, found ? 0 : -ASPEN_ENOMEM);
    if (found) {
        uint64_t last = want + (length - 1);
        assert_true(got == want);
        assert_ptr_equal(above,
                         last < high ? model_load(model, last + 1) : NULL);
    }
    found = model_largest(model, low, high, largest);
    error = aspen_tree_gap_largest(tree, low, high, range);
    assert_int_equal(error, found ? 0 : -ASPEN_ENOMEM);
    if (found)
        assert_true(range[0] == largest[0] && range[1] == largest[1]);
}

static void
compare_all(struct aspen_tree *tree, const struct model *model)
{
    check_tree(tree);
    assert_true(tree->count == model->count);
    compare_forward(tree, model);
    compare_backward(tree, model);
}

/* ---- Exhaustive: every sequence of stores on a few keys -------------------
 */

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

/* ---- At random ------------------------------------------------------------
 */

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

/* ---- Orders of building ----------------------------------------------------
 */

/* Nodes of a tree whose entries touch and came in order, either way, above
 * one that is far below: as mmap fills an address space. */
static uint64_t
nodes_in_order(bool down)
{
    const uint64_t base = (uint64_t)1 << 36, page = 4096;
    struct aspen_tree tree;
    enum { N = 3000 };

    aspen_tree_init(&tree, &pool);
    assert_int_equal(aspen_tree_store(&tree, 0, page - 1, &tree), 0);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t at = base + (down ? N - 1 - i : i) * page;
        void *entry = (void *)(uintptr_t)(4 + 4 * i);
        assert_int_equal(aspen_tree_store(&tree, at, at + page - 1, entry), 0);
    }
    check_tree(&tree);
    uint64_t nodes = aspen_tree_nodes(&tree);
    aspen_tree_destroy(&tree);
    return nodes;
}

static void
test_fill(void **state)
{
    (void)state;
    uint64_t up = nodes_in_order(false);
    uint64_t down = nodes_in_order(true);
    printf("nodes of 3,001 entries: %llu upwards, %llu downwards\n",
           (unsigned long long)up, (unsigned long long)down);
    assert_true(down <= up + up / 2);
}

/* Upwards leaves full nodes behind; downwards and inside out work. */
static void
test_orders(void **state)
{
    static struct model model;
    enum { N = 3000 };
    (void)state;
    for (unsigned order = 0; order < 6; order++) {
        struct aspen_tree tree;
        model.count = 0;
        aspen_tree_init(&tree, &pool);
        if (order & 1)
            aspen_tree_rcu_enter(&tree);
        for (unsigned i = 0; i < N; i++) {
            unsigned n = order < 2 ? i
                         : order < 4
                             ? N - 1 - i
                             : (i & 1 ? N / 2 + i / 2 : N / 2 - 1 - i / 2);
            uint64_t first = (uint64_t)n << 13;
            assert_int_equal(
                aspen_tree_store(&tree, first, first + 0xfff, entry_number(n)),
                0);
        }
        for (unsigned n = 0; n < N; n++)
            model_add(&model, (uint64_t)n << 13, ((uint64_t)n << 13) + 0xfff,
                      entry_number(n));
        compare_all(&tree, &model);
        printf("order %u: %.1f bytes an entry, %u levels\n", order,
               (double)aspen_tree_pool_nodes(&pool) * NODE_BYTES / N,
               root_height((node_tag)tree.root));
        aspen_tree_destroy(&tree);
        assert_true(aspen_tree_pool_nodes(&pool) == 0);
    }
}

/* ---- Duplicate --------------------------------------------------------------
 */

static void
fill(struct aspen_tree *tree, struct model *model, unsigned count)
{
    uint64_t at = 0x10000, seed = 5;
    model->count = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t bits = unit_random(&seed);
        uint64_t last = at + 4096 * (1 + bits % 9) - 1;
        assert_int_equal(aspen_tree_store(tree, at, last, entry_number(i)), 0);
        model_add(model, at, last, entry_number(i));
        at = last + 1 + (bits >> 8) % 4 * 4096;
    }
}

/* Fails at each node: the target is empty, nothing is left. */
static void
test_duplicate(void **state)
{
    static struct model model, copied;
    struct aspen_tree from, to;
    struct aspen_tree_cursor cursor;
    uint64_t number = 0, nodes;
    int error;
    (void)state;
    aspen_tree_init(&from, &pool);
    aspen_tree_init(&to, &pool);
    assert_int_equal(aspen_tree_duplicate(&to, &from), 0);
    assert_true(aspen_tree_is_empty(&to));
    aspen_tree_rcu_enter(&from);
    fill(&from, &model, 1000 / SCALE);
    nodes = aspen_tree_pool_nodes(&pool);
    do {
        number++;
        set_plan(number % 2 ? ASPEN_FAIL_ONCE : ASPEN_FAIL_ONWARD, number);
        error = aspen_tree_duplicate(&to, &from);
        set_plan(ASPEN_FAIL_NEVER, 0);
        if (error) {
            assert_int_equal(error, -ASPEN_ENOMEM);
            assert_true(aspen_tree_is_empty(&to) && to.count == 0);
            assert_true(aspen_tree_pool_nodes(&pool) == nodes);
        }
    } while (error);
    assert_true(number == nodes + 1);
    printf("duplicate failed at each of %llu nodes\n",
           (unsigned long long)nodes);
    compare_all(&to, &model);

    memcpy(&copied, &model, sizeof(model));
    aspen_tree_cursor_init(&cursor, &to, 0);
    for (unsigned i = 0; aspen_tree_next(&cursor, UINT64_MAX); i++) {
        copied.range[i].entry = entry_number(i + 2000);
        aspen_tree_cursor_replace(&cursor, copied.range[i].entry);
        assert_ptr_equal(cursor.entry, copied.range[i].entry);
    }
    compare_all(&to, &copied);
    compare_all(&from, &model);
    aspen_tree_destroy(&to);
    compare_all(&to, &(struct model){0});
    compare_all(&from, &model);
    assert_true(aspen_tree_pool_nodes(&pool) == nodes);
    aspen_tree_destroy_quiet(&from);
}

/* ---- Arguments, reserve
 * ------------------------------------------------------- */

static void
test_arguments(void **state)
{
    struct aspen_tree tree;
    uint64_t start, range[2];
    void *above;
    (void)state;
    aspen_tree_init(&tree, &pool);
    assert_int_equal(aspen_tree_store(&tree, 2, 1, entry_number(0)),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_store(&tree, 1, 2, &entries[1]), -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_erase(&tree, 2, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_erase(&tree, 1, 2), 0);
    assert_int_equal(aspen_tree_gap_up(&tree, 0, 9, 0, &start), -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_gap_up(&tree, 9, 0, 1, &start), -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_gap_down(&tree, 9, 0, 1, &start, &above),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_gap_largest(&tree, 9, 0, range), -ASPEN_EINVAL);
    assert_int_equal(aspen_tree_gap_up(&tree, 5, 9, 6, &start), -ASPEN_ENOMEM);
    assert_int_equal(aspen_tree_gap_down(&tree, 5, 9, 5, &start, &above), 0);
    assert_true(start == 5);
    assert_true(aspen_tree_is_empty(&tree));
    aspen_tree_destroy(&tree);
}

static void
test_reserve(void **state)
{
    static struct model model;
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree tree;
    uint64_t nodes, number = 0;
    int error;
    (void)state;
    aspen_tree_init(&tree, &pool);
    aspen_tree_reserve_release(&tree, &reserve);
    fill(&tree, &model, 500 / SCALE);
    nodes = aspen_tree_pool_nodes(&pool);
    do {
        set_plan(ASPEN_FAIL_ONCE, ++number);
        error = aspen_tree_reserve(&tree, &reserve, 3);
        set_plan(ASPEN_FAIL_NEVER, 0);
        if (error) {
            assert_int_equal(error, -ASPEN_ENOMEM);
            assert_int_equal(reserve.count, 0);
            assert_true(aspen_tree_pool_nodes(&pool) == nodes);
        }
    } while (error);
    set_plan(ASPEN_FAIL_ONWARD, 1);
    assert_int_equal(aspen_tree_reserve(&tree, &reserve, 3), 0); /* topped up */
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t at = 0x20001 + i * 0x5000;
        aspen_tree_store_reserved(&tree, &reserve, at, at + 0x777,
                                  entry_number(i));
        model_store(&model, at, at + 0x777, entry_number(i));
    }
    set_plan(ASPEN_FAIL_NEVER, 0);
    aspen_tree_reserve_release(&tree, &reserve);
    compare_all(&tree, &model);
    aspen_tree_destroy(&tree);
}

/* ---- The checker
 * -------------------------------------------------------------- */

static struct node *
leftmost_leaf(struct aspen_tree *tree, node_tag *tag, struct node **parent)
{
    struct aspen_tree_path path;
    assert_true(aspen_tree_path_descend(&path, tree, 0));
    *tag = path.at[0].node;
    *parent = node_of(path.at[1].node);
    return node_of(path.at[0].node);
}

/* One corruption of each kind; each is named, then taken back. */
static void
test_checker(void **state)
{
    static struct model model;
    struct aspen_tree tree;
    struct node *parent;
    node_tag tag;
    (void)state;
    aspen_tree_init(&tree, &pool);
    fill(&tree, &model, 100);
    struct node *leaf = leftmost_leaf(&tree, &tag, &parent);
    struct node saved_leaf = *leaf, saved_parent = *parent;
    uint64_t where;

#define NAMED(name, corruption)                                                \
    do {                                                                       \
        corruption;                                                            \
        const char *bad = aspen_tree_check(&tree, &where);                     \
        assert_non_null(bad);                                                  \
        assert_string_equal(bad, name);                                        \
        *leaf = saved_leaf;                                                    \
        *parent = saved_parent;                                                \
        assert_null(aspen_tree_check(&tree, NULL));                            \
    } while (0)

    tree.count++;
    assert_string_equal(aspen_tree_check(&tree, &where), "tree.count");
    tree.count--;
    NAMED("leaf.order", leaf->compact.key[1] = leaf->compact.key[0]);
    NAMED("leaf.order", leaf->compact.second[0] = 0);
    NAMED("leaf.entry", leaf->compact.pointer[1] = NULL);
    NAMED("leaf.entry", leaf->compact.pointer[1] = &entries[2]);
    NAMED("leaf.empty", leaf->info.count = 0);
    NAMED("leaf.lead", leaf->info.lead++);
    NAMED("leaf.bounds", parent->compact.key[1] -= 5);
    NAMED("node.count", leaf->info.count = COMPACT_SLOTS + 1);
    NAMED("node.unused", leaf->info.count--);
    NAMED("node.key", leaf->compact.key[0] = KEY_BEYOND);
    NAMED("node.key", parent->compact.key[0] = 7);
    NAMED("node.form",
          parent->compact.pointer[0] = (void *)(tag | TAG_WIDE | TAG_PAGED));
    NAMED("inner.fill", parent->info.count = 1);
    NAMED("inner.gap", parent->compact.second[0]++);
    NAMED("inner.gap", parent->compact.second[1]--);
    NAMED("inner.order", parent->compact.key[1] = KEY_BEYOND - 1);
    void *root = tree.root;
    tree.root = (void *)root_node((node_tag)root);
    assert_string_equal(aspen_tree_check(&tree, &where), "tree.height");
    tree.root = root;
#undef NAMED
    aspen_tree_destroy(&tree);
}

/* ---- Readers beside a writer ------------------------------------------------
 */

#define PLACES 400

/* What is stored in place n stays in [n << 16, (n << 16) + 0xffff]. */
static char places[PLACES * 4];

static struct {
    struct aspen_tree tree;
    bool stop;
    uint64_t rounds;
} concurrent;

static unsigned
place_of(const void *entry)
{
    return (unsigned)(((const char *)entry - places) / 4);
}

/* Even places always have an entry, if not always the same range. */
static void
read_once(uint64_t *seed)
{
    uint64_t place = unit_random(seed) % PLACES;
    uint64_t range[2], key = place << 16;
    aspen_port_rcu_read_lock();
    void *entry = aspen_tree_load(&concurrent.tree, key);
    assert_true(entry || place % 2);
    assert_true(!entry || place_of(entry) == place);
    entry = aspen_tree_find(&concurrent.tree, key, UINT64_MAX, range);
    assert_true(entry || place == PLACES - 1);
    assert_true(!entry || place_of(entry) - place <= 1);
    assert_true(!entry || range[0] >> 16 == place_of(entry));
    aspen_port_rcu_read_unlock();
}

static void
walk_once(void)
{
    struct aspen_tree_cursor cursor;
    unsigned next = 0;
    void *entry;
    aspen_port_rcu_read_lock();
    aspen_tree_cursor_init(&cursor, &concurrent.tree, 0);
    while ((entry = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        unsigned place = place_of(entry);
        assert_true(cursor.first >> 16 == place);
        assert_true(place >= next && place <= next + (next % 2));
        next = place + 1;
    }
    assert_true(next >= PLACES - 1);
    aspen_port_rcu_read_unlock();
}

static void *
reader(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    while (!aspen_load(&concurrent.stop)) {
        for (unsigned i = 0; i < 200; i++)
            read_once(&seed);
        walk_once();
        aspen_fetch_add(&concurrent.rounds, 1);
    }
    return NULL;
}

/* Store over a place: all of it, its front, or (odd places) nothing. */
static void
write_once(uint64_t *seed)
{
    uint64_t bits = unit_random(seed), place = bits % PLACES;
    uint64_t first = place << 16, last = first + 0xffff;
    void *entry = &places[place * 4];
    struct aspen_tree *tree = &concurrent.tree;
    if (place % 2 && bits >> 62 == 0)
        entry = NULL;
    if (bits >> 60 & 1 && entry) {
        /* Two stores: the place keeps its first key throughout. */
        assert_int_equal(aspen_tree_store(tree, first, last, entry), 0);
        assert_int_equal(aspen_tree_erase(tree, first + 0x3000, last), 0);
    } else {
        assert_int_equal(aspen_tree_store(tree, first, last, entry), 0);
    }
    aspen_tree_pool_settle(&pool);
}

static void
test_concurrent(void **state)
{
    pthread_t readers[2];
    uint64_t seed = 3, writes = 0;
    (void)state;
    aspen_tree_init(&concurrent.tree, &pool);
    aspen_tree_rcu_enter(&concurrent.tree);
    concurrent.stop = false;
    concurrent.rounds = 0;
    for (uint64_t i = 0; i < PLACES; i += 2)
        assert_int_equal(aspen_tree_store(&concurrent.tree, i << 16,
                                          (i << 16) + 0x2fff, &places[i * 4]),
                         0);
    for (uintptr_t i = 0; i < ASPEN_ARRAY_SIZE(readers); i++)
        assert_int_equal(
            pthread_create(&readers[i], NULL, reader, (void *)(i + 1)), 0);
    while (writes < 20000 || aspen_load(&concurrent.rounds) < 50) {
        write_once(&seed);
        writes++;
    }
    aspen_store(&concurrent.stop, true);
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(readers); i++)
        pthread_join(readers[i], NULL);
    printf("%llu stores beside %llu rounds of reading\n",
           (unsigned long long)writes, (unsigned long long)concurrent.rounds);
    check_tree(&concurrent.tree);
    aspen_tree_destroy(&concurrent.tree);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, pool_setup, pool_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),      TEST(test_exhaustive),
        TEST(test_random_private), TEST(test_random_rcu),
        TEST(test_fill),           TEST(test_random_reserved),
        TEST(test_random_failing), TEST(test_orders),
        TEST(test_duplicate),      TEST(test_reserve),
        TEST(test_checker),        TEST(test_concurrent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
