/* SPDX-License-Identifier: MIT */
/*
 * What pages are, region by region; and in the same step their protection, and
 * the memory of accesses, by processors and second MMUs (tests/mmu).
 * tests/unit/track/test_pagemap_host.c has the same beside the host's kernel.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "beside.h"
#include "told.h"
#include "paging/table.h"

#define BASE  0x1000000ull
#define PAGES 1100u /* in three tables */
#define SLOTS 16u
#define ROOM  32u

#define WRITTEN  ASPEN_PAGE_WRITTEN
#define PRESENT  ASPEN_PAGE_PRESENT
#define ACCESSED ASPEN_PAGE_ACCESSED

static uint8_t slots[SLOTS][PAGE];
static struct aspen_pagemap_region regions[ROOM];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_swap_ops swap_ops = {.transfer = transfer};

static struct aspen_pagemap_scan
scan_of(uint64_t page, uint64_t pages, unsigned mask)
{
    return (struct aspen_pagemap_scan){
        .start = BASE + page * PAGE,
        .end = BASE + (page + pages) * PAGE,
        .mask = mask,
        .returned = ASPEN_PAGE_CATEGORIES & ~ACCESSED,
        .regions = regions,
        .regions_max = ROOM,
    };
}

/* All of PAGES pages, by the letters of categories: "0-3 wp,..." */
static const char *
told(const struct aspen_pagemap_scan *scan)
{
    static const struct {
        unsigned category;
        char letter;
    } letters[] = {
        {ASPEN_PAGE_WP_ALLOWED, 'a'}, {ASPEN_PAGE_WRITTEN, 'w'},
        {ASPEN_PAGE_FILE, 'f'},       {ASPEN_PAGE_PRESENT, 'p'},
        {ASPEN_PAGE_SWAPPED, 's'},    {ASPEN_PAGE_ZERO, 'z'},
        {ASPEN_PAGE_GUARD, 'g'},      {ASPEN_PAGE_ACCESSED, 'y'},
        {ASPEN_PAGE_SOFT_DIRTY, 'd'}, {ASPEN_PAGE_HUGE, 'h'},
    };
    static char text[1024];
    char *at = text;

    *at = 0;
    for (uint64_t i = 0; i < scan->count; i++) {
        const struct aspen_pagemap_region *region = &scan->regions[i];
        at += sprintf(at, "%s%u-%u ", i ? "," : "",
                      (unsigned)((region->start - BASE) / PAGE),
                      (unsigned)((region->end - BASE) / PAGE));
        for (size_t j = 0; j < sizeof(letters) / sizeof(letters[0]); j++)
            if (region->categories & letters[j].category)
                *at++ = letters[j].letter;
        *at = 0;
    }
    return text;
}

/* It goes up to the end. */
static void
assert_told(struct aspen_mm *mm, struct aspen_pagemap_scan scan,
            const char *expected)
{
    assert_int_equal(aspen_pagemap_scan(mm, &scan), 0);
    assert_string_equal(told(&scan), expected);
    assert_int_equal(scan.walk_end, scan.end);
}

static void
access_page(struct aspen_mm *mm, uint64_t page, enum mmu_access access)
{
    char byte = 'b';

    assert_int_equal(beside_access(mm, BASE + page * PAGE, access, &byte, 1),
                     0);
}

/* Whoever writes accessed bits. */
static void
touch(struct aspen_mm *mm, uint64_t page)
{
    assert_int_equal(beside_touch(mm, BASE + page * PAGE), 0);
}

static void
second_access(struct aspen_mm *mm, uint64_t page, enum mmu_access access)
{
    char byte = 'c';

    assert_int_equal(told_second(mm, BASE + page * PAGE, access, &byte, 1), 0);
}

static struct aspen_userfault *
watch(struct aspen_mm *mm, uint64_t page, uint64_t pages)
{
    struct aspen_userfault *userfault;

    assert_int_equal(
        aspen_userfault_create(mm, ASPEN_USERFAULT_WP_ASYNC, &userfault), 0);
    assert_int_equal(aspen_userfault_register(userfault, BASE + page * PAGE,
                                              pages * PAGE,
                                              ASPEN_USERFAULT_MODE_WP),
                     0);
    return userfault;
}

