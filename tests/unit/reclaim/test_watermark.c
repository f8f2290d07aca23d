/* SPDX-License-Identifier: MIT */
/*
 * Memory is kept free by who is woken when little is; who could take pages out
 * of memory leaves the rest to who cannot.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "base/atomic.h"

#include <pthread.h>
#include <sched.h>

#define FRAMES 512u
#define PAGES  (4 * FRAMES)
#define MIN    32u
#define LOW    96u
#define HIGH   160u

static uint32_t wakes; /* atomic */

static void
wake(void *context)
{
    (void)context;
    aspen_fetch_add(&wakes, 1u);
}

static const struct aspen_memory_ops memory = {.wake = wake};
static const struct aspen_pager_ops pager = {.read = helper_pager_number};

static struct aspen_config
config_with(uint64_t min, uint64_t low, uint64_t high)
{
    struct aspen_config config = helper_config(FRAMES);

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.hooks.memory = &memory;
    config.watermark_min = min;
    config.watermark_low = low;
    config.watermark_high = high;
    return config;
}

static void
begin(struct helper_space *s)
{
    struct aspen_config config = config_with(MIN, LOW, HIGH);

    aspen_store(&wakes, 0u);
    helper_space_create(s, &config);
}

static void
read_number(struct aspen_object *file, uint64_t page)
{
    uint64_t number = UINT64_MAX, done;

    assert_int_equal(
        aspen_object_read(file, page * PAGE, &number, sizeof(number), &done),
        0);
    assert_int_equal(number, page);
}

/* ---- How many ------------------------------------------------------------ */

static void
assert_marks(const struct aspen_config *config, uint64_t min, uint64_t low,
             uint64_t high)
{
    struct helper helper;

    helper_create(&helper, config);
    struct aspen_counters counts = helper_counts(helper.aspen);
    assert_int_equal(counts.watermark_min, min);
    assert_int_equal(counts.watermark_low, low);
    assert_int_equal(counts.watermark_high, high);
    helper_destroy(&helper);
}

static void
test_by_the_size_of_ram(void **state)
{
    struct aspen_config config = config_with(0, 0, 0);

    (void)state;
    config.direct_map = NULL;
    config.frames = 65537; /* 256 MiB, and one that is the zero page */
    assert_marks(&config, 512, 640, 768);
    config.frames = 512;
    assert_marks(&config, 16, 20, 24);
    config.watermark_min = 1, config.watermark_low = 2;
    config.watermark_high = 3;
    assert_marks(&config, 1, 2, 3);
    config = config_with(0, 0, 0);
    config.direct_map = NULL;
    config.hooks.memory = NULL;
    assert_marks(&config, 0, 0, 0);
}

/* RAM that comes later counts, where nobody has said how many. */
static void
test_with_what_is_added(void **state)
{
    static const struct aspen_frame_range ram[] = {{1, 1024}, {2049, 1024}};
    struct aspen_config config = config_with(0, 0, 0);
    struct aspen_counters counts;

    (void)state;
    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    config.direct_map = (void *)1; /* nobody looks */
    config.frames = 0;
    config.ram = ram;
    config.ram_ranges = 2;
    struct aspen *aspen = helper_machine_from(&config);
    counts = helper_counts(aspen);
    assert_int_equal(counts.watermark_min, 64);
    assert_int_equal(aspen_frames_add(aspen, 1025, 1024), 0);
    counts = helper_counts(aspen);
    assert_int_equal(counts.watermark_min, 96);
    assert_int_equal(counts.watermark_low, 120);
    assert_int_equal(counts.watermark_high, 144);
    assert_int_equal(aspen_destroy(aspen), 0);
}

static void
test_refused(void **state)
{
    static const uint64_t bad[][3] = {
        {1, 0, 0}, {0, 1, 0}, {2, 1, 3}, {1, 3, 3}, {1, 2, FRAMES}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct aspen_config config =
            config_with(bad[i][0], bad[i][1], bad[i][2]);
        struct aspen *aspen;
        assert_int_equal(aspen_create(&config, &aspen), -ASPEN_EINVAL);
    }
}

/* ---- Who is woken -------------------------------------------------------- */

