/* SPDX-License-Identifier: MIT */
/*
 * Pages to a swap device and back: by PAGEOUT and faults, with contents,
 * counts, who is exclusive, and devices that fail. The device is memory, which
 * answers at once, or by a thread of its own.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "swap/swap.h"
#include "rmap/rmap.h"

#include <aspen/calls/advise.h>
#include <pthread.h>

#define SLOTS 64u

struct device {
    uint8_t slots[SLOTS][PAGE];
    unsigned reads;
    unsigned writes; /* pages */
    unsigned transfers;
    uint32_t bad_slot; /* cannot be written; SLOTS: none */
    int read_error;
    int write_error;
    unsigned discarded;
    unsigned closed;
};

static struct device device;

/* Where threads answer there are several: what neighbours are read with is not
 * waited for. */
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    struct device *d = context;
    int error = io->write ? d->write_error : d->read_error;

    assert_in_range(io->pages, 1, ASPEN_SWAP_IO_PAGES);
    *(io->write ? &d->writes : &d->reads) += io->pages;
    d->transfers++;
    if (error || (io->write && io->slot <= d->bad_slot &&
                  d->bad_slot < io->slot + io->pages))
        return error ? error : -ASPEN_EIO;
    return slots_transfer(d->slots, io);
}

/* Whoever reads it now reads what nobody has written. */
static void
discard(void *context, uint32_t slot)
{
    struct device *d = context;

    assert_in_range(slot, 0, SLOTS - 1);
    memset(d->slots[slot], 0xee, PAGE);
    d->discarded++;
}

static void
closed(void *context)
{
    ((struct device *)context)->closed++;
}

static void *
answer(void *argument)
{
    pthread_mutex_lock(&device_lock);
    int error = transfer(&device, argument);
    pthread_mutex_unlock(&device_lock);
    aspen_swap_done(argument, error);
    return NULL;
}

