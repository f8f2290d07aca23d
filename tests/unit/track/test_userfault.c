/* SPDX-License-Identifier: MIT */
/*
 * Userfault contexts: what can be registered, how mappings are split and
 * merged by that, and what becomes of the protection of pages.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "beside.h"
#include "paging/table.h"
#include "space/userfault.h"

#define BASE  0x1000000ull
#define PAGES 16u
#define SLOTS 64u

static uint8_t slots[SLOTS][PAGE];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_swap_ops swap_ops = {.transfer = transfer};

static struct aspen_userfault *
create(struct aspen_mm *mm)
{
    struct aspen_userfault *userfault = NULL;

    assert_int_equal(
        aspen_userfault_create(mm, ASPEN_USERFAULT_WP_ASYNC, &userfault), 0);
    return userfault;
}

static int
try_register(struct aspen_userfault *userfault, uint64_t page, uint64_t pages)
{
    return aspen_userfault_register(userfault, BASE + page * PAGE, pages * PAGE,
                                    ASPEN_USERFAULT_MODE_WP);
}

static void
protect(struct aspen_userfault *userfault, uint64_t page, uint64_t pages)
{
    assert_int_equal(
        aspen_userfault_write_protect(userfault, BASE + page * PAGE,
                                      pages * PAGE, ASPEN_USERFAULT_PROTECT),
        0);
}

/* The page, or the place, is protected. */
static bool
is_marked(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, address, &slot);

    return aspen_entry_is_marked(entry, slot.level);
}

/* Of PAGES pages from BASE on, by bits. */
static unsigned
marked(struct aspen_mm *mm)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < PAGES; i++)
        bits |= (unsigned)is_marked(mm, BASE + i * PAGE) << i;
    return bits;
}

/* By a processor that goes on with what it has cached. */
static void
put(struct aspen_mm *mm, uint64_t page, char byte)
{
    assert_int_equal(beside_access(mm, BASE + page * PAGE, MMU_WRITE, &byte, 1),
                     0);
}

static char
get(struct aspen_mm *mm, uint64_t page)
{
    char byte = 0;

    assert_int_equal(beside_access(mm, BASE + page * PAGE, MMU_READ, &byte, 1),
                     0);
    return byte;
}

static void
put_all(struct aspen_mm *mm)
{
    for (unsigned i = 0; i < PAGES; i++)
        put(mm, i, (char)('a' + i));
}

/* All of PAGES written private zeroes, registered and protected. */
static struct aspen_userfault *protected(struct helper_space *s)
{
    struct aspen_userfault *userfault = create(s->mm);

    helper_map(s->mm, BASE, PAGES, RW);
    put_all(s->mm);
    assert_int_equal(try_register(userfault, 0, PAGES), 0);
    protect(userfault, 0, PAGES);
    assert_int_equal(marked(s->mm), 0xffff);
    return userfault;
}

/* ---- Registered -------------------------------------------------------- */

static void
ranges_are_split_and_merged(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = create(s->mm);

    helper_map(s->mm, BASE, PAGES, RW);
    assert_int_equal(try_register(userfault, 4, 4), 0);
    helper_assert_space(
        s->mm, "  vma  0x1000000-0x1004000 rw- private  anon  account\n"
               "  vma  0x1004000-0x1008000 rw- private  anon  account "
               "userfault\n"
               "  vma  0x1008000-0x1010000 rw- private  anon  account\n");
    char *smaps = helper_smaps(s->mm);
    assert_non_null(strstr(smaps, " uw "));
    free(smaps);
    assert_int_equal(try_register(userfault, 0, 6), 0);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_userfault_unregister(userfault, BASE, PAGES * PAGE),
                     0);
    helper_assert_space(
        s->mm, "  vma  0x1000000-0x1010000 rw- private  anon  account\n");
    aspen_userfault_close(userfault);
}