static void
test_woken_and_sleeps(void **state)
{
    struct helper_space s;
    uint64_t page = 0;

    (void)state;
    begin(&s);
    struct aspen *aspen = s.helper.aspen;
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    assert_false(aspen_reclaim_tick(aspen));
    for (unsigned round = 1; round < 5; round++) {
        while (wakes < round)
            read_number(file, page++ % PAGES);
        /* Some are in CPU caches. */
        assert_in_range(helper_counts(aspen).frames_free, MIN, LOW + 127);
        for (unsigned i = 0; i < 20; i++) /* it is awake */
            read_number(file, page++ % PAGES);
        assert_int_equal(wakes, round);
        uint64_t before = helper_counts(aspen).reclaimed_background;
        while (aspen_reclaim_tick(aspen))
            ;
        struct aspen_counters counts = helper_counts(aspen);
        assert_true(counts.frames_free >= HIGH);
        assert_true(counts.reclaimed_background > before);
        assert_true(counts.reclaim_looked_background >=
                    counts.reclaimed_background);
        assert_int_equal(counts.reclaim_wakes, round);
    }
    assert_int_equal(helper_counts(aspen).direct_reclaims, 0);
    helper_assert_valid(&s.helper);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

/* Nothing can leave: it sleeps, and is woken again by who needs memory. */
static void
test_nothing_leaves(void **state)
{
    struct helper_space s;
    uint64_t i = 0;

    (void)state;
    begin(&s);
    uint64_t at = helper_map(s.mm, 0, FRAMES, RW);
    while (!wakes)
        helper_put(&s.helper, s.mm, at + i++ * PAGE, 1);
    assert_false(aspen_reclaim_tick(s.helper.aspen));
    while (wakes < 2)
        helper_put(&s.helper, s.mm, at + i++ * PAGE, 1);
    helper_space_destroy(&s);
}

/* ---- Who may have the rest ----------------------------------------------- */

static void
test_rest_is_for_who_cannot_wait(void **state)
{
    struct helper_space s;
    struct aspen_mm *child;
    uint64_t i = 0;
    int error = 0;

    (void)state;
    begin(&s);
    struct aspen *aspen = s.helper.aspen;
    uint64_t at = helper_map(s.mm, 0, FRAMES, RW);
    while (!error && i < FRAMES)
        error = aspen_fault(s.mm, at + i++ * PAGE, ASPEN_ACCESS_WRITE);
    assert_int_equal(error, -ASPEN_ENOMEM);
    assert_int_equal(helper_counts(aspen).frames_free, MIN);
    assert_int_equal(aspen_fork(s.mm, &child), 0);
    assert_true(helper_counts(aspen).frames_free < MIN);
    assert_int_equal(aspen_fault(s.mm, at, ASPEN_ACCESS_WRITE), -ASPEN_ENOMEM);
    aspen_mm_put(child);
    assert_int_equal(helper_counts(aspen).frames_free, MIN);
    helper_space_destroy(&s);
}

/* Pages of files leave for a fault, by itself, before the rest is touched. */
static void
test_direct_below_min(void **state)
{
    struct helper_space s;

    (void)state;
    begin(&s);
    struct aspen *aspen = s.helper.aspen;
    struct aspen_object *file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    for (uint64_t i = 0; i < PAGES; i++) {
        read_number(file, i);
        assert_true(helper_counts(aspen).frames_free + 1 >= MIN);
    }
    struct aspen_counters counts = helper_counts(aspen);
    assert_true(counts.direct_reclaims > 0);
    assert_true(counts.reclaimed_direct >= 32 * counts.direct_reclaims);
    assert_int_equal(counts.reclaimed, counts.reclaimed_direct);
    assert_int_equal(counts.reclaim_looked, counts.reclaim_looked_direct);
    assert_int_equal(wakes, 1);
    aspen_object_put(file);
    helper_space_destroy(&s);
}

/* ---- Threads ------------------------------------------------------------- */

#define THREADS 4u

struct soak {
    struct aspen *aspen;
    struct aspen_object *file;
    uint32_t next;    /* atomic */
    uint32_t readers; /* atomic: that have not ended */
};

static void
keep_free(struct soak *soak)
{
    uint32_t seen = 0;

    while (aspen_load(&soak->readers)) {
        uint32_t now = aspen_load(&wakes);
        if (now == seen) {
            sched_yield();
            continue;
        }
        seen = now;
        while (aspen_reclaim_tick(soak->aspen))
            ;
    }
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    uint64_t seed = aspen_fetch_add(&soak->next, 1u);

    if (seed == 0) {
        keep_free(soak);
        return NULL;
    }
    for (unsigned i = 0; i < unit_rounds(4000); i++)
        read_number(soak->file, unit_below(&seed, PAGES));
    aspen_fetch_sub(&soak->readers, 1u);
    return NULL;
}

static void
test_threads(void **state)
{
    struct helper_space s;

    (void)state;
    begin(&s);
    struct soak soak = {.aspen = s.helper.aspen, .readers = THREADS - 1};
    soak.file =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    unit_run_threads(THREADS, soak_thread, &soak);
    struct aspen_counters counts = helper_counts(s.helper.aspen);
    print_message("%u left in the background, %u directly, %u wakes\n",
                  (unsigned)counts.reclaimed_background,
                  (unsigned)counts.reclaimed_direct,
                  (unsigned)counts.reclaim_wakes);
    assert_true(counts.reclaimed > FRAMES);
    assert_true(counts.reclaimed_background > 0);
    helper_assert_valid(&s.helper);
    aspen_object_put(soak.file);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_the_size_of_ram),
        cmocka_unit_test(test_with_what_is_added),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_woken_and_sleeps),
        cmocka_unit_test(test_nothing_leaves),
        cmocka_unit_test(test_rest_is_for_who_cannot_wait),
        cmocka_unit_test(test_direct_below_min),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
