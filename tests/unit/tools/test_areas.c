/* SPDX-License-Identifier: MIT */
/*
 * test_areas.c - what tools/aspen/snapshot/areas.c takes for a difference
 * between the host's mappings and ours: each field alone.
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
        {{0, 0x3000, 0x5000, 8, 9, ASPEN_VM_READ, false, false}, 0},
        {{0x1000, 0x4000, 0x5000, 8, 9, ASPEN_VM_READ, false, false}, 0},
        {{0x1000, 0x3000, 0x6000, 8, 9, ASPEN_VM_READ, false, false}, 0},
        {{0x1000, 0x3000, 0x5000, 0, 0, ASPEN_VM_READ, false, false}, 0},
        {{0x1000, 0x3000, 0x5000, 8, 9, ASPEN_VM_WRITE, false, false}, 0},
        /* A flag that is not looked at. */
        {{0x1000, 0x3000, 0x5000, 8, 9, ASPEN_VM_READ | ASPEN_VM_LOCKED, false,
          false},
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
