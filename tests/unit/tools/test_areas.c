/* SPDX-License-Identifier: MIT */
/*
 * test_areas.c - what tools/aspen/snapshot/areas.c takes for a difference
 * between the host's mappings and ours, and for one mapping in two pieces: each
 * field alone.
 */
#include "snapshot/areas.h"
#include "unit.h"

#include <aspen/flags.h>

static void
test_difference(void **state)
{
    const struct area area = {.start = 0x1000,
                              .end = 0x3000,
                              .offset = 0x5000,
                              .device = 8,
                              .inode = 9,
                              .flags = ASPEN_VM_READ};
    const struct {
        struct area ours;
        size_t answer;
    } rows[] = {
        {area, SIZE_MAX},
        {{0, 0x3000, 0x5000, 8, 9, ASPEN_VM_READ, false, false, false}, 0},
        {{0x1000, 0x4000, 0x5000, 8, 9, ASPEN_VM_READ, false, false, false}, 0},
        {{0x1000, 0x3000, 0x6000, 8, 9, ASPEN_VM_READ, false, false, false}, 0},
        {{0x1000, 0x3000, 0x5000, 0, 0, ASPEN_VM_READ, false, false, false}, 0},
        {{0x1000, 0x3000, 0x5000, 8, 9, ASPEN_VM_WRITE, false, false, false},
         0},
        /* A flag that is not looked at. */
        {{0x1000, 0x3000, 0x5000, 8, 9, ASPEN_VM_READ | ASPEN_VM_LOCKED, false,
          false, false},
         SIZE_MAX},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct area their_area = area, our_area = rows[i].ours;
        const struct areas theirs = {&their_area, 1, 1};
        const struct areas ours = {&our_area, 1, 1};
        const struct areas none = {NULL, 0, 0};
        struct areas_files files = {0};
        assert_int_equal(
            areas_difference(&files, &theirs, &ours, ASPEN_VM_ACCESS),
            rows[i].answer);
        assert_int_equal(
            areas_difference(&files, &theirs, &none, ASPEN_VM_ACCESS), 0);
        areas_files_free(&files);
    }
}

/* A piece, what follows it, and how many they are, joined. */
static void
test_join(void **state)
{
    const struct area file = {.start = 0x1000,
                              .end = 0x3000,
                              .offset = 0x5000,
                              .device = 8,
                              .inode = 9,
                              .flags = ASPEN_VM_READ};
    const struct area memory = {
        .start = 0x1000, .end = 0x3000, .flags = ASPEN_VM_READ};
    const struct {
        struct area first, next;
        size_t answer;
    } rows[] = {
        {file,
         {0x3000, 0x4000, 0x7000, 8, 9, ASPEN_VM_READ, false, false, false},
         1},
        {file,
         {0x4000, 0x5000, 0x7000, 8, 9, ASPEN_VM_READ, false, false, false},
         2},
        {file,
         {0x3000, 0x4000, 0x6000, 8, 9, ASPEN_VM_READ, false, false, false},
         2},
        {file,
         {0x3000, 0x4000, 0x7000, 7, 9, ASPEN_VM_READ, false, false, false},
         2},
        {file,
         {0x3000, 0x4000, 0x7000, 8, 8, ASPEN_VM_READ, false, false, false},
         2},
        {file,
         {0x3000, 0x4000, 0x7000, 8, 9, ASPEN_VM_EXEC, false, false, false},
         2},
        /* Without a file no offset is looked at. */
        {memory,
         {0x3000, 0x4000, 0, 0, 0, ASPEN_VM_READ, false, false, false},
         1},
        {memory,
         {0x3000, 0x4000, 0, 0, 0, ASPEN_VM_WRITE, false, false, false},
         2},
    };
    struct areas none = {NULL, 0, 0};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct area last = {.start = 0x9000, .end = 0xa000, .inode = 1};
        struct area list[] = {rows[i].first, rows[i].next, last};
        struct areas areas = {list, 3, 3};
        areas_join(&areas);
        assert_int_equal(areas.count, rows[i].answer + 1);
        assert_true(list[0].start == 0x1000);
        assert_true(list[rows[i].answer - 1].end == rows[i].next.end);
        assert_memory_equal(&list[areas.count - 1], &last, sizeof(last));
    }
    areas_join(&none);
    assert_int_equal(none.count, 0);
}

static void
test_at(void **state)
{
    struct area list[] = {{.start = 0x1000, .end = 0x3000},
                          {.start = 0x5000, .end = 0x6000}};
    const struct areas areas = {list, 2, 2};
    (void)state;

    assert_null(areas_at(&areas, 0xfff));
    assert_ptr_equal(areas_at(&areas, 0x1000), &list[0]);
    assert_ptr_equal(areas_at(&areas, 0x2fff), &list[0]);
    assert_null(areas_at(&areas, 0x3000));
    assert_ptr_equal(areas_at(&areas, 0x5000), &list[1]);
    assert_null(areas_at(&areas, 0x6000));
}

static void
test_put(void **state)
{
    struct area list[] = {
        {.start = 0x1000,
         .end = 0x3000,
         .offset = 0x5000,
         .device = (uint64_t)8 << 32 | 0x10,
         .inode = 9,
         .flags = ASPEN_VM_READ | ASPEN_VM_EXEC},
        {.start = 0x3000,
         .end = 0x4000,
         .flags = ASPEN_VM_WRITE | ASPEN_VM_MAYSHARE},
    };
    const struct areas areas = {list, 2, 2};
    char text[128], flags[32];
    (void)state;

    areas_put(&areas, 0, false, text, sizeof(text));
    assert_string_equal(text, "1000-3000 r-xp 5000 8:10 9");
    areas_put(&areas, 1, false, text, sizeof(text));
    assert_string_equal(text, "3000-4000 -w-s 0 0:0 0");
    areas_put(&areas, 1, true, text, sizeof(text));
    snprintf(flags, sizeof(flags), " (flags %#jx)", (uintmax_t)list[1].flags);
    assert_string_equal(strchr(text, '(') - 1, flags);
    areas_put(&areas, 2, true, text, sizeof(text));
    assert_string_equal(text, "nothing more");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_at),
        cmocka_unit_test(test_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
