/* SPDX-License-Identifier: MIT */
/*
 * Guard pages, and what else madvise does to a space that no host is needed
 * for: all or nothing, forks, merges, locks that are held.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "frames/frames.h"
#include "space/vma.h"

#define BASE  (16 * MIB)
#define AT(n) (BASE + (uint64_t)(n)*PAGE)

static int
setup_6_12(void **state)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_12;
    return helper_space_setup_with(state, &config);
}

static void
advise(struct aspen_mm *mm, unsigned first, unsigned pages,
       enum aspen_advice advice)
{
    assert_int_equal(aspen_madvise(mm, AT(first), pages * PAGE, advice), 0);
}

/* "G" a guard, "." readable zero, else its byte. */
static void
assert_pages(struct aspen_mm *mm, const char *expected)
{
    char found[32] = "";
    uint64_t done;

    for (unsigned i = 0; expected[i]; i++) {
        char byte = 0;
        int error = aspen_read_memory(mm, AT(i), &byte, 1, 0, &done);
        found[i] = error ? 'G' : byte ? byte : '.';
    }
    assert_string_equal(found, expected);
}

/* Six pages "abcdef". */
static void
fill(struct helper_space *g)
{
    helper_map(g->mm, BASE, 6, RW);
    for (unsigned i = 0; i < 6; i++)
        helper_put(&g->helper, g->mm, AT(i), (uint8_t)('a' + i));
}

/* ---- Guards ------------------------------------------------------------ */

static void
test_life(void **state)
{
    struct helper_space *g = *state;

    fill(g);
    advise(g->mm, 1, 3, ASPEN_MADV_GUARD_INSTALL);
    assert_pages(g->mm, "aGGGef");
    assert_int_equal(aspen_fault(g->mm, AT(1), ASPEN_ACCESS_WRITE),
                     -ASPEN_EFAULT);
    assert_int_equal(
        aspen_madvise(g->mm, BASE, 6 * PAGE, ASPEN_MADV_POPULATE_WRITE),
        -ASPEN_EFAULT);
    /* What throws contents away does not throw guards away. */
    advise(g->mm, 0, 3, ASPEN_MADV_DONTNEED);
    advise(g->mm, 3, 2, ASPEN_MADV_FREE);
    assert_pages(g->mm, ".GGGef");
    assert_int_equal(aspen_mprotect(g->mm, BASE, 6 * PAGE, R, ASPEN_PKEY_SAME),
                     0);
    assert_int_equal(aspen_mprotect(g->mm, BASE, 6 * PAGE, RW, ASPEN_PKEY_SAME),
                     0);
    assert_pages(g->mm, ".GGGef");
    advise(g->mm, 2, 4, ASPEN_MADV_GUARD_REMOVE);
    assert_pages(g->mm, ".G..ef");
    /* Unmapping does. */
    helper_unmap(g->mm, AT(1), 1);
    helper_map(g->mm, AT(1), 1, RW);
    assert_pages(g->mm, "....ef");
}

