/* SPDX-License-Identifier: MIT */
/*
 * Shared memory to swap and back, each step failing, once and onward: what
 * fails has changed nothing, and the next try goes through.
 */
#include "device.h"
#include "failing.h"
#include "helper.h"
#include "shared_scene.h"

#include <aspen/calls/advise.h>

static unsigned tries; /* of a call that fails */

static void
setup_step(void *unused)
{
    (void)unused;
    tries = 0;
    scene_object(PAGES);
    page_out(scene.at, PAGES);
    assert_int_equal(scene_slots(), PAGES);
}

static void
teardown_step(void *unused)
{
    (void)unused;
    helper_unmap(scene.mm, scene.at, PAGES);
    aspen_object_put(scene.object);
    scene.object = NULL;
    assert_int_equal(scene_slots(), 0);
}

static int
fault_step(void *unused)
{
    (void)unused;
    return aspen_fault(scene.mm, scene.at + 3 * PAGE, ASPEN_ACCESS_WRITE);
}

static int
read_step(void *unused)
{
    uint64_t done, bytes[PAGE / sizeof(uint64_t)];
    (void)unused;

    int error =
        aspen_object_read(scene.object, 3 * PAGE, bytes, sizeof(bytes), &done);
    if (!error)
        assert_int_equal(bytes[0], 4);
    return error;
}

/* What has failed before has changed nothing. */
static void
look_once_more(void)
{
    if (!tries++)
        return;
    assert_int_equal(aspen_object_size(scene.object), PAGES * PAGE);
    assert_contents();
    page_out(scene.at, PAGES);
}

static int
resize_step(void *unused)
{
    (void)unused;
    look_once_more();
    return aspen_object_resize(scene.object, 5 * PAGE + 8);
}

static int
punch_step(void *unused)
{
    (void)unused;
    look_once_more();
    return aspen_object_punch(scene.object, 3 * PAGE + 8, 4 * PAGE);
}

static void
check_size(void *unused)
{
    (void)unused;
    if (aspen_object_size(scene.object) != PAGES * PAGE) {
        assert_int_equal(aspen_object_size(scene.object), 5 * PAGE + 8);
        assert_page(4);
        assert_int_equal(byte_at(5 * PAGE), 6);
    } else {
        assert_int_equal(byte_at(3 * PAGE), 4);
        assert_int_equal(byte_at(4 * PAGE - 1), 0);
        assert_int_equal(byte_at(6 * PAGE), 0);
        assert_int_equal(byte_at(7 * PAGE), 0);
        assert_page(8);
    }
}

static int
remove_step(void *unused)
{
    (void)unused;
    return aspen_swap_remove(scene.aspen, scene.device.type);
}

static void
remove_done(void *unused)
{
    (void)unused;
    assert_contents();
    device_free(&scene.device);
    device_add(&scene.device, scene.aspen, 4 * PAGES, ASPEN_SWAP_CHECKSUM);
}

static void
each_step_fails(void **state)
{
    const struct {
        const char *name;
        int (*run)(void *context);
        void (*done)(void *context);
    } rows[] = {
        {"a fault", fault_step, NULL},
        {"a read", read_step, NULL},
        {"a resize", resize_step, check_size},
        {"a punch", punch_step, check_size},
        {"swapoff", remove_step, remove_done},
    };
    (void)state;

    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(PAGES);
    teardown_step(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct helper_failing failing = {
            .name = rows[i].name,
            .helper = scene.h,
            .mm = &scene.mm,
            .setup = setup_step,
            .run = rows[i].run,
            .done = rows[i].done,
            .teardown = teardown_step,
            .progressive = true,
        };
        assert_true(helper_fail_every_step(&failing) > 0);
    }
    scene_end();
}

/* Advice answers nothing: pages stay, and all is there. */
static void
each_step_of_a_page_out_fails(void **state)
{
    (void)state;
    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1, failed = 1; failed; n++) {
            struct aspen_failpoint_plan plan = {.mode = mode, .number = n};
            struct aspen_failpoint_counts crossed;
            scene_begin(4096, NULL, 4 * PAGES);
            scene_object(PAGES);
            assert_int_equal(aspen_failpoints_set(scene.aspen, &plan), 0);
            int error = aspen_madvise(scene.mm, scene.at, PAGES * PAGE,
                                      ASPEN_MADV_PAGEOUT);
            assert_true(!error || error == -ASPEN_EINTR);
            aspen_failpoints_read(scene.aspen, &crossed);
            failed = crossed.failed;
            assert_int_equal(aspen_failpoints_set(scene.aspen, NULL), 0);
            helper_assert_valid(scene.h);
            assert_contents();
            scene_end();
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_fails),
        cmocka_unit_test(each_step_of_a_page_out_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
