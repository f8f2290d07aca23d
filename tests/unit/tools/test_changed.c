/* SPDX-License-Identifier: MIT */
/*
 * test_changed.c - which addresses tools/aspen/shadow/changed.c takes a call to
 * be about, how it joins them, and when those alone are compared: whatever it
 * leaves out, aspen shadow does not look at.
 */
#include "helper.h"
#include "shadow/session.h"
#include "unit.h"

#include <aspen/flags.h>
#include <aspen/limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
call(struct shadow_space *space, uint64_t number, int64_t answer, uint64_t a,
     uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    const struct guest_call made = {.call = {number, {a, b, c, d, e}},
                                    .answer = answer};

    shadow_changed_note(space, &made);
}

static void
unmap(struct shadow_space *space, uint64_t start, uint64_t bytes)
{
    call(space, SYS_munmap, 0, start, bytes, 0, 0, 0);
}

/* The ranges, each a start and an end. */
static void
assert_ranges(const struct shadow_space *space, const uint64_t *expected,
              size_t count)
{
    assert_int_equal(space->changed.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(space->changed.list[i].start, expected[2 * i]);
        assert_int_equal(space->changed.list[i].end, expected[2 * i + 1]);
    }
}

#define RANGES(space, ...)                                                     \
    assert_ranges((space), (const uint64_t[]){__VA_ARGS__},                    \
                  sizeof((const uint64_t[]){__VA_ARGS__}) / 16)

/* One after the other: what meets the last range becomes one with it. */
static void
test_note(void **state)
{
    struct shadow_space space = {0};
    (void)state;

    unmap(&space, 0x5000, 0x2000);
    RANGES(&space, 0x5000, 0x7000);
    unmap(&space, 0x7000, 0x1000); /* begins where it ends */
    RANGES(&space, 0x5000, 0x8000);
    unmap(&space, 0x4000, 0x1000); /* ends where it begins */
    RANGES(&space, 0x4000, 0x8000);
    unmap(&space, 0x5000, 0x1000); /* within */
    RANGES(&space, 0x4000, 0x8000);
    unmap(&space, 0x3000, 0x9000); /* around */
    RANGES(&space, 0x3000, 0xc000);
    unmap(&space, 0xd000, 0x1000); /* above, apart */
    RANGES(&space, 0x3000, 0xc000, 0xd000, 0xe000);
    unmap(&space, 0x1000, 0x1000); /* below, apart */
    RANGES(&space, 0x3000, 0xc000, 0xd000, 0xe000, 0x1000, 0x2000);
    unmap(&space, UINT64_MAX - 0xfff, 0x2000); /* around the end */
    RANGES(&space, 0x3000, 0xc000, 0xd000, 0xe000, 0x1000, 0x2000,
           UINT64_MAX - 0xfff, UINT64_MAX);
    assert_int_equal(space.changed.calls, 8);
    assert_false(space.changed.all);
    shadow_changed_forget(&space, false);
    assert_int_equal(space.changed.count, 0);
    assert_int_equal(space.changed.calls, 8);
    shadow_changed_free(&space);
    assert_null(space.changed.list);
}

/* More than there is room for at first. */
static void
test_note_many(void **state)
{
    struct shadow_space space = {0};
    (void)state;

    for (uint64_t i = 0; i < 1000; i++)
        unmap(&space, i * 4 * PAGE, PAGE);
    assert_int_equal(space.changed.count, 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(space.changed.list[i].start, i * 4 * PAGE);
        assert_int_equal(space.changed.list[i].end, (i * 4 + 1) * PAGE);
    }
    shadow_changed_free(&space);
}

