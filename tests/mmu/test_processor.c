/* SPDX-License-Identifier: MIT */
/*
 * Calls beside a processor that keeps what it has cached (tests/mmu): what one
 * call has taken away but not flushed yet, while another looks.
 */
#include "helper.h"

#include "beside.h"
#include "told.h"
#include "paging/table.h"
#include <aspen_posix.h>

#define BASE 0x1000000ull
#define RAW  0x100000ull

/* ---- A processor and a file -------------------------------------------- */

struct scene {
    struct helper_space space;
    struct aspen_object *object;
    uint64_t since; /* the call under way began */
    bool gone;      /* what is looked at in the flush */
    int error;
};

static char disk[2 * PAGE];

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memcpy(page, disk + offset_bytes, PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context;
    for (uint64_t at = 0; at < bytes; at += PAGE)
        memcpy(disk + offset_bytes + at, pages[at / PAGE],
               bytes - at < PAGE ? bytes - at : PAGE);
    return 0;
}

static const struct aspen_pager_ops disk_pager = {.read = read_disk,
                                                  .write = write_disk};

static int
setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    memset(disk, 0, sizeof(disk));
    beside_load(false);
    helper_space_create(&scene->space, NULL);
    *state = scene;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;

    aspen_posix_observe_tlb(NULL, NULL);
    if (scene->object)
        aspen_object_put(scene->object);
    helper_space_destroy(&scene->space);
    beside_load(true);
    free(scene);
    return 0;
}

/* The processor writes and reads one byte, with the faults that it takes. */
static void
put(struct scene *scene, uint64_t address, char byte)
{
    assert_int_equal(
        beside_access(scene->space.mm, address, MMU_WRITE, &byte, 1), 0);
}

static char
get(struct scene *scene, uint64_t address)
{
    char byte = 0;

    assert_int_equal(
        beside_access(scene->space.mm, address, MMU_READ, &byte, 1), 0);
    return byte;
}

/* Does it still get there, without a fault? */
static bool
reaches(struct scene *scene, uint64_t address, enum mmu_access access)
{
    struct aspen_mm *mm = scene->space.mm;
    char byte = '2';

    return beside_try(beside_cpu(mm), mm, address, access, &byte, 1);
}

/* Once, in the next flush, before it happens. */
static void
in_the_flush(aspen_posix_tlb_observer *observer, struct scene *scene)
{
    scene->gone = false;
    aspen_posix_observe_tlb(observer, scene);
}

static void
only_once(void)
{
    aspen_posix_observe_tlb(NULL, NULL);
}

static void
map_file(struct scene *scene, uint64_t vm_flags)
{
    scene->object = helper_object(&scene->space.helper, ASPEN_OBJECT_FILE, 2,
                                  &disk_pager, NULL);
    helper_map_object(scene->space.mm, BASE, 2, vm_flags, scene->object, 0);
}

/* ---- Two that take the same away --------------------------------------- */

static void
discard_too(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;

    (void)flush;
    only_once();
    scene->error =
        aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_DONTNEED);
    scene->gone = !reaches(scene, BASE, MMU_READ);
}

/* The second finds nothing, and the first has not flushed yet. */
static void
test_two_discards(void **state)
{
    struct scene *scene = *state;

    helper_map(scene->space.mm, BASE, 1, RW);
    put(scene, BASE, '1');
    in_the_flush(discard_too, scene);
    assert_int_equal(
        aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_DONTNEED), 0);
    assert_int_equal(scene->error, 0);
    assert_true(scene->gone);
    assert_int_equal(get(scene, BASE), 0);
}

static void
free_too(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;

    (void)flush;
    only_once();
    scene->error = aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_FREE);
    put(scene, BASE, '2');
}

/* What is written after one's own FREE is there for good. */
static void
test_two_frees(void **state)
{
    struct scene *scene = *state;

    helper_map(scene->space.mm, BASE, 1, RW);
    put(scene, BASE, '1');
    in_the_flush(free_too, scene);
    assert_int_equal(
        aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_FREE), 0);
    assert_int_equal(scene->error, 0);
    assert_int_equal(
        aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(get(scene, BASE), '2');
}

/* ---- Written back between the entry and the flush ---------------------- */

static void
sync_too(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;

    (void)flush;
    only_once();
    scene->error = aspen_object_sync(scene->object, 0, PAGE);
    scene->gone = !reaches(scene, BASE, MMU_WRITE);
}

/* The page is clean then: it cannot be written without a fault. */
static void
test_sync_in_munmap(void **state)
{
    struct scene *scene = *state;

    map_file(scene, RW | ASPEN_VM_SHARED);
    put(scene, BASE, '1');
    in_the_flush(sync_too, scene);
    helper_unmap(scene->space.mm, BASE, 2);
    assert_int_equal(scene->error, 0);
    assert_true(scene->gone);
    assert_int_equal(disk[0], '1');
}

