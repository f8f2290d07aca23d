/* SPDX-License-Identifier: MIT */
/*
 * test_bounds.c - what a large call may take: counts and bounds, never times.
 */
#include "helper.h"

#define AT(page) ((uint64_t)(page)*PAGE)

/* ---- TLB flushes ------------------------------------------------------- */

#define GIGABYTE_PAGES 262144u

struct pages {
    struct helper helper;
    struct aspen_mm *mm;
    uint64_t count; /* from AT(count) on */
};

/* A machine without contents, and a space where so many pages are mapped. */
static void
pages_create(struct pages *pages, uint64_t count)
{
    struct aspen_config config =
        helper_config((uint32_t)(count + count / 8 + 4096));
    struct aspen_import_vma vma = {
        .start = AT(count),
        .end = AT(2 * count),
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages import = {
        .address = vma.start,
        .count = count,
        .kind = ASPEN_IMPORT_ANON,
    };
    uint64_t done;

    config.flags |= ASPEN_CONFIG_CONTENTS_IGNORED;
    helper_create(&pages->helper, &config);
    pages->count = count;
    pages->mm = helper_mm(&pages->helper);
    assert_int_equal(aspen_import_vma(pages->mm, &vma), 0);
    assert_int_equal(aspen_import_pages(pages->mm, &import, &done), 0);
}

static void
pages_destroy(struct pages *pages)
{
    aspen_mm_put(pages->mm);
    helper_destroy(&pages->helper);
}

static int
drop(struct pages *pages)
{
    return aspen_madvise(pages->mm, AT(pages->count), AT(pages->count),
                         ASPEN_MADV_DONTNEED);
}

static int
unmap(struct pages *pages)
{
    return aspen_munmap(pages->mm, AT(pages->count), AT(pages->count));
}

/* The flushes of a call after which no page is left. */
static uint64_t
flushes_of(struct pages *pages, int (*call)(struct pages *pages))
{
    struct aspen *aspen = pages->helper.aspen;
    struct aspen_counters before = helper_counts(aspen);

    assert_int_equal(call(pages), 0);
    struct aspen_counters after = helper_counts(aspen);
    assert_in_range(after.frames_free, before.frames_free + pages->count,
                    before.frames_free + pages->count + pages->count / 128);
    return after.tlb_flushes - before.tlb_flushes;
}

static void
test_flushes(void **state)
{
    int (*const calls[])(struct pages * pages) = {drop, unmap};
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        struct pages pages;
        pages_create(&pages, GIGABYTE_PAGES);
        uint64_t flushes = flushes_of(&pages, calls[i]);
        print_message("1 GiB: %u flushes\n", (unsigned)flushes);
        assert_in_range(flushes, 1, 5);
        pages_destroy(&pages);
    }
}

/* Without memory for the frames that wait there are more, and no error. */
static void
test_flushes_without_memory(void **state)
{
    const uint64_t count = 32768;
    const uint64_t all = count / 128;
    (void)state;

    for (uint64_t number = 1; number < 12; number++)
        for (int mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++) {
            struct pages pages;
            struct aspen_failpoint_counts counts;
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = number};
            pages_create(&pages, count);
            struct aspen *aspen = pages.helper.aspen;
            assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
            uint64_t flushes = flushes_of(&pages, drop);
            aspen_failpoints_read(aspen, &counts);
            assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
            assert_int_equal(counts.by_step[ASPEN_STEP_GATHER],
                             counts.crossings);
            assert_true(counts.failed > 0);
            if (mode == ASPEN_FAIL_ONCE)
                assert_in_range(flushes, 1, 6);
            else if (number == 1)
                assert_int_equal(flushes, all);
            else
                assert_in_range(flushes, 6, all - 1);
            helper_assert_valid(&pages.helper);
            pages_destroy(&pages);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flushes),
        cmocka_unit_test(test_flushes_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
