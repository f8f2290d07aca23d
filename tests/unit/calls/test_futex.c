/* SPDX-License-Identifier: MIT */
/* Atomic steps on a program's words, and the keys by which waiters meet. */
#include "failing.h"
#include "helper.h"

#include "object/object.h"

#define BASE ((uint64_t)0x10000000)

struct space {
    struct helper_space with;
    struct aspen_object *file;
};

/* How often the file was written, and with which first word the last time. */
static unsigned writes;
static uint32_t written;

static int
pager_write(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    writes++;
    memcpy(&written, pages[0], sizeof(written));
    return helper_pager_write(context, offset_bytes, pages, bytes);
}

static const struct aspen_pager_ops pager_ops = {.read = helper_pager_read,
                                                 .write = pager_write};

static void
create(struct space *s)
{
    helper_space_create(&s->with, NULL);
    s->file =
        helper_object(&s->with.helper, ASPEN_OBJECT_FILE, 8, &pager_ops, NULL);
}

static void
destroy(struct space *s)
{
    aspen_object_put(s->file);
    helper_space_destroy(&s->with);
}

/* ---- Steps ------------------------------------------------------------- */

static uint32_t
word_at(struct space *s, uint64_t address)
{
    uint32_t word;

    assert_int_equal(
        helper_read(&s->with.helper, s->with.mm, address, &word, sizeof(word)),
        0);
    return word;
}

