/* SPDX-License-Identifier: MIT */
/*
 * test_host.c - what tools/aspen/host/host.c makes of the host's kernel.
 */
#include "host/host.h"
#include "unit.h"

static void
test_known_releases(void **state)
{
    (void)state;
    assert_int_equal(host_release_compare("6.1.0-56-cloud-amd64"), 0);
    assert_int_equal(host_release_compare("6.6.0"), 0);
    assert_int_equal(host_release_compare("6.12.117+deb12-cloud-amd64"), 0);
    assert_int_equal(host_release_compare("6.18.44"), 0);
    assert_int_equal(host_release_compare("6.0.19"), -1);
    assert_int_equal(host_release_compare("5.10.0-30-amd64"), -1);
    assert_int_equal(host_release_compare("2.6.78"), -1);
    assert_int_equal(host_release_compare("6.19.0-rc1"), 1);
    assert_int_equal(host_release_compare("7.0.1"), 1);
    assert_int_equal(host_release_compare("mainline"), 1);
    assert_int_equal(host_release_compare(""), 1);
}

static void
test_levels(void **state)
{
    static const struct {
        const char *release;
        enum aspen_semantics level;
    } rows[] = {
        {"6.1.0-56-cloud-amd64", ASPEN_SEMANTICS_6_1},
        {"6.6.99", ASPEN_SEMANTICS_6_1},
        {"6.7.0", ASPEN_SEMANTICS_6_12},
        {"6.12.117+deb12-cloud-amd64", ASPEN_SEMANTICS_6_12},
        {"6.17.13", ASPEN_SEMANTICS_6_12},
        {"6.18.0", ASPEN_SEMANTICS_6_18},
        {"7.0.1", ASPEN_SEMANTICS_6_18},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(host_release_semantics(rows[i].release),
                         rows[i].level);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_releases),
        cmocka_unit_test(test_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