/* Which of its arguments say what a call changes. */
static void
test_calls(void **state)
{
    static const uint64_t by_range[] = {
        SYS_munmap, SYS_mprotect, SYS_pkey_mprotect, SYS_mlock,
        SYS_mlock2, SYS_munlock,  SYS_madvise,       SYS_remap_file_pages,
    };
    static const uint64_t nothing[] = {SYS_mincore, SYS_msync, SYS_pkey_alloc,
                                       SYS_pkey_free};
    struct shadow_space space = {0};
    (void)state;

    for (size_t i = 0; i < sizeof(by_range) / sizeof(by_range[0]); i++) {
        call(&space, by_range[i], 0, 0x1000, 0x2000, 0x9000, 0x9000, 0x9000);
        RANGES(&space, 0x1000, 0x3000);
        shadow_changed_forget(&space, true);
    }
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        call(&space, nothing[i], 0, 0x1000, 0x2000, 0x9000, 0x9000, 0x9000);
    assert_int_equal(space.changed.count, 0);
    assert_int_equal(space.changed.calls, 4);
    call(&space, SYS_mmap, 0x9000, 0x1000, 0x2000, 0, 0, 0);
    RANGES(&space, 0x1000, 0x3000, 0x9000, 0xb000);
    shadow_changed_forget(&space, true);
    assert_int_equal(space.changed.calls, 0);
    call(&space, SYS_mremap, 0x19000, 0x1000, 0x2000, 0x3000, 0, 0x9000);
    RANGES(&space, 0x1000, 0x4000, 0x9000, 0xc000, 0x19000, 0x1c000);
    shadow_changed_forget(&space, true);
    call(&space, SYS_mremap, 0x19000, 0x1000, 0x5000, 0x1000, 0, 0x9000);
    RANGES(&space, 0x1000, 0x6000, 0x9000, 0xa000, 0x19000, 0x1a000);
    shadow_changed_forget(&space, true);
    call(&space, SYS_prctl, 0, PR_SET_VMA, 0, 0x1000, 0x2000, 0);
    RANGES(&space, 0x1000, 0x3000);
    shadow_changed_forget(&space, true);
    call(&space, SYS_prctl, 0, PR_SET_MM, 0, 0x1000, 0x2000, 0);
    assert_int_equal(space.changed.count, 0);
    assert_false(space.changed.all);
    call(&space, SYS_mlockall, 0, 0, 0, 0, 0, 0);
    assert_true(space.changed.all);
    shadow_changed_forget(&space, false);
    assert_true(space.changed.all);
    shadow_changed_forget(&space, true);
    assert_false(space.changed.all);
    shadow_changed_free(&space);
}

static void
set_heap(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_layout layout;

    aspen_layout_read(mm, &layout);
    layout.brk_start = start;
    layout.brk = end;
    assert_int_equal(aspen_layout_set(mm, &layout), 0);
}

/* Up to where it has ever been. */
static void
test_heap(void **state)
{
    struct helper_space *s = *state;
    struct shadow_space space = {.mm = s->mm};

    set_heap(s->mm, 0x10000, 0x10000);
    call(&space, SYS_brk, 0x10000, 0x10000, 0, 0, 0, 0);
    assert_int_equal(space.changed.count, 0);
    set_heap(s->mm, 0x10000, 0x14000);
    call(&space, SYS_brk, 0x14000, 0x14000, 0, 0, 0, 0);
    RANGES(&space, 0x10000, 0x14000);
    shadow_changed_forget(&space, true);
    set_heap(s->mm, 0x10000, 0x11000);
    call(&space, SYS_brk, 0x11000, 0x11000, 0, 0, 0, 0);
    RANGES(&space, 0x10000, 0x14000);
    shadow_changed_free(&space);
}

/* Sorted, a page wider on either side, those that meet joined. 1 if the kernel
 * can be asked for ranges, and has there what Aspen has. */