static void
submit(void *context, struct aspen_swap_io *io)
{
    pthread_t thread;
    (void)context;
    assert_int_equal(pthread_create(&thread, NULL, answer, io), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

static void
fail_reads(int error)
{
    pthread_mutex_lock(&device_lock);
    device.read_error = error;
    pthread_mutex_unlock(&device_lock);
}

static const struct aspen_swap_ops at_once = {
    .transfer = transfer, .discard = discard, .close = closed};
static const struct aspen_swap_ops later = {.submit = submit};

static void
add(struct helper_space *s, const struct aspen_swap_ops *ops, unsigned flags)
{
    unsigned type;

    memset(&device, 0, sizeof(device));
    device.bad_slot = SLOTS;
    assert_int_equal(aspen_swap_add(s->helper.aspen,
                                    &(struct aspen_swap_args){
                                        .pages = SLOTS,
                                        .flags = flags,
                                        .ops = ops,
                                        .context = &device,
                                    },
                                    &type),
                     0);
}

static void
pageout(struct aspen_mm *mm, uint64_t address, uint64_t pages)
{
    assert_int_equal(
        aspen_madvise(mm, address, pages * PAGE, ASPEN_MADV_PAGEOUT), 0);
}

static uint64_t
swapped(struct aspen_mm *mm)
{
    return helper_counters(mm).swap_pages;
}

static uint64_t
slots_used(struct helper_space *s)
{
    return helper_counts(s->helper.aspen).swap_slots_used;
}

static uint64_t
cached(struct helper_space *s)
{
    return helper_counts(s->helper.aspen).swap_cached;
}

/* A page with this byte, in memory. */
static uint64_t
new_page(struct helper_space *s, uint8_t byte)
{
    uint64_t a = helper_map(s->mm, 0, 1, RW);

    helper_put(&s->helper, s->mm, a, byte);
    return a;
}

/* By the call of reclaim: does it leave? */
static bool
swap_out(struct helper_space *s, uint32_t frame)
{
    struct aspen_swap_batch batch = {.aspen = s->helper.aspen};
    struct aspen_frame *page = aspen_frame_at(batch.aspen, frame);

    aspen_frame_get(page);
    bool locked = aspen_frame_trylock(page);
    if (!locked || aspen_swap_out(&batch, frame)) {
        if (locked)
            aspen_frame_unlock(page);
        aspen_frame_put(batch.aspen, frame);
    }
    return aspen_swap_out_end(&batch) == 1;
}

static struct aspen_frame *
page_at(struct helper_space *s, struct aspen_mm *mm, uint64_t address)
{
    return aspen_frame_at(s->helper.aspen, helper_frame(mm, address));
}

/* ---- There and back ---------------------------------------------------- */

static void
comes_back(void **state)
{
    struct helper_space *s = *state;
    add(s, &at_once, 0);
    uint64_t a = helper_map(s->mm, 0, 100, RW);
    uint64_t free_before;

    for (unsigned i = 0; i < 50; i++)
        helper_put(&s->helper, s->mm, a + i * PAGE, (uint8_t)(i + 1));
    free_before = helper_counts(s->helper.aspen).frames_free;
    pageout(s->mm, a, 100);
    assert_int_equal(swapped(s->mm), 50);
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);
    assert_int_equal(slots_used(s), 50);
    assert_int_equal(helper_counts(s->helper.aspen).swap_slots, SLOTS);
    assert_int_equal(aspen_swap_used(s->helper.aspen, 0), 50);
    assert_int_equal(aspen_swap_used(s->helper.aspen, 1), 0);
    assert_int_equal(aspen_swap_used(s->helper.aspen, 32), 0);
    assert_int_equal(helper_counts(s->helper.aspen).frames_free,
                     free_before + 50);
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(helper_get(&s->helper, s->mm, a + i * PAGE), i + 1);
    assert_int_equal(swapped(s->mm), 0);
    assert_int_equal(slots_used(s), 0);
    assert_int_equal(device.reads, 50);
    assert_int_equal(device.writes, 50);
    /* 32 and 18 pages; 1, 2, 4, 8 five times, 3. */
    assert_int_equal(device.transfers, 2 + 9);
    helper_assert_valid(&s->helper);
}

/* It was the space's alone, and is again: written without a copy. */
static void
comes_back_exclusive(void **state)
{
    struct helper_space *s = *state;
    add(s, &later, ASPEN_SWAP_CHECKSUM);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(swapped(s->mm), 1);
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), 0);
    assert_true(aspen_frame_is_exclusive(page_at(s, s->mm, a)));
    assert_true(helper_can_write(s->mm, a));
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    helper_assert_valid(&s->helper);
}

/* Fork copies swap entries: the page is read once, and both share it. */
static void
relatives_share_it(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(swapped(child), 1);
    assert_int_equal(helper_get(&s->helper, child, a), 7);
    helper_assert_valid(&s->helper);
    assert_false(aspen_frame_is_exclusive(page_at(s, child, a)));
    assert_int_equal(slots_used(s), 1);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_ptr_equal(page_at(s, s->mm, a), page_at(s, child, a));
    assert_int_equal(device.reads, 1);
    assert_int_equal(slots_used(s), 0);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_rmap_count(s->helper.aspen, helper_frame(s->mm, a)),
                     2);
    helper_put(&s->helper, child, a, 8);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    aspen_mm_put(child);
}

/* A write by one of them, while the other's is still in swap, is a copy. */
static void
write_beside_a_swap_entry_copies(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_put(&s->helper, child, a, 8);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(slots_used(s), 0);
    helper_put(&s->helper, s->mm, a, 9);
    assert_int_equal(helper_get(&s->helper, child, a), 8);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
}

