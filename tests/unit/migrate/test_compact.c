/* SPDX-License-Identifier: MIT */
/*
 * Half of memory is free, and no two free frames are neighbours: blocks are
 * made free for who asks, with all contents where they were; what has to stay
 * stays, and its block.
 */
#include "failing.h"
#include "helper.h"

#include "frames/frames.h"

#include <aspen/calls/pin.h>
#include <aspen/memory/compact.h>

#define FRAMES 4096u
#define HALF   1400u /* pages that are kept, of twice as many */
#define ORDER  9u

static void
put_number(struct helper_space *s, uint64_t address, uint64_t number)
{
    assert_int_equal(
        helper_write(&s->helper, s->mm, address, &number, sizeof(number)), 0);
}

/* Every second page goes again. Tables stay, and stand together. */
static uint64_t
scatter(struct helper_space *s)
{
    uint64_t a = helper_map(s->mm, 0, 2 * HALF, RW);

    for (uint64_t i = 0; i < 2 * HALF; i += 512) /* tables do not move */
        put_number(s, a + i * PAGE, i);
    for (uint64_t i = 0; i < 2 * HALF; i++)
        put_number(s, a + i * PAGE, i);
    for (uint64_t i = 0; i < 2 * HALF; i += 2)
        assert_int_equal(
            aspen_madvise(s->mm, a + i * PAGE, PAGE, ASPEN_MADV_DONTNEED), 0);
    return a;
}

static void
check_numbers(struct helper_space *s, uint64_t a)
{
    for (uint64_t i = 0, number; i < 2 * HALF; i++) {
        assert_int_equal(helper_read(&s->helper, s->mm, a + i * PAGE, &number,
                                     sizeof(number)),
                         0);
        assert_int_equal(number, i % 2 ? i : 0);
    }
}

static bool
take(struct helper_space *s, unsigned order, uint32_t *first)
{
    struct aspen_frames_args args = {.order = order,
                                     .kind = ASPEN_FRAMES_DEVICE};

    return !aspen_frames_alloc(s->helper.aspen, &args, first);
}

/* All that can be had of that order. */
static unsigned
take_all(struct helper_space *s, uint32_t *blocks)
{
    unsigned count = 0;

    while (take(s, ORDER, &blocks[count]))
        count++;
    return count;
}

static void
give_all(struct helper_space *s, const uint32_t *blocks, unsigned count)
{
    while (count)
        aspen_frames_free(s->helper.aspen, blocks[--count]);
}

static void
finds_blocks(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = scatter(s);
    uint32_t blocks[8];
    struct aspen_counters before = helper_counts(aspen), after;
    unsigned had = take_all(s, blocks), more = had;

    assert_int_equal(helper_counts(aspen).migrated, 0);
    while (more < 8 && !aspen_compact(aspen, ORDER)) {
        assert_true(take(s, ORDER, &blocks[more]));
        more++;
        helper_assert_valid(&s->helper);
    }
    after = helper_counts(aspen);
    print_message("%u blocks were free, %u more were made, %u pages moved\n",
                  had, more - had, (unsigned)after.migrated);
    assert_true(more >= had + 2);
    assert_int_equal(after.compact_success, more - had);
    assert_true(after.compact_looked >= 512);
    give_all(s, blocks, more);
    after = helper_counts(aspen);
    assert_int_equal(after.frames_free, before.frames_free);
    assert_int_equal(after.anon_pages, before.anon_pages);
    check_numbers(s, a);
    /* Where there is one nothing moves. */
    assert_int_equal(aspen_compact(aspen, ORDER), 0);
    assert_int_equal(helper_counts(aspen).migrated, after.migrated);
}

static void
by_ticks(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = scatter(s);
    uint32_t blocks[9];
    unsigned had = take_all(s, blocks), ticks = 0;

    while (aspen_compact_tick(aspen, 7))
        assert_in_range(++ticks, 1, 64);
    assert_true(take(s, 7, &blocks[had]));
    aspen_frames_free(aspen, blocks[had]);
    assert_false(aspen_compact_tick(aspen, 0));
    assert_false(aspen_compact_tick(aspen, 19));
    give_all(s, blocks, had);
    check_numbers(s, a);
}

