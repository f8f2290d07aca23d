/* SPDX-License-Identifier: MIT */
/*
 * planted.c - scenarios that fail, and one that holds, for
 * tests/tools/explore.sh.
 */
#include "base/atomic.h"
#include "explore.h"
#include <aspen_port.h>

static uint64_t counter;
static uint64_t elsewhere[3];
static struct aspen_port_rwlock lock;
static uint64_t *volatile nowhere;
static uint64_t plain[2];
static uint64_t told;

static void
setup(void *unused)
{
    (void)unused;
    counter = told = 0;
    lock.holders = 0;
}

/* What makes a schedule longer, and no difference. */
static void
look_around(void)
{
    for (unsigned i = 0; i < 5; i++)
        aspen_store(&elsewhere[sim_task()], 1u);
}

static void
add_racy(void *unused)
{
    (void)unused;
    look_around();
    uint64_t value = aspen_load(&counter);
    aspen_store(&counter, value + 1);
}

static void
add_locked(void *unused)
{
    (void)unused;
    aspen_port_write_lock(&lock);
    add_racy(unused);
    aspen_port_write_unlock(&lock);
}

static void
one_then_two(void *unused)
{
    (void)unused;
    aspen_store(&counter, 1u);
    aspen_store(&counter, 2u);
}

static void
sees_both(void *unused)
{
    (void)unused;
    if (aspen_load(&counter) == 1 && aspen_load(&counter) == 2)
        sim_fail("both were \"seen\"");
}

static void
crashes(void *unused)
{
    (void)unused;
    if (aspen_load(&counter) == 1)
        *nowhere = 1;
}

/* Each is what it was: no harm is done. */
static void
writes_plain(void *unused)
{
    (void)unused;
    look_around();
    plain[0] = 7;
    plain[1] = 7;
}

static void
reads_plain(void *unused)
{
    (void)unused;
    look_around();
    if (plain[0] + plain[1] > 14)
        sim_fail("what nobody wrote");
}

static void
tells(void *unused)
{
    (void)unused;
    aspen_store_relaxed(&told, 1u);
    aspen_store_relaxed(&counter, 2u);
}

static void
is_told(void *unused)
{
    (void)unused;
    if (aspen_load_relaxed(&counter) == 2 && !aspen_load_relaxed(&told))
        sim_fail("the flag came before what it tells of");
}

static void
holds(void *unused)
{
    (void)unused;
}

static void
is_whole(void *unused)
{
    (void)unused;
    if (counter < 2)
        sim_fail("an addition is lost");
}

static void
scenario(const char *name, void (*one)(void *), void (*other)(void *),
         void (*check)(void *))
{
    struct sim_program program = {setup, {one, other}, 2, check, NULL};

    explore_holds(name, &program, 1000);
}

static void
all(void **state)
{
    (void)state;
    scenario("additions under a lock", add_locked, add_locked, is_whole);
    scenario("a lost addition", add_racy, add_racy, is_whole);
    scenario("a crash", one_then_two, crashes, is_whole);
    scenario("needs two", one_then_two, sees_both, is_whole);
    scenario("a race that does no harm", writes_plain, reads_plain, holds);
    scenario("needs an older value", tells, is_told, holds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
