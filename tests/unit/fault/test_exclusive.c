/* SPDX-License-Identifier: MIT */
/*
 * Whose page it is: a test for each rule by which an anonymous page is
 * exclusive, and for what follows from it for writes, pins and fork. Frames are
 * held by a plain reference (a reader, a scanner) or a pin.
 */
#include "helper.h"

#include "fault/hold.h"
#include "frames/pins.h"

static struct aspen_frame *
page_at(struct helper_space *s, struct aspen_mm *mm, uint64_t address)
{
    return aspen_frame_at(s->helper.aspen, helper_frame(mm, address));
}

static bool
is_exclusive(struct helper_space *s, struct aspen_mm *mm, uint64_t address)
{
    return aspen_frame_is_exclusive(page_at(s, mm, address));
}

/* A page of the space, written. */
static uint64_t
new_page(struct helper_space *s)
{
    uint64_t a = helper_map(s->mm, 0, 1, RW);

    helper_put(&s->helper, s->mm, a, 1);
    return a;
}

static struct aspen_mm *
new_child(struct helper_space *s)
{
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    return child;
}

/* Read-only since a fork whose child is gone, and nobody's but the space's. */
static uint64_t
left_page(struct helper_space *s)
{
    uint64_t a = new_page(s);

    aspen_mm_put(new_child(s));
    assert_false(is_exclusive(s, s->mm, a));
    return a;
}

/* ---- When it is -------------------------------------------------------- */

static void
first_entry_makes_it_exclusive(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    uint64_t a = new_page(s);
    uint64_t shared =
        helper_map_object(s->mm, 0, 1, RW | ASPEN_VM_SHARED, object, 0);
    uint64_t private = helper_map_object(s->mm, 0, 1, RW, object, 1);

    assert_true(is_exclusive(s, s->mm, a));
    helper_put(&s->helper, s->mm, shared, 1);
    assert_false(is_exclusive(s, s->mm, shared));
    helper_get(&s->helper, s->mm, private);
    assert_false(is_exclusive(s, s->mm, private));
    helper_put(&s->helper, s->mm, private, 1);
    assert_true(is_exclusive(s, s->mm, private));
    uint64_t zero = helper_map(s->mm, 0, 1, RW);
    helper_get(&s->helper, s->mm, zero);
    assert_false(is_exclusive(s, s->mm, zero));
    helper_assert_valid(&s->helper);
    aspen_object_put(object);
}

static void
fork_shares_it(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    struct aspen_mm *child = new_child(s);

    assert_false(is_exclusive(s, s->mm, a));
    assert_ptr_equal(page_at(s, s->mm, a), page_at(s, child, a));
    assert_int_equal(aspen_frame_map_count(page_at(s, child, a)), 2);
    helper_assert_valid(&s->helper);
    /* It is copied for who writes first, and the copy is his alone. */
    helper_put(&s->helper, child, a, 2);
    assert_true(is_exclusive(s, child, a));
    assert_false(is_exclusive(s, s->mm, a));
    assert_int_equal(helper_get(&s->helper, s->mm, a), 1);
    aspen_mm_put(child);
}

/* A fork of a read-only mapping writes no entry, and shares all the same. */
static void
fork_shares_what_is_read_only(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);

    assert_int_equal(
        aspen_mprotect(s->mm, a, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME), 0);
    assert_true(is_exclusive(s, s->mm, a));
    struct aspen_mm *child = new_child(s);
    assert_false(is_exclusive(s, s->mm, a));
    assert_int_equal(aspen_mprotect(child, a, PAGE, RW, ASPEN_PKEY_SAME), 0);
    helper_put(&s->helper, child, a, 2);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 1);
    aspen_mm_put(child);
}

static void
goes_with_the_entry(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    uint32_t number = helper_frame(s->mm, a);
    struct aspen_frame *page = aspen_frame_at(s->helper.aspen, number);

    aspen_frame_get(page);
    helper_unmap(s->mm, a, 1);
    assert_int_equal(page->counts, ASPEN_FRAME_REF);
    aspen_frame_put(s->helper.aspen, number);
    assert_true(aspen_frame_is_zero(page));
}

static void
moves_and_stays(void **state)
{
    struct helper_space *s = *state;
    const uint64_t to = 64 * MIB;
    uint64_t a = new_page(s);

    assert_int_equal(helper_remap(s->mm, a, PAGE, PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  to),
                     0);
    assert_true(is_exclusive(s, s->mm, to));
}

/* ---- Writes ------------------------------------------------------------ */

/* Whoever holds an exclusive page, and whatever made its entry read-only. */
static void
write_reuses_exclusive(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    uint32_t frame = helper_frame(s->mm, a);

    aspen_frame_get(aspen_frame_at(s->helper.aspen, frame));
    assert_int_equal(
        aspen_mprotect(s->mm, a, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME), 0);
    assert_int_equal(aspen_mprotect(s->mm, a, PAGE, RW, ASPEN_PKEY_SAME), 0);
    assert_false(helper_can_write(s->mm, a));
    helper_put(&s->helper, s->mm, a, 2);
    assert_int_equal(helper_frame(s->mm, a), frame);
    assert_int_equal(aspen_madvise(s->mm, a, PAGE, ASPEN_MADV_FREE), 0);
    helper_put(&s->helper, s->mm, a, 3);
    assert_int_equal(helper_frame(s->mm, a), frame);
    aspen_frame_put(s->helper.aspen, frame);
}