/* One page of each block is pinned, and all else as before. */
static void
pinned_stay(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = scatter(s);
    uint32_t blocks[9], *pins = calloc(HALF, sizeof(*pins)), frame;
    unsigned had = take_all(s, blocks), pinned = 0;
    bool seen[FRAMES >> ORDER] = {false};

    for (uint64_t i = 1; i < 2 * HALF; i += 2) {
        frame = helper_frame(s->mm, a + i * PAGE);
        if (seen[frame >> ORDER])
            continue;
        seen[frame >> ORDER] = true;
        assert_int_equal(aspen_pin_range(s->mm, a + i * PAGE, PAGE,
                                         ASPEN_PIN_WRITE, &pins[pinned++]),
                         0);
    }
    assert_int_equal(aspen_compact(aspen, ORDER), -ASPEN_EBUSY);
    assert_int_equal(helper_counts(aspen).compact_fail, 1);
    assert_int_equal(helper_counts(aspen).migrated, 0);
    helper_assert_valid(&s->helper);
    helper_unpin(s->mm, pins, pinned, 0);
    assert_int_equal(aspen_compact(aspen, ORDER), 0);
    give_all(s, blocks, had);
    check_numbers(s, a);
    free(pins);
}

/* One that cannot be seen to stay, since it is only held. */
static void
held_stay(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = scatter(s), free_before;
    uint32_t blocks[9];
    unsigned had = take_all(s, blocks);

    for (uint64_t i = 1; i < 2 * HALF; i += 2)
        aspen_frame_get(
            aspen_frame_at(aspen, helper_frame(s->mm, a + i * PAGE)));
    free_before = helper_counts(aspen).frames_free;
    assert_int_equal(aspen_compact(aspen, ORDER), -ASPEN_EBUSY);
    assert_int_equal(helper_counts(aspen).frames_free, free_before);
    for (uint64_t i = 1; i < 2 * HALF; i += 2)
        aspen_frame_put(aspen, helper_frame(s->mm, a + i * PAGE));
    helper_assert_valid(&s->helper);
    give_all(s, blocks, had);
    check_numbers(s, a);
}

static void
refused(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;

    assert_int_equal(aspen_compact(aspen, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_compact(aspen, 19), -ASPEN_EINVAL);
    assert_int_equal(aspen_compact(aspen, 40), -ASPEN_EINVAL);
    assert_int_equal(aspen_compact(aspen, 18), -ASPEN_EBUSY);
    assert_int_equal(aspen_compact(aspen, 1), 0);
}

/* ---- Failing ----------------------------------------------------------- */

static struct {
    struct helper_space s;
    uint64_t at;
    uint32_t blocks[9];
    unsigned had;
} failing;

static void
failing_setup(void *unused)
{
    (void)unused;
    helper_space_create(&failing.s, NULL);
    failing.at = scatter(&failing.s);
    failing.had = take_all(&failing.s, failing.blocks);
}

static int
failing_run(void *unused)
{
    (void)unused;
    return aspen_compact(failing.s.helper.aspen, ORDER);
}

static void
failing_teardown(void *unused)
{
    (void)unused;
    check_numbers(&failing.s, failing.at);
    give_all(&failing.s, failing.blocks, failing.had);
    helper_space_destroy(&failing.s);
}

static void
fails(void **state)
{
    struct helper_failing f = {.name = "compaction",
                               .helper = &failing.s.helper,
                               .mm = &failing.s.mm,
                               .setup = failing_setup,
                               .run = failing_run,
                               .teardown = failing_teardown,
                               .progressive = true};

    (void)state;
    assert_true(helper_fail_every_step(&f) >= 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(finds_blocks), helper_space_test(by_ticks),
        helper_space_test(pinned_stay),  helper_space_test(held_stay),
        helper_space_test(refused),      cmocka_unit_test(fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
