/* SPDX-License-Identifier: MIT */
/*
 * The interval tree against a plain array: every sequence on a tiny key space,
 * random ones on a large one; every invariant after each step; corruptions
 * named.
 */
#include "base/interval_tree.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NODES 300

/* The model: the nodes in the order the tree should give them. */
struct model {
    struct aspen_interval_tree tree;
    struct aspen_interval_node nodes[NODES];
    struct aspen_interval_node *order[NODES];
    unsigned count;
};

static unsigned
position_of(const struct model *model, const struct aspen_interval_node *node)
{
    unsigned i = 0;
    while (model->order[i] != node)
        i++;
    return i;
}

static void
insert_at(struct model *model, unsigned at, struct aspen_interval_node *node)
{
    memmove(&model->order[at + 1], &model->order[at],
            (model->count - at) * sizeof(model->order[0]));
    model->order[at] = node;
    model->count++;
}

static void
insert(struct model *model, struct aspen_interval_node *node)
{
    unsigned at = 0;
    while (at < model->count && model->order[at]->start <= node->start)
        at++;
    insert_at(model, at, node);
    aspen_interval_insert(&model->tree, node);
}

static void
insert_after(struct model *model, struct aspen_interval_node *before,
             struct aspen_interval_node *node)
{
    node->start = before->start;
    insert_at(model, position_of(model, before) + 1, node);
    aspen_interval_insert_after(&model->tree, before, node);
}

static void
drop(struct model *model, struct aspen_interval_node *node)
{
    unsigned at = position_of(model, node);
    model->count--;
    memmove(&model->order[at], &model->order[at + 1],
            (model->count - at) * sizeof(model->order[0]));
    aspen_interval_remove(&model->tree, node);
}

static void
check_query(const struct model *model, uint64_t first, uint64_t last)
{
    struct aspen_interval_node *node =
        aspen_interval_first(&model->tree, first, last);
    for (unsigned i = 0; i < model->count; i++) {
        if (model->order[i]->start > last || model->order[i]->last < first)
            continue;
        assert_ptr_equal(node, model->order[i]);
        node = aspen_interval_next(node, first, last);
    }
    assert_null(node);
}

static void
check(const struct model *model)
{
    const char *broken = aspen_interval_tree_check(&model->tree);
    if (broken)
        fail_msg("%s", broken);
    assert_int_equal(model->tree.count, model->count);
    for (unsigned i = 0; i < model->count; i++)
        assert_ptr_equal(aspen_interval_previous(model->order[i]),
                         i ? model->order[i - 1] : NULL);
}

/* Every sequence of `DEPTH` inserts with starts and lengths below 3, then
 * every order of two removals. */
#define DEPTH 5
static void
test_every_short_sequence(void **state)
{
    (void)state;
    uint64_t sequences = 0;
    uint64_t codes = 1;
    for (unsigned i = 0; i < DEPTH; i++)
        codes *= 6;
    for (uint64_t code = 0; code < codes; code++) {
        for (unsigned gone = 0; gone < DEPTH * DEPTH; gone++) {
            static struct model model;
            uint64_t rest = code;
            memset(&model, 0, sizeof(model));
            for (unsigned i = 0; i < DEPTH; i++, rest /= 6) {
                model.nodes[i].start = rest % 3;
                model.nodes[i].last = rest % 3 + rest / 3 % 2;
                insert(&model, &model.nodes[i]);
            }
            drop(&model, &model.nodes[gone % DEPTH]);
            if (gone / DEPTH != gone % DEPTH)
                drop(&model, &model.nodes[gone / DEPTH]);
            check(&model);
            for (uint64_t first = 0; first < 4; first++)
                for (uint64_t last = first; last < 4; last++)
                    check_query(&model, first, last);
            sequences++;
        }
    }
    print_message("%" PRIu64 " sequences\n", sequences);
}

static uint64_t
next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void
random_step(struct model *model, bool *used, uint64_t *seed)
{
    unsigned which = (unsigned)(next_random(seed) % NODES);
    struct aspen_interval_node *node = &model->nodes[which];

    if (used[which]) {
        drop(model, node);
    } else {
        node->start = next_random(seed) % 1000;
        if (next_random(seed) % 16 == 0)
            node->start = UINT64_MAX - next_random(seed) % 4;
        uint64_t length = next_random(seed) % 60;
        if (model->count && next_random(seed) % 3 == 0) {
            struct aspen_interval_node *before =
                model->order[next_random(seed) % model->count];
            node->last = before->start + length < before->start
                             ? UINT64_MAX
                             : before->start + length;
            insert_after(model, before, node);
        } else {
            node->last = node->start + length < node->start
                             ? UINT64_MAX
                             : node->start + length;
            insert(model, node);
        }
    }
    used[which] = !used[which];
}

static void
test_random(void **state)
{
    (void)state;
    static struct model model;
    static bool used[NODES];
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 0x5eed;

    print_message("replay: SEED=%" PRIu64 " %s\n", seed,
                  "build/tests/unit/test_interval_tree");
    for (unsigned step = 0; step < 20000; step++) {
        random_step(&model, used, &seed);
        check(&model);
        uint64_t first = next_random(&seed) % 1100;
        check_query(&model, first, first + next_random(&seed) % 100);
    }
}

static void
test_corruptions_are_named(void **state)
{
    (void)state;
    static struct model model;
    for (unsigned i = 0; i < 20; i++) {
        model.nodes[i].start = i;
        model.nodes[i].last = i;
        insert(&model, &model.nodes[i]);
    }
    struct aspen_interval_node *root = model.tree.root;
    struct aspen_interval_node saved = *root;

    root->subtree_last++;
    assert_string_equal(aspen_interval_tree_check(&model.tree),
                        "subtree_last is wrong");
    *root = saved;
    root->start = 100;
    assert_string_equal(aspen_interval_tree_check(&model.tree), "out of order");
    *root = saved;
    root->parent_and_colour ^= 1;
    assert_string_equal(aspen_interval_tree_check(&model.tree),
                        "the root is red");
    *root = saved;
    model.tree.count++;
    assert_string_equal(aspen_interval_tree_check(&model.tree),
                        "fewer nodes than counted");
    model.tree.count -= 2;
    assert_string_equal(aspen_interval_tree_check(&model.tree),
                        "more nodes than counted");
    model.tree.count++;
    model.nodes[0].parent_and_colour ^= 1;
    assert_non_null(aspen_interval_tree_check(&model.tree));
    model.nodes[0].parent_and_colour ^= 1;
    assert_null(aspen_interval_tree_check(&model.tree));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_short_sequence),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_corruptions_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
