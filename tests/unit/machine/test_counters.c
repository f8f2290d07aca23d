/* SPDX-License-Identifier: MIT */
/*
 * What a machine counts of its pages, faults and swap traffic: to the page.
 * That the sums are the frame table's the validator sees, after each test of
 * all others, too.
 */
#include "helper.h"
#include "slots.h"

#define PAGES 40u

static int
read_number(void *context, uint64_t offset_bytes, void *page)
{
    return helper_pager_number(context, offset_bytes, page);
}

/* How many pages are being written, seen from inside. */
static struct aspen *writes_of;
static uint64_t most_writing;

static int
write_nothing(void *context, uint64_t offset_bytes, const void *const pages[],
              uint64_t bytes)
{
    uint64_t writing = helper_counts(writes_of).writeback_pages;

    (void)context;
    (void)offset_bytes;
    (void)pages;
    assert_int_equal(writing, (bytes + PAGE - 1) / PAGE);
    most_writing = writing > most_writing ? writing : most_writing;
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_number,
                                             .write = write_nothing};

static uint8_t slots[2 * PAGES][PAGE];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static void
add_swap(struct aspen *aspen)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = 2 * PAGES, .ops = &ops};
    unsigned type;

    assert_int_equal(aspen_swap_add(aspen, &args, &type), 0);
}

static void
test_pages(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_counters before = helper_counts(aspen);
    struct aspen_mm *child;

    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    struct aspen_object *shmem =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);
    uint64_t anon = helper_map(s->mm, 0, PAGES, RW);
    uint64_t files = helper_map_object(s->mm, 0, PAGES, RW, file, 0);
    uint64_t shared =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, shmem, 0);
    for (uint64_t i = 0; i < 5; i++)
        helper_put(&s->helper, s->mm, anon + i * PAGE, 1);
    (void)helper_get(&s->helper, s->mm, anon + 30 * PAGE); /* zeroes */
    for (uint64_t i = 0; i < 7; i++)
        (void)helper_get(&s->helper, s->mm, files + i * PAGE);
    helper_put(&s->helper, s->mm, files, 1); /* a copy: the file has it, too */
    for (uint64_t i = 0; i < 3; i++)
        helper_put(&s->helper, s->mm, shared + i * PAGE, 1);
    struct aspen_counters counts = helper_counts(aspen);
    assert_int_equal(counts.anon_pages, before.anon_pages + 6);
    assert_int_equal(counts.file_pages, before.file_pages + 7);
    assert_int_equal(counts.shmem_pages, before.shmem_pages + 3);
    assert_true(counts.metadata_bytes > 0);
    assert_int_equal(counts.major_faults, before.major_faults + 7);
    helper_assert_valid(&s->helper);

    /* A child shares; what it writes is its own. */
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_counts(aspen).anon_pages, counts.anon_pages);
    helper_put(&s->helper, child, anon, 2);
    assert_int_equal(helper_counts(aspen).anon_pages, counts.anon_pages + 1);
    aspen_mm_put(child);
    assert_int_equal(helper_counts(aspen).anon_pages, counts.anon_pages);

    helper_unmap(s->mm, anon, PAGES);
    helper_unmap(s->mm, files, PAGES);
    assert_int_equal(helper_counts(aspen).anon_pages, before.anon_pages);
    assert_int_equal(helper_counts(aspen).file_pages, before.file_pages + 7);
    assert_int_equal(aspen_reclaim(aspen, 2), 2);
    assert_int_equal(helper_counts(aspen).file_pages, before.file_pages + 5);
    aspen_object_put(file);
    assert_int_equal(helper_counts(aspen).file_pages, before.file_pages);
    aspen_object_put(shmem); /* still mapped */
    assert_int_equal(helper_counts(aspen).shmem_pages, before.shmem_pages + 3);
    helper_unmap(s->mm, shared, PAGES);
    assert_int_equal(helper_counts(aspen).shmem_pages, before.shmem_pages);
}

