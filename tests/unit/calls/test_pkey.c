/* SPDX-License-Identifier: MIT */
/*
 * Protection keys: which are given out, what a thread may do by them, who
 * inherits them. test_execute_only.c has the space's own; test_pkey_host.c
 * makes the same calls beside the kernel.
 */
#include "helper.h"
#include "internal.h"
#include "keyed.h"

#include "space/pkeys.h"
#include "space/vma.h"

/* ---- Keys -------------------------------------------------------------- */

static void
test_given_out(void **state)
{
    struct keyed *k = *state;

    assert_int_equal(given_out(k->s.mm), 1);
    for (int pkey = 1; pkey < ASPEN_PKEYS_MAX; pkey++)
        assert_int_equal(keyed_alloc(k, 0), pkey);
    assert_int_equal(keyed_alloc(k, 0), -ASPEN_ENOSPC);
    assert_int_equal(aspen_pkey_free(k->s.mm, 7), 0);
    assert_int_equal(aspen_pkey_free(k->s.mm, 7), -ASPEN_EINVAL);
    assert_int_equal(aspen_pkey_free(k->s.mm, 3), 0);
    assert_int_equal(keyed_alloc(k, 0), 3); /* the lowest */
    assert_int_equal(keyed_alloc(k, 0), 7);
    assert_int_equal(aspen_pkey_free(k->s.mm, -1), -ASPEN_EINVAL);
    assert_int_equal(aspen_pkey_free(k->s.mm, 16), -ASPEN_EINVAL);
    assert_int_equal(aspen_pkey_free(k->s.mm, INT32_MIN), -ASPEN_EINVAL);
    assert_int_equal(keyed_alloc(k, 4), -ASPEN_EINVAL);
    assert_int_equal(given_out(k->s.mm), 0xffff);
}

static void
test_no_keys(void **state)
{
    struct keyed *k = *state;
    uint32_t frame;
    char *smaps;

    assert_int_equal(keyed_alloc(k, 0), -ASPEN_ENOSPC);
    assert_int_equal(aspen_pkey_free(k->s.mm, 0), -ASPEN_EINVAL);
    helper_map(k->s.mm, AT(0x100), 4, X);
    assert_int_equal(key_of(k, 0x100), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ), 0);
    assert_int_equal(keyed_protect(k, 0x101, RW, 0), -ASPEN_EINVAL);
    assert_int_equal(keyed_protect(k, 0x101, RW, SAME), 0);
    smaps = helper_smaps(k->s.mm);
    assert_null(strstr(smaps, "ProtectionKey"));
    free(smaps);
    assert_int_equal(aspen_fault_with_rights(k->s.mm, AT(0x101),
                                             ASPEN_ACCESS_WRITE, UINT32_MAX),
                     0);
    assert_int_equal(aspen_translate_with_rights(k->s.mm, AT(0x101),
                                                 ASPEN_ACCESS_WRITE, UINT32_MAX,
                                                 &frame),
                     0);
}

/* A processor without keys, whose kernels know of them (AArch64): key 0 may be
 * named, and is not shown. */
static void
test_key_0_alone(void **state)
{
    struct aspen_import_vma vma = {
        .start = AT(0x200),
        .end = AT(0x201),
        .vm_flags = R | ASPEN_VM_MAYREAD | aspen_pkey_flags(1),
    };
    struct keyed *k;
    void *scene;
    char *smaps;

    (void)state;
    keyed_create(&scene, ASPEN_EXECUTE_ONLY_NONE, 1, true);
    k = scene;
    assert_int_equal(keyed_alloc(k, 0), -ASPEN_ENOSPC);
    assert_int_equal(aspen_pkey_free(k->s.mm, 0), -ASPEN_EINVAL);
    helper_map(k->s.mm, AT(0x100), 4, RW);
    assert_int_equal(keyed_protect(k, 0x101, R, 0), 0);
    assert_int_equal(keyed_protect(k, 0x101, RW, 1), -ASPEN_EINVAL);
    smaps = helper_smaps(k->s.mm);
    assert_null(strstr(smaps, "ProtectionKey"));
    free(smaps);
    assert_int_equal(aspen_import_vma(k->s.mm, &vma), -ASPEN_EINVAL);
    keyed_teardown(&scene);
}

