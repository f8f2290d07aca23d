/* SPDX-License-Identifier: MIT */
/*
 * Memory that is executed alone: by a protection key of the space's own, or by
 * the page-table entry.
 */
#include "helper.h"
#include "internal.h"
#include "keyed.h"

#include "space/pkeys.h"
#include "space/vma.h"

#define KEPT (-2) /* keyed_protect(): mprotect is not called */

/* A page of its own: 0x102. What Linux 6.18 says of each step. */
static const struct step {
    const char *name;
    uint64_t access;
    int pkey; /* KEPT: nothing is called */
    int answer;
    int keys[2]; /* afterwards: of the page that was changed; of the first */
} steps[] = {
    {"mapped to be executed", X, KEPT, 0, {1, 1}},
    {"to be read", R, SAME, 0, {0, 1}},
    {"back", X, SAME, 0, {1, 1}},
    {"to be read as well", RX, SAME, 0, {0, 1}},
    {"not at all", 0, SAME, 0, {0, 1}},
    {"to be written as well", ASPEN_VM_WRITE | X, SAME, 0, {0, 1}},
    {"alone again", X, SAME, 0, {1, 1}},
    {"not as the whole of prot", X | ASPEN_PROT_PLAIN_EXEC, SAME, 0, {0, 1}},
    {"the caller's key", RW, 2, 0, {2, 1}},
    {"which stays", R, SAME, 0, {2, 1}},
    {"but for execution alone", X, SAME, 0, {1, 1}},
    {"and is not given back", R, SAME, 0, {0, 1}},
    {"the caller's key, executed", X, 2, 0, {2, 1}},
    {"stays when read", R, SAME, 0, {2, 1}},
    {"the space's key is not the caller's", R, 1, -ASPEN_EINVAL, {2, 1}},
    {"nor is one that nobody has", R, 9, -ASPEN_EINVAL, {2, 1}},
    {"key 0 is everybody's", RW, 0, 0, {0, 1}},
};

static void
test_execute_only_steps(void **state)
{
    struct keyed *k = *state;

    helper_map(k->s.mm, AT(0x100), 4, X);
    assert_int_equal(own_key(k->s.mm), 1);
    assert_int_equal(keyed_alloc(k, 0), 2);
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(steps); i++) {
        const struct step *s = &steps[i];
        int answer =
            s->pkey == KEPT ? 0 : keyed_protect(k, 0x102, s->access, s->pkey);
        if (answer != s->answer || key_of(k, 0x102) != s->keys[0] ||
            key_of(k, 0x100) != s->keys[1])
            fail_msg("%s: %d, keys %d %d", s->name, answer, key_of(k, 0x102),
                     key_of(k, 0x100));
        helper_assert_valid(&k->s.helper);
    }
    assert_int_equal(aspen_pkey_free(k->s.mm, 1), -ASPEN_EINVAL);
}

static void
test_execute_only(void **state)
{
    struct keyed *k = *state;
    struct aspen_mm *mm = k->s.mm;
    uint32_t frames[1];
    uint64_t done;
    char byte;

    helper_map(mm, AT(0x100), 4, X);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_WRITE),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_EXEC), 0);
    /* It is there now, and its entry knows the key. */
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(
        aspen_populate(mm, AT(0x100), PAGE, ASPEN_ACCESS_READ, NULL),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_mlock(mm, AT(0x100), PAGE, 0), -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(mm, AT(0x100), PAGE, ASPEN_MLOCK_ONFAULT), 0);
    assert_int_equal(aspen_madvise(mm, AT(0x100), PAGE, ASPEN_MADV_WILLNEED),
                     0);
    assert_int_equal(aspen_read_memory(mm, AT(0x100), &byte, 1, 0, &done),
                     -ASPEN_EFAULT);
    assert_int_equal(
        aspen_read_memory(mm, AT(0x100), &byte, 1, ASPEN_MEMORY_REMOTE, &done),
        -ASPEN_EFAULT);
    assert_int_equal(
        aspen_read_memory(mm, AT(0x100), &byte, 1, ASPEN_MEMORY_FORCE, &done),
        0);
    assert_int_equal(
        aspen_write_memory(mm, AT(0x100), &byte, 1, ASPEN_MEMORY_FORCE, &done),
        0);
    assert_int_equal(aspen_pin_range(mm, AT(0x100), PAGE, 0, frames),
                     -ASPEN_EFAULT);
    helper_assert_valid(&k->s.helper);
}

/* The thread that maps it loses the right to read it, if it had that. */
static void
test_thread_is_denied(void **state)
{
    struct keyed *k = *state;

    k->rights = ASPEN_RIGHTS_ALL;
    helper_map(k->s.mm, AT(0x100), 1, X);
    assert_int_equal(k->rights, 4);
    k->rights = ASPEN_RIGHTS_ALL;
    helper_map(k->s.mm, AT(0x200), 1, RW);
    assert_int_equal(k->rights, 0);
    assert_int_equal(keyed_protect(k, 0x200, X, SAME), 0);
    assert_int_equal(k->rights, 4);
    k->rights = 12; /* it may not read it as it is: nothing changes */
    assert_int_equal(keyed_protect(k, 0x200, X, SAME), 0);
    assert_int_equal(k->rights, 12);
    k->rights = ASPEN_RIGHTS_ALL; /* it may again: for as long as that */
    assert_int_equal(keyed_protect(k, 0x200, X, SAME), 0);
    assert_int_equal(k->rights, 4);
    k->rights = 8; /* it may read, and not write: reading alone is taken */
    assert_int_equal(keyed_protect(k, 0x200, X, SAME), 0);
    assert_int_equal(k->rights, 4);
    k->rights = 12;
    assert_int_equal(keyed_alloc(k, ASPEN_PKEY_DISABLE_WRITE), 2);
    assert_int_equal(k->rights, 12 | 32);
}