static void
test_sync_in_mprotect(void **state)
{
    struct scene *scene = *state;

    map_file(scene, RW | ASPEN_VM_SHARED);
    put(scene, BASE, '1');
    in_the_flush(sync_too, scene);
    assert_int_equal(
        aspen_mprotect(scene->space.mm, BASE, PAGE, ASPEN_VM_READ, -1), 0);
    assert_int_equal(scene->error, 0);
    assert_true(scene->gone);
}

static void
write_late(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;
    uint32_t frame;

    (void)flush;
    only_once();
    /* A sync that looked before the entry was gone, and a processor that goes
     * on writing until it is flushed. */
    assert_int_equal(aspen_object_sync(scene->object, 0, 2 * PAGE), 0);
    frame = (uint32_t)scene->since;
    ((char *)scene->space.helper.direct_map)[frame * PAGE] = '2';
}

/* What was written until the flush reaches the file with the next sync. */
static void
test_written_until_the_flush(void **state)
{
    struct scene *scene = *state;

    map_file(scene, RW | ASPEN_VM_SHARED);
    put(scene, BASE, '1');
    scene->since = helper_frame(scene->space.mm, BASE);
    in_the_flush(write_late, scene);
    helper_unmap(scene->space.mm, BASE, 2);
    assert_int_equal(aspen_object_sync(scene->object, 0, PAGE), 0);
    assert_int_equal(disk[0], '2');
}

/* ---- Written where somebody has taken away ----------------------------- */

static void
write_elsewhere(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;
    char byte = '2';

    (void)flush;
    only_once();
    assert_int_equal(told_run(0, scene->space.mm, BASE, MMU_WRITE, &byte, 1),
                     0);
    scene->gone = get(scene, BASE) == '2';
}

/* PAGEOUT has cleared the entry of a page of the file. What another CPU writes
 * then goes to a page of its own, and ours does not go on reading the file's.
 */