static void
bad_ranges_are_refused(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = create(s->mm), *other = create(s->mm);
    const uint64_t top = aspen_address_limit(&s->helper.aspen->config);
    const unsigned wp = ASPEN_USERFAULT_MODE_WP;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, NULL, NULL);

    helper_map(s->mm, BASE, PAGES, RW);
    helper_map_object(s->mm, BASE + 32 * PAGE, 4, R, file, 0);
    helper_import(s->mm, BASE + 40 * PAGE, 1, ASPEN_VM_READ, NULL, 0);
    helper_import(s->mm, BASE + 42 * PAGE, 1, MAY_RW | ASPEN_VM_PFNMAP, NULL,
                  0);
    struct helper_state before;
    helper_state_take(&s->helper, s->mm, &before);
#define REFUSED(error, at, bytes, modes)                                       \
    assert_int_equal(aspen_userfault_register(userfault, at, bytes, modes),    \
                     -(error))
    REFUSED(ASPEN_EINVAL, BASE + 1, PAGE, wp);
    REFUSED(ASPEN_EINVAL, BASE, PAGE + 1, wp);
    REFUSED(ASPEN_EINVAL, BASE, 0, wp);
    REFUSED(ASPEN_EINVAL, BASE, PAGE, 0);
    REFUSED(ASPEN_EINVAL, BASE, PAGE, 64);
    REFUSED(ASPEN_EINVAL, 0, PAGE, wp);
    REFUSED(ASPEN_EINVAL, top, PAGE, wp);
    REFUSED(ASPEN_EINVAL, BASE, top, wp);
    REFUSED(ASPEN_EINVAL, BASE, 0 - PAGE, wp);
    REFUSED(ASPEN_EINVAL, BASE + 20 * PAGE, PAGE, wp);
    REFUSED(ASPEN_EPERM, BASE + 40 * PAGE, PAGE, wp);
    REFUSED(ASPEN_EINVAL, BASE + 42 * PAGE, PAGE, wp);
    assert_int_equal(
        aspen_userfault_unregister(userfault, BASE + 32 * PAGE, PAGE),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_userfault_write_protect(userfault, BASE, PAGE, wp),
                     -ASPEN_ENOENT);
    assert_int_equal(aspen_userfault_write_protect(userfault, BASE, PAGE, 8),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_userfault_write_protect(userfault, BASE + 1, PAGE, wp),
        -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    /* What is another's; holes are passed over, and files are as good. */
    assert_int_equal(try_register(other, 0, 2), 0);
    helper_state_take(&s->helper, s->mm, &before);
    REFUSED(ASPEN_EBUSY, BASE, 4 * PAGE, wp);
    assert_int_equal(aspen_userfault_unregister(userfault, BASE, 4 * PAGE),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_userfault_write_protect(userfault, BASE, 4 * PAGE, wp),
        -ASPEN_ENOENT);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(marked(s->mm), 0);
    assert_int_equal(try_register(userfault, 2, 34), 0);
#undef REFUSED
    struct aspen_userfault *none;
    assert_int_equal(aspen_userfault_create(s->mm, 0, &none), -ASPEN_EINVAL);
    assert_int_equal(aspen_userfault_create(s->mm, 0x80, &none), -ASPEN_EINVAL);
    aspen_userfault_close(userfault);
    aspen_userfault_close(other);
    helper_unmap(s->mm, BASE, 64);
    aspen_object_put(file);
}

/* ---- Written ----------------------------------------------------------- */

static void
first_write_takes_it_off(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);

    assert_false(helper_can_write(s->mm, BASE));
    assert_true(helper_can_read(s->mm, BASE));
    assert_int_equal(get(s->mm, 3), 'd');
    assert_int_equal(marked(s->mm), 0xffff);
    put(s->mm, 3, 'x');
    put(s->mm, 9, 'y');
    assert_int_equal(marked(s->mm), 0xffff & ~(1u << 3 | 1u << 9));
    assert_int_equal(get(s->mm, 3), 'x');
    protect(userfault, 2, 3);
    assert_int_equal(marked(s->mm), 0xffff & ~(1u << 9));
    put(s->mm, 3, 'z');
    assert_int_equal(marked(s->mm), 0xffff & ~(1u << 3 | 1u << 9));
    assert_int_equal(
        aspen_userfault_write_protect(userfault, BASE, 5 * PAGE, 0), 0);
    assert_int_equal(marked(s->mm), 0xffe0 & ~(1u << 9));
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
    assert_int_equal(marked(s->mm), 0);
    put_all(s->mm);
}