static void
test_named(void **state)
{
    struct keyed *k = *state;
    char *smaps;

    assert_int_equal(keyed_protect(k, 0x100, RW, 1),
                     -ASPEN_EINVAL); /* not yet */
    assert_int_equal(keyed_alloc(k, 0), 1);
    assert_int_equal(keyed_protect(k, 0x100, RW, 1),
                     -ASPEN_ENOMEM); /* a hole */
    helper_map(k->s.mm, AT(0x100), 4, RW);
    assert_int_equal(keyed_protect(k, 0x101, RW, 1), 0);
    helper_assert_space(
        k->s.mm, "  vma  0x100000-0x101000 rw- private  anon  account\n"
                 "  vma  0x101000-0x102000 rw- private  anon  account  key 1\n"
                 "  vma  0x102000-0x104000 rw- private  anon  account\n");
    smaps = helper_smaps(k->s.mm);
    assert_non_null(strstr(smaps, "ProtectionKey:         1\nVmFlags:"));
    free(smaps);
    assert_int_equal(keyed_protect(k, 0x101, R, SAME), 0); /* stays */
    assert_int_equal(key_of(k, 0x101), 1);
    assert_int_equal(aspen_pkey_free(k->s.mm, 1), 0);
    assert_int_equal(key_of(k, 0x101), 1); /* stays, too */
    assert_int_equal(keyed_protect(k, 0x101, RW, 1), -ASPEN_EINVAL);
    assert_int_equal(keyed_protect(k, 0x101, RW, 0), 0);
    helper_assert_space(
        k->s.mm, "  vma  0x100000-0x104000 rw- private  anon  account\n");
    assert_int_equal(keyed_protect(k, 0x101, RW, -2), -ASPEN_EINVAL);
    assert_int_equal(keyed_protect(k, 0x101, RW, 16), -ASPEN_EINVAL);
}

/* ---- What a thread may do ---------------------------------------------- */

/* Four pages with key 1, of which nothing is denied, that hold bytes. */
static void
map_keyed(struct keyed *k)
{
    assert_int_equal(keyed_alloc(k, 0), 1);
    helper_map(k->s.mm, AT(0x100), 4, RW);
    assert_int_equal(aspen_mprotect(k->s.mm, AT(0x100), AT(4), RW, 1), 0);
    helper_put(&k->s.helper, k->s.mm, AT(0x100), 1);
}

static const struct denial {
    unsigned denied;
    int read, write; /* of a thread with it */
} denials[] = {
    {0, 0, 0},
    {ASPEN_PKEY_DISABLE_WRITE, 0, -ASPEN_EKEYREJECTED},
    {ASPEN_PKEY_DISABLE_ACCESS, -ASPEN_EKEYREJECTED, -ASPEN_EKEYREJECTED},
    {3, -ASPEN_EKEYREJECTED, -ASPEN_EKEYREJECTED},
};

static void
deny(struct keyed *k, unsigned denied)
{
    k->rights = (ASPEN_RIGHTS_START & ~UINT32_C(12)) | denied << 2;
}

/* Pages that are there, and pages that are not. */
static void
test_faults(void **state)
{
    struct keyed *k = *state;
    uint32_t frame;

    map_keyed(k);
    for (unsigned i = 0; i < 4; i++) {
        deny(k, denials[i].denied);
        for (unsigned page = 0x100; page < 0x102; page++) {
            assert_int_equal(keyed_touch(k, page, ASPEN_ACCESS_READ),
                             denials[i].read);
            assert_int_equal(keyed_touch(k, page, ASPEN_ACCESS_WRITE),
                             denials[i].write);
        }
        assert_int_equal(
            aspen_translate(k->s.mm, AT(0x100), ASPEN_ACCESS_READ, &frame) == 0,
            denials[i].read == 0);
        assert_int_equal(aspen_translate(k->s.mm, AT(0x100), ASPEN_ACCESS_WRITE,
                                         &frame) == 0,
                         denials[i].write == 0);
        assert_int_equal(aspen_fault_with_rights(k->s.mm, AT(0x100),
                                                 ASPEN_ACCESS_WRITE,
                                                 ASPEN_RIGHTS_ALL),
                         0);
    }
    /* The key has the first word, before what the mapping allows. */
    assert_int_equal(keyed_protect(k, 0x100, R, SAME), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_WRITE),
                     -ASPEN_EKEYREJECTED);
    deny(k, 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_WRITE), -ASPEN_EACCES);
    deny(k, 3);
    assert_int_equal(keyed_protect(k, 0x100, RX, SAME), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_EXEC), 0);
    assert_int_equal(keyed_touch(k, 0x90, ASPEN_ACCESS_READ), -ASPEN_EFAULT);
}

