/* SPDX-License-Identifier: MIT */
/*
 * tree_tests.h - the tests of the range tree. Included by test_tree.c and, with
 * nodes of four slots, by test_tree_deep.c.
 */
#include "tree_model.h"
#include "tree_random.h"

#include <pthread.h>

/* ---- Orders of building ------------------------------------------------ */

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

/* ---- Duplicate --------------------------------------------------------- */

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

/* ---- Rehearsal --------------------------------------------------------- */

/* A store like those of many mappings that change: somewhere, some pages. */
static void
random_put(uint64_t *seed, uint64_t *first, uint64_t *last, void **entry)
{
    uint64_t bits = unit_random(seed);

    *first = 0x10000 + bits % 6000 * 4096;
    *last = *first + (1 + (bits >> 16) % 20) * 4096 - 1;
    *entry =
        bits >> 32 & 1 ? entry_number((unsigned)(bits >> 40) % 1000) : NULL;
}

/* Rehearse `stores` stores and reserve for them. */
static int
rehearse(struct aspen_tree *tree, struct aspen_tree_reserve *reserve,
         uint64_t seed, unsigned stores)
{
    struct aspen_tree_rehearsal rehearsal;
    uint64_t first, last;
    void *entry;

    int error = aspen_tree_rehearse_begin(&rehearsal, tree);
    if (error)
        return error;
    for (unsigned i = 0; i < stores && !error; i++) {
        random_put(&seed, &first, &last, &entry);
        error = aspen_tree_rehearse_store(&rehearsal, first, last, entry);
    }
    aspen_tree_rehearse_end(&rehearsal);
    return error ? error
                 : aspen_tree_reserve_rehearsed(tree, reserve, &rehearsal);
}

/* What was rehearsed takes exactly the nodes that were put aside; at each node
 * the rehearsal fails, and nothing is left. */
static void
rehearse_round(bool rcu, uint64_t seed, unsigned stores)
{
    static struct model model;
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree tree;
    uint64_t first, last, number = 0;
    void *entry;
    int error;

    aspen_tree_init(&tree, &pool);
    fill(&tree, &model, 300 / SCALE);
    if (rcu)
        aspen_tree_rcu_enter(&tree);
    uint64_t nodes = aspen_tree_pool_nodes(&pool);
    do {
        number += 1 + number / 8;
        set_plan(number % 2 ? ASPEN_FAIL_ONCE : ASPEN_FAIL_ONWARD, number);
        error = rehearse(&tree, &reserve, seed, stores);
        set_plan(ASPEN_FAIL_NEVER, 0);
        assert_true(!error || error == -ASPEN_ENOMEM);
        assert_true(aspen_tree_pool_nodes(&pool) == nodes + reserve.count);
        compare_all(&tree, &model);
    } while (error);
    set_plan(ASPEN_FAIL_ONWARD, 1);
    for (unsigned i = 0; i < stores; i++) {
        random_put(&seed, &first, &last, &entry);
        aspen_tree_store_reserved(&tree, &reserve, first, last, entry);
        model_store(&model, first, last, entry);
    }
    set_plan(ASPEN_FAIL_NEVER, 0);
    if (rcu) /* else what died went there */
        assert_int_equal(reserve.count, 0);
    aspen_tree_reserve_release(&tree, &reserve);
    compare_all(&tree, &model);
    aspen_tree_destroy(&tree);
}

static void
test_rehearsal(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        rehearse_round(seed % 2, seed, 1 + (unsigned)seed * 10);
        rehearse_round(seed % 2, seed, 2);
    }
}

/* A copy only where it takes less than the worst case of all stores. */
static void
test_rehearsal_pays(void **state)
{
    static struct model model;
    struct aspen_tree tree;
    (void)state;

    aspen_tree_init(&tree, &pool);
    fill(&tree, &model, 3000);
    assert_false(aspen_tree_rehearsal_pays(&tree, 0));
    assert_false(aspen_tree_rehearsal_pays(&tree, 3));
    assert_true(aspen_tree_rehearsal_pays(&tree, 100));
    aspen_tree_destroy(&tree);
    fill(&tree, &model, 30);
    assert_false(aspen_tree_rehearsal_pays(&tree, 3));
    assert_true(aspen_tree_rehearsal_pays(&tree, 10));
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

/* ---- Readers beside a writer ------------------------------------------- */

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
        TEST(test_rehearsal),      TEST(test_rehearsal_pays),
        TEST(test_checker),        TEST(test_concurrent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
