/* SPDX-License-Identifier: MIT */
/* How many mappings could write to an object, and that they can be denied: none
 * or all of it, whatever makes and ends them. */
#include "helper.h"

#define BASE   ((uint64_t)0x10000000)
#define SHARED (RW | ASPEN_VM_SHARED)
#define NEVER  (R | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD) /* to be written */

static uint64_t
writable(const struct aspen_object *object)
{
    return aspen_object_writable_mappings(object);
}

static int
map(struct aspen_mm *mm, uint64_t vm_flags, struct aspen_object *object)
{
    struct aspen_mmap_args args = {
        .address = BASE,
        .length_bytes = PAGE,
        .vm_flags = vm_flags,
        .flags = ASPEN_MAP_FIXED,
        .object = object,
    };
    uint64_t address;

    return aspen_mmap(mm, &args, &address);
}

/* ---- Counted ----------------------------------------------------------- */

static void
test_counted(void **state)
{
    (void)state;
    struct helper_space s;
    struct aspen_mm *child;

    helper_space_create(&s, NULL);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);
    helper_map_object(s.mm, BASE, 8, RW, o, 0);          /* private */
    helper_map_object(s.mm, BASE + MIB, 8, NEVER, o, 0); /* never */
    assert_int_equal(writable(o), 0);
    helper_map_object(s.mm, BASE + 2 * MIB, 8, SHARED, o, 0);
    /* Could be made writable. */
    helper_map_object(s.mm, BASE + 3 * MIB, 8, R | ASPEN_VM_SHARED, o, 0);
    assert_int_equal(writable(o), 2);
    assert_int_equal(
        aspen_mprotect(s.mm, BASE + 2 * MIB, 8 * PAGE, R, ASPEN_PKEY_SAME), 0);
    assert_int_equal(writable(o), 2);
    helper_unmap(s.mm, BASE + 2 * MIB + PAGE, 1); /* in two */
    assert_int_equal(writable(o), 3);
    assert_int_equal(aspen_fork(s.mm, &child), 0);
    assert_int_equal(writable(o), 6);
    /* It grows by a neighbour, which is one mapping. */
    helper_map_object(child, BASE + 3 * MIB + 8 * PAGE, 8, R | ASPEN_VM_SHARED,
                      o, 8);
    assert_int_equal(writable(o), 6);
    assert_int_equal(helper_remap(child, BASE + 3 * MIB, 16 * PAGE, 16 * PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  BASE + 5 * MIB),
                     0);
    assert_int_equal(writable(o), 6);
    helper_assert_valid(&s.helper);
    aspen_mm_put(child);
    assert_int_equal(writable(o), 3);
    helper_unmap(s.mm, BASE, 4 * MIB / PAGE);
    assert_int_equal(writable(o), 0);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* ---- Denied ------------------------------------------------------------ */

static void
test_denied(void **state)
{
    (void)state;
    struct helper_space s;

    helper_space_create(&s, NULL);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    assert_int_equal(aspen_object_allow_writable(o), -ASPEN_EINVAL);
    helper_map_object(s.mm, BASE, 8, SHARED, o, 0);
    assert_int_equal(aspen_object_deny_writable(o), -ASPEN_EBUSY);
    helper_unmap(s.mm, BASE, 8);
    assert_int_equal(aspen_object_deny_writable(o), 0);
    assert_int_equal(aspen_object_deny_writable(o), 0);
    assert_int_equal(writable(o), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct aspen_import_vma vma = {.start = BASE,
                                       .end = BASE + PAGE,
                                       .vm_flags = MAY_RW | ASPEN_VM_SHARED,
                                       .object = o};
        assert_int_equal(map(s.mm, SHARED, o), -ASPEN_EPERM);
        assert_int_equal(map(s.mm, R | ASPEN_VM_SHARED, o), -ASPEN_EPERM);
        assert_int_equal(aspen_import_vma(s.mm, &vma), -ASPEN_EPERM);
        assert_int_equal(map(s.mm, NEVER, o), 0);
        assert_int_equal(map(s.mm, RW, o), 0);
        helper_put(&s.helper, s.mm, BASE, 1); /* a copy */
        helper_assert_valid(&s.helper);
        helper_unmap(s.mm, BASE, 1);
        assert_int_equal(aspen_object_allow_writable(o), 0);
    }
    assert_int_equal(map(s.mm, SHARED, o), 0);
    assert_int_equal(aspen_object_allow_writable(o), -ASPEN_EINVAL);
    assert_int_equal(aspen_object_deny_writable(o), -ASPEN_EBUSY);
    helper_assert_valid(&s.helper);
    helper_unmap(s.mm, BASE, 1);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* Whoever has pinned a page may write to it without any mapping. */
static void
test_pinned(void **state)
{
    (void)state;
    struct helper_space s;
    uint32_t frame;

    helper_space_create(&s, NULL);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    helper_map_object(s.mm, BASE, 8, SHARED, o, 0);
    helper_map_object(s.mm, BASE + MIB, 8, NEVER, o, 0);
    helper_put(&s.helper, s.mm, BASE, 1);
    helper_get(&s.helper, s.mm, BASE + MIB);
    assert_int_equal(
        aspen_pin_range(s.mm, BASE + 5 * PAGE, PAGE, ASPEN_PIN_WRITE, &frame),
        0);
    helper_unmap(s.mm, BASE, 8);
    assert_int_equal(aspen_object_deny_writable(o), -ASPEN_EBUSY);
    assert_int_equal(map(s.mm, SHARED, o), 0); /* nothing was denied */
    helper_unmap(s.mm, BASE, 1);
    helper_unpin(s.mm, &frame, 1, ASPEN_UNPIN_DIRTY);
    assert_int_equal(aspen_object_deny_writable(o), 0);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

/* A mapping that could not be made is not counted, and denies nothing. */
static void
test_failed(void **state)
{
    (void)state;
    struct helper_space s;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONWARD};

    helper_space_create(&s, NULL);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    for (plan.number = 1; plan.number < 9; plan.number++) {
        assert_int_equal(aspen_failpoints_set(s.helper.aspen, &plan), 0);
        int error = map(s.mm, SHARED, o);
        assert_int_equal(aspen_failpoints_set(s.helper.aspen, NULL), 0);
        if (!error)
            break;
        assert_int_equal(writable(o), 0);
        assert_int_equal(aspen_object_deny_writable(o), 0);
        assert_int_equal(aspen_object_allow_writable(o), 0);
    }
    assert_in_range(plan.number, 3, 8);
    assert_int_equal(writable(o), 1);
    aspen_mm_put(s.mm);
    s.mm = helper_mm(&s.helper);
    assert_int_equal(writable(o), 0);
    aspen_object_put(o);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
