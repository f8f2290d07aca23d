/* SPDX-License-Identifier: MIT */
/* The set of small numbers: against a plain array, at sizes around each level's
 * edge. */
#include "unit.h"

#include "base/bit_tree.h"

#include <stdlib.h>
#include <string.h>

static struct aspen_bit_tree
tree_of(uint64_t bits)
{
    struct aspen_bit_tree tree = {calloc(1, aspen_bit_tree_bytes(bits)), bits};
    assert_non_null(tree.words);
    return tree;
}

static uint64_t
next_in(const bool *model, uint64_t bits, uint64_t from)
{
    while (from < bits && !model[from])
        from++;
    return from < bits ? from : ASPEN_BIT_NONE;
}

static void
assert_same(const struct aspen_bit_tree *tree, const bool *model)
{
    const uint64_t bits = tree->bits;
    uint64_t step = bits / 50 + 1;

    for (uint64_t from = 0; from < bits + 2; from += 1 + from % step) {
        assert_int_equal(aspen_bit_tree_next(tree, from),
                         next_in(model, bits, from));
        if (from < bits)
            assert_int_equal(aspen_bit_tree_has(tree, from), model[from]);
    }
}

static const uint64_t sizes[] = {1,     2,      63,     64,    65,
                                 127,   128,    4095,   4096,  4097,
                                 10000, 262143, 262144, 262145};

static void
full_and_empty(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct aspen_bit_tree tree = tree_of(sizes[i]);
        uint64_t last = sizes[i] - 1;

        assert_int_equal(aspen_bit_tree_next(&tree, 0), ASPEN_BIT_NONE);
        aspen_bit_tree_fill(&tree);
        assert_int_equal(aspen_bit_tree_next(&tree, 0), 0);
        assert_int_equal(aspen_bit_tree_next(&tree, last), last);
        assert_int_equal(aspen_bit_tree_next(&tree, last + 1), ASPEN_BIT_NONE);
        for (uint64_t bit = 0; bit < last; bit++)
            aspen_bit_tree_clear(&tree, bit);
        assert_int_equal(aspen_bit_tree_next(&tree, 0), last);
        aspen_bit_tree_clear(&tree, last);
        assert_int_equal(aspen_bit_tree_next(&tree, 0), ASPEN_BIT_NONE);
        free(tree.words);
    }
}

static void
at_random(void **state)
{
    (void)state;
    srand(1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct aspen_bit_tree tree = tree_of(sizes[i]);
        bool *model = calloc(sizes[i], sizeof(*model));
        for (unsigned step = 0; step < 600; step++) {
            uint64_t bit = (uint64_t)rand() % sizes[i];
            model[bit] = rand() % 3 == 0;
            if (model[bit])
                aspen_bit_tree_set(&tree, bit);
            else
                aspen_bit_tree_clear(&tree, bit);
            if (step % 100 == 99)
                assert_same(&tree, model);
        }
        free(model);
        free(tree.words);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_and_empty),
        cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