static void
test_populate(void **state)
{
    struct keyed *k = *state;

    map_keyed(k);
    for (unsigned i = 0; i < 4; i++) {
        int read = denials[i].read ? -ASPEN_EINVAL : 0;
        int write = denials[i].write ? -ASPEN_EINVAL : 0;
        deny(k, denials[i].denied);
        assert_int_equal(
            aspen_populate(k->s.mm, AT(0x100), AT(4), ASPEN_ACCESS_READ, NULL),
            read);
        assert_int_equal(
            aspen_populate(k->s.mm, AT(0x100), AT(4), ASPEN_ACCESS_WRITE, NULL),
            write);
        assert_int_equal(aspen_populate(k->s.mm, AT(0x100), AT(4), 0, NULL), 0);
        assert_int_equal(aspen_mlock(k->s.mm, AT(0x100), AT(4), 0),
                         write ? -ASPEN_ENOMEM : 0);
        assert_int_equal(
            aspen_mlock(k->s.mm, AT(0x100), AT(4), ASPEN_MLOCK_ONFAULT), 0);
        assert_int_equal(aspen_munlock(k->s.mm, AT(0x100), AT(4)), 0);
    }
}

/* POPULATE passes over what the thread may not touch. */
static void
test_populate_silent(void **state)
{
    struct keyed *k = *state;

    map_keyed(k);
    deny(k, ASPEN_PKEY_DISABLE_WRITE);
    assert_int_equal(aspen_populate(k->s.mm, AT(0x100), AT(4), 0, NULL), 0);
    assert_int_equal(helper_counters(k->s.mm).anon_pages, 1);
    deny(k, 0);
    assert_int_equal(aspen_populate(k->s.mm, AT(0x100), AT(4), 0, NULL), 0);
    assert_int_equal(helper_counters(k->s.mm).anon_pages, 4);
}

/* Who may not write to it by its key does not discard what is sealed. */
static void
test_sealed(void **state)
{
    static const enum aspen_advice discards[] = {
        ASPEN_MADV_DONTNEED, ASPEN_MADV_FREE, ASPEN_MADV_DONTFORK,
        ASPEN_MADV_WIPEONFORK, ASPEN_MADV_GUARD_INSTALL};
    struct keyed *k = *state;

    map_keyed(k);
    assert_int_equal(aspen_mseal(k->s.mm, AT(0x100), AT(4)), 0);
    for (unsigned i = 4; i-- > 0;) {
        deny(k, denials[i].denied);
        assert_int_equal(
            aspen_madvise(k->s.mm, AT(0x100), AT(4), ASPEN_MADV_COLD), 0);
        for (size_t d = 0; d < sizeof(discards) / sizeof(discards[0]); d++)
            assert_int_equal(
                aspen_madvise(k->s.mm, AT(0x100), AT(4), discards[d]),
                denials[i].write ? -ASPEN_EPERM : 0);
    }
}

static void
test_copies(void **state)
{
    struct keyed *k = *state;
    struct aspen_mm *mm = k->s.mm;
    uint64_t done;
    char byte = 1;

    map_keyed(k);
    for (unsigned i = 0; i < 4; i++) {
        int read = denials[i].read ? -ASPEN_EFAULT : 0;
        int write = denials[i].write ? -ASPEN_EFAULT : 0;
        deny(k, denials[i].denied);
        assert_int_equal(aspen_read_memory(mm, AT(0x100), &byte, 1, 0, &done),
                         read);
        assert_int_equal(aspen_write_memory(mm, AT(0x100), &byte, 1, 0, &done),
                         write);
        for (unsigned flags = 1; flags <= 3; flags++) {
            assert_int_equal(
                aspen_read_memory(mm, AT(0x100), &byte, 1, flags, &done), 0);
            assert_int_equal(
                aspen_write_memory(mm, AT(0x100), &byte, 1, flags, &done), 0);
        }
    }
    assert_int_equal(aspen_read_memory(mm, AT(0x100), &byte, 1, 4, &done),
                     -ASPEN_EINVAL);
}

