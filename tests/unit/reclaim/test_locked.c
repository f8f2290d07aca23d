/* SPDX-License-Identifier: MIT */
/*
 * Locked memory keeps the pages that it has, and no others that it could have:
 * those are for who maps them, and leave when he does not need them.
 */
#include "helper.h"
#include "slots.h"

#define BASE   ((uint64_t)0x10000000)
#define FRAMES 512u
#define PAGES  1000u /* of the file */
#define OWN    100u  /* of the parent */

static const struct aspen_pager_ops pager = {.read = helper_pager_number};
static uint8_t slots[OWN][4096];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_swap_ops device = {.transfer = transfer};

static void
begin(struct helper *h)
{
    struct aspen_config config = helper_config(FRAMES);

    config.fault_around_pages = 1;
    helper_create(h, &config);
}

static void
read_page(struct aspen_mm *mm, uint64_t page)
{
    assert_int_equal(aspen_fault(mm, BASE + page * PAGE, ASPEN_ACCESS_READ), 0);
}

/* One has locked all of the file, and has one page of it; another reads it,
 * and memory is full. */
static void
test_file(void **state)
{
    struct helper h;
    uint8_t resident[2];

    (void)state;
    begin(&h);
    struct aspen_object *file =
        helper_object(&h, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    struct aspen_mm *locked = helper_mm(&h), *reader = helper_mm(&h);
    helper_map_object(locked, BASE, PAGES, R, file, 0);
    helper_map_object(reader, BASE, PAGES, R, file, 0);
    assert_int_equal(
        aspen_mlock(locked, BASE, PAGES * PAGE, ASPEN_MLOCK_ONFAULT), 0);
    read_page(locked, 1);
    for (uint64_t i = 0; i < PAGES; i++)
        read_page(reader, i);
    assert_int_equal(aspen_mincore(locked, BASE, 2 * PAGE, resident), 0);
    assert_false(resident[0] & 1);
    assert_true(resident[1] & 1);
    aspen_mm_put(locked);
    aspen_mm_put(reader);
    aspen_object_put(file);
    helper_destroy(&h);
}

/* A child has locked its own copies; what the parent has leaves. */
static void
test_copies(void **state)
{
    struct helper h;
    struct aspen_mm *child;
    unsigned type;

    (void)state;
    begin(&h);
    struct aspen_mm *parent = helper_mm(&h);
    assert_int_equal(
        aspen_swap_add(h.aspen,
                       &(struct aspen_swap_args){.pages = OWN, .ops = &device},
                       &type),
        0);
    helper_map(parent, BASE, OWN, RW);
    for (uint64_t i = 0; i < OWN; i++)
        helper_put(&h, parent, BASE + i * PAGE, 1);
    assert_int_equal(aspen_fork(parent, &child), 0);
    assert_int_equal(aspen_mlock(child, BASE, OWN * PAGE, 0), 0);
    assert_int_equal(
        aspen_madvise(parent, BASE, OWN * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(aspen_swap_used(h.aspen, type), OWN);
    assert_int_equal(helper_get(&h, parent, BASE), 1);
    aspen_mm_put(child);
    aspen_mm_put(parent);
    helper_destroy(&h);
}

/* More than memory holds: while pages come those before them leave, until the
 * range is to be locked. Then it is not, none of it, and they leave again. */
static void
test_too_much(void **state)
{
    struct helper h;
    struct helper_state before;

    (void)state;
    begin(&h);
    struct aspen_object *file =
        helper_object(&h, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    struct aspen_mm *mm = helper_mm(&h);
    helper_map_object(mm, BASE, PAGES, R, file, 0);
    helper_state_take(&h, mm, &before);
    assert_int_equal(aspen_mlock(mm, BASE, PAGES * PAGE, 0), -ASPEN_EAGAIN);
    assert_int_equal(helper_counters(mm).locked_pages, 0);
    assert_int_equal(aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC),
                     before.semantic_hash);
    for (uint64_t i = 0; i < PAGES; i++)
        read_page(mm, i);
    assert_int_equal(aspen_mlock(mm, BASE, OWN * PAGE, 0), 0);
    assert_int_equal(helper_counters(mm).locked_pages, OWN);
    aspen_mm_put(mm);
    aspen_object_put(file);
    helper_destroy(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
