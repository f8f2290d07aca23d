/* SPDX-License-Identifier: MIT */
/*
 * Who is killed while a call begins again and again does not wait for its end:
 * because what was read is old each time, page by page, or because memory is
 * short.
 */
#include "full.h"
#include "helper.h"
#include "slots.h"

#include <aspen_posix.h>

#define FRAMES 256u
#define READS  50u

static unsigned reads; /* by the pager */
static unsigned kill_at;
static struct aspen_object *object;
static bool changes; /* what is read is old when it is there */

static int
pager_read(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    memset(page, 1, PAGE);
    if (++reads == kill_at)
        aspen_posix_set_fatal_signal(true);
    return changes && reads < READS ? aspen_object_unmap(object, 0, PAGE, 0)
                                    : 0;
}

static const struct aspen_pager_ops pager = {.read = pager_read};

static void
begin(unsigned at)
{
    reads = 0;
    kill_at = at;
}

static void
end(void)
{
    aspen_posix_set_fatal_signal(false);
}

/* ---- Again and again --------------------------------------------------- */

/* What is read of the object is taken away each time. */
static void
test_old_each_time(void **state)
{
    struct helper_space *s = *state;
    uint8_t byte;
    uint64_t done;

    object = helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager, NULL);
    uint64_t at = helper_map_object(s->mm, 0, 2, R, object, 0);
    changes = true;
    begin(3);
    assert_int_equal(aspen_fault(s->mm, at, ASPEN_ACCESS_READ), -ASPEN_EINTR);
    assert_int_equal(reads, 3);
    end();
    begin(3);
    assert_int_equal(aspen_object_read(object, 0, &byte, 1, &done),
                     -ASPEN_EINTR);
    assert_int_equal(done, 0);
    assert_int_equal(reads, 3);
    end();
    changes = false;
    assert_int_equal(aspen_fault(s->mm, at, ASPEN_ACCESS_READ), 0);
    aspen_object_put(object);
}

/* What is done is done, and said. */
static void
test_page_by_page(void **state)
{
    struct helper_space *s = *state;
    uint8_t bytes[3 * 4096] = {0};
    uint64_t done;

    object = helper_object(&s->helper, ASPEN_OBJECT_FILE, 3, &pager, NULL);
    begin(2);
    assert_int_equal(aspen_object_read(object, 0, bytes, sizeof(bytes), &done),
                     -ASPEN_EINTR);
    assert_int_equal(done, 2 * PAGE);
    assert_int_equal(reads, 2);
    assert_int_equal(aspen_object_write(object, 0, bytes, sizeof(bytes), &done),
                     -ASPEN_EINTR);
    assert_int_equal(done, PAGE);
    /* One page is no more than it was. */
    assert_int_equal(aspen_object_read(object, 0, bytes, 1, &done), 0);
    end();
    aspen_object_put(object);
}

/* ---- Memory is short --------------------------------------------------- */

static bool kills;

static bool
low(void *context, unsigned order, unsigned attempt)
{
    (void)context;
    (void)order;
    (void)attempt;
    if (kills)
        aspen_posix_set_fatal_signal(true);
    return false;
}

static uint8_t slots[8][4096];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_memory_ops memory = {.low = low};
static const struct aspen_swap_ops device = {.transfer = transfer};

static unsigned area;

/* Full, with shared memory in swap. */
static void
begin_full(void)
{
    struct aspen_config config = helper_config(FRAMES);
    const struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                           .size_bytes = 2 * PAGE};
    const uint64_t number = 7;
    uint64_t done;

    kills = false;
    config.hooks.memory = &memory;
    full_begin(FRAMES, &config);
    assert_int_equal(
        aspen_swap_add(full.aspen,
                       &(struct aspen_swap_args){.pages = 8, .ops = &device},
                       &area),
        0);
    assert_int_equal(aspen_object_create(full.aspen, &args, &object), 0);
    assert_int_equal(
        aspen_object_write(object, 0, &number, sizeof(number), &done), 0);
    while (!aspen_swap_used(full.aspen, area))
        aspen_reclaim(full.aspen, 1);
    full_fill();
    kills = true;
}

/* Nothing has changed. */
static void
end_full(void)
{
    uint64_t number, done;

    end();
    kills = false;
    assert_int_equal(aspen_object_size(object), 2 * PAGE);
    assert_int_equal(
        aspen_object_read(object, 0, &number, sizeof(number), &done), 0);
    assert_int_equal(number, 7);
    aspen_object_put(object);
    assert_int_equal(aspen_swap_remove(full.aspen, area), 0);
    full_end();
}

static void
test_read_without_memory(void **state)
{
    uint64_t number, done;

    (void)state;
    begin_full();
    assert_int_equal(
        aspen_object_read(object, 0, &number, sizeof(number), &done),
        -ASPEN_EINTR);
    assert_int_equal(done, 0);
    assert_int_equal(aspen_swap_used(full.aspen, area), 1);
    end_full();
}

static void
test_resize_without_memory(void **state)
{
    (void)state;
    begin_full();
    assert_int_equal(aspen_object_resize(object, 100), -ASPEN_EINTR);
    assert_int_equal(aspen_swap_used(full.aspen, area), 1);
    assert_int_equal(aspen_object_punch(object, 0, 100), -ASPEN_EINTR);
    end_full();
}

static void
test_swapoff_without_memory(void **state)
{
    (void)state;
    begin_full();
    assert_int_equal(aspen_swap_remove(full.aspen, area), -ASPEN_EINTR);
    assert_int_equal(aspen_swap_used(full.aspen, area), 1);
    end_full();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_old_each_time),
        helper_space_test(test_page_by_page),
        cmocka_unit_test(test_read_without_memory),
        cmocka_unit_test(test_resize_without_memory),
        cmocka_unit_test(test_swapoff_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
