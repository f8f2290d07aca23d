/* SPDX-License-Identifier: MIT */
/*
 * mremap with DONTUNMAP: what is left, with and without
 * ASPEN_CONFIG_DONTUNMAP_APART. Its page offsets show in what it merges with,
 * and, of what has an object, in where that finds it.
 */
#include "helper.h"

#include "space/vma.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static void
move(struct helper_space *s, uint64_t from, uint64_t pages, unsigned flags,
     uint64_t to)
{
    const struct aspen_mremap_args args = {
        .address = AT(from),
        .old_bytes = pages * PAGE,
        .new_bytes = pages * PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | flags,
        .new_address = AT(to),
    };
    uint64_t address;

    assert_int_equal(aspen_mremap(s->mm, &args, &address), 0);
}

static int
setup_apart(void **state)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.flags |= ASPEN_CONFIG_DONTUNMAP_APART;
    return helper_space_setup_with(state, &config);
}

static bool
is_apart(const struct helper_space *s)
{
    return s->helper.aspen->config.flags & ASPEN_CONFIG_DONTUNMAP_APART;
}

/* A page's mapping came to 20 from 40 and went on to 32. */
static void
leave_one(struct helper_space *s)
{
    helper_map(s->mm, AT(40), 1, RW);
    helper_put(&s->helper, s->mm, AT(40), 1);
    move(s, 40, 1, 0, 20);
    move(s, 20, 1, ASPEN_MREMAP_DONTUNMAP, 32);
    assert_int_equal(aspen_vma_at(s->mm, AT(32))->pgoff, 40);
}

static void
test_anonymous(void **state)
{
    struct helper_space *s = *state;

    leave_one(s);
    assert_int_equal(aspen_vma_at(s->mm, AT(20))->pgoff, is_apart(s) ? 20 : 40);
    helper_map(s->mm, AT(21), 1, RW);
    helper_map(s->mm, AT(19), 1, RW);
    assert_int_equal(helper_counters(s->mm).vmas, is_apart(s) ? 2 : 4);
    /* Pages come there as anywhere. */
    helper_put(&s->helper, s->mm, AT(20), 2);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(20)), 2);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(32)), 1);
}

/* Of a part of a mapping nothing is left by itself. */
static void
test_part(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(40), 2, RW);
    helper_put(&s->helper, s->mm, AT(40), 1);
    move(s, 40, 2, 0, 16);
    move(s, 16, 1, ASPEN_MREMAP_DONTUNMAP, 32);
    assert_int_equal(aspen_vma_at(s->mm, AT(16))->pgoff, 40);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
}

static void
leave_object(struct helper_space *s, struct aspen_object *object)
{
    helper_map_object(s->mm, AT(16), 4, RW, object, 7);
    helper_put(&s->helper, s->mm, AT(17), 1);
    move(s, 16, 4, ASPEN_MREMAP_DONTUNMAP, 32);
    assert_int_equal(aspen_vma_at(s->mm, AT(16))->pgoff, 7);
    helper_put(&s->helper, s->mm, AT(18), 1);
    /* It is found through the object where it was before. */
    assert_int_equal(helper_counters(s->mm).anon_pages, 2);
    assert_int_equal(
        aspen_object_unmap(object, AT(7), AT(4), ASPEN_OBJECT_UNMAP_COPIES), 0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);
    helper_unmap(s->mm, AT(16), 4);
    helper_unmap(s->mm, AT(32), 4);
    aspen_object_put(object);
}

static void
test_file(void **state)
{
    struct helper_space *s = *state;

    leave_object(s,
                 helper_object(&s->helper, ASPEN_OBJECT_FILE, 16, NULL, NULL));
}

/* /dev/zero: memory without a file, but with its offsets. */
static void
test_zeroes(void **state)
{
    struct helper_space *s = *state;
    const struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                           .flags = ASPEN_OBJECT_ZEROES};
    struct aspen_object *zero;

    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &zero), 0);
    leave_object(s, zero);
}

/* A part that is not locked any more, or a mapping that is not. */
static void
test_locked(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(40), 3, RW | ASPEN_VM_LOCKED);
    move(s, 41, 1, ASPEN_MREMAP_DONTUNMAP, 60);
    assert_int_equal(helper_counters(s->mm).locked_pages, is_apart(s) ? 3 : 1);
    assert_int_equal(helper_counters(s->mm).vmas, is_apart(s) ? 4 : 2);
}

/* Memory without pages that comes to stand beside what it leaves. */
static void
test_beside_itself(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(40), 1, RW);
    move(s, 40, 1, ASPEN_MREMAP_DONTUNMAP, 41);
    assert_int_equal(helper_counters(s->mm).vmas, is_apart(s) ? 2 : 1);
}

/* Onto a hole that this makes in its own mapping. */
static void
test_within_itself(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(40), 6, RW);
    move(s, 44, 2, ASPEN_MREMAP_DONTUNMAP, 41);
    assert_int_equal(helper_counters(s->mm).vmas, is_apart(s) ? 2 : 1);
    move(s, 40, 1, ASPEN_MREMAP_DONTUNMAP, 42);
    assert_int_equal(helper_counters(s->mm).vmas, is_apart(s) ? 2 : 1);
}

/* As a file's mapping it has its offsets, which fit or do not. */
static void
test_object_beside_itself(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 16, NULL, NULL);

    helper_map_object(s->mm, AT(40), 1, RW, object, 7);
    helper_map_object(s->mm, AT(42), 1, RW, object, 8);
    aspen_object_put(object);
    move(s, 40, 1, ASPEN_MREMAP_DONTUNMAP, 41);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
}

#define BOTH(test)                                                             \
    helper_space_test(test), cmocka_unit_test_setup_teardown(                  \
                                 test, setup_apart, helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_anonymous),     BOTH(test_part),
        BOTH(test_file),          BOTH(test_zeroes),
        BOTH(test_locked),        BOTH(test_beside_itself),
        BOTH(test_within_itself), BOTH(test_object_beside_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