/* Where nothing is the place is protected: what is read there is the page of
 * zeroes, protected. */
static void
places_are_protected(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = create(s->mm);

    helper_map(s->mm, BASE, PAGES, RW);
    assert_int_equal(try_register(userfault, 0, PAGES), 0);
    protect(userfault, 0, PAGES);
    assert_int_equal(marked(s->mm), 0xffff);
    assert_int_equal(get(s->mm, 1), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    put(s->mm, 1, 'b');
    put(s->mm, 2, 'c');
    assert_int_equal(marked(s->mm), 0xffff & ~6u);
    assert_int_equal(get(s->mm, 2), 'c');
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
    helper_assert_valid(&s->helper);
}

static void
kernels_writes_count(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);
    uint32_t frames[2];
    uint64_t done;

    assert_int_equal(
        aspen_write_memory(s->mm, BASE + PAGE, "hello", 5, 0, &done), 0);
    assert_int_equal(marked(s->mm), 0xfffd);
    assert_int_equal(
        aspen_madvise(s->mm, BASE + 2 * PAGE, PAGE, ASPEN_MADV_POPULATE_WRITE),
        0);
    assert_int_equal(marked(s->mm), 0xfff9);
    assert_int_equal(aspen_pin_range(s->mm, BASE + 3 * PAGE, 2 * PAGE,
                                     ASPEN_PIN_WRITE, frames),
                     0);
    assert_int_equal(marked(s->mm), 0xffe1);
    helper_unpin(s->mm, frames, 2, ASPEN_PIN_WRITE);
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
}

/* ---- What becomes of it ------------------------------------------------ */

static void
mprotect_keeps_it(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);

    assert_int_equal(
        aspen_mprotect(s->mm, BASE, PAGES * PAGE, 0, ASPEN_PKEY_SAME), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    assert_int_equal(
        aspen_mprotect(s->mm, BASE, PAGES * PAGE, RW, ASPEN_PKEY_SAME), 0);
    assert_false(helper_can_write(s->mm, BASE));
    put(s->mm, 0, 'x');
    assert_int_equal(marked(s->mm), 0xfffe);
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
}

