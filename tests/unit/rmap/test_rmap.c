/* SPDX-License-Identifier: MIT */
/*
 * The reverse map: every entry that maps a frame is found, parents before
 * children, and nothing else is counted.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "object/page_cache.h"
#include "paging/table.h"
#include "rmap/rmap.h"

static uint32_t
frame_at(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_slot slot;
    uint64_t entry = aspen_table_walk(mm, address, &slot);
    assert_true(aspen_entry_is_leaf(entry, slot.level));
    return (uint32_t)aspen_entry_frame(entry);
}

static struct aspen_mm *
fork_of(struct aspen_mm *mm)
{
    struct aspen_mm *child = NULL;
    assert_int_equal(aspen_fork(mm, &child), 0);
    return child;
}

struct visits {
    unsigned count;
    unsigned most; /* end the walk then */
    struct aspen_vma *vmas[8];
    uint64_t addresses[8];
};

static bool
visit(void *context, struct aspen_vma *vma, uint64_t address)
{
    struct visits *visits = context;
    visits->vmas[visits->count] = vma;
    visits->addresses[visits->count++] = address;
    return visits->count < visits->most;
}

static struct visits
walk(struct aspen *aspen, uint32_t frame, unsigned most)
{
    struct visits visits = {.most = most};
    aspen_rmap_walk(aspen, frame, visit, &visits);
    return visits;
}

static void
a_private_page_is_found_in_every_generation(void **state)
{
    struct aspen *aspen = helper_machine(1024);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    helper_import(mm, MIB, 8, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(mm, MIB, 8, ASPEN_IMPORT_ANON, 0), 0);
    uint32_t frame = frame_at(mm, MIB + 3 * PAGE);
    assert_int_equal(aspen_rmap_count(aspen, frame), 1);
    struct aspen_mm *child = fork_of(mm);
    struct aspen_mm *grandchild = fork_of(child);
    assert_int_equal(aspen_rmap_count(aspen, frame), 3);
    assert_int_equal(aspen_frame_map_count(aspen_frame_at(aspen, frame)), 3);

    struct visits visits = walk(aspen, frame, 8);
    assert_int_equal(visits.count, 3);
    assert_ptr_equal(visits.vmas[0]->mm, mm);
    assert_ptr_equal(visits.vmas[1]->mm, child);
    assert_ptr_equal(visits.vmas[2]->mm, grandchild);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(visits.addresses[i], MIB + 3 * PAGE);
    assert_int_equal(walk(aspen, frame, 2).count, 2);

    aspen_mm_put(mm);
    assert_int_equal(aspen_rmap_count(aspen, frame), 2);
    aspen_mm_put(grandchild);
    assert_int_equal(aspen_rmap_count(aspen, frame), 1);
    aspen_mm_put(child);
    helper_machine_destroy(aspen);
}

/* A page of the child's own leads to the child alone. */
static void
a_childs_page_is_not_the_parents(void **state)
{
    struct aspen *aspen = helper_machine(1024);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    helper_import(mm, MIB, 8, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(mm, MIB, 1, ASPEN_IMPORT_ANON, 0), 0);
    struct aspen_mm *child = fork_of(mm);
    assert_int_equal(
        helper_import_pages(child, MIB + PAGE, 1, ASPEN_IMPORT_ANON, 0), 0);
    uint32_t frame = frame_at(child, MIB + PAGE);
    struct visits visits = walk(aspen, frame, 8);
    assert_int_equal(visits.count, 1);
    assert_ptr_equal(visits.vmas[0]->mm, child);
    assert_int_equal(aspen_rmap_count(aspen, frame), 1);
    aspen_mm_put(mm);
    aspen_mm_put(child);
    helper_machine_destroy(aspen);
}

