/* SPDX-License-Identifier: MIT */
/*
 * tree_model.h - a plain model of the range tree, a sorted array of ranges, and
 * what compares the two. A part of tree_tests.h.
 */
#ifndef ASPEN_TESTS_TREE_MODEL_H
#define ASPEN_TESTS_TREE_MODEL_H

#include "base/bits.h"
#include "tree/path.h"
#include "unit.h"

#include <aspen/error.h>

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
    return aspen_tree_pool_init(&pool, &failpoints, 0);
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

#endif