/* All that goes frees the slot, and what the cache has. */
static void
goes_with_its_entries(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(cached(s), 0);
    assert_int_equal(helper_get(&s->helper, child, a), 7);
    assert_int_equal(slots_used(s), 1);
    assert_int_equal(cached(s), 1);
    assert_int_equal(device.discarded, 0);
    helper_unmap(s->mm, a, 1);
    assert_int_equal(slots_used(s), 0);
    assert_int_equal(device.discarded, 1);
    assert_int_equal(cached(s), 0);
    helper_assert_valid(&s->helper);
    uint32_t frame = helper_frame(child, a);
    helper_put(&s->helper, child, a, 8); /* it alone has it now */
    assert_int_equal(helper_frame(child, a), frame);
    aspen_mm_put(child);
}

/* ---- What stays -------------------------------------------------------- */

static void
what_is_needed_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);
    uint32_t frame = helper_frame(s->mm, a), pinned;
    struct aspen_frame *page = aspen_frame_at(aspen, frame);

    aspen_frame_get(page); /* a reader's */
    pageout(s->mm, a, 1);
    assert_int_equal(swapped(s->mm), 0);
    aspen_frame_put(aspen, frame);
    assert_true(aspen_frame_trylock(page));
    assert_false(swap_out(s, frame));
    aspen_frame_unlock(page);
    assert_int_equal(aspen_pin_range(s->mm, a, PAGE, 0, &pinned), 0);
    pageout(s->mm, a, 1);
    assert_int_equal(swapped(s->mm), 0);
    helper_unpin(s->mm, &pinned, 1, 0);
    assert_int_equal(aspen_mlock(s->mm, a, PAGE, 0), 0);
    assert_false(swap_out(s, frame));
    assert_int_equal(swapped(s->mm), 0);
    assert_int_equal(slots_used(s), 0);
    assert_int_equal(device.writes, 0);
    helper_assert_valid(&s->helper);
}

/* Others still have it in swap: it has a slot already, and is not written. */
static void
what_one_has_back_goes_again(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_get(&s->helper, child, a), 7);
    pageout(child, a, 1);
    assert_int_equal(swapped(child), 1);
    assert_int_equal(slots_used(s), 1);
    assert_int_equal(device.writes, 1);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(helper_get(&s->helper, child, a), 7);
    assert_int_equal(device.reads, 2);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
}

/* ---- Devices that fail ------------------------------------------------- */

/* The page stays, and no other is ever written to that slot. */
static void
failed_write_keeps_the_page(void **state)
{
    struct helper_space *s = *state;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    device.write_error = -ASPEN_EIO;
    pageout(s->mm, a, 1);
    helper_assert_valid(&s->helper);
    device.write_error = 0;
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(device.reads, 0);
    assert_true(aspen_frame_is_exclusive(page_at(s, s->mm, a)));
    assert_int_equal(swapped(s->mm), 0);
    uint64_t b = helper_map(s->mm, 0, SLOTS, RW);
    for (unsigned i = 0; i < SLOTS; i++)
        helper_put(&s->helper, s->mm, b + i * PAGE, 1);
    pageout(s->mm, b, SLOTS);
    assert_int_equal(swapped(s->mm), SLOTS - 1); /* the area is full */
    helper_assert_valid(&s->helper);
}

/* One slot of several cannot be written: the others can. */
static void
failed_write_is_that_slots(void **state)
{
    struct helper_space *s = *state;
    add(s, &at_once, 0);
    uint64_t a = helper_map(s->mm, 0, 10, RW);

    for (unsigned i = 0; i < 10; i++)
        helper_put(&s->helper, s->mm, a + i * PAGE, (uint8_t)(i + 1));
    device.bad_slot = 4;
    pageout(s->mm, a, 10);
    assert_int_equal(device.transfers, 11); /* together, and each */
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(helper_get(&s->helper, s->mm, a + i * PAGE), i + 1);
    assert_int_equal(device.reads, 9);
    assert_int_equal(slots_used(s), 0);
    helper_assert_valid(&s->helper);
}