/* ---- Categories -------------------------------------------------------- */

static void
pages_are_told_apart(void **state)
{
    struct helper_space *s = *state;
    struct aspen_swap_args args = {.ops = &swap_ops, .pages = SLOTS};
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    unsigned area;

    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &area), 0);
    helper_map(s->mm, BASE, 8, RW);
    helper_map_object(s->mm, BASE + 8 * PAGE, 4, RW, object, 0);
    helper_map_object(s->mm, BASE + 14 * PAGE, 4, RW | ASPEN_VM_SHARED, object,
                      0);
    helper_import(s->mm, BASE + 20 * PAGE, 2, MAY_RW | ASPEN_VM_PFNMAP, NULL,
                  0);
    helper_import(s->mm, BASE + 24 * PAGE, 2, MAY_RW | ASPEN_VM_SOFTDIRTY, NULL,
                  0);
    for (unsigned i = 0; i < 3; i++)
        access_page(s->mm, i, MMU_WRITE);
    assert_int_equal(aspen_madvise(s->mm, BASE, 2 * PAGE, ASPEN_MADV_PAGEOUT),
                     0);
    access_page(s->mm, 3, MMU_READ);
    assert_int_equal(
        aspen_madvise(s->mm, BASE + 5 * PAGE, PAGE, ASPEN_MADV_GUARD_INSTALL),
        0);
    access_page(s->mm, 8, MMU_WRITE);
    access_page(s->mm, 15, MMU_WRITE);
    assert_told(s->mm, scan_of(0, 40, 0),
                "0-2 ws,2-3 wp,3-4 wpz,4-5 w,5-6 sg,6-8 w,8-9 wp,9-12 w,"
                "14-15 w,15-16 wfp,16-18 w,24-26 wd");
    assert_told(s->mm, scan_of(0, 40, PRESENT),
                "2-3 wp,3-4 wpz,8-9 wp,15-16 wfp");
    struct aspen_pagemap_scan scan = scan_of(0, 10, 0);
    scan.inverted = PRESENT | ASPEN_PAGE_SWAPPED;
    scan.mask = PRESENT | ASPEN_PAGE_SWAPPED;
    assert_told(s->mm, scan, "4-5 w,6-8 w,9-10 w");
    scan = scan_of(0, 10, 0);
    scan.any_of = ASPEN_PAGE_ZERO | ASPEN_PAGE_GUARD;
    scan.returned = ASPEN_PAGE_GUARD;
    assert_told(s->mm, scan, "3-4 ,5-6 g");
    aspen_userfault_close(watch(s->mm, 0, 8));
    struct aspen_userfault *userfault = watch(s->mm, 4, 4);
    assert_told(s->mm, scan_of(0, 40, ASPEN_PAGE_WP_ALLOWED),
                "4-5 aw,5-6 asg,6-8 aw");
    scan = scan_of(0, 40, WRITTEN);
    scan.flags = ASPEN_PAGEMAP_PROTECT;
    assert_told(s->mm, scan, "4-5 aw,6-8 aw");
    assert_told(s->mm, scan_of(4, 4, 0), "4-5 as,5-6 asg,6-8 as");
    aspen_userfault_close(userfault);
    helper_unmap(s->mm, BASE, 64);
    aspen_object_put(object);
    assert_int_equal(aspen_swap_remove(s->helper.aspen, area), 0);
}

/* ---- Limits ------------------------------------------------------------ */