static void
test_fork(void **state)
{
    struct helper_space *g = *state;
    struct aspen_mm *child;
    struct aspen_object *shared;

    shared = helper_object(&g->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    fill(g);
    helper_map_object(g->mm, AT(6), 4, RW | ASPEN_VM_SHARED, shared, 0);
    helper_put(&g->helper, g->mm, AT(6), 's');
    advise(g->mm, 1, 1, ASPEN_MADV_GUARD_INSTALL);
    advise(g->mm, 7, 1, ASPEN_MADV_GUARD_INSTALL);
    advise(g->mm, 4, 1, ASPEN_MADV_WIPEONFORK);
    advise(g->mm, 4, 1, ASPEN_MADV_GUARD_INSTALL);
    advise(g->mm, 5, 1, ASPEN_MADV_DONTFORK);
    assert_int_equal(aspen_fork(g->mm, &child), 0);
    assert_pages(child, "aGcd.GsG..");
    assert_null(aspen_vma_at(child, AT(5)));
    assert_pages(g->mm, "aGcdGfsG..");
    advise(child, 1, 1, ASPEN_MADV_GUARD_REMOVE);
    assert_pages(child, "a.cd");
    assert_pages(g->mm, "aGcd");
    aspen_mm_put(child);
    aspen_object_put(shared);
}

/* Over tables, mappings and holes. */
static void
test_wide(void **state)
{
    const uint64_t pages = 3 * 512;
    struct helper_space *g = *state;

    helper_map(g->mm, BASE, pages, RW);
    helper_map(g->mm, AT(pages + 1), 4, R);
    helper_put(&g->helper, g->mm, AT(700), 1);
    assert_int_equal(
        aspen_madvise(g->mm, AT(5), pages * PAGE, ASPEN_MADV_GUARD_INSTALL),
        -ASPEN_ENOMEM);
    assert_int_equal(aspen_fault(g->mm, AT(4), ASPEN_ACCESS_READ), 0);
    for (uint64_t i = 5; i < pages + 5; i += i == pages - 1 ? 2 : 1)
        assert_int_equal(aspen_fault(g->mm, AT(i), ASPEN_ACCESS_READ),
                         -ASPEN_EFAULT);
    helper_assert_valid(&g->helper);
    assert_int_equal(
        aspen_madvise(g->mm, AT(5), pages * PAGE, ASPEN_MADV_GUARD_REMOVE),
        -ASPEN_ENOMEM);
    assert_int_equal(helper_get(&g->helper, g->mm, AT(700)), 0);
}

/* One mapping refuses: nothing has changed. */
static void
test_refused(void **state)
{
    struct helper_state before;
    struct helper_space *g = *state;

    fill(g);
    helper_map(g->mm, AT(6), 2, RW | ASPEN_VM_LOCKED);
    helper_state_take(&g->helper, g->mm, &before);
    assert_int_equal(
        aspen_madvise(g->mm, BASE, 8 * PAGE, ASPEN_MADV_GUARD_INSTALL),
        -ASPEN_EINVAL);
    helper_assert_state(&g->helper, g->mm, &before);
    assert_int_equal(aspen_madvise(g->mm, BASE, 8 * PAGE, ASPEN_MADV_DONTNEED),
                     -ASPEN_EINVAL);
    assert_int_equal(helper_get(&g->helper, g->mm, AT(0)), 0);
    assert_int_equal(
        aspen_madvise(g->mm, BASE, 8 * PAGE, ASPEN_MADV_GUARD_REMOVE), 0);
}

static void
test_release(void **state)
{
    struct helper_space *g = *state;

    fill(g);
    assert_int_equal(aspen_madvise(g->mm, BASE, PAGE, ASPEN_MADV_GUARD_INSTALL),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_madvise(g->mm, BASE, PAGE, ASPEN_MADV_HWPOISON),
                     -ASPEN_EINVAL);
}

/* ---- Lazily freed pages ------------------------------------------------ */

static uint64_t
lazy_kib(struct aspen_mm *mm)
{
    char *text = helper_smaps(mm);
    char *line;
    unsigned long long kib, sum = 0;

    for (line = text; (line = strstr(line, "LazyFree:")) != NULL; line++)
        if (sscanf(line, "LazyFree: %llu", &kib) == 1)
            sum += kib;
    free(text);
    return sum;
}

static void
test_lazy(void **state)
{
    struct aspen_mm *child;
    struct helper_space *g = *state;

    fill(g);
    advise(g->mm, 1, 4, ASPEN_MADV_FREE);
    assert_int_equal(lazy_kib(g->mm), 16);
    /* Still there, until somebody needs the memory; a write takes it back. */
    assert_pages(g->mm, "abcdef");
    helper_put(&g->helper, g->mm, AT(2), 'X');
    assert_int_equal(lazy_kib(g->mm), 12);
    /* A child that writes gets a page of its own. */
    assert_int_equal(aspen_fork(g->mm, &child), 0);
    helper_put(&g->helper, child, AT(3), 'Y');
    assert_int_equal(lazy_kib(child), 8);
    assert_int_equal(lazy_kib(g->mm), 12);
    /* What both map stays; what nobody else maps goes. */
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_pages(g->mm, "abX.ef");
    aspen_mm_put(child);
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_pages(g->mm, "a.X..f");
}

/* Written by somebody outside: it is not free any more. */
static void
test_lazy_outside(void **state)
{
    struct helper_space *g = *state;
    uint64_t done;

    fill(g);
    advise(g->mm, 0, 6, ASPEN_MADV_FREE);
    assert_int_equal(aspen_write_memory(g->mm, AT(1), "Z", 1, 0, &done), 0);
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_pages(g->mm, ".Z....");
}

/* A pin does not keep it from being freed lazily, only from going before. */
static void
test_lazy_pinned(void **state)
{
    struct helper_space *g = *state;
    uint32_t frame;

    fill(g);
    assert_int_equal(aspen_pin_range(g->mm, AT(1), PAGE, 0, &frame), 0);
    advise(g->mm, 0, 6, ASPEN_MADV_FREE);
    assert_int_equal(lazy_kib(g->mm), 24);
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_pages(g->mm, ".b....");
    helper_unpin(g->mm, &frame, 1, 0);
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_pages(g->mm, "......");
}

/* ---- Files ------------------------------------------------------------- */

static unsigned reads;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    reads++;
    memset(page, 'A' + (int)(offset_bytes / PAGE), PAGE);
    return offset_bytes / PAGE == 5 ? -ASPEN_EIO : 0;
}

static const struct aspen_pager_ops reader = {.read = read_page};

