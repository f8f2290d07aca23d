/* SPDX-License-Identifier: MIT */
/*
 * test_host.c - what tools/aspen/host/host.c makes of the host's kernel and of
 * its processes.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "unit.h"

#include <aspen/aspen.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- A process ---------------------------------------------------------- */

static const struct {
    unsigned capability, privilege;
} capabilities[] = {
    {CAP_IPC_LOCK, ASPEN_PRIVILEGE_IPC_LOCK},
    {CAP_SYS_ADMIN, ASPEN_PRIVILEGE_SYS_ADMIN},
    {CAP_SYS_RAWIO, ASPEN_PRIVILEGE_SYS_RAWIO},
    {CAP_SYS_RESOURCE, ASPEN_PRIVILEGE_SYS_RESOURCE},
};

#define CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

enum { RIGHT, WRONG, LOST, LACKING }; /* how a child ends */

static uint64_t
effective(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) != 0)
        _exit(LOST);
    return sets[0].effective | (uint64_t)sets[1].effective << 32;
}

/* In a user name space of its own a process has all of them. */
static bool
has_all(void)
{
    (void)unshare(CLONE_NEWUSER);
    for (unsigned i = 0; i < CAPABILITIES; i++)
        if (!(effective() >> capabilities[i].capability & 1))
            return false;
    return true;
}

/* All of them are below 32. */
static void
drop(unsigned capability)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets) != 0)
        _exit(LOST);
    sets[0].effective &= ~(1u << capability);
    if (syscall(SYS_capset, &header, sets) != 0)
        _exit(LOST);
}

/* Ends a child that has given up the capability of that row. */
static void
judge_privileges(unsigned dropped)
{
    bool all = has_all();
    struct host_process process;
    unsigned expected = 0;

    if (dropped < CAPABILITIES)
        drop(capabilities[dropped].capability);
    for (unsigned i = 0; i < CAPABILITIES; i++)
        if (effective() >> capabilities[i].capability & 1)
            expected |= capabilities[i].privilege;
    if (host_process_read(getpid(), &process) != 0 ||
        process.privileges != expected)
        _exit(WRONG);
    _exit(all ? RIGHT : LACKING);
}

/* Each capability is dropped alone. */
static void
test_privileges(void **state)
{
    unsigned lacking = 0;

    (void)state;
    for (unsigned dropped = 0; dropped <= CAPABILITIES; dropped++) {
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            judge_privileges(dropped);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        lacking += WEXITSTATUS(status) == LACKING;
        if (WEXITSTATUS(status) != LACKING && WEXITSTATUS(status) != RIGHT)
            fail_msg("without row %u: %d", dropped, WEXITSTATUS(status));
    }
    if (lacking)
        unit_skip_part("capabilities that this process has not, and the host "
                       "refuses a user name space");
}

/* The soft limits, and of data the hard one, too: by prlimit(). */
static void
test_process_limits(void **state)
{
    static const struct {
        enum __rlimit_resource resource;
        enum aspen_limit limit;
    } rows[] = {{RLIMIT_AS, ASPEN_LIMIT_AS},
                {RLIMIT_STACK, ASPEN_LIMIT_STACK},
                {RLIMIT_MEMLOCK, ASPEN_LIMIT_MEMLOCK},
                {RLIMIT_DATA, ASPEN_LIMIT_DATA}};
    struct host_process process;
    struct rlimit limit;

    (void)state;
    assert_int_equal(host_process_read(getpid(), &process), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(getrlimit(rows[i].resource, &limit), 0);
        assert_int_equal(process.limits[rows[i].limit], limit.rlim_cur);
    }
    assert_int_equal(process.limits[ASPEN_LIMIT_DATA_HARD], limit.rlim_max);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_releases),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_privileges),
        cmocka_unit_test(test_process_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