static void
it_ends_where_there_is_no_room(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, BASE, PAGES, RW);
    for (unsigned i = 0; i < 12; i += 2)
        access_page(s->mm, i, MMU_WRITE);
    struct aspen_pagemap_scan scan = scan_of(0, PAGES, PRESENT);
    scan.regions_max = 2;
    assert_int_equal(aspen_pagemap_scan(s->mm, &scan), 0);
    assert_string_equal(told(&scan), "0-1 wp,2-3 wp");
    assert_int_equal(scan.walk_end, BASE + 4 * PAGE);
    scan = scan_of(0, PAGES, PRESENT);
    scan.max_pages = 5;
    assert_int_equal(aspen_pagemap_scan(s->mm, &scan), 0);
    assert_int_equal(scan.count, 5);
    assert_int_equal(scan.walk_end, BASE + 10 * PAGE);
    /* In the midst of pages that are alike. */
    scan = scan_of(20, PAGES, 0);
    scan.max_pages = 700;
    assert_int_equal(aspen_pagemap_scan(s->mm, &scan), 0);
    assert_string_equal(told(&scan), "20-720 w");
    assert_int_equal(scan.walk_end, BASE + 720 * PAGE);
    assert_told(s->mm, scan_of(2000, 5000, 0), "");
}

static void
bad_arguments_are_refused(void **state)
{
    struct helper_space *s = *state;
    const uint64_t top = aspen_address_limit(&s->helper.aspen->config);
    struct aspen_pagemap_scan good = scan_of(0, 4, 0), bad;

    helper_map(s->mm, BASE, 4, RW);
    assert_int_equal(aspen_pagemap_scan(s->mm, &good), 0);
    good.count = 77;
#define REFUSED(change)                                                        \
    do {                                                                       \
        bad = good;                                                            \
        change;                                                                \
        assert_int_equal(aspen_pagemap_scan(s->mm, &bad), -ASPEN_EINVAL);      \
        assert_int_equal(bad.count, 77);                                       \
    } while (0)
    REFUSED(bad.start++);
    REFUSED(bad.end = bad.start - 1);
    REFUSED(bad.end = top + 1);
    REFUSED(bad.flags = 8);
    REFUSED(bad.mask = 1u << 9);
    REFUSED(bad.any_of = 1u << 9);
    REFUSED(bad.inverted = 1u << 9);
    REFUSED(bad.returned = 1u << 9);
    REFUSED(bad.regions = NULL);
    REFUSED(bad.regions_max = 0);
#undef REFUSED
    bad = good;
    bad.flags = ASPEN_PAGEMAP_CHECK;
    assert_int_equal(aspen_pagemap_scan(s->mm, &bad), -ASPEN_EPERM);
    /* What was told before is not lost. */
    struct aspen_userfault *userfault = watch(s->mm, 0, 2);
    bad = good;
    bad.flags = ASPEN_PAGEMAP_CHECK | ASPEN_PAGEMAP_PROTECT;
    assert_int_equal(aspen_pagemap_scan(s->mm, &bad), 0);
    assert_string_equal(told(&bad), "0-2 aw");
    assert_int_equal(bad.walk_end, BASE + 2 * PAGE);
    bad.start = bad.walk_end;
    assert_int_equal(aspen_pagemap_scan(s->mm, &bad), -ASPEN_EPERM);
    aspen_userfault_close(userfault);
}

/* ---- Written ----------------------------------------------------------- */

static void
writes_are_told_once(void **state)
{
    struct helper_space *s = *state;
    struct aspen_pagemap_scan scan = scan_of(0, PAGES, WRITTEN);

    scan.flags = ASPEN_PAGEMAP_PROTECT | ASPEN_PAGEMAP_CHECK;
    scan.returned = WRITTEN;
    helper_map(s->mm, BASE, PAGES, RW);
    struct aspen_userfault *userfault = watch(s->mm, 0, PAGES);
    for (unsigned i = 0; i < PAGES; i += 100)
        access_page(s->mm, i, MMU_WRITE);
    assert_told(s->mm, scan, "0-1100 w");
    assert_told(s->mm, scan, "");
    access_page(s->mm, 200, MMU_WRITE);
    access_page(s->mm, 300, MMU_READ);
    access_page(s->mm, 301, MMU_READ);
    access_page(s->mm, 900, MMU_WRITE);
    access_page(s->mm, 901, MMU_WRITE);
    /* A second MMU that has it may go on, until it is told. */
    second_access(s->mm, 400, MMU_WRITE);
    scan.max_pages = 3;
    struct aspen_pagemap_scan part = scan;
    assert_int_equal(aspen_pagemap_scan(s->mm, &part), 0);
    assert_string_equal(told(&part), "200-201 w,400-401 w,900-901 w");
    assert_int_equal(part.walk_end, BASE + 901 * PAGE);
    second_access(s->mm, 400, MMU_WRITE);
    assert_told(s->mm, scan, "400-401 w,901-902 w");
    /* Without regions. */
    access_page(s->mm, 5, MMU_WRITE);
    scan.regions = NULL;
    scan.regions_max = 0;
    assert_told(s->mm, scan, "");
    helper_assert_valid(&s->helper);
    scan = scan_of(0, PAGES, WRITTEN);
    assert_told(s->mm, scan, "");
    aspen_userfault_close(userfault);
}