/* It is tried again, at the same slot, and may leave then. */
static void
failed_write_is_tried_again(void **state)
{
    struct helper_space *s = *state;
    add(s, &later, ASPEN_SWAP_CHECKSUM);
    uint64_t a = new_page(s, 7);
    uint32_t frame = helper_frame(s->mm, a);

    device.write_error = -ASPEN_EIO;
    assert_false(swap_out(s, frame));
    assert_int_equal(swapped(s->mm), 1);
    assert_int_equal(device.writes, 1);
    device.write_error = 0;
    helper_assert_valid(&s->helper);
    assert_true(swap_out(s, frame));
    assert_int_equal(device.writes, 2);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(device.reads, 1);
}

/* That fault fails, and others do not; what works again works. */
static void
failed_read_is_that_faults(void **state)
{
    struct helper_space *s = *state;
    add(s, &later, 0);
    uint64_t a = helper_map(s->mm, 0, 2, RW);

    helper_put(&s->helper, s->mm, a, 7);
    helper_put(&s->helper, s->mm, a + PAGE, 8);
    pageout(s->mm, a, 2);
    fail_reads(-ASPEN_EIO);
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), -ASPEN_EIO);
    assert_int_equal(swapped(s->mm), 2);
    helper_assert_valid(&s->helper);
    fail_reads(0);
    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE), 8);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
}

static void
wrong_contents_are_not_read(void **state)
{
    struct helper_space *s = *state;
    add(s, &at_once, ASPEN_SWAP_CHECKSUM);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    device.slots[0][PAGE - 1] ^= 1;
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), -ASPEN_EIO);
    device.slots[0][PAGE - 1] ^= 1;
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
}

static void
who_may_not_wait_is_told(void **state)
{
    struct helper_space *s = *state;
    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);

    pageout(s->mm, a, 1);
    assert_int_equal(
        aspen_fault(s->mm, a, ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT),
        -ASPEN_EAGAIN);
    assert_int_equal(device.reads, 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
}

/* ---- Areas ------------------------------------------------------------- */

static void
areas_are_checked(void **state)
{
    struct helper_space *s = *state;
    static const struct aspen_swap_ops both = {.submit = submit,
                                               .transfer = transfer};
    static const struct aspen_swap_ops none;
    struct aspen_swap_args args = {.pages = 1, .ops = &at_once};
    unsigned type = 9;

    args.pages = 0;
    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &type),
                     -ASPEN_EINVAL);
    args.pages = 1;
    args.flags = 4;
    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &type),
                     -ASPEN_EINVAL);
    args.flags = 0;
    const struct aspen_swap_ops *wrong[] = {NULL, &both, &none};
    for (unsigned i = 0; i < 3; i++) {
        args.ops = wrong[i];
        assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &type),
                         -ASPEN_EINVAL);
    }
    assert_int_equal(type, 9);
}

/* The highest priority first; of the same each its turn. */
static void
areas_have_priorities(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    static const int32_t priorities[] = {-1, 5, 5, 9};
    static const uint32_t pages[] = {64, 128, 128, 2};
    unsigned used[4] = {0}, type;
    uint32_t slot;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(aspen_swap_add(aspen,
                                        &(struct aspen_swap_args){
                                            .pages = pages[i],
                                            .priority = priorities[i],
                                            .ops = &later,
                                        },
                                        &type),
                         0);
    for (unsigned i = 0; i < 322; i++) {
        assert_true(aspen_swap_has_room(aspen, 0));
        assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), 0);
        used[type]++;
        if (i == 1)
            assert_int_equal(used[3], 2);
        if (i == 129) {
            assert_int_equal(used[1], 64);
            assert_int_equal(used[2], 64);
        }
        if (i == 257)
            assert_int_equal(used[0], 0);
    }
    assert_false(aspen_swap_has_room(aspen, 0));
    assert_int_equal(aspen_swap_alloc(aspen, 0, &type, &slot), -ASPEN_ENOSPC);
    for (type = 0; type < 4; type++)
        for (slot = 0; slot < pages[type]; slot++)
            aspen_swap_free(aspen, type, slot);
    helper_assert_valid(&s->helper);
}

