/* SPDX-License-Identifier: MIT */
/*
 * Import of a space of all kinds of pages, each step of it failing.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "machine/swap_map.h"

struct building {
    struct aspen *aspen;
    struct aspen_object *file;
    struct aspen_mm *mm;
};

static int
add_two_vmas(struct building *b)
{
    struct aspen_import_vma anon = {
        .start = MIB,
        .end = 4 * MIB,
        .vm_flags = MAY_RW | ASPEN_VM_ACCOUNT,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_vma file = {
        .start = 4 * MIB,
        .end = 5 * MIB,
        .vm_flags = MAY_RW,
        .object = b->file,
        .flags = ASPEN_IMPORT_HAS_USERFAULT,
    };
    int error = aspen_import_vma(b->mm, &anon);
    return error ? error : aspen_import_vma(b->mm, &file);
}

static int
add_pages(struct building *b)
{
    const struct aspen_import_pages pages[] = {
        {.address = MIB, .count = 3, .kind = ASPEN_IMPORT_ANON},
        {.address = 2 * MIB, .count = 1, .level = 1},
        {.address = 4 * MIB, .count = 3, .kind = ASPEN_IMPORT_OBJECT},
        {.address = 4 * MIB + 3 * PAGE, .count = 1, .kind = ASPEN_IMPORT_GUARD},
        /* Slot 3 is referenced as often as its byte can count. */
        {.address = 4 * MIB + 4 * PAGE,
         .count = 2,
         .kind = ASPEN_IMPORT_SWAP,
         .swap_slot = 2},
    };
    int error = 0;
    for (unsigned i = 0; !error && i < ASPEN_ARRAY_SIZE(pages); i++) {
        uint64_t done;
        error = aspen_import_pages(b->mm, &pages[i], &done);
        assert_true(error ? done < pages[i].count : done == pages[i].count);
    }
    return error;
}

static int
build(void *context)
{
    struct building *b = context;
    int error = aspen_mm_create(b->aspen, &b->mm);
    if (error)
        return error;
    error = add_two_vmas(b);
    if (!error)
        error = add_pages(b);
    if (error)
        aspen_mm_put(b->mm);
    return error;
}

static void
unbuild(void *context)
{
    aspen_mm_put(((struct building *)context)->mm);
}

static int
always_open(void *context, struct aspen_vma *vma)
{
    (void)context;
    (void)vma;
    return 0;
}

static void
each_step_can_fail(void **state)
{
    static const struct aspen_pager_ops ops = {.read = helper_pager_read,
                                               .open = always_open};
    struct aspen_object_args args = {.size_bytes = MIB, .pager = &ops};
    struct building b = {.aspen = helper_machine(2048)};
    struct helper_part trial = {b.aspen, build, unbuild, &b};
    unsigned type;
    (void)state;

    assert_int_equal(aspen_swap_area_add(b.aspen, 8, &type), 0);
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++)
        assert_int_equal(aspen_swap_claim(b.aspen, 0, 3), 0);
    assert_int_equal(aspen_object_create(b.aspen, &args, &b.file), 0);
    /* The file keeps its pages: have them there from the start. */
    assert_int_equal(build(&b), 0);
    unbuild(&b);
    helper_fail_part(&trial, "import_vma, import_pages", 15);
    aspen_object_put(b.file);
    helper_machine_destroy(b.aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
