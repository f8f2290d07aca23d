/* SPDX-License-Identifier: MIT */
/*
 * The host's mmap, munmap, mprotect and mlock beside Aspen's: the same random
 * calls, touches and forks in a corner of this process and in Aspen have to
 * leave the same mappings, merges included. test_mremap_host.c has mremap among
 * them.
 */
#include "helper.h"
#include "mmap_pair.h"

static void
test_host(void **state)
{
    (void)state;
    mmap_pair_run("test_mmap_host", NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
