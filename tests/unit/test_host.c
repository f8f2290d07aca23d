/* SPDX-License-Identifier: MIT */
/*
 * test_host.c - what tools/aspen/host.c makes of the host's kernel.
 */
#include "../../tools/aspen/host.h"
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

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_releases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
