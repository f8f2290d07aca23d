/* SPDX-License-Identifier: MIT */
/*
 * Lock order: every pair of classes, in both orders, panics or not as the
 * order in base/lock.h says; what a try-lock got is known but never refused.
 */
#include "base/lock.h"
#include "unit.h"

struct pair {
    enum aspen_lock_class outer;
    enum aspen_lock_class inner;
    bool try_inner;
};

static void
take_both(void *argument)
{
    const struct pair *pair = argument;
    struct aspen_port_spinlock outer = {0}, inner = {0};

    aspen_spin_lock(&outer, pair->outer);
    if (!pair->try_inner)
        aspen_spin_lock(&inner, pair->inner);
    else if (!aspen_spin_trylock(&inner, pair->inner))
        return;
    aspen_spin_unlock(&outer);
    aspen_spin_unlock(&inner);
}

static void
test_every_pair(void **state)
{
    unsigned pairs = 0;
    (void)state;

    for (unsigned outer = 0; outer < ASPEN_LOCK_CLASSES; outer++)
        for (unsigned inner = 0; inner < ASPEN_LOCK_CLASSES; inner++) {
            struct pair pair = {(enum aspen_lock_class)outer,
                                (enum aspen_lock_class)inner, false};
            assert_int_equal(unit_panics(take_both, &pair), inner <= outer);
            pair.try_inner = true;
            take_both(&pair);
            pairs++;
        }
    printf("%u pairs\n", pairs);
}

static void
unlock_unheld(void *argument)
{
    struct aspen_port_spinlock lock = {1};
    (void)argument;
    aspen_spin_unlock(&lock);
}

static void
allocate_inside_anon_vma(void *argument)
{
    (void)argument;
    aspen_lock_order_assert_outside(ASPEN_LOCK_I_MMAP);
}

static void
test_misuse(void **state)
{
    struct aspen_port_rwlock lock;
    (void)state;

    aspen_port_rwlock_init(&lock);
    assert_true(unit_panics(unlock_unheld, NULL));
    aspen_write_lock(&lock, ASPEN_LOCK_VMA);
    assert_false(unit_panics(allocate_inside_anon_vma, NULL));
    assert_true(aspen_lock_order_holds(&lock));
    aspen_write_unlock(&lock);
    assert_false(aspen_lock_order_holds(&lock));
    aspen_read_lock(&lock, ASPEN_LOCK_ANON_VMA);
    assert_true(unit_panics(allocate_inside_anon_vma, NULL));
    aspen_read_unlock(&lock);
}

static void
test_names(void **state)
{
    (void)state;
    for (unsigned c = 0; c < ASPEN_LOCK_CLASSES; c++)
        assert_string_not_equal(aspen_lock_class_name((enum aspen_lock_class)c),
                                "unknown");
    assert_string_equal(aspen_lock_class_name(ASPEN_LOCK_CLASSES), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
