/* SPDX-License-Identifier: MIT */
/*
 * The small things of base: bits, lists, error names, version.
 */
#include "base/bits.h"
#include "base/list.h"
#include "unit.h"

#include <aspen/error.h>
#include <aspen/version.h>

static void
test_bits(void **state)
{
    uint64_t seed = unit_seed("test_base", 7);
    (void)state;

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t value = (uint64_t)1 << bit;
        assert_int_equal(aspen_lowest_bit(value), bit);
        assert_int_equal(aspen_highest_bit(value), bit);
        assert_int_equal(aspen_popcount(value), 1);
        assert_int_equal(aspen_popcount(value - 1), bit);
        assert_true(aspen_align_down(value | 1, value) == value);
    }
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = unit_random(&seed);
        assert_int_equal(aspen_popcount(value), __builtin_popcountll(value));
    }
    assert_true(aspen_align_up(1, 4096) == 4096);
    assert_true(aspen_align_up(4096, 4096) == 4096);
    assert_true(aspen_align_up(UINT64_MAX, 4096) == 0);
    assert_true(aspen_is_aligned(8192, 4096) && !aspen_is_aligned(1, 4096));
    assert_true(aspen_bytes_to_pages(8191) == 1);
    assert_true(aspen_min_u64(1, 2) == 1 && aspen_max_u64(1, 2) == 2);
}

struct item {
    int value;
    struct aspen_list link;
};

static void
expect_values(struct aspen_list *head, const char *expected)
{
    const char *at = expected;

    aspen_list_for_each(link, head) assert_int_equal(
        aspen_container_of(link, struct item, link)->value, *at++);
    assert_int_equal(*at, 0);
    aspen_list_for_each_reverse(link, head) assert_int_equal(
        aspen_container_of(link, struct item, link)->value, *--at);
    assert_ptr_equal(at, expected);
}

static void
test_lists(void **state)
{
    struct item items[] = {{.value = 'a'}, {.value = 'b'}, {.value = 'c'}};
    struct aspen_list head;
    (void)state;

    aspen_list_init(&head);
    assert_true(aspen_list_is_empty(&head));
    expect_values(&head, "");
    aspen_list_push_back(&head, &items[1].link);
    aspen_list_push_front(&head, &items[0].link);
    aspen_list_insert_after(&items[1].link, &items[2].link);
    expect_values(&head, "abc");
    aspen_list_remove(&items[1].link);
    assert_true(aspen_list_is_empty(&items[1].link));
    expect_values(&head, "ac");
    aspen_list_for_each_safe(link, &head) aspen_list_remove(link);
    assert_true(aspen_list_is_empty(&head));
}

static void
test_error_names(void **state)
{
    (void)state;
    assert_string_equal(aspen_error_name(-ASPEN_ENOMEM), "ENOMEM");
    assert_string_equal(aspen_error_name(ASPEN_EHWPOISON), "EHWPOISON");
    assert_string_equal(aspen_error_name(0), "success");
    assert_string_equal(aspen_error_name(-99999), "unknown error");
    assert_string_equal(aspen_error_name(INT32_MIN), "unknown error");
}

static void
test_version(void **state)
{
    char version[32];
    (void)state;

    snprintf(version, sizeof(version), "%d.%d.%d", ASPEN_VERSION_MAJOR,
             ASPEN_VERSION_MINOR, ASPEN_VERSION_PATCH);
    assert_string_equal(aspen_version(), version);
    assert_string_equal(aspen_build(), "test");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_error_names),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