static void
swap_keeps_it(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);

    struct aspen_swap_args args = {.ops = &swap_ops, .pages = SLOTS};
    unsigned area;
    assert_int_equal(aspen_swap_add(s->helper.aspen, &args, &area), 0);
    put(s->mm, 5, 'x');
    assert_int_equal(
        aspen_madvise(s->mm, BASE, PAGES * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(helper_counters(s->mm).swap_pages, PAGES);
    assert_int_equal(marked(s->mm), 0xffdf);
    assert_int_equal(get(s->mm, 4), 'e');
    assert_int_equal(get(s->mm, 5), 'x');
    assert_int_equal(marked(s->mm), 0xffdf);
    put(s->mm, 6, 'y');
    assert_int_equal(marked(s->mm), 0xff9f);
    protect(userfault, 0, PAGES);
    assert_int_equal(marked(s->mm), 0xffff);
    helper_assert_valid(&s->helper);
    struct aspen_mm *child;
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(marked(child), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
    assert_int_equal(aspen_swap_remove(s->helper.aspen, area), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    assert_int_equal(get(s->mm, 6), 'y');
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
}

static void
a_child_has_none(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);
    struct aspen_mm *child;
    uint32_t frame;

    /* A copy that fork makes at once, too. */
    assert_int_equal(aspen_pin_range(s->mm, BASE, PAGE, 0, &frame), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(marked(child), 0);
    assert_int_equal(marked(s->mm), 0xffff);
    helper_assert_space(child,
                        "  vma  0x1000000-0x1010000 rw- private  anon 1  "
                        "account\n");
    put(child, 1, 'x');
    put(child, 0, 'x');
    assert_int_equal(get(s->mm, 1), 'b');
    put(s->mm, 1, 'y');
    assert_int_equal(get(child, 1), 'x');
    assert_int_equal(marked(s->mm), 0xfffd);
    helper_assert_valid(&s->helper);
    helper_unpin(s->mm, &frame, 1, 0);
    aspen_mm_put(child);
    aspen_userfault_close(userfault);
}

static void
what_moves_loses_it(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);
    const uint64_t to = BASE + 4 * MIB;

    assert_int_equal(helper_remap(s->mm, BASE, 8 * PAGE, 8 * PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  to),
                     0);
    assert_int_equal(marked(s->mm), 0xff00);
    for (unsigned i = 0; i < 8; i++)
        assert_false(is_marked(s->mm, to + i * PAGE));
    helper_put(&s->helper, s->mm, to, 'x');
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
}

static void
dontneed_takes_it_off_zeroes(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = protected(s);

    assert_int_equal(aspen_madvise(s->mm, BASE, 4 * PAGE, ASPEN_MADV_DONTNEED),
                     0);
    assert_int_equal(marked(s->mm), 0xfff0);
    assert_int_equal(
        aspen_madvise(s->mm, BASE + 4 * PAGE, PAGE, ASPEN_MADV_GUARD_INSTALL),
        0);
    assert_int_equal(marked(s->mm), 0xffe0);
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
}

/* Of an object the place stays protected, wherever the page goes. */
static void
places_of_objects_keep_it(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                                 .write = helper_pager_write};
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = create(s->mm);
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);

    helper_map_object(s->mm, BASE, PAGES / 2, RW | ASPEN_VM_SHARED, file, 0);
    helper_map_object(s->mm, BASE + PAGES / 2 * PAGE, PAGES / 2, RW, file, 8);
    put_all(s->mm);
    get(s->mm, 2);
    assert_int_equal(try_register(userfault, 0, PAGES), 0);
    protect(userfault, 0, PAGES);
    put(s->mm, 1, 'x');
    put(s->mm, 9, 'x');
    assert_int_equal(aspen_madvise(s->mm, BASE, 16 * PAGE, ASPEN_MADV_DONTNEED),
                     0);
    assert_int_equal(marked(s->mm), 0xfdfd);
    assert_int_equal(get(s->mm, 0), 'a');
    assert_int_equal(get(s->mm, 8), 9);
    assert_int_equal(marked(s->mm), 0xfdfd);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_object_sync(file, 0, UINT64_MAX), 0);
    assert_true(aspen_reclaim(s->helper.aspen, 64) > 0);
    assert_int_equal(marked(s->mm), 0xfdfd);
    helper_assert_valid(&s->helper);
    get(s->mm, 0);
    put(s->mm, 8, 'z');
    assert_int_equal(aspen_object_resize(file, 4 * PAGE), 0);
    assert_int_equal(marked(s->mm), 0xfcfd);
    struct aspen_mm *child;
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(marked(child), 0);
    aspen_mm_put(child);
    helper_assert_valid(&s->helper);
    aspen_userfault_close(userfault);
    assert_int_equal(marked(s->mm), 0);
    helper_assert_valid(&s->helper);
    helper_unmap(s->mm, BASE, PAGES);
    aspen_object_put(file);
}

/* ---- The end ----------------------------------------------------------- */

static void
space_may_end_before(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = helper_new_mm(s->helper.aspen);
    struct aspen_userfault *userfault = create(mm);

    helper_map(mm, BASE, PAGES, RW);
    put_all(mm);
    assert_int_equal(try_register(userfault, 0, PAGES), 0);
    protect(userfault, 0, PAGES);
    aspen_mm_put(mm);
    assert_int_equal(try_register(userfault, 0, PAGES), -ASPEN_ESRCH);
    assert_int_equal(aspen_userfault_unregister(userfault, BASE, PAGE),
                     -ASPEN_ESRCH);
    assert_int_equal(aspen_userfault_write_protect(userfault, BASE, PAGE, 0),
                     -ASPEN_ESRCH);
    aspen_userfault_close(userfault);
}