static void
test_steps(void **state)
{
    (void)state;
    struct space s;
    uint32_t value = 9;

    create(&s);
    struct aspen_mm *mm = s.with.mm;
    helper_map(mm, BASE, 2, RW);
    assert_int_equal(aspen_futex_load(mm, BASE + PAGE - 4, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(aspen_futex_add(mm, BASE + 8, 5, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(aspen_futex_add(mm, BASE + 8, 0u - 7u, &value), 0);
    assert_int_equal(value, 5);
    assert_int_equal(word_at(&s, BASE + 8), 0u - 2u);
    assert_int_equal(aspen_futex_compare_exchange(mm, BASE + 8, 1, 77, &value),
                     0);
    assert_int_equal(value, 0u - 2u);
    assert_int_equal(word_at(&s, BASE + 8), 0u - 2u);
    assert_int_equal(
        aspen_futex_compare_exchange(mm, BASE + 8, 0u - 2u, 77, &value), 0);
    assert_int_equal(value, 0u - 2u);
    assert_int_equal(word_at(&s, BASE + 8), 77);
    assert_int_equal(word_at(&s, BASE + 4), 0);
    assert_int_equal(word_at(&s, BASE + 12), 0);
    destroy(&s);
}

/* A child's page is its own afterwards; the parent has what it had. */
static void
test_after_fork(void **state)
{
    (void)state;
    struct space s;
    struct aspen_mm *child;
    uint32_t value;

    create(&s);
    helper_map(s.with.mm, BASE, 1, RW);
    helper_put(&s.with.helper, s.with.mm, BASE, 3);
    assert_int_equal(aspen_fork(s.with.mm, &child), 0);
    assert_int_equal(aspen_futex_add(child, BASE, 1, &value), 0);
    assert_int_equal(value, 3);
    assert_int_equal(word_at(&s, BASE), 3);
    assert_int_equal(aspen_futex_load(child, BASE, &value), 0);
    assert_int_equal(value, 4);
    aspen_mm_put(child);
    destroy(&s);
}

static void
test_refused(void **state)
{
    (void)state;
    struct space s;
    uint32_t value = 9;

    create(&s);
    struct aspen_mm *mm = s.with.mm;
    helper_map(mm, BASE, 1, R);
    helper_map(mm, BASE + 2 * PAGE, 1, 0);
    assert_int_equal(aspen_futex_load(mm, BASE, &value), 0);
    value = 9;
    for (unsigned bytes = 1; bytes < 4; bytes++) {
        assert_int_equal(aspen_futex_load(mm, BASE + bytes, &value),
                         -ASPEN_EINVAL);
        assert_int_equal(aspen_futex_add(mm, BASE + bytes, 1, &value),
                         -ASPEN_EINVAL);
    }
    assert_int_equal(aspen_futex_add(mm, BASE, 1, &value), -ASPEN_EFAULT);
    assert_int_equal(aspen_futex_compare_exchange(mm, BASE, 7, 8, &value),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_futex_load(mm, BASE + PAGE, &value), -ASPEN_EFAULT);
    assert_int_equal(aspen_futex_load(mm, BASE + 2 * PAGE, &value),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_futex_load(mm, 0u - (uint64_t)4, &value),
                     -ASPEN_EFAULT);
    helper_map_object(mm, BASE + 4 * PAGE, 2, RW, s.file, 7);
    assert_int_equal(aspen_futex_load(mm, BASE + 5 * PAGE, &value),
                     -ASPEN_EFAULT);
    assert_int_equal(value, 9);
    destroy(&s);
}

/* What keeps no contents has no words. */
static void
test_no_contents(void **state)
{
    (void)state;
    struct helper_space s;
    struct aspen_config config;
    uint32_t value = 9;

    aspen_config_init(&config);
    config.flags |= ASPEN_CONFIG_TABLES_ONLY | ASPEN_CONFIG_CONTENTS_IGNORED;
    helper_space_create(&s, &config);
    helper_map(s.mm, BASE, 1, RW);
    assert_int_equal(aspen_futex_load(s.mm, BASE, &value), -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_futex_add(s.mm, BASE, 1, &value), -ASPEN_EOPNOTSUPP);
    assert_int_equal(value, 9);
    helper_space_destroy(&s);
}

/* A word of a file that was changed is written back, and only then. */
static void
test_dirty(void **state)
{
    (void)state;
    struct space s;
    uint32_t value;

    create(&s);
    helper_map_object(s.with.mm, BASE, 1, RW | ASPEN_VM_SHARED, s.file, 2);
    assert_int_equal(aspen_futex_add(s.with.mm, BASE, 0, &value), 0);
    assert_int_equal(aspen_object_sync(s.file, 0, 8 * PAGE), 0);
    writes = 0;
    assert_int_equal(aspen_futex_load(s.with.mm, BASE, &value), 0);
    assert_int_equal(value, 0x03030303);
    assert_int_equal(aspen_object_sync(s.file, 0, 8 * PAGE), 0);
    assert_int_equal(writes, 0);
    assert_int_equal(aspen_futex_add(s.with.mm, BASE, 1, &value), 0);
    assert_int_equal(aspen_object_sync(s.file, 0, 8 * PAGE), 0);
    assert_int_equal(writes, 1);
    assert_int_equal(written, 0x03030304);
    destroy(&s);
}

/* ---- Keys -------------------------------------------------------------- */

static struct aspen_futex_key
key_of(struct aspen_mm *mm, uint64_t address, unsigned flags)
{
    struct aspen_futex_key key;

    assert_int_equal(aspen_futex_key_get(mm, address, flags, &key), 0);
    return key;
}

static void
assert_key(struct aspen_futex_key key, const struct aspen_mm *mm,
           const struct aspen_object *object, uint64_t offset_bytes)
{
    assert_ptr_equal(key.mm, mm);
    assert_ptr_equal(key.object, object);
    assert_int_equal(key.offset_bytes, offset_bytes);
    aspen_futex_key_put(&key);
    assert_null(key.object);
    aspen_futex_key_put(&key);
}

static void
test_keys(void **state)
{
    (void)state;
    const unsigned shared = ASPEN_FUTEX_SHARED;
    struct space s;

    create(&s);
    struct aspen_mm *mm = s.with.mm;
    /* A space's own: nothing is looked at, there may be nothing. */
    assert_key(key_of(mm, BASE + 8, 0), mm, NULL, BASE + 8);
    /* Private memory: the space's, and the page is there then. */
    helper_map(mm, BASE, 1, RW);
    assert_key(key_of(mm, BASE + 8, shared), mm, NULL, BASE + 8);
    assert_true(helper_can_write(mm, BASE));
    /* One page of a file at two addresses. */
    helper_map_object(mm, 2 * BASE, 4, RW | ASPEN_VM_SHARED, s.file, 2);
    helper_map_object(mm, 3 * BASE, 4, R | ASPEN_VM_SHARED, s.file, 0);
    assert_key(key_of(mm, 2 * BASE + PAGE + 12, shared), NULL, s.file,
               3 * PAGE + 12);
    assert_key(key_of(mm, 3 * BASE + 3 * PAGE + 12, shared), NULL, s.file,
               3 * PAGE + 12);
    /* A private page is the program's own, or can never be. */
    helper_map_object(mm, 4 * BASE, 1, RW, s.file, 1);
    helper_map_object(mm, 5 * BASE, 1, R, s.file, 1);
    assert_key(key_of(mm, 5 * BASE, shared), NULL, s.file, PAGE);
    assert_key(key_of(mm, 4 * BASE, shared), mm, NULL, 4 * BASE);
    destroy(&s);
}

static void
refuse(struct aspen_mm *mm, uint64_t address, unsigned flags, int error)
{
    struct aspen_futex_key key = {.offset_bytes = 1};

    assert_int_equal(aspen_futex_key_get(mm, address, flags, &key), error);
    assert_int_equal(key.offset_bytes, 1);
}

static void
test_keys_refused(void **state)
{
    (void)state;
    const unsigned shared = ASPEN_FUTEX_SHARED;
    struct space s;

    create(&s);
    struct aspen_mm *mm = s.with.mm;
    refuse(mm, BASE + 2, 0, -ASPEN_EINVAL);
    refuse(mm, BASE, 4, -ASPEN_EINVAL);
    refuse(mm, UINT64_MAX - 3, 0, -ASPEN_EFAULT);
    refuse(mm, mm->address_limit, 0, -ASPEN_EFAULT);
    refuse(mm, BASE, shared, -ASPEN_EFAULT);
    helper_map(mm, BASE, 1, R);
    refuse(mm, BASE, shared, -ASPEN_EFAULT);
    /* So is what was written once and cannot be any more. */
    helper_map(mm, 2 * BASE, 1, RW);
    helper_put(&s.with.helper, mm, 2 * BASE, 1);
    assert_int_equal(aspen_mprotect(mm, 2 * BASE, PAGE, R, ASPEN_PKEY_SAME), 0);
    refuse(mm, 2 * BASE, shared, -ASPEN_EFAULT);
    helper_map_object(mm, 3 * BASE, 9, R, s.file, 0);
    refuse(mm, 3 * BASE, shared | ASPEN_FUTEX_WRITE, -ASPEN_EFAULT);
    refuse(mm, 3 * BASE + 8 * PAGE, shared, -ASPEN_EFAULT);
    destroy(&s);
}

/* The object stays as long as somebody waits by it. */
static void
test_key_keeps_object(void **state)
{
    (void)state;
    struct helper_space s;

    helper_space_create(&s, NULL);
    struct aspen_object *object =
        helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 1, NULL, NULL);
    helper_map_object(s.mm, BASE, 1, RW | ASPEN_VM_SHARED, object, 0);
    aspen_object_put(object);
    struct aspen_futex_key key = key_of(s.mm, BASE, ASPEN_FUTEX_SHARED);
    helper_unmap(s.mm, BASE, 1);
    assert_int_equal(helper_counts(s.helper.aspen).objects, 1);
    assert_key(key, NULL, object, 0);
    assert_int_equal(helper_counts(s.helper.aspen).objects, 0);
    helper_space_destroy(&s);
}

/* ---- Failing steps ----------------------------------------------------- */

static struct space failing_space;
static uint32_t before;

static void
set_up(void *unused)
{
    (void)unused;
    create(&failing_space);
    helper_map(failing_space.with.mm, BASE, 1, RW);
    helper_map_object(failing_space.with.mm, 2 * BASE, 1, RW,
                      failing_space.file, 0);
}

static void
tear_down(void *unused)
{
    (void)unused;
    destroy(&failing_space);
}

static int
add(void *unused)
{
    (void)unused;
    return aspen_futex_add(failing_space.with.mm, BASE, 1, &before);
}

static int
get_key(void *unused)
{
    struct aspen_futex_key key;

    (void)unused;
    int error = aspen_futex_key_get(failing_space.with.mm, 2 * BASE,
                                    ASPEN_FUTEX_SHARED, &key);
    if (!error)
        aspen_futex_key_put(&key);
    return error;
}

static void
test_failures(void **state)
{
    (void)state;
    struct helper_failing failing = {.helper = &failing_space.with.helper,
                                     .mm = &failing_space.with.mm,
                                     .setup = set_up,
                                     .teardown = tear_down,
                                     .cached = true};

    failing.name = "futex add";
    failing.run = add;
    assert_true(helper_fail_every_step(&failing) >= 4);
    failing.name = "futex key";
    failing.run = get_key;
    assert_true(helper_fail_every_step(&failing) >= 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_after_fork),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_contents),
        cmocka_unit_test(test_dirty),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_refused),
        cmocka_unit_test(test_key_keeps_object),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