/* What a caller gave a key that the space took later was never for execution
 * alone, and keeps it. */
static void
test_own_key_that_was_a_callers(void **state)
{
    struct keyed *k = *state;

    helper_map(k->s.mm, AT(0x100), 1, RW);
    helper_map(k->s.mm, AT(0x200), 1, 0);
    assert_int_equal(keyed_alloc(k, 0), 1);
    assert_int_equal(keyed_protect(k, 0x100, RW, 1), 0);
    assert_int_equal(aspen_pkey_free(k->s.mm, 1), 0);
    assert_int_equal(keyed_protect(k, 0x200, X, SAME), 0);
    assert_int_equal(own_key(k->s.mm), 1);
    assert_int_equal(keyed_protect(k, 0x100, R, SAME), 0);
    assert_int_equal(key_of(k, 0x100), 1);
    assert_int_equal(keyed_protect(k, 0x100, RX, SAME), 0);
    assert_int_equal(key_of(k, 0x100), 1);
    /* For execution alone it was given, and so it is given back. */
    assert_int_equal(keyed_protect(k, 0x100, X, SAME), 0);
    assert_int_equal(keyed_protect(k, 0x100, R, SAME), 0);
    assert_int_equal(key_of(k, 0x100), 0);
}

/* Where prot says more than EXEC, as it may with PROT_SEM. */
static void
test_mapped_plainly(void **state)
{
    struct keyed *k = *state;
    struct aspen_mmap_args args = {
        .address = AT(0x100),
        .length_bytes = PAGE,
        .vm_flags = X,
        .flags = ASPEN_MAP_FIXED | ASPEN_MAP_PLAIN_EXEC,
    };
    uint64_t address;

    assert_int_equal(aspen_mmap(k->s.mm, &args, &address), 0);
    assert_int_equal(key_of(k, 0x100), 0);
    assert_int_equal(own_key(k->s.mm), -1);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
}

/* What fails takes no key and no rights. */
static void
test_refused_takes_nothing(void **state)
{
    struct keyed *k = *state;
    struct aspen_mmap_args args = {
        .address = ASPEN_ADDRESS_LIMIT,
        .length_bytes = PAGE,
        .vm_flags = X,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t address;

    k->rights = ASPEN_RIGHTS_ALL;
    assert_int_equal(aspen_mmap(k->s.mm, &args, &address), -ASPEN_ENOMEM);
    assert_int_equal(keyed_protect(k, 0x100, X, SAME), -ASPEN_ENOMEM);
    args.address = AT(0x100);
    assert_int_equal(aspen_limit_set(k->s.mm, ASPEN_LIMIT_AS, 0), 0);
    assert_int_equal(aspen_mmap(k->s.mm, &args, &address), -ASPEN_ENOMEM);
    assert_int_equal(given_out(k->s.mm), 1);
    assert_int_equal(own_key(k->s.mm), -1);
    assert_int_equal(k->rights, 0);
}

static void
test_no_key_left(void **state)
{
    struct keyed *k = *state;

    for (int pkey = 1; pkey < ASPEN_PKEYS_MAX; pkey++)
        assert_int_equal(keyed_alloc(k, 0), pkey);
    helper_map(k->s.mm, AT(0x100), 2, X);
    assert_int_equal(own_key(k->s.mm), -1);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
    /* What has a key of the caller's keeps it. */
    assert_int_equal(keyed_protect(k, 0x101, R, 7), 0);
    assert_int_equal(keyed_protect(k, 0x101, X, SAME), 0);
    assert_int_equal(key_of(k, 0x101), 7);
    assert_int_equal(own_key(k->s.mm), -1);
    assert_int_equal(aspen_pkey_free(k->s.mm, 5), 0);
    assert_int_equal(keyed_protect(k, 0x101, X, SAME),
                     0); /* and now it has one */
    assert_int_equal(own_key(k->s.mm), 5);
    assert_int_equal(keyed_touch(k, 0x101, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
}

/* AArch64: the entry says that it is executed alone. */
static void
test_by_entry(void **state)
{
    struct keyed *k;
    uint64_t done;
    char byte;

    if (!ASPEN_ENTRY_EXECUTE_ONLY)
        return; /* test_machines: such a machine is refused */
    keyed_create(state, ASPEN_EXECUTE_ONLY_ENTRY, 0, false);
    k = *state;
    helper_map(k->s.mm, AT(0x100), 4, X);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), -ASPEN_EACCES);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_EXEC), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), -ASPEN_EACCES);
    assert_int_equal(
        aspen_populate(k->s.mm, AT(0x100), PAGE, ASPEN_ACCESS_READ, NULL),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_mlock(k->s.mm, AT(0x100), AT(4), 0), 0);
    assert_int_equal(aspen_read_memory(k->s.mm, AT(0x101), &byte, 1,
                                       ASPEN_MEMORY_FORCE, &done),
                     0);
    helper_assert_valid(&k->s.helper);
    assert_int_equal(keyed_protect(k, 0x100, R, SAME), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
    assert_int_equal(keyed_protect(k, 0x100, X, SAME), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), -ASPEN_EACCES);
    assert_int_equal(keyed_protect(k, 0x100, ASPEN_VM_WRITE | X, SAME), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
    helper_assert_valid(&k->s.helper);
    keyed_teardown(state);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, keyed_setup, keyed_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_execute_only_steps), TEST(test_execute_only),
        TEST(test_thread_is_denied),   TEST(test_own_key_that_was_a_callers),
        TEST(test_mapped_plainly),     TEST(test_refused_takes_nothing),
        TEST(test_no_key_left),        cmocka_unit_test(test_by_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
