/* SPDX-License-Identifier: MIT */
/*
 * MADV_FREE, and other ways to lose a page that somebody else still has, beside
 * swap: what one space gives up stays for its relatives, whether they have it
 * in memory, in swap, or on a device that did not take it. And who only looks
 * at a slot keeps no page from being written.
 */
#include "helper.h"
#include "slots.h"

#include "swap/swap.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/reclaim.h>
#include <pthread.h>

#define SLOTS 8u

static struct {
    uint8_t slots[SLOTS][PAGE];
    int write_error;
    void *(*meanwhile)(void *context); /* while it reads; then that fails */
    void *context;
} device;

static void
read_fails(void)
{
    pthread_t thread;

    assert_int_equal(
        pthread_create(&thread, NULL, device.meanwhile, device.context), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    if (io->write && device.write_error)
        return device.write_error;
    if (!io->write && device.meanwhile) {
        read_fails();
        return -ASPEN_EIO;
    }
    return slots_transfer(device.slots, io);
}

static void
add(struct helper_space *s)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = SLOTS, .ops = &ops};
    unsigned type;

    memset(&device, 0, sizeof(device));
    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &type), 0);
}

static void
advise(struct aspen_mm *mm, uint64_t address, enum aspen_advice advice)
{
    assert_int_equal(aspen_madvise(mm, address, PAGE, advice), 0);
}

/* Until all that can leave has left. */
static void
reclaim_all(struct helper_space *s)
{
    for (unsigned i = 0; i < 8; i++)
        aspen_reclaim(s->helper.aspen, 100);
    helper_assert_valid(&s->helper);
}

/* A page with a 7, in swap, of two spaces. */
static uint64_t
swapped_page(struct helper_space *s, struct aspen_mm **child)
{
    uint64_t a = helper_map(s->mm, 0, 1, RW);

    helper_put(&s->helper, s->mm, a, 7);
    advise(s->mm, a, ASPEN_MADV_PAGEOUT);
    assert_int_equal(helper_counters(s->mm).swap_pages, 1);
    assert_int_equal(aspen_fork(s->mm, child), 0);
    return a;
}

/* ---- In memory --------------------------------------------------------- */

/* Both have it back, and the slot is free: nothing but the page itself knows
 * that it was ever written. */
static void
what_both_have_back_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s);
    uint64_t a = swapped_page(s, &child);

    assert_int_equal(helper_get(&s->helper, child, a), 7);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(helper_counts(s->helper.aspen).swap_slots_used, 0);
    advise(child, a, ASPEN_MADV_FREE);
    aspen_mm_put(child);
    reclaim_all(s);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
}

/* A page whose entry is writable and clean, as import makes it, was written by
 * somebody outside: no entry knows of that. */
static void
what_was_put_there_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    const uint64_t a = 16 * MIB;
    const uint8_t byte = 7;
    uint64_t done;

    helper_import(s->mm, a, 1, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(s->mm, a, 1, ASPEN_IMPORT_ANON, 0), 0);
    assert_int_equal(aspen_write_memory(s->mm, a, &byte, 1, 0, &done), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    advise(s->mm, a, ASPEN_MADV_FREE);
    helper_unmap(s->mm, a, 1);
    reclaim_all(s);
    assert_int_equal(helper_get(&s->helper, child, a), 7);
    aspen_mm_put(child);
}

/* ---- In the swap cache ------------------------------------------------- */

/* The device has not taken it: who still has it in swap has it from memory
 * alone. */
static void
what_was_not_written_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;
    add(s);
    device.write_error = -ASPEN_EIO;
    uint64_t a = swapped_page(s, &child);

    assert_int_equal(helper_get(&s->helper, child, a), 7);
    assert_int_equal(helper_counters(s->mm).swap_pages, 1);
    device.write_error = 0;
    advise(child, a, ASPEN_MADV_FREE);
    reclaim_all(s);
    advise(child, a, ASPEN_MADV_PAGEOUT);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
}

/* ---- Who holds the slot ------------------------------------------------- */

/* As a fault does that was about to read it, when another one was quicker. */
static void
what_is_written_beside_a_reader_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    add(s);
    uint64_t a = helper_map(s->mm, 0, 1, RW);

    helper_put(&s->helper, s->mm, a, 7);
    advise(s->mm, a, ASPEN_MADV_PAGEOUT);
    assert_int_equal(aspen_swap_hold(aspen, 0, 0), 0);
    helper_put(&s->helper, s->mm, a, 8);
    advise(s->mm, a, ASPEN_MADV_PAGEOUT);
    aspen_swap_free(aspen, 0, 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 8);
    helper_assert_valid(&s->helper);
}

static void *
drop(void *context)
{
    struct aspen_mm *mm = context;
    uint64_t a = mm->layout.mmap_base - PAGE;

    device.meanwhile = NULL;
    advise(mm, a, ASPEN_MADV_DONTNEED);
    return NULL;
}

/* The page is not needed any more: who reads it finds out. */
static void
error_of_what_nobody_needs(void **state)
{
    struct helper_space *s = *state;
    add(s);
    uint64_t a = helper_map(s->mm, s->mm->layout.mmap_base - PAGE, 1, RW);

    helper_put(&s->helper, s->mm, a, 7);
    advise(s->mm, a, ASPEN_MADV_PAGEOUT);
    device.context = s->mm;
    device.meanwhile = drop;
    assert_int_equal(helper_get(&s->helper, s->mm, a), 0);
    assert_null(device.meanwhile);
    helper_assert_valid(&s->helper);
}

static int
setup(void **state)
{
    return helper_space_setup_6_18(state);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_both_have_back_stays),
        TEST(what_was_put_there_stays),
        TEST(what_was_not_written_stays),
        TEST(what_is_written_beside_a_reader_stays),
        TEST(error_of_what_nobody_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
