/* SPDX-License-Identifier: MIT */
/*
 * test_embedder.c - frames that who embeds the machine takes out of it, and a
 * memory hook that gives the core its own frames (port_memory.h).
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "bare_machine.h"
#include "helper.h"
#include "port_memory.h"

#include "frames/frames.h"

/* ---- Frames ------------------------------------------------------------ */

static uint32_t
take(struct aspen *aspen, unsigned order, enum aspen_frames_kind kind,
     uint32_t end, unsigned flags)
{
    struct aspen_frames_args args = {order, kind, end, flags};
    uint32_t first = ASPEN_NO_FRAME;

    assert_int_equal(aspen_frames_alloc(aspen, &args, &first), 0);
    assert_int_equal(first % (1u << order), 0);
    return first;
}

static void
refuse(struct aspen *aspen, struct aspen_frames_args args, int error)
{
    struct aspen_counters before = helper_counts(aspen);
    uint32_t first = 77;

    assert_int_equal(aspen_frames_alloc(aspen, &args, &first), error);
    assert_int_equal(first, 77);
    helper_assert_counts(aspen, &before);
}

static void
test_kinds(void **unused)
{
    struct helper helper;
    uint32_t frames[ASPEN_FRAMES_KINDS][4];
    (void)unused;

    helper_create(&helper, NULL);
    memset(helper.direct_map, 0xa5, helper.direct_map_bytes);
    struct aspen_counters before = helper_counts(helper.aspen);
    for (unsigned kind = 0; kind < ASPEN_FRAMES_KINDS; kind++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned order = 3 * i;
            uint32_t first =
                take(helper.aspen, order, (enum aspen_frames_kind)kind, 0,
                     i % 2 ? ASPEN_FRAMES_ZEROED : 0);
            const char *page = (char *)helper.direct_map + first * PAGE;
            for (size_t j = 0; i % 2 && j < PAGE << order; j++)
                assert_int_equal(page[j], 0);
            bare_assert_frames(helper.aspen);
            frames[kind][i] = first;
        }
    struct aspen_counters now = helper_counts(helper.aspen);
    for (unsigned kind = 0; kind < ASPEN_FRAMES_KINDS; kind++)
        assert_int_equal(now.frames_kinds[kind], 1 + 8 + 64 + 512);
    assert_int_equal(before.frames_free - now.frames_free, 3 * 585);
    helper_assert_valid(&helper);
    assert_int_equal(aspen_destroy(helper.aspen), -ASPEN_EBUSY);
    for (unsigned kind = 0; kind < ASPEN_FRAMES_KINDS; kind++)
        for (unsigned i = 0; i < 4; i++)
            aspen_frames_free(helper.aspen, frames[kind][i]);
    bare_assert_frames(helper.aspen);
    helper_assert_counts(helper.aspen, &before);
    helper_destroy(&helper);
}

static void
test_refused(void **unused)
{
    struct aspen_config config = helper_config(4096);
    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONCE};
    (void)unused;

    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    struct aspen *aspen = helper_machine_from(&config);
    refuse(aspen, (struct aspen_frames_args){.order = 19}, -ASPEN_EINVAL);
    refuse(aspen, (struct aspen_frames_args){.kind = ASPEN_FRAMES_KINDS},
           -ASPEN_EINVAL);
    refuse(aspen, (struct aspen_frames_args){.flags = 2}, -ASPEN_EINVAL);
    refuse(aspen, (struct aspen_frames_args){.flags = 1}, -ASPEN_EOPNOTSUPP);
    refuse(aspen, (struct aspen_frames_args){.order = 12}, -ASPEN_ENOMEM);
    refuse(aspen, (struct aspen_frames_args){.end = 1}, -ASPEN_ENOMEM);
    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    refuse(aspen, (struct aspen_frames_args){.order = 1}, -ASPEN_ENOMEM);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    aspen_frames_free(aspen, take(aspen, 1, ASPEN_FRAMES_DEVICE, 0, 0));
    helper_machine_destroy(aspen);
}

/* All that is below a bound can be had, and nothing above it. */
static void
test_bound(void **unused)
{
    static const unsigned orders[] = {0, 2, 5, 6, 8};
    struct aspen *aspen = helper_machine(4096);
    static uint32_t frames[1000];
    (void)unused;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(orders); i++) {
        unsigned size = 1u << orders[i];
        struct aspen_frames_args args = {.order = orders[i], .end = 1000};
        unsigned count = 0;
        while (!aspen_frames_alloc(aspen, &args, &frames[count])) {
            assert_true(frames[count] + size <= 1000);
            count++;
        }
        /* The block of the zero page is not whole. */
        assert_int_equal(count, 1000 / size - 1);
        bare_assert_frames(aspen);
        while (count > 0)
            aspen_frames_free(aspen, frames[--count]);
        bare_assert_frames(aspen);
    }
    helper_machine_destroy(aspen);
}

/* ---- Metadata of the machine's own ------------------------------------- */

/* Spaces, blocks, pins, and the validator's tally. */
static void
use(struct helper *helper)
{
    struct aspen_mm *mm = helper_mm(helper), *child;
    uint64_t at = helper_map(mm, 0, 300, RW);
    uint32_t pinned[3], block;

    for (unsigned i = 0; i < 300; i++)
        helper_put(helper, mm, at + i * PAGE, (uint8_t)i);
    assert_int_equal(aspen_pin_range(mm, at, 3 * PAGE, ASPEN_PIN_WRITE, pinned),
                     0);
    assert_int_equal(
        aspen_frame_alloc(helper->aspen, 3, ASPEN_STEP_FRAME, &block), 0);
    aspen_frame_put(helper->aspen, block);
    assert_int_equal(aspen_fork(mm, &child), 0);
    for (unsigned i = 0; i < 300; i += 7)
        helper_put(helper, child, at + i * PAGE, 99);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(helper_get(helper, mm, at + i * PAGE), (uint8_t)i);
    helper_assert_valid(helper);
    helper_unpin(mm, pinned, 3, 0);
    aspen_mm_put(child);
    aspen_mm_put(mm);
}

static void
test_own_metadata(void **unused)
{
    struct helper helper;
    (void)unused;

    helper_create(&helper, NULL);
    home = &helper;
    use(&helper);
    print_message("%lu pieces\n", home_gave);
    assert_true(home_gave > 5);
    struct aspen_counters counters = helper_counts(helper.aspen);
    assert_true(counters.frames_kinds[ASPEN_FRAMES_METADATA] > home_gave);
    bare_assert_frames(helper.aspen);
    assert_int_equal(aspen_destroy(helper.aspen), 0);
    home = NULL;
    assert_int_equal(munmap(helper.direct_map, helper.direct_map_bytes), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_own_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