static void
test_pins(void **state)
{
    struct keyed *k = *state;
    struct aspen_mm *mm = k->s.mm;
    uint32_t frames[4];

    map_keyed(k);
    deny(k, ASPEN_PKEY_DISABLE_WRITE);
    assert_int_equal(aspen_pin_range(mm, AT(0x100), AT(4), 0, frames), 0);
    helper_unpin(mm, frames, 4, 0);
    assert_int_equal(
        aspen_pin_range(mm, AT(0x100), AT(4), ASPEN_PIN_WRITE, frames),
        -ASPEN_EFAULT);
    assert_int_equal(aspen_pin_range(mm, AT(0x100), AT(4),
                                     ASPEN_PIN_WRITE | ASPEN_PIN_REMOTE,
                                     frames),
                     0);
    helper_unpin(mm, frames, 4, ASPEN_UNPIN_DIRTY);
    deny(k, ASPEN_PKEY_DISABLE_ACCESS);
    assert_int_equal(aspen_pin_range(mm, AT(0x100), AT(4), 0, frames),
                     -ASPEN_EFAULT);
}

/* Without the embedder's word all is allowed, but to read what is executed. */
static void
test_without_hooks(void **state)
{
    struct keyed *k = *state;

    map_keyed(k);
    assert_int_equal(keyed_touch(k, 0x101, ASPEN_ACCESS_WRITE), 0);
    helper_map(k->s.mm, AT(0x200), 2, X);
    assert_int_equal(keyed_touch(k, 0x200, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(keyed_touch(k, 0x200, ASPEN_ACCESS_EXEC), 0);
    assert_int_equal(keyed_touch(k, 0x101, ASPEN_ACCESS_WRITE), 0);
}

/* ---- Entries, and what moves ------------------------------------------- */

/* Pages change their key with their mapping, those that are there too. */
static void
test_entries(void **state)
{
    struct keyed *k = *state;
    struct aspen_translation to;
    uint32_t frame;

    map_keyed(k);
    for (int pkey = 0; pkey < 2; pkey++) {
        assert_int_equal(aspen_mprotect(k->s.mm, AT(0x100), AT(4), RW, pkey),
                         0);
        helper_assert_valid(&k->s.helper);
        assert_int_equal(
            aspen_translate_with_rights(k->s.mm, AT(0x100), ASPEN_ACCESS_READ,
                                        UINT32_C(1) << 2 * pkey, &frame),
            -ASPEN_EFAULT);
        assert_int_equal(
            aspen_translate_with_rights(k->s.mm, AT(0x100), ASPEN_ACCESS_READ,
                                        UINT32_C(4) >> 2 * pkey, &frame),
            0);
        /* A second MMU is told which it is. */
        assert_int_equal(aspen_mmu_translate(k->s.mm, AT(0x100), &to), 0);
        assert_int_equal(to.pkey, pkey);
    }
}

static void
test_moves(void **state)
{
    struct keyed *k = *state;

    map_keyed(k);
    assert_int_equal(
        helper_remap(k->s.mm, AT(0x100), AT(4), AT(8), 3, AT(0x300)), 0);
    assert_int_equal(key_of(k, 0x307), 1);
    deny(k, 1);
    assert_int_equal(keyed_touch(k, 0x300, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    helper_assert_valid(&k->s.helper);
}

/* ---- Fork and exec ----------------------------------------------------- */

static void
test_fork_and_exec(void **state)
{
    struct keyed *k = *state;
    struct aspen_mm *child, *next;

    helper_map(k->s.mm, AT(0x100), 4, X);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_EXEC), 0);
    assert_int_equal(keyed_alloc(k, 0), 2);
    assert_int_equal(aspen_fork(k->s.mm, &child), 0);
    assert_int_equal(given_out(child), 7);
    assert_int_equal(own_key(child), 1);
    assert_int_equal(aspen_fault(child, AT(0x100), ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    helper_assert_valid(&k->s.helper);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    assert_int_equal(given_out(next), 1);
    assert_int_equal(own_key(next), -1);
    aspen_exec_commit(child, next);
    aspen_mm_put(next);
}

/* ---- From elsewhere ---------------------------------------------------- */

static void
test_import(void **state)
{
    struct keyed *k = *state;
    static const struct aspen_pkeys wrong[] = {
        {0, -1}, {UINT32_C(1) << 16 | 1, -1}, {1, 1}, {3, 0}, {3, 16}, {3, -2}};
    const struct aspen_pkeys right = {0x13, 4};
    struct aspen_import_vma vma = {
        .start = AT(0x100),
        .end = AT(0x101),
        .vm_flags =
            X | ASPEN_VM_MAYEXEC | ASPEN_VM_MAYREAD | aspen_pkey_flags(4),
    };

    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(wrong); i++)
        assert_int_equal(aspen_import_pkeys(k->s.mm, &wrong[i]), -ASPEN_EINVAL);
    assert_int_equal(given_out(k->s.mm), 1);
    assert_int_equal(aspen_import_pkeys(k->s.mm, &right), 0);
    assert_int_equal(aspen_import_vma(k->s.mm, &vma), 0);
    assert_int_equal(keyed_touch(k, 0x100, ASPEN_ACCESS_READ),
                     -ASPEN_EKEYREJECTED);
    assert_int_equal(keyed_protect(k, 0x100, R, SAME), 0);
    assert_int_equal(key_of(k, 0x100), 0);
    assert_int_equal(keyed_alloc(k, 0), 2);
    helper_assert_valid(&k->s.helper);
}

static void
test_import_without_keys(void **state)
{
    struct keyed *k = *state;
    const struct aspen_pkeys none = {1, -1}, some = {3, -1};
    struct aspen_import_vma vma = {
        .start = AT(0x100),
        .end = AT(0x101),
        .vm_flags = R | ASPEN_VM_MAYREAD | aspen_pkey_flags(1),
    };

    assert_int_equal(aspen_import_pkeys(k->s.mm, &none), 0);
    assert_int_equal(aspen_import_pkeys(k->s.mm, &some), -ASPEN_EINVAL);
    assert_int_equal(aspen_import_vma(k->s.mm, &vma), -ASPEN_EINVAL);
}

/* ---- Machines ---------------------------------------------------------- */

static void
test_machines(void **state)
{
    static const struct {
        unsigned pkeys;
        int execute_only;
        int answer;
    } rows[] = {
        {17, ASPEN_EXECUTE_ONLY_NONE, -ASPEN_EINVAL},
        {0, ASPEN_EXECUTE_ONLY_KEY, -ASPEN_EINVAL},
        {1, ASPEN_EXECUTE_ONLY_KEY, -ASPEN_EINVAL},
        {8, ASPEN_EXECUTE_ONLY_KEY, 0},
        {0, 3, -ASPEN_EINVAL},
        {0, -1, -ASPEN_EINVAL},
        {0, ASPEN_EXECUTE_ONLY_ENTRY,
         ASPEN_ENTRY_EXECUTE_ONLY ? 0 : -ASPEN_EINVAL},
    };
    struct aspen_config config;
    struct helper helper;
    struct aspen *aspen;

    (void)state;
    helper_create(&helper, NULL); /* for its memory */
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(rows); i++) {
        aspen_config_init(&config);
        config.frames = 64;
        config.direct_map = helper.direct_map;
        config.pkeys = rows[i].pkeys;
        config.execute_only = (enum aspen_execute_only)rows[i].execute_only;
        assert_int_equal(aspen_create(&config, &aspen), rows[i].answer);
        if (!rows[i].answer)
            assert_int_equal(aspen_destroy(aspen), 0);
    }
    helper_destroy(&helper);
}

static void
test_half_the_hooks(void **state)
{
    struct aspen_arch_ops arch = {.rights = keyed_rights};
    struct aspen_config config;
    struct helper helper;
    struct aspen *aspen;

    (void)state;
    helper_create(&helper, NULL);
    aspen_config_init(&config);
    config.frames = 64;
    config.direct_map = helper.direct_map;
    config.hooks.arch = &arch;
    assert_int_equal(aspen_create(&config, &aspen), -ASPEN_EINVAL);
    helper_destroy(&helper);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, keyed_setup, keyed_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_given_out),
        cmocka_unit_test_setup_teardown(test_no_keys, keyed_setup_without_keys,
                                        keyed_teardown),
        cmocka_unit_test(test_key_0_alone),
        TEST(test_named),
        TEST(test_faults),
        TEST(test_populate),
        TEST(test_populate_silent),
        TEST(test_sealed),
        TEST(test_copies),
        TEST(test_pins),
        cmocka_unit_test_setup_teardown(
            test_without_hooks, keyed_setup_without_hooks, keyed_teardown),
        TEST(test_entries),
        TEST(test_moves),
        TEST(test_fork_and_exec),
        TEST(test_import),
        cmocka_unit_test_setup_teardown(
            test_import_without_keys, keyed_setup_without_keys, keyed_teardown),
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_half_the_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