/* Slots that are only counted have nothing to be read from, nor written to. */
static void
counts_are_no_device(void **state)
{
    struct helper_space *s = *state;
    unsigned type;
    uint64_t a = new_page(s, 7);

    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 8, &type), 0);
    pageout(s->mm, a, 1);
    assert_int_equal(swapped(s->mm), 0);
    assert_false(aspen_swap_has_room(s->helper.aspen, 0));
}

static void
closed_with_the_machine(void **state)
{
    struct helper_space s;
    (void)state;

    helper_space_create(&s, NULL);
    add(&s, &at_once, 0);
    helper_space_destroy(&s);
    assert_int_equal(device.closed, 1);
}

/* ---- Failing ----------------------------------------------------------- */

static struct helper_space failing;
static uint64_t failing_at;

static void
fail_setup(void *context)
{
    (void)context;
    helper_space_create(&failing, NULL);
    add(&failing, &at_once, 0);
    failing_at = new_page(&failing, 7);
    pageout(failing.mm, failing_at, 1);
}

static int
fail_run(void *context)
{
    (void)context;
    return aspen_fault(failing.mm, failing_at, ASPEN_ACCESS_WRITE);
}

static void
fail_done(void *context)
{
    (void)context;
    assert_int_equal(helper_get(&failing.helper, failing.mm, failing_at), 7);
}

static void
fail_teardown(void *context)
{
    (void)context;
    helper_space_destroy(&failing);
}

static void
each_step_of_a_fault_fails(void **state)
{
    (void)state;
    assert_true(helper_fail_every_step(&(struct helper_failing){
                    .name = "fault of a swapped page",
                    .helper = &failing.helper,
                    .mm = &failing.mm,
                    .setup = fail_setup,
                    .run = fail_run,
                    .done = fail_done,
                    .teardown = fail_teardown,
                    .cached = true, /* in the swap cache */
                }) > 0);
}

/* PAGEOUT itself does not fail; whatever does, the page is as it was. */
static void
each_step_of_a_pageout_fails(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;

    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);
    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1; n < 6; n++) {
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = n};
            assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
            pageout(s->mm, a, 1);
            assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
            helper_assert_valid(&s->helper);
            assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
        }
}

/* Whose entry leads to a slot of a device may have the page for himself: who
 * could name the slot would see what he writes. */
static void
slots_of_devices_are_not_imported(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *other = helper_mm(&s->helper);

    add(s, &at_once, 0);
    uint64_t a = new_page(s, 7);
    helper_import(other, a, 1, MAY_RW, NULL, a / PAGE);
    pageout(s->mm, a, 1);
    assert_int_equal(helper_import_pages(other, a, 1, ASPEN_IMPORT_SWAP, 0),
                     -ASPEN_EINVAL);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, other, a), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    helper_put(&s->helper, s->mm, a, 8);
    assert_int_equal(helper_get(&s->helper, other, a), 0);
    aspen_mm_put(other);
}

#define TEST(name) helper_space_test(name)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_back),
        TEST(comes_back_exclusive),
        TEST(relatives_share_it),
        TEST(write_beside_a_swap_entry_copies),
        TEST(goes_with_its_entries),
        TEST(what_is_needed_stays),
        TEST(what_one_has_back_goes_again),
        TEST(failed_write_keeps_the_page),
        TEST(failed_write_is_that_slots),
        TEST(failed_write_is_tried_again),
        TEST(failed_read_is_that_faults),
        TEST(wrong_contents_are_not_read),
        TEST(who_may_not_wait_is_told),
        TEST(areas_are_checked),
        TEST(areas_have_priorities),
        TEST(counts_are_no_device),
        TEST(slots_of_devices_are_not_imported),
        cmocka_unit_test(closed_with_the_machine),
        cmocka_unit_test(each_step_of_a_fault_fails),
        TEST(each_step_of_a_pageout_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
