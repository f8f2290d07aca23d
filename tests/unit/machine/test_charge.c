/* SPDX-License-Identifier: MIT */
/* Commit charge in Linux's three modes, at their bounds. */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "machine/charge.h"
#include "machine/swap_map.h"
#include <pthread.h>

#define FRAMES 1000u

static struct aspen *
machine_of(enum aspen_overcommit mode, uint32_t percent)
{
    struct aspen_config config = helper_config(FRAMES);
    config.overcommit = mode;
    config.overcommit_percent = percent;
    return helper_machine_from(&config);
}

static uint64_t
committed(struct aspen *aspen)
{
    return helper_counts(aspen).committed_pages;
}

static void
guess_refuses_only_what_never_fits(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_GUESS, 50);
    unsigned type;
    (void)state;

    assert_int_equal(aspen_charge(aspen, FRAMES), 0);
    assert_int_equal(aspen_charge(aspen, FRAMES), 0);
    assert_int_equal(aspen_charge(aspen, FRAMES + 1), -ASPEN_ENOMEM);
    assert_int_equal(committed(aspen), 2 * FRAMES);
    assert_int_equal(aspen_swap_area_add(aspen, 10, &type), 0);
    assert_int_equal(aspen_charge(aspen, FRAMES + 10), 0);
    assert_int_equal(aspen_charge(aspen, FRAMES + 11), -ASPEN_ENOMEM);
    aspen_uncharge(aspen, 3 * FRAMES + 10);
    assert_int_equal(committed(aspen), 0);
    helper_machine_destroy(aspen);
}

/* A machine that stands for one with more memory than it has, or less. */
static void
guess_may_be_told_the_memory(void **state)
{
    unsigned type;
    (void)state;

    for (uint64_t pages = FRAMES / 2; pages <= 2 * FRAMES; pages *= 4) {
        struct aspen_config config = helper_config(FRAMES);
        config.overcommit_guess_pages = pages;
        struct aspen *aspen = helper_machine_from(&config);
        assert_int_equal(aspen_swap_area_add(aspen, 10, &type), 0);
        assert_int_equal(aspen_charge(aspen, pages + 1), -ASPEN_ENOMEM);
        assert_int_equal(aspen_charge(aspen, pages), 0);
        aspen_uncharge(aspen, pages);
        helper_machine_destroy(aspen);
    }
}

static void
always_refuses_nothing(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_ALWAYS, 0);
    (void)state;

    assert_int_equal(aspen_charge(aspen, 1ull << 40), 0);
    assert_int_equal(committed(aspen), 1ull << 40);
    aspen_uncharge(aspen, 1ull << 40);
    helper_machine_destroy(aspen);
}

/* However much is granted, the sum does not come round. */
static void
always_does_not_wrap(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_ALWAYS, 0);
    const uint64_t most = 1ull << 52;
    uint64_t sum = 0;
    (void)state;

    for (unsigned i = 0; i < 4097 && !aspen_charge(aspen, most); i++)
        sum += most;
    assert_true(sum >= 1ull << 63);
    assert_int_equal(committed(aspen), sum);
    for (; sum; sum -= most)
        aspen_uncharge(aspen, most);
    helper_machine_destroy(aspen);
}

/* Nor does what is kept back. */
/* Where the sum is made what one CPU counted off may be seen, and what another
 * had counted on before it not yet: that is no sum that comes round. */
static void
less_than_nothing_is_not_too_much(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_ALWAYS, 0);
    (void)state;

    aspen_uncharge(aspen, 1);
    assert_int_equal(committed(aspen), 0);
    assert_int_equal(aspen_charge(aspen, 1ull << 40), 0);
    assert_int_equal(aspen_charge(aspen, 1), 0);
    assert_int_equal(committed(aspen), 1ull << 40);
    aspen_uncharge(aspen, 1ull << 40);
    helper_machine_destroy(aspen);
}

static void
reserves_of_any_size(void **state)
{
    const uint64_t most[] = {UINT64_MAX, UINT64_MAX - 1, 1ull << 63};
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        struct aspen_config config = helper_config(FRAMES);
        uint64_t address;
        config.overcommit = ASPEN_OVERCOMMIT_NEVER;
        config.admin_reserve_pages = most[i];
        config.user_reserve_pages = most[i];
        struct aspen *aspen = helper_machine_from(&config);
        struct aspen_mm *mm = helper_new_mm(aspen);
        /* The more it has, the more is kept back. */
        helper_map(mm, GIB, 64, R);
        assert_int_equal(helper_try_map(mm, 0, PAGE, RW, 0, &address),
                         -ASPEN_ENOMEM);
        aspen_mm_put(mm);
        helper_machine_destroy(aspen);
    }
}