/* Each mapping for itself, where there is no memory to make them one. */
static void
close_cannot_fail(void **state)
{
    struct helper_space *s = *state;
    struct aspen_userfault *userfault = create(s->mm);
    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONWARD};

    helper_map(s->mm, BASE, PAGES, RW);
    put_all(s->mm);
    for (unsigned i = 0; i < PAGES; i += 2)
        assert_int_equal(try_register(userfault, i, 1), 0);
    for (unsigned i = 0; i < PAGES; i += 2)
        protect(userfault, i, 1);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
    aspen_userfault_close(userfault);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
    assert_int_equal(marked(s->mm), 0);
    char *text = helper_dump(s->mm, true);
    assert_null(strstr(text, "userfault"));
    assert_null(strstr(text, "uffd"));
    free(text);
    helper_assert_valid(&s->helper);
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

    f->userfault = create(f->s->mm);
    helper_map(f->s->mm, BASE, PAGES, RW);
    put(f->s->mm, 0, 'a');
    put(f->s->mm, 7, 'a');
}

static void
tear_down(void *context)
{
    struct failing *f = context;

    aspen_userfault_close(f->userfault);
    helper_unmap(f->s->mm, BASE, 1024);
}

static void
set_up_registered(void *context)
{
    struct failing *f = context;

    set_up(context);
    helper_map(f->s->mm, BASE + 512 * PAGE, 256, RW);
    assert_int_equal(try_register(f->userfault, 0, PAGES), 0);
    assert_int_equal(try_register(f->userfault, 512, 128), 0);
}

static int
run_create(void *context)
{
    struct failing *f = context;
    struct aspen_userfault *more;

    int error =
        aspen_userfault_create(f->s->mm, ASPEN_USERFAULT_WP_ASYNC, &more);
    if (!error)
        aspen_userfault_close(more);
    return error;
}

static int
run_register(void *context)
{
    return try_register(((struct failing *)context)->userfault, 4, 8);
}

static int
run_unregister(void *context)
{
    return aspen_userfault_unregister(((struct failing *)context)->userfault,
                                      BASE + 4 * PAGE, 600 * PAGE);
}

static int
run_protect(void *context)
{
    return aspen_userfault_write_protect(((struct failing *)context)->userfault,
                                         BASE, 640 * PAGE,
                                         ASPEN_USERFAULT_PROTECT);
}

static void
every_step_fails(void **state)
{
    struct failing f = {.s = *state};
    const struct helper_failing rows[] = {
        {.name = "create", .setup = set_up, .run = run_create},
        {.name = "register", .setup = set_up, .run = run_register},
        {.name = "unregister",
         .setup = set_up_registered,
         .run = run_unregister},
        {.name = "write_protect",
         .setup = set_up_registered,
         .run = run_protect,
         .progressive = true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct helper_failing failing = rows[i];
        failing.helper = &f.s->helper;
        failing.mm = &f.s->mm;
        failing.teardown = tear_down;
        failing.context = &f;
        assert_true(helper_fail_every_step(&failing) > 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(ranges_are_split_and_merged),
        helper_space_test(bad_ranges_are_refused),
        helper_space_test(first_write_takes_it_off),
        helper_space_test(places_are_protected),
        helper_space_test(kernels_writes_count),
        helper_space_test(mprotect_keeps_it),
        helper_space_test(swap_keeps_it),
        helper_space_test(a_child_has_none),
        helper_space_test(what_moves_loses_it),
        cmocka_unit_test_setup_teardown(dontneed_takes_it_off_zeroes,
                                        helper_space_setup_6_18,
                                        helper_space_teardown),
        helper_space_test(places_of_objects_keep_it),
        helper_space_test(space_may_end_before),
        helper_space_test(close_cannot_fail),
        helper_space_test(every_step_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
