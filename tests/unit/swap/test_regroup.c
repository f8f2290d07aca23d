/* SPDX-License-Identifier: MIT */
/*
 * A space goes to another group, with all that it alone has, in memory and in
 * swap; or it is refused, and nothing has changed.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "group/group.h"

#define BASE  ((uint64_t)0x10000000)
#define SLOTS 128u

static uint8_t slots[SLOTS][4096];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_swap_ops device = {.transfer = transfer};
static const struct aspen_pager_ops pager = {.read = helper_pager_number};

static struct {
    struct helper_space *s;
    struct aspen_group *top;
    struct aspen_group *from; /* below that, as the next */
    struct aspen_group *to;
    struct aspen_mm *mm; /* in `from`: 20 pages, then 20 in swap */
} scene;

static struct aspen_group_counters
counts(struct aspen_group *group)
{
    struct aspen_group_counters counters;

    aspen_group_counters_read(group, &counters);
    return counters;
}

#define assert_charged(group, memory, swap)                                    \
    do {                                                                       \
        struct aspen_group_counters charged = counts(group);                   \
        assert_int_equal(charged.pages, memory);                               \
        assert_int_equal(charged.swap_pages, swap);                            \
    } while (0)

static void
fill(void *context)
{
    struct helper *h = &scene.s->helper;

    (void)context;
    scene.mm = helper_mm(h);
    assert_int_equal(aspen_group_enter(scene.mm, scene.from), 0);
    helper_map(scene.mm, BASE, 40, RW);
    for (uint64_t i = 0; i < 40; i++)
        helper_put(h, scene.mm, BASE + i * PAGE, (uint8_t)(i + 1));
    assert_int_equal(aspen_madvise(scene.mm, BASE + 20 * PAGE, 20 * PAGE,
                                   ASPEN_MADV_PAGEOUT),
                     0);
    assert_charged(scene.from, 20, 20);
}

static void
assert_contents(struct aspen_mm *mm)
{
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(helper_get(&scene.s->helper, mm, BASE + i * PAGE),
                         i + 1);
}

static int
setup(void **state)
{
    unsigned type;
    int error = helper_space_setup(state);

    if (error)
        return error;
    scene.s = *state;
    struct aspen *aspen = scene.s->helper.aspen;
    assert_int_equal(aspen_group_create(aspen, NULL, &scene.top), 0);
    assert_int_equal(aspen_group_create(aspen, scene.top, &scene.from), 0);
    assert_int_equal(aspen_group_create(aspen, scene.top, &scene.to), 0);
    assert_int_equal(aspen_swap_add(aspen,
                                    &(struct aspen_swap_args){
                                        .pages = SLOTS,
                                        .ops = &device,
                                    },
                                    &type),
                     0);
    return 0;
}

static int
teardown(void **state)
{
    assert_charged(scene.top, 0, 0);
    aspen_group_put(scene.from);
    aspen_group_put(scene.to);
    aspen_group_put(scene.top);
    assert_int_equal(scene.s->helper.aspen->groups.count, 0);
    return helper_space_teardown(state);
}

#define regroup_test(name)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- All of it ----------------------------------------------------------- */

static void
test_all(void **state)
{
    struct helper *h = &scene.s->helper;

    (void)state;
    fill(NULL);
    /* What is above both notices nothing, however little room there is. */
    assert_int_equal(aspen_group_limit_set(scene.top, ASPEN_GROUP_MAX, 20), 0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), 0);
    assert_charged(scene.from, 0, 0);
    assert_charged(scene.to, 20, 20);
    assert_charged(scene.top, 20, 20);
    struct aspen_group *its = aspen_mm_group(scene.mm);
    assert_ptr_equal(its, scene.to);
    aspen_group_put(its);
    helper_assert_valid(h);
    assert_int_equal(aspen_group_limit_set(scene.top, ASPEN_GROUP_MAX,
                                           ASPEN_GROUP_UNLIMITED),
                     0);
    /* They are on its lists, and come back for it. */
    assert_int_equal(aspen_group_reclaim(scene.from, 100), 0);
    assert_int_equal(aspen_group_reclaim(scene.to, 20), 20);
    assert_contents(scene.mm);
    helper_assert_valid(h);
    /* To the machine, and back. */
    assert_int_equal(aspen_group_enter(scene.mm, NULL), 0);
    assert_charged(scene.top, 0, 0);
    helper_assert_valid(h);
    assert_int_equal(aspen_group_enter(scene.mm, scene.from), 0);
    assert_int_equal(counts(scene.from).pages, 40);
    helper_assert_valid(h);
    assert_contents(scene.mm);
    assert_int_equal(aspen_group_enter(scene.mm, scene.from), 0);
    aspen_mm_put(scene.mm);
}