static void
test_compare(void **state)
{
    const uint64_t far = UINT64_C(0x551000000000); /* no sanitizer's */
    struct helper_space *s = *state;
    struct shadow_space space = {.mm = s->mm};
    struct shadow_session session = {.error = &(struct tool_error){{0}}};
    int same;

    assert_int_not_equal(shadow_changed_compare(&session, &space, getpid()),
                         -1);
    assert_int_equal(space.changed.count, 0);
    unmap(&space, far + 0x20000, 0x2000);
    unmap(&space, far + 0x24000, 0x1000); /* a page is between, twice wider */
    unmap(&space, far + 0x10000, 0x8000);
    unmap(&space, far + 0x40000, 0x1000);
    unmap(&space, far + 0x12000, 0x0000); /* within */
    unmap(&space, far + 0x43001, 0x0fff); /* a byte too far */
    same = shadow_changed_compare(&session, &space, getpid());
    assert_in_range(same, 0, 1);
    RANGES(&space, far + 0xf000, far + 0x19000, far + 0x1f000, far + 0x26000,
           far + 0x3f000, far + 0x42000, far + 0x42001, far + 0x45000);
    shadow_changed_forget(&space, true);
    helper_map(s->mm, far + 0x10000, 1, ASPEN_VM_READ);
    unmap(&space, far + 0x11000, 0x1000); /* beside it */
    assert_int_equal(shadow_changed_compare(&session, &space, getpid()), 0);
    shadow_changed_forget(&space, true);
    unmap(&space, far + 0x12000, 0x1000); /* and a page further */
    assert_int_equal(shadow_changed_compare(&session, &space, getpid()), same);
    shadow_changed_forget(&space, true);
    /* There on the host's side alone. */
    assert_ptr_equal(mmap((void *)(far + 0x80000), PAGE, PROT_READ,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                          0),
                     (void *)(far + 0x80000));
    unmap(&space, far + 0x80000, 0x1000);
    assert_int_equal(shadow_changed_compare(&session, &space, getpid()), 0);
    assert_int_equal(munmap((void *)(far + 0x80000), PAGE), 0);
    areas_files_free(&session.memories);
    shadow_changed_free(&space);
}

/* Neither wraps. */
static void
test_ends(void **state)
{
    struct helper_space *s = *state;
    struct shadow_space space = {.mm = s->mm};
    struct shadow_session session = {.error = &(struct tool_error){{0}}};

    unmap(&space, UINT64_MAX - PAGE, 0);
    unmap(&space, UINT64_MAX - 8 * PAGE, 1);
    unmap(&space, 4 * PAGE, 1);
    unmap(&space, PAGE - 1, 0);
    (void)shadow_changed_compare(&session, &space, getpid());
    RANGES(&space, 0, 2 * PAGE - 1, 3 * PAGE, 5 * PAGE + 1,
           UINT64_MAX - 9 * PAGE, UINT64_MAX - 7 * PAGE + 1,
           UINT64_MAX - 2 * PAGE, UINT64_MAX);
    shadow_changed_forget(&space, true);
    unmap(&space, UINT64_MAX - 2, 1);
    unmap(&space, PAGE, 0);
    (void)shadow_changed_compare(&session, &space, getpid());
    RANGES(&space, 0, 2 * PAGE, UINT64_MAX - 2 - PAGE, UINT64_MAX - 1);
    areas_files_free(&session.memories);
    shadow_changed_free(&space);
}

/* With more than 400 mappings, and not for ever. */
static void
test_enough(void **state)
{
    struct helper_space *s = *state;
    struct shadow_space space = {.mm = s->mm};

    for (uint64_t i = 0; i < 400; i++)
        helper_map(s->mm, (0x1000 + 2 * i) * PAGE, 1, ASPEN_VM_READ);
    assert_false(shadow_changed_is_enough(&space));
    helper_map(s->mm, UINT64_C(0x10000000), 1, ASPEN_VM_READ);
    assert_true(shadow_changed_is_enough(&space));
    space.changed.calls = 801;
    assert_true(shadow_changed_is_enough(&space));
    space.changed.calls = 802;
    assert_false(shadow_changed_is_enough(&space));
    space.changed.calls = 0;
    space.changed.all = true;
    assert_false(shadow_changed_is_enough(&space));
}

#define WITH_SPACE(test)                                                       \
    cmocka_unit_test_setup_teardown(test, helper_space_setup,                  \
                                    helper_space_teardown)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_note),  cmocka_unit_test(test_note_many),
        cmocka_unit_test(test_calls), WITH_SPACE(test_heap),
        WITH_SPACE(test_compare),     WITH_SPACE(test_ends),
        WITH_SPACE(test_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