/* One for each access that faults, however often it has to begin anew. */
static void
test_faults(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    uint64_t before = helper_counts(aspen).faults;

    uint64_t anon = helper_map(s->mm, 0, PAGES, RW);
    assert_int_equal(helper_counts(aspen).faults, before);
    for (uint64_t i = 0; i < 9; i++)
        assert_int_equal(
            aspen_fault(s->mm, anon + i * PAGE, ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(aspen_fault(s->mm, anon - PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    assert_int_equal(helper_counts(aspen).faults, before + 9);
    assert_int_equal(helper_counts(aspen).major_faults, 0);
}

static void
test_swap(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;

    add_swap(aspen);
    uint64_t anon = helper_map(s->mm, 0, PAGES, RW);
    for (uint64_t i = 0; i < PAGES; i++)
        helper_put(&s->helper, s->mm, anon + i * PAGE, (uint8_t)i);
    assert_int_equal(helper_counts(aspen).swap_slots, 2 * PAGES);
    /* Each page alone. */
    assert_int_equal(
        aspen_madvise(s->mm, anon, PAGES * PAGE, ASPEN_MADV_RANDOM), 0);
    assert_int_equal(aspen_madvise(s->mm, anon, 10 * PAGE, ASPEN_MADV_PAGEOUT),
                     0);
    struct aspen_counters counts = helper_counts(aspen);
    assert_int_equal(counts.swapped_out, 10);
    assert_int_equal(counts.swapped_in, 0);
    assert_int_equal(counts.swap_slots_used, 10);
    assert_int_equal(counts.anon_pages, PAGES - 10);
    assert_int_equal(helper_get(&s->helper, s->mm, anon + 3 * PAGE), 3);
    counts = helper_counts(aspen);
    assert_int_equal(counts.swapped_in, 1);
    assert_int_equal(counts.major_faults, 1);
    assert_int_equal(counts.anon_pages, PAGES - 9);
    /* Two have it: who reads it first leaves it in the cache. */
    struct aspen_mm *child;
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(helper_counts(aspen).swap_cached, 0);
    assert_int_equal(helper_get(&s->helper, child, anon + 4 * PAGE), 4);
    assert_int_equal(helper_counts(aspen).swap_cached, 1);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
    helper_unmap(s->mm, anon, PAGES);
    counts = helper_counts(aspen);
    assert_int_equal(counts.swap_cached, 0);
    assert_int_equal(counts.anon_pages, 0);
}

static void
test_writeback(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;

    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t at =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, file, 0);
    writes_of = aspen;
    for (uint64_t i = 0; i < 3; i++)
        helper_put(&s->helper, s->mm, at + i * PAGE, 1);
    assert_int_equal(aspen_object_sync(file, 0, PAGES * PAGE), 0);
    assert_int_equal(most_writing, 3);
    assert_int_equal(helper_counts(aspen).writeback_pages, 0);
    helper_unmap(s->mm, at, PAGES);
    aspen_object_put(file);
}

/* Who finds nothing stalled, and did not go on. */
static void
test_direct_stalls(void **state)
{
    struct helper_space s;
    struct aspen_config config = helper_config(128);
    int error = 0;
    (void)state;

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&s, &config);
    uint64_t at = helper_map(s.mm, 0, 256, RW);
    for (uint64_t i = 0; !error; i++)
        error = aspen_fault(s.mm, at + i * PAGE, ASPEN_ACCESS_WRITE);
    assert_int_equal(error, -ASPEN_ENOMEM);
    struct aspen_counters counts = helper_counts(s.helper.aspen);
    assert_int_equal(counts.direct_stalls, 1);
    assert_int_equal(counts.direct_reclaims, 0);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_pages),        helper_space_test(test_faults),
        helper_space_test(test_swap),         helper_space_test(test_writeback),
        cmocka_unit_test(test_direct_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