static void
test_file(void **state)
{
    struct aspen_object *file;
    struct helper_space *g = *state;

    reads = 0;
    file = helper_object(&g->helper, ASPEN_OBJECT_FILE, 6, &reader, NULL);
    helper_map_object(g->mm, BASE, 6, RW, file, 0);
    advise(g->mm, 1, 2, ASPEN_MADV_WILLNEED);
    assert_int_equal(reads, 2);
    advise(g->mm, 4, 2, ASPEN_MADV_WILLNEED); /* nobody hears of errors */
    assert_pages(g->mm, "ABCDEG");
    helper_put(&g->helper, g->mm, AT(1), 'x');
    assert_int_equal(helper_counters(g->mm).file_pages, 4);
    /* Clean pages of the file go, private copies stay. */
    advise(g->mm, 0, 6, ASPEN_MADV_PAGEOUT);
    assert_int_equal(helper_counters(g->mm).file_pages, 0);
    assert_int_equal(helper_counters(g->mm).anon_pages, 1);
    assert_pages(g->mm, "AxCDEG");
    advise(g->mm, 0, 6, ASPEN_MADV_DONTNEED);
    assert_pages(g->mm, "ABCDEG");
    aspen_object_put(file);
}

/* ---- Flags ------------------------------------------------------------- */

/* What one mapping refuses changes none; a hole changes all but that. */
static void
test_flags(void **state)
{
    struct helper_state before;
    struct aspen_object *object;
    struct helper_space *g = *state;

    object = helper_object(&g->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    fill(g);
    helper_map_object(g->mm, AT(6), 4, RW, object, 0);
    helper_state_take(&g->helper, g->mm, &before);
    assert_int_equal(
        aspen_madvise(g->mm, AT(2), 6 * PAGE, ASPEN_MADV_WIPEONFORK),
        -ASPEN_EINVAL);
    helper_assert_state(&g->helper, g->mm, &before);
    helper_unmap(g->mm, AT(4), 1);
    assert_int_equal(aspen_madvise(g->mm, AT(2), 6 * PAGE, ASPEN_MADV_DONTFORK),
                     -ASPEN_ENOMEM);
    for (unsigned i = 2; i < 8; i++)
        if (i != 4)
            assert_true(aspen_vma_at(g->mm, AT(i))->flags & ASPEN_VM_DONTCOPY);
    aspen_object_put(object);
}

/* ---- Several ranges ---------------------------------------------------- */

static void
test_ranges(void **state)
{
    const struct aspen_advise_range ranges[] = {
        {AT(0), PAGE}, {AT(2), 2 * PAGE}, {AT(10), PAGE}, {AT(5), PAGE}};
    struct helper_space *g = *state;
    uint64_t done;

    fill(g);
    assert_int_equal(aspen_process_madvise(g->mm, ranges, 4,
                                           ASPEN_MADV_DONTNEED,
                                           ASPEN_ADVISE_REMOTE, &done),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_process_madvise(g->mm, ranges, 4, ASPEN_MADV_COLD,
                                           ASPEN_ADVISE_REMOTE, &done),
                     0);
    assert_int_equal(done, 3 * PAGE);
    assert_int_equal(
        aspen_process_madvise(g->mm, ranges, 4, ASPEN_MADV_DONTNEED, 0, &done),
        0);
    assert_int_equal(done, 3 * PAGE);
    assert_pages(g->mm, ".b..ef");
    assert_int_equal(aspen_process_madvise(g->mm, ranges + 2, 2,
                                           ASPEN_MADV_COLD, ASPEN_ADVISE_REMOTE,
                                           &done),
                     -ASPEN_ENOMEM);
    assert_int_equal(done, 0);
    assert_int_equal(aspen_process_madvise(g->mm, ranges, 4, ASPEN_MADV_COLD,
                                           ASPEN_ADVISE_REMOTE << 1, &done),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_process_madvise(g->mm, ranges, ASPEN_ADVISE_RANGES_MAX + 1,
                              ASPEN_MADV_COLD, ASPEN_ADVISE_REMOTE, &done),
        -ASPEN_EINVAL);

    /* Behind the last one nothing is looked at: AddressSanitizer sees it. */
    struct aspen_advise_range *last = malloc(sizeof(*last));
    assert_non_null(last);
    *last = ranges[2];
    assert_int_equal(aspen_process_madvise(g->mm, last, 1, ASPEN_MADV_COLD,
                                           ASPEN_ADVISE_REMOTE, &done),
                     -ASPEN_ENOMEM);
    free(last);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, helper_space_setup_6_18,             \
                                    helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_life),
        TEST(test_fork),
        TEST(test_wide),
        TEST(test_refused),
        cmocka_unit_test_setup_teardown(test_release, setup_6_12,
                                        helper_space_teardown),
        TEST(test_lazy),
        TEST(test_lazy_outside),
        TEST(test_lazy_pinned),
        TEST(test_file),
        TEST(test_flags),
        TEST(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
