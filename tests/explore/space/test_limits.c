/* SPDX-License-Identifier: MIT */
/*
 * What a space may lock, asked beside somebody who changes what it may, over
 * all orders: each call finds the one or the other, and nobody reads plainly
 * what others write.
 */
#include "explore.h"

#define FRAMES 64u
#define MOST   6000u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t limit; /* at first */
} scene;

static void
setup(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, 2, RW, NULL);
    must(aspen_limit_set(scene.mm, ASPEN_LIMIT_MEMLOCK, scene.limit));
}

static void
allow_task(void *unused)
{
    (void)unused;
    must(aspen_limit_set(scene.mm, ASPEN_LIMIT_MEMLOCK, PAGE));
    must(aspen_privileges_set(scene.mm, ASPEN_PRIVILEGE_IPC_LOCK));
}

/* 0, or the error that it has without the limit. */
static void
allowed_or(int error, int refused)
{
    if (error && error != refused && error != -ASPEN_EPERM)
        sim_fail("an answer that fits neither limit");
}

static void
lock_task(void *unused)
{
    (void)unused;
    allowed_or(aspen_mlock(scene.mm, START, PAGE, ASPEN_MLOCK_ONFAULT),
               -ASPEN_ENOMEM);
}

static void
lock_all_task(void *unused)
{
    (void)unused;
    allowed_or(aspen_mlockall(scene.mm, ASPEN_MCL_CURRENT | ASPEN_MCL_ONFAULT),
               -ASPEN_ENOMEM);
}

/* The limit is asked, and what is locked, though there is nothing to lock. */
static void
lock_nothing_task(void *unused)
{
    (void)unused;
    allowed_or(aspen_mlock(scene.mm, START, 0, 0), -ASPEN_ENOMEM);
}

static void
pin_task(void *unused)
{
    uint32_t frame;
    (void)unused;

    int error =
        aspen_pin_range(scene.mm, START, PAGE, ASPEN_PIN_LIMITED, &frame);
    allowed_or(error, -ASPEN_ENOMEM);
    if (!error)
        must(aspen_unpin(scene.mm, &frame, 1, 0));
}

static void
check(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
beside(const char *name, uint64_t limit, void (*one)(void *),
       void (*other)(void *))
{
    struct sim_program program = {setup, {one, other}, 2, check, NULL};

    scene.limit = limit;
    explore_holds(name, &program, MOST);
}

static void
limits(void **state)
{
    (void)state;
    beside("mlock, more is allowed", 0, lock_task, allow_task);
    beside("mlockall, more is allowed", 0, lock_all_task, allow_task);
    beside("mlock of nothing, more is allowed", 0, lock_nothing_task,
           allow_task);
    beside("mlock of nothing, mlock", PAGE, lock_nothing_task, lock_task);
    beside("pins within the limit, more is allowed", 0, pin_task, allow_task);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