/* VMAs of the object that map something else there are met, not counted. */
static void
an_objects_page_is_found_where_it_is_mapped(void **state)
{
    struct aspen *aspen = helper_machine(1024);
    struct aspen_mm *one = helper_new_mm(aspen);
    struct aspen_mm *two = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, MIB);
    (void)state;

    helper_import(one, MIB, 8, MAY_RW | ASPEN_VM_SHARED, file, 0);
    helper_import(one, 2 * MIB, 8, MAY_RW, file, 4);
    helper_import(two, 3 * MIB, 8, MAY_RW | ASPEN_VM_SHARED, file, 2);
    assert_int_equal(helper_import_pages(one, MIB, 8, ASPEN_IMPORT_OBJECT, 0),
                     0);
    assert_int_equal(helper_import_pages(one, 2 * MIB, 1, ASPEN_IMPORT_ANON, 0),
                     0);
    assert_int_equal(
        helper_import_pages(two, 3 * MIB, 6, ASPEN_IMPORT_OBJECT, 0), 0);
    uint32_t third = frame_at(one, MIB + 3 * PAGE);
    uint32_t fourth = frame_at(one, MIB + 4 * PAGE);
    assert_int_equal(frame_at(two, 3 * MIB + PAGE), third);
    assert_int_equal(aspen_rmap_count(aspen, third), 2);
    assert_int_equal(walk(aspen, third, 8).count, 2);
    assert_int_equal(aspen_rmap_count(aspen, fourth), 2);
    struct visits visits = walk(aspen, fourth, 8);
    assert_int_equal(visits.count, 3); /* the private one as well */

    /* The private copy is found by its anon_vma. */
    assert_int_equal(aspen_rmap_count(aspen, frame_at(one, 2 * MIB)), 1);
    aspen_mm_put(one);
    assert_int_equal(aspen_rmap_count(aspen, third), 1);
    aspen_mm_put(two);
    assert_int_equal(aspen_rmap_count(aspen, third), 0);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
huge_leaves_are_found(void **state)
{
    struct aspen_config config = helper_config(3u << 18);
    struct aspen *aspen;
    (void)state;

    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    aspen = helper_machine_from(&config);
    struct aspen_mm *mm = helper_new_mm(aspen);
    helper_import(mm, GIB, 2 * GIB / PAGE, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(mm, GIB, 1, ASPEN_IMPORT_ANON, 2), 0);
    assert_int_equal(helper_import_pages(mm, 2 * GIB, 2, ASPEN_IMPORT_ANON, 1),
                     0);
    uint32_t large = frame_at(mm, GIB + 17 * PAGE);
    uint32_t small = frame_at(mm, 2 * GIB + 2 * MIB);
    struct aspen_mm *child = fork_of(mm);
    assert_int_equal(aspen_rmap_count(aspen, large), 2);
    assert_int_equal(aspen_rmap_count(aspen, small), 2);
    struct visits visits = walk(aspen, small, 8);
    assert_int_equal(visits.addresses[0], 2 * GIB + 2 * MIB);
    assert_int_equal(visits.addresses[1], 2 * GIB + 2 * MIB);
    aspen_mm_put(mm);
    assert_int_equal(aspen_rmap_count(aspen, large), 1);
    aspen_mm_put(child);
    helper_machine_destroy(aspen);
}

/* A VMA that has the end of a block only is met at its start. */
static void
part_of_a_block_is_met(void **state)
{
    struct aspen *aspen = helper_machine(2048);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_object *file =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, GIB);
    uint32_t block;
    (void)state;

    assert_int_equal(aspen_frame_alloc(aspen, 9, ASPEN_STEP_FRAME, &block), 0);
    assert_int_equal(aspen_object_add_page(file, 512, 9, block), 0);
    helper_import(mm, 8 * MIB, 8, MAY_RW, file, 1000);
    helper_import(mm, 16 * MIB, 512, MAY_RW, file, 500);
    helper_import(mm, 32 * MIB, 8, MAY_RW, file, 1024);
    struct visits visits = walk(aspen, block, 8);
    assert_int_equal(visits.count, 2);
    assert_int_equal(visits.addresses[0], 16 * MIB + 12 * PAGE);
    assert_int_equal(visits.addresses[1], 8 * MIB);
    assert_int_equal(aspen_rmap_count(aspen, block), 0);
    aspen_frame_put(aspen, block);
    aspen_mm_put(mm);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
other_frames_lead_nowhere(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    uint32_t frame;
    (void)state;

    helper_import(mm, MIB, 8, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(mm, MIB, 8, ASPEN_IMPORT_ZERO, 0), 0);
    assert_int_equal(walk(aspen, aspen->zero_frame, 8).count, 0);
    assert_int_equal(walk(aspen, mm->root, 8).count, 0);
    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    assert_int_equal(aspen_rmap_count(aspen, frame), 0);
    aspen_frame_put(aspen, frame);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_page_is_found_in_every_generation),
        cmocka_unit_test(a_childs_page_is_not_the_parents),
        cmocka_unit_test(an_objects_page_is_found_where_it_is_mapped),
        cmocka_unit_test(huge_leaves_are_found),
        cmocka_unit_test(part_of_a_block_is_met),
        cmocka_unit_test(other_frames_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