/* What others have, too, stays. */
static void
test_shared_stays(void **state)
{
    struct helper *h = &scene.s->helper;
    struct aspen_object *file =
        helper_object(h, ASPEN_OBJECT_FILE, 10, &pager, NULL);
    struct aspen_mm *child;

    (void)state;
    fill(NULL);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    helper_map_object(child, 2 * BASE, 10, R, file, 0);
    assert_int_equal(aspen_fault(child, 2 * BASE, ASPEN_ACCESS_READ), 0);
    for (uint64_t i = 0; i < 5; i++)
        helper_put(h, child, BASE + i * PAGE, (uint8_t)(i + 1));
    assert_charged(scene.from, 26, 20);
    assert_int_equal(aspen_group_enter(child, scene.to), 0);
    assert_charged(scene.to, 5, 0);
    assert_charged(scene.from, 21, 20);
    helper_assert_valid(h);
    assert_contents(child);
    helper_assert_valid(h);
    /* Once the other is gone all of it goes. */
    aspen_mm_put(scene.mm);
    assert_int_equal(aspen_group_enter(child, scene.from), 0);
    assert_int_equal(aspen_group_enter(child, scene.to), 0);
    assert_charged(scene.from, 1, 0);
    helper_assert_valid(h);
    assert_contents(child);
    aspen_mm_put(child);
    aspen_object_put(file);
}

/* Who has nothing alone needs no room for it, in memory or in swap. */
static void
test_nothing_of_its_own(void **state)
{
    struct helper *h = &scene.s->helper;
    struct aspen_mm *child;

    (void)state;
    fill(NULL);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_MAX, 0), 0);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_SWAP_MAX, 0),
                     0);
    assert_int_equal(aspen_group_enter(child, scene.to), 0);
    assert_charged(scene.to, 0, 0);
    assert_charged(scene.from, 20, 20);
    /* One maps a page, and its slot is the other's alone. */
    assert_int_equal(helper_get(h, scene.mm, BASE + 30 * PAGE), 31);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), 0);
    assert_charged(scene.to, 0, 0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.from), 0);
    assert_int_equal(aspen_group_enter(child, scene.from), 0);
    assert_int_equal(aspen_group_enter(child, scene.to), -ASPEN_ENOMEM);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_SWAP_MAX, 1),
                     0);
    assert_int_equal(aspen_group_enter(child, scene.to), 0);
    assert_charged(scene.to, 0, 1);
    assert_charged(scene.from, 21, 19);
    helper_assert_valid(h);
    assert_int_equal(
        aspen_group_limit_set(scene.to, ASPEN_GROUP_MAX, ASPEN_GROUP_UNLIMITED),
        0);
    assert_contents(child);
    aspen_mm_put(child);
    aspen_mm_put(scene.mm);
}

/* ---- Or nothing ---------------------------------------------------------- */

static void
test_refused(void **state)
{
    struct helper *h = &scene.s->helper;

    (void)state;
    fill(NULL);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_MAX, 19), 0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), -ASPEN_ENOMEM);
    assert_charged(scene.from, 20, 20);
    assert_charged(scene.to, 0, 0);
    helper_assert_valid(h);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_MAX, 20), 0);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_SWAP_MAX, 19),
                     0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), -ASPEN_ENOMEM);
    assert_charged(scene.from, 20, 20);
    assert_charged(scene.to, 0, 0);
    helper_assert_valid(h);
    struct aspen_group *its = aspen_mm_group(scene.mm);
    assert_ptr_equal(its, scene.from);
    aspen_group_put(its);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_SWAP_MAX, 20),
                     0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), 0);
    assert_charged(scene.to, 20, 20);
    helper_assert_valid(h);
    assert_int_equal(aspen_group_limit_set(scene.to, ASPEN_GROUP_MAX, 40), 0);
    assert_contents(scene.mm);
    aspen_mm_put(scene.mm);
}

static int
enter(void *context)
{
    (void)context;
    return aspen_group_enter(scene.mm, scene.to);
}

static void
entered(void *context)
{
    (void)context;
    assert_charged(scene.to, 20, 20);
}

static void
give_up(void *context)
{
    (void)context;
    aspen_mm_put(scene.mm);
}

static void
test_failing(void **state)
{
    struct helper_failing each = {
        .name = "a space to another group",
        .helper = &scene.s->helper,
        .mm = &scene.mm,
        .setup = fill,
        .run = enter,
        .done = entered,
        .teardown = give_up,
    };

    (void)state;
    assert_true(helper_fail_every_step(&each) > 0);
    assert_true(helper_failed_steps(&each, ASPEN_STEP_CHARGE) > 0);
    assert_true(helper_failed_steps(&each, ASPEN_STEP_INTERRUPT) > 0);
}

/* A huge page counts for what it is. */
static void
test_huge(void **state)
{
    struct helper *h = &scene.s->helper;

    (void)state;
    scene.mm = helper_mm(h);
    assert_int_equal(aspen_group_enter(scene.mm, scene.from), 0);
    helper_import(scene.mm, GIB, 512, MAY_RW, NULL, GIB >> 12);
    assert_int_equal(
        helper_import_pages(scene.mm, GIB, 1, ASPEN_IMPORT_ANON, 1), 0);
    assert_charged(scene.from, 512, 0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.to), 0);
    assert_charged(scene.from, 0, 0);
    assert_charged(scene.to, 512, 0);
    helper_assert_valid(h);
    aspen_mm_put(scene.mm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        regroup_test(test_all),
        regroup_test(test_shared_stays),
        regroup_test(test_nothing_of_its_own),
        regroup_test(test_refused),
        regroup_test(test_failing),
        regroup_test(test_huge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
