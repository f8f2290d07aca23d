/* SPDX-License-Identifier: MIT */
/*
 * Frames that go bad: nobody gets them any more; what a device or a file has is
 * read anew, and who has lost memory hears of it.
 */
#include "../swap/device.h"
#include "helper.h"

#include "machine/swap_map.h"
#include "object/page_cache.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/pin.h>
#include <aspen/memory/failure.h>

static struct device device;

static uint64_t
entry_at(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_slot slot;

    return aspen_table_walk(mm, address, &slot);
}

/* It is bad from now on, and is in no other count. */
static void
goes_bad(struct helper_space *s, uint32_t frame, uint64_t free_more)
{
    struct aspen *aspen = s->helper.aspen;
    struct aspen_counters before = helper_counts(aspen), after;
    struct aspen_frame_range all = {frame, 1};

    assert_int_equal(aspen_memory_failure(aspen, frame), 0);
    after = helper_counts(aspen);
    assert_int_equal(after.frames_bad, before.frames_bad + 1);
    assert_int_equal(after.frames_total, before.frames_total - 1);
    assert_int_equal(after.frames_free, before.frames_free - free_more);
    assert_int_equal(aspen_memory_failure(aspen, frame), -ASPEN_EHWPOISON);
    assert_int_equal(aspen_memory_offline(aspen, frame), -ASPEN_EHWPOISON);
    assert_int_equal(aspen_migrate(aspen, frame), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, all.first, all.count),
                     -ASPEN_EINVAL);
    helper_assert_valid(&s->helper);
}

/* Whoever asks does not get it. */
static void
is_nobodys(struct helper_space *s, uint32_t bad)
{
    struct aspen_frames_args args = {.kind = ASPEN_FRAMES_DEVICE};
    struct aspen *aspen = s->helper.aspen;
    uint32_t *all = calloc(4096, sizeof(*all));
    unsigned count = 0;

    assert_non_null(all);
    while (!aspen_frames_alloc(aspen, &args, &all[count]))
        assert_int_not_equal(all[count++], bad);
    while (count)
        aspen_frames_free(aspen, all[--count]);
    free(all);
}

static void
free_frames(void **state)
{
    static const uint32_t frames[] = {4000, 4095, 2048, 2049, 3000};
    struct helper_space *s = *state;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(frames); i++) {
        goes_bad(s, frames[i], 1);
        is_nobodys(s, frames[i]);
    }
}

static void
anonymous(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 3, RW);
    struct aspen_mm *child;
    uint32_t frame;

    for (unsigned i = 0; i < 3; i++)
        helper_put(&s->helper, s->mm, a + i * PAGE, (uint8_t)(i + 1));
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    frame = helper_frame(s->mm, a + PAGE);
    goes_bad(s, frame, 0);
    for (unsigned i = 0; i < 2; i++) {
        struct aspen_mm *mm = i ? child : s->mm;
        assert_int_equal(aspen_fault(mm, a + PAGE, ASPEN_ACCESS_READ),
                         -ASPEN_EHWPOISON);
        assert_int_equal(aspen_fault(mm, a + PAGE, ASPEN_ACCESS_WRITE),
                         -ASPEN_EHWPOISON);
        assert_int_equal(helper_get(&s->helper, mm, a), 1);
        assert_int_equal(helper_get(&s->helper, mm, a + 2 * PAGE), 3);
        assert_int_equal(helper_counters(mm).anon_pages, 2);
    }
    aspen_mm_put(child);
    assert_int_equal(aspen_fork(s->mm, &child), 0); /* it stays so */
    assert_int_equal(aspen_fault(child, a + PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EHWPOISON);
    aspen_mm_put(child);
    assert_int_equal(aspen_madvise(s->mm, a + PAGE, PAGE, ASPEN_MADV_DONTNEED),
                     0);
    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE), 0);
    is_nobodys(s, frame);
}

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .write = helper_pager_write};

static void
file(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager, NULL);
    uint64_t a =
        helper_map_object(s->mm, 0, 2, RW | ASPEN_VM_SHARED, object, 0);

    assert_int_equal(helper_get(&s->helper, s->mm, a), 1);
    goes_bad(s, helper_frame(s->mm, a), 0);
    assert_int_equal(entry_at(s->mm, a), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 1); /* read anew */
    /* What is dirty nobody else has. */
    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(
        aspen_memory_failure(s->helper.aspen, helper_frame(s->mm, a)),
        -ASPEN_EBUSY);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    helper_assert_valid(&s->helper);
    helper_unmap(s->mm, a, 2);
    aspen_object_put(object);
}

static void
in_swap_cache(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    struct aspen_mm *child;

    device_add(&device, aspen, 16, 0);
    helper_put(&s->helper, s->mm, a, 'x');
    assert_int_equal(aspen_madvise(s->mm, a, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_get(&s->helper, child, a), 'x');
    uint32_t frame = helper_frame(child, a);
    assert_int_equal(aspen_memory_failure(aspen, frame), -ASPEN_EBUSY);
    helper_unmap(child, a, 1);
    goes_bad(s, frame, 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    aspen_mm_put(child);
    helper_unmap(s->mm, a, 1);
    assert_int_equal(aspen_swap_remove(aspen, device.type), 0);
}

static void
stay(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    uint64_t shared = helper_map(s->mm, 0, 1, RW | ASPEN_VM_SHARED);
    uint32_t pinned;

    helper_put(&s->helper, s->mm, a, 'x');
    helper_put(&s->helper, s->mm, shared, 'y');
    assert_int_equal(aspen_pin_range(s->mm, a, PAGE, ASPEN_PIN_WRITE, &pinned),
                     0);
    assert_int_equal(aspen_memory_failure(aspen, pinned), -ASPEN_EBUSY);
    assert_int_equal(aspen_memory_offline(aspen, pinned), -ASPEN_EBUSY);
    helper_unpin(s->mm, &pinned, 1, 0);
    assert_int_equal(aspen_memory_failure(aspen, helper_frame(s->mm, shared)),
                     -ASPEN_EBUSY);
    assert_int_equal(aspen_memory_failure(aspen, s->mm->root), -ASPEN_EBUSY);
    assert_int_equal(aspen_memory_failure(aspen, aspen->zero_frame),
                     -ASPEN_EBUSY);
    assert_int_equal(aspen_memory_failure(aspen, 1000000), -ASPEN_EINVAL);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    assert_int_equal(helper_get(&s->helper, s->mm, shared), 'y');
    assert_int_equal(helper_counts(aspen).frames_bad, 0);
}

/* In time: nothing is lost. */
static void
offline(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    uint64_t shared = helper_map(s->mm, 0, 1, RW | ASPEN_VM_SHARED);
    uint32_t frames[2];

    helper_put(&s->helper, s->mm, a, 'x');
    helper_put(&s->helper, s->mm, shared, 'y');
    frames[0] = helper_frame(s->mm, a);
    frames[1] = helper_frame(s->mm, shared);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(aspen_memory_offline(aspen, frames[i]), 0);
    assert_int_equal(aspen_memory_offline(aspen, 4000), 0);
    assert_int_equal(helper_counts(aspen).frames_bad, 3);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 'x');
    assert_int_equal(helper_get(&s->helper, s->mm, shared), 'y');
    is_nobodys(s, frames[0]);
    is_nobodys(s, frames[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(free_frames), helper_space_test(anonymous),
        helper_space_test(file),        helper_space_test(in_swap_cache),
        helper_space_test(stay),        helper_space_test(offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