static void
test_written_in_pageout(void **state)
{
    struct scene *scene = *state;

    disk[0] = '1';
    map_file(scene, RW);
    assert_int_equal(aspen_mm_activate(scene->space.mm, 0), 0);
    put(scene, BASE + PAGE, '1'); /* a page of its own: it has an anon_vma */
    assert_int_equal(get(scene, BASE), '1');
    in_the_flush(write_elsewhere, scene);
    assert_int_equal(
        aspen_madvise(scene->space.mm, BASE, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_true(scene->gone);
}

/* A page is being copied for a write, and another CPU writes there before the
 * flush: it goes to the copy, and who has the old page cached has it no more.
 */
static void
test_written_in_a_copy(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *mm = scene->space.mm;
    unsigned other = beside_cpu(mm) == 1 ? 2 : 1;
    char byte = '3';

    disk[0] = '1';
    map_file(scene, RW);
    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    assert_int_equal(aspen_mm_activate(mm, other), 0);
    put(scene, BASE + PAGE, '1'); /* it has an anon_vma */
    assert_int_equal(get(scene, BASE), '1');
    in_the_flush(write_elsewhere, scene);
    assert_int_equal(told_run(other, mm, BASE, MMU_WRITE, &byte, 1), 0);
    assert_true(scene->gone);
    assert_int_equal(get(scene, BASE), '3');
}

/* ---- Raw memory that is taken back ------------------------------------- */

static void
take_back(void *context, const struct aspen_tlb_flush *flush)
{
    struct scene *scene = context;

    (void)flush;
    only_once();
    assert_int_equal(aspen_object_unmap(scene->object, 0, PAGE, 0), 0);
    scene->gone = !reaches(scene, BASE, MMU_READ);
}

static void
map_raw(struct scene *scene)
{
    scene->object =
        helper_object(&scene->space.helper, ASPEN_OBJECT_DEVICE, 1, NULL, NULL);
    helper_map_object(scene->space.mm, BASE, 1,
                      RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP, scene->object, 0);
    assert_int_equal(
        aspen_insert_raw(scene->space.mm, BASE, RAW, ASPEN_RAW_WRITABLE), 0);
}

/* munmap has it gone from the reverse maps before the driver looks there. */
static void
test_taken_back_in_munmap(void **state)
{
    struct scene *scene = *state;

    map_raw(scene);
    put(scene, BASE, '1');
    in_the_flush(take_back, scene);
    helper_unmap(scene->space.mm, BASE, 1);
    assert_true(scene->gone);
}

/* ---- Faults that a processor takes until it is content ----------------- */

/* The first write to what is writable, clean, and perhaps old. */
static void
test_first_write_to_raw(void **state)
{
    struct scene *scene = *state;

    map_raw(scene);
    assert_int_equal(get(scene, BASE), 0);
    put(scene, BASE, '1');
}

/* The same after a fork, which leaves the child's entries clean and old. */
static void
test_first_write_in_a_child(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *child;
    char byte = 0;

    map_raw(scene);
    helper_map(scene->space.mm, BASE + PAGE, 1, RW);
    put(scene, BASE, '1');
    put(scene, BASE + PAGE, '1');
    assert_int_equal(aspen_fork(scene->space.mm, &child), 0);
    assert_int_equal(beside_access(child, BASE, MMU_WRITE, "2", 1), 0);
    assert_int_equal(beside_access(child, BASE + PAGE, MMU_READ, &byte, 1), 0);
    assert_int_equal(byte, '1');
    assert_int_equal(beside_access(child, BASE + PAGE, MMU_WRITE, "2", 1), 0);
    put(scene, BASE + PAGE, '3');
    assert_int_equal(beside_access(child, BASE + PAGE, MMU_READ, &byte, 1), 0);
    assert_int_equal(byte, '2');
    aspen_mm_put(child);
}

/* Another CPU made it writable: ours has it read-only, until it is told. */
static void
test_spurious_fault(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *mm = scene->space.mm, *child;
    char byte = '2';

    helper_map(mm, BASE, 1, RW);
    put(scene, BASE, '1');
    assert_int_equal(aspen_fork(mm, &child), 0);
    aspen_mm_put(child);
    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    assert_int_equal(told_run(0, mm, BASE, MMU_READ, &byte, 1), 0);
    put(scene, BASE, '3');
    assert_int_equal(told_run(0, mm, BASE, MMU_WRITE, &byte, 1), 0);
    assert_int_equal(get(scene, BASE), '1');
}

/* ---- Translations that outlive a switch -------------------------------- */

/* By CPU 0, without a fault. */
static bool
has(struct scene *scene, enum mmu_access access)
{
    char byte = 0;

    return beside_try(0, scene->space.mm, BASE, access, &byte, 1);
}

/* A CPU goes elsewhere and comes back: what nobody flushed meanwhile it still
 * has, without looking at the tables; what somebody did it has no more. */
static void
test_kept_over_a_switch(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *mm = scene->space.mm;
    char byte = '1';

    helper_map(mm, BASE, 1, RW);
    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    told_keep(0, mm);
    assert_int_equal(told_run(0, mm, BASE, MMU_WRITE, &byte, 1), 0);

    uint64_t walks = mmu_counts().walks;
    told_switch_away(0, mm);
    told_switch_back(0, mm);
    assert_true(has(scene, MMU_WRITE));
    assert_int_equal(mmu_counts().walks, walks);

    /* It hears of a flush itself: nothing is missing when it comes back. */
    helper_map(mm, BASE + PAGE, 1, RW);
    assert_int_equal(told_run(0, mm, BASE + PAGE, MMU_WRITE, &byte, 1), 0);
    helper_unmap(mm, BASE + PAGE, 1);
    walks = mmu_counts().walks;
    told_switch_away(0, mm);
    told_switch_back(0, mm);
    assert_true(has(scene, MMU_WRITE));
    assert_int_equal(mmu_counts().walks, walks);

    /* And of none while it is away, whether others are there or nobody. */
    for (unsigned alone = 0; alone < 2; alone++) {
        told_switch_away(0, mm);
        if (alone)
            assert_int_equal(aspen_mm_deactivate(mm, beside_cpu(mm)), 0);
        assert_int_equal(aspen_madvise(mm, BASE, PAGE, ASPEN_MADV_DONTNEED), 0);
        if (alone)
            assert_int_equal(aspen_mm_activate(mm, beside_cpu(mm)), 0);
        told_switch_back(0, mm);
        assert_false(has(scene, MMU_READ));
        assert_int_equal(told_run(0, mm, BASE, MMU_WRITE, &byte, 1), 0);
    }
    beside_check("all that");
}

/* ---- Tables ------------------------------------------------------------ */

/* A page that is gone leaves tables, and they are cached. */
static void
test_tables_without_pages(void **state)
{
    struct scene *scene = *state;
    uint64_t far = BASE + ((uint64_t)1 << 30);

    helper_map(scene->space.mm, BASE, 1, RW);
    helper_map(scene->space.mm, far, 1, RW);
    put(scene, BASE, '1');
    put(scene, far, '1');
    assert_int_equal(
        aspen_madvise(scene->space.mm, far, PAGE, ASPEN_MADV_DONTNEED), 0);
    helper_unmap(scene->space.mm, far, 1);
    helper_map(scene->space.mm, far, 1, RW);
    put(scene, far, '2');
    assert_int_equal(get(scene, far), '2');
    beside_check("all that");
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_two_discards),
        CASE(test_two_frees),
        CASE(test_sync_in_munmap),
        CASE(test_sync_in_mprotect),
        CASE(test_written_until_the_flush),
        CASE(test_written_in_pageout),
        CASE(test_written_in_a_copy),
        CASE(test_taken_back_in_munmap),
        CASE(test_first_write_to_raw),
        CASE(test_first_write_in_a_child),
        CASE(test_spurious_fault),
        CASE(test_kept_over_a_switch),
        CASE(test_tables_without_pages),
    };

#ifndef ASPEN_PORT_MMU_WRITES_ENTRIES
    beside_flags(MMU_FLAGS_FAULT);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
