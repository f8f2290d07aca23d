/* SPDX-License-Identifier: MIT */
/* Pins that are given back and were not taken, or are too many for a count: an
 * error, and nothing changes. */
#include "helper.h"

#include "frames/pins.h"

#define BASE ((uint64_t)0x10000000)

/* Not even the reference that pins hold to the space. */
static void
test_unpin_nothing(void **state)
{
    (void)state;
    struct helper_space s;
    uint32_t frame;

    helper_space_create(&s, NULL);
    helper_map(s.mm, BASE, 1, RW);
    helper_unpin(s.mm, NULL, 0, 0);
    helper_unpin(s.mm, NULL, 0, ASPEN_UNPIN_DIRTY);
    assert_int_equal(aspen_pin_range(s.mm, BASE, PAGE, 0, &frame), 0);
    helper_unpin(s.mm, &frame, 0, 0);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 1);
    helper_unpin(s.mm, &frame, 1, 0);
    helper_unpin(s.mm, &frame, 0, 0);
    helper_assert_valid(&s.helper);
    helper_space_destroy(&s);
}

/* What was not taken is not given back, and nothing of the rest either. */
static void
test_unpin_too_much(void **state)
{
    (void)state;
    struct helper_space s;
    struct aspen_mm *child;
    uint32_t frames[4];

    helper_space_create(&s, NULL);
    helper_map(s.mm, BASE, 3, RW);
    assert_int_equal(aspen_fork(s.mm, &child), 0);
    helper_put(&s.helper, s.mm, BASE + 2 * PAGE, 1);
    frames[0] = helper_frame(s.mm, BASE + 2 * PAGE);
    /* No page of the machine was ever pinned. */
    assert_int_equal(aspen_unpin(s.mm, frames, 1, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_pin_range(s.mm, BASE, 2 * PAGE, 0, frames), 0);
    frames[2] = frames[1];
    frames[3] = helper_frame(s.mm, BASE + 2 * PAGE);
    const uint32_t wrong[][3] = {
        {frames[0], frames[1], frames[2]},  /* one of them twice */
        {frames[0], frames[1], frames[3]},  /* one that is not pinned */
        {frames[0], frames[1], UINT32_MAX}, /* no frame */
        {frames[0], frames[1], 4096},       /* the first that is none */
        {frames[0], frames[1], 0},          /* the zero page */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(aspen_unpin(s.mm, wrong[i], 3, ASPEN_UNPIN_DIRTY),
                         -ASPEN_EINVAL);
    assert_int_equal(aspen_unpin(s.mm, frames, 2, 2), -ASPEN_EINVAL);
    /* Those of another space. */
    assert_int_equal(aspen_unpin(child, frames, 1, 0), -ASPEN_EINVAL);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(aspen_frame_pins(s.helper.aspen, frames[i]), 1);
    helper_assert_valid(&s.helper);
    helper_unpin(s.mm, frames, 2, 0);
    assert_int_equal(aspen_unpin(s.mm, frames, 1, 0), -ASPEN_EINVAL);
    aspen_mm_put(child);
    helper_space_destroy(&s);
}

/* One page as often as somebody asks: no count carries into another. */
static void
test_pins_of_one_page(void **state)
{
    const uint64_t kinds[] = {RW, ASPEN_VM_READ | ASPEN_VM_MAYREAD};
    struct helper_space *s = *state;
    uint32_t frames[3];

    for (unsigned i = 0; i < 2; i++) { /* a page, and that of zeroes */
        helper_map(s->mm, BASE, 2, kinds[i]);
        assert_int_equal(aspen_pin_range(s->mm, BASE + PAGE, PAGE, 0, frames),
                         0);
        uint32_t *pins = aspen_bank_pins(s->helper.aspen, frames[0]);
        uint64_t counts = aspen_frame_at(s->helper.aspen, frames[0])->counts;
        *pins += ASPEN_PINS_MAX - 1; /* as if others had pinned it */
        assert_int_equal(aspen_pin_range(s->mm, BASE, 2 * PAGE, 0, frames + 1),
                         -ASPEN_ENOMEM);
        assert_int_equal(*pins, ASPEN_PINS_MAX);
        assert_int_equal(aspen_frame_at(s->helper.aspen, frames[0])->counts,
                         counts);
        assert_int_equal(helper_counters(s->mm).pinned_pages, 1);
        *pins -= ASPEN_PINS_MAX - 1;
        assert_int_equal(aspen_pin_range(s->mm, BASE, 2 * PAGE, 0, frames + 1),
                         0);
        helper_unpin(s->mm, frames, 3, 0);
        helper_unmap(s->mm, BASE, 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpin_nothing),
        cmocka_unit_test(test_unpin_too_much),
        helper_space_test(test_pins_of_one_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