/* ---- Accessed ---------------------------------------------------------- */

static void
accesses_count_anew(void **state)
{
    struct helper_space *s = *state;
    struct aspen_pagemap_scan scan = scan_of(0, PAGES, ACCESSED);
    uint64_t done;

    scan.returned = ACCESSED;
    scan.flags = ASPEN_PAGEMAP_CLEAR_ACCESSED;
    helper_map(s->mm, BASE, PAGES, RW);
    assert_int_equal(
        aspen_populate(s->mm, BASE, PAGES * PAGE, ASPEN_ACCESS_WRITE, &done),
        0);
    beside_load(false);
    second_access(s->mm, 30, MMU_READ);
    assert_told(s->mm, scan, "0-1100 y");
    assert_told(s->mm, scan, "");
    touch(s->mm, 5);
    touch(s->mm, 600);
    second_access(s->mm, 30, MMU_READ);
    /* Looked at, not cleared. */
    struct aspen_pagemap_scan look = scan;
    look.flags = 0;
    assert_told(s->mm, look, "5-6 y,30-31 y,600-601 y");
    /* What does not fit is not forgotten, nor what does not match. */
    look = scan;
    look.max_pages = 1;
    assert_int_equal(aspen_pagemap_scan(s->mm, &look), 0);
    assert_string_equal(told(&look), "5-6 y");
    look = scan;
    look.mask |= ASPEN_PAGE_FILE;
    assert_told(s->mm, look, "");
    assert_told(s->mm, scan, "30-31 y,600-601 y");
    /* Idle ones. */
    touch(s->mm, 0);
    look = scan_of(0, 3, PRESENT | ACCESSED);
    look.inverted = ACCESSED;
    look.returned = PRESENT;
    assert_told(s->mm, look, "1-3 p");
    beside_load(true);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct helper_space *s;
    struct aspen_userfault *userfault;
};

static void
set_up(void *context)
{
    struct failing *f = context;

    helper_map(f->s->mm, BASE, PAGES, RW);
    f->userfault = watch(f->s->mm, 0, PAGES);
}

static void
tear_down(void *context)
{
    struct failing *f = context;

    aspen_userfault_close(f->userfault);
    helper_unmap(f->s->mm, BASE, PAGES);
}

/* What was told before an error comes is told: then it ends early. */
static int
run(void *context)
{
    struct failing *f = context;
    struct aspen_pagemap_scan scan = scan_of(0, PAGES, WRITTEN);

    scan.flags = ASPEN_PAGEMAP_PROTECT;
    int error = aspen_pagemap_scan(f->s->mm, &scan);
    if (error || scan.walk_end == scan.end)
        return error;
    assert_true(scan.walk_end > scan.start && scan.count == 1);
    assert_int_equal(regions[0].end, scan.walk_end);
    return -ASPEN_ENOMEM;
}

static void
every_step_fails(void **state)
{
    struct failing f = {.s = *state};
    const struct helper_failing failing = {
        .name = "pagemap_scan",
        .helper = &f.s->helper,
        .mm = &f.s->mm,
        .setup = set_up,
        .run = run,
        .teardown = tear_down,
        .context = &f,
        .progressive = true,
    };

    assert_true(helper_fail_every_step(&failing) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_are_told_apart,
                                        helper_space_setup_6_18,
                                        helper_space_teardown),
        helper_space_test(it_ends_where_there_is_no_room),
        helper_space_test(bad_arguments_are_refused),
        helper_space_test(writes_are_told_once),
        helper_space_test(accesses_count_anew),
        helper_space_test(every_step_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