/* Even while somebody has it locked. */
static void
write_reuses_exclusive_locked(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    struct aspen_frame *page = page_at(s, s->mm, a);

    assert_int_equal(
        aspen_mprotect(s->mm, a, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME), 0);
    assert_int_equal(aspen_mprotect(s->mm, a, PAGE, RW, ASPEN_PKEY_SAME), 0);
    assert_true(aspen_frame_trylock(page));
    helper_put(&s->helper, s->mm, a, 2);
    aspen_frame_unlock(page);
    assert_ptr_equal(page_at(s, s->mm, a), page);
}

static void
write_takes_over_what_is_left(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = left_page(s);
    struct aspen_frame *page = page_at(s, s->mm, a);

    helper_put(&s->helper, s->mm, a, 2);
    assert_ptr_equal(page_at(s, s->mm, a), page);
    assert_true(aspen_frame_is_exclusive(page));
    helper_assert_valid(&s->helper);
}

/* It is then the page of the VMA that has it: nobody need look elsewhere. */
static void
child_takes_over_with_its_own_anon_vma(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    struct aspen_mm *child = new_child(s);
    struct aspen_frame *page = page_at(s, child, a);

    helper_unmap(s->mm, a, 1);
    helper_put(&s->helper, child, a, 2);
    assert_ptr_equal(page_at(s, child, a), page);
    assert_int_equal(page->owner, (uintptr_t)aspen_vma_at(child, a)->anon_vma);
    aspen_mm_put(child);
}

/* Whoever holds a page that is not exclusive may have come by the entry that is
 * gone, and was promised to see what was there. */
static void
write_copies_what_a_reader_has(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = left_page(s);
    uint32_t frame = helper_frame(s->mm, a);

    aspen_frame_get(aspen_frame_at(s->helper.aspen, frame));
    helper_put(&s->helper, s->mm, a, 2);
    assert_int_not_equal(helper_frame(s->mm, a), frame);
    assert_true(is_exclusive(s, s->mm, a));
    assert_int_equal(*(uint8_t *)aspen_frame_pointer(s->helper.aspen, frame),
                     1);
    aspen_frame_put(s->helper.aspen, frame);
}

/* ---- Held and pinned --------------------------------------------------- */

/* A write from outside, whose reference stays, and the program's own. */
static void
hold_to_write_is_exclusive(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = left_page(s);
    struct aspen_hold hold;
    uint32_t frame;

    assert_int_equal(
        aspen_mprotect(s->mm, a, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME), 0);
    aspen_hold_begin(&hold, s->mm, ASPEN_ACCESS_WRITE, ASPEN_HOLD_FORCE);
    assert_int_equal(aspen_hold_page(&hold, a, &frame), 0);
    assert_true(is_exclusive(s, s->mm, a));
    assert_int_equal(helper_frame(s->mm, a), frame);
    aspen_hold_put(&hold, frame);
    aspen_hold_end(&hold);
}

static uint32_t
pin(struct helper_space *s, uint64_t address)
{
    uint32_t frame;

    assert_int_equal(aspen_pin_range(s->mm, address, PAGE, 0, &frame), 0);
    return frame;
}

/* Even a pin to read: what the program writes later has to be seen. */
static void
pin_unshares(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    struct aspen_mm *child = new_child(s);
    uint32_t frame = pin(s, a);

    assert_int_equal(helper_frame(s->mm, a), frame);
    assert_int_not_equal(helper_frame(child, a), frame);
    assert_true(is_exclusive(s, s->mm, a));
    helper_assert_valid(&s->helper);
    helper_put(&s->helper, s->mm, a, 2);
    assert_int_equal(helper_frame(s->mm, a), frame);
    helper_unpin(s->mm, &frame, 1, 0);
    aspen_mm_put(child);
}

static void
fork_copies_what_is_pinned(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = new_page(s);
    uint32_t frame = pin(s, a);
    struct aspen_mm *child = new_child(s);

    assert_int_not_equal(helper_frame(child, a), frame);
    assert_true(is_exclusive(s, s->mm, a));
    assert_true(is_exclusive(s, child, a));
    assert_int_equal(helper_get(&s->helper, child, a), 1);
    helper_assert_valid(&s->helper);
    helper_unpin(s->mm, &frame, 1, 0);
    aspen_mm_put(child);
}

/* Of two pages fork copies the one that is pinned, and shares the other. */
static void
fork_shares_beside_what_is_pinned(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 2, RW);

    helper_put(&s->helper, s->mm, a, 1);
    helper_put(&s->helper, s->mm, a + PAGE, 1);
    uint32_t frame = pin(s, a);
    struct aspen_mm *child = new_child(s);
    assert_true(is_exclusive(s, s->mm, a));
    assert_false(is_exclusive(s, s->mm, a + PAGE));
    helper_unpin(s->mm, &frame, 1, 0);
    aspen_mm_put(child);
}

#define TEST(name) helper_space_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_entry_makes_it_exclusive),
        TEST(fork_shares_it),
        TEST(fork_shares_what_is_read_only),
        TEST(goes_with_the_entry),
        TEST(moves_and_stays),
        TEST(write_reuses_exclusive),
        TEST(write_reuses_exclusive_locked),
        TEST(write_takes_over_what_is_left),
        TEST(child_takes_over_with_its_own_anon_vma),
        TEST(write_copies_what_a_reader_has),
        TEST(hold_to_write_is_exclusive),
        TEST(pin_unshares),
        TEST(fork_copies_what_is_pinned),
        TEST(fork_shares_beside_what_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