/* A stack that may not be charged for does not grow: no access, as Linux. */
static void
never_stops_a_stack(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_NEVER, 10);
    struct aspen_mm *mm = helper_new_mm(aspen);
    const uint64_t at = GIB;
    (void)state;

    helper_map(mm, at, 2, RW | ASPEN_VM_GROWSDOWN);
    assert_int_equal(aspen_fault(mm, at - 90 * PAGE, ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(aspen_fault(mm, at - 200 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_EFAULT);
    assert_int_equal(committed(aspen), 92);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* What grows is asked about whether or not it is charged; what is not charged
 * costs nothing afterwards. */
static void
growth_is_asked_about(void **state)
{
    const enum aspen_overcommit modes[] = {ASPEN_OVERCOMMIT_GUESS,
                                           ASPEN_OVERCOMMIT_NEVER};
    const uint64_t at = GIB;
    (void)state;

    for (unsigned i = 0; i < 4; i++) {
        struct aspen *aspen = machine_of(modes[i / 2], 10);
        struct aspen_mm *mm = helper_new_mm(aspen);
        const uint64_t flags = i % 2 ? R : RW | ASPEN_VM_NORESERVE;
        bool charged = !(i % 2) && modes[i / 2] == ASPEN_OVERCOMMIT_NEVER;

        helper_map(mm, at, 2, flags | ASPEN_VM_GROWSDOWN);
        assert_int_equal(aspen_fault(mm, at - 80 * PAGE, ASPEN_ACCESS_READ), 0);
        assert_int_equal(committed(aspen), charged ? 82 : 0);
        assert_int_equal(aspen_fault(mm, at - 2000 * PAGE, ASPEN_ACCESS_READ),
                         -ASPEN_EFAULT);
        assert_int_equal(committed(aspen), charged ? 82 : 0);
        aspen_mm_put(mm);
        assert_int_equal(committed(aspen), 0);
        helper_machine_destroy(aspen);
    }
}

static void
never_stays_below_the_limit(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_NEVER, 40);
    unsigned type;
    (void)state;

    assert_int_equal(aspen_charge_limit(aspen), 400);
    assert_int_equal(aspen_charge(aspen, 400), -ASPEN_ENOMEM);
    assert_int_equal(aspen_charge(aspen, UINT64_MAX), -ASPEN_ENOMEM);
    assert_int_equal(aspen_charge(aspen, 399), 0);
    assert_int_equal(aspen_charge(aspen, 1), -ASPEN_ENOMEM);
    assert_int_equal(aspen_swap_area_add(aspen, 7, &type), 0);
    assert_int_equal(aspen_charge_limit(aspen), 407);
    assert_int_equal(aspen_charge(aspen, 7), 0);
    assert_int_equal(aspen_charge(aspen, 1), -ASPEN_ENOMEM);
    assert_int_equal(committed(aspen), 406);
    aspen_uncharge(aspen, 406);
    assert_int_equal(aspen_charge(aspen, 406), 0);
    aspen_uncharge(aspen, 406);
    helper_machine_destroy(aspen);
}

static void
nothing_costs_no_step(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_NEVER, 0);
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONWARD, .number = 1};
    (void)state;

    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    assert_int_equal(aspen_charge(aspen, 0), 0);
    aspen_uncharge(aspen, 0);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    helper_machine_destroy(aspen);
}

struct charging {
    struct aspen *aspen;
    uint64_t granted;
};

static int
charge_one(void *context)
{
    return aspen_charge(((struct charging *)context)->aspen, 10);
}

static void
uncharge_one(void *context)
{
    aspen_uncharge(((struct charging *)context)->aspen, 10);
}

static void
a_refusal_charges_nothing(void **state)
{
    struct charging charging = {.aspen =
                                    machine_of(ASPEN_OVERCOMMIT_GUESS, 50)};
    struct helper_part trial = {charging.aspen, charge_one, uncharge_one,
                                &charging};
    (void)state;
    helper_fail_part(&trial, "charge", 1);
    helper_machine_destroy(charging.aspen);
}

static void *
charge_many(void *context)
{
    struct charging *charging = context;
    for (unsigned i = 0; i < 2000; i++)
        charging->granted += aspen_charge(charging->aspen, 1) == 0;
    return NULL;
}

/* Together they get all there is and not one page more. */
static void
never_is_exact_between_threads(void **state)
{
    struct aspen *aspen = machine_of(ASPEN_OVERCOMMIT_NEVER, 100);
    struct charging each[2] = {{aspen, 0}, {aspen, 0}};
    pthread_t thread[2];
    (void)state;

    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, charge_many, &each[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(each[0].granted + each[1].granted, FRAMES - 1);
    assert_int_equal(committed(aspen), FRAMES - 1);
    aspen_uncharge(aspen, FRAMES - 1);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guess_refuses_only_what_never_fits),
        cmocka_unit_test(guess_may_be_told_the_memory),
        cmocka_unit_test(always_refuses_nothing),
        cmocka_unit_test(always_does_not_wrap),
        cmocka_unit_test(less_than_nothing_is_not_too_much),
        cmocka_unit_test(reserves_of_any_size),
        cmocka_unit_test(never_stops_a_stack),
        cmocka_unit_test(growth_is_asked_about),
        cmocka_unit_test(never_stays_below_the_limit),
        cmocka_unit_test(nothing_costs_no_step),
        cmocka_unit_test(a_refusal_charges_nothing),
        cmocka_unit_test(never_is_exact_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
