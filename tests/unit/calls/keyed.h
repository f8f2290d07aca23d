/* SPDX-License-Identifier: MIT */
/*
 * keyed.h - a space with protection keys, and one thread, whose rights the
 * machine asks for and changes.
 */
#ifndef ASPEN_TESTS_KEYED_H
#define ASPEN_TESTS_KEYED_H

#include "helper.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define X        ASPEN_VM_EXEC
#define SAME     ASPEN_PKEY_SAME

struct keyed {
    struct helper_space s;
    struct aspen_arch_ops arch;
    uint32_t rights;
    unsigned asked;
};

/* The hook that says what the thread may do; `context` is a struct keyed. */
uint32_t keyed_rights(void *context, const struct aspen_mm *mm);

/* For cmocka: *state gets a struct keyed. */
int keyed_create(void **state, enum aspen_execute_only execute_only,
                 unsigned pkeys, bool hooks);
int keyed_setup(void **state); /* with all there is */
int keyed_setup_without_hooks(void **state);
int keyed_setup_without_keys(void **state);
int keyed_teardown(void **state);

/* A new key, or the error. */
int keyed_alloc(struct keyed *k, unsigned denied);

/* One page. */
int keyed_protect(struct keyed *k, uint64_t page, uint64_t access, int pkey);
int keyed_touch(struct keyed *k, uint64_t page, unsigned access);

int key_of(struct keyed *k, uint64_t page);
uint32_t given_out(struct aspen_mm *mm);
int own_key(struct aspen_mm *mm); /* for execution alone */

#endif
