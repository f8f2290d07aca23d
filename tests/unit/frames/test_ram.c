/* SPDX-License-Identifier: MIT */
/*
 * test_ram.c - RAM as it is: ranges with holes, a base that is not 0, what is
 * reserved, what comes later. The window that stands for physical memory is
 * readable only where there is RAM of the machine's, so whoever touches
 * anything else dies.
 *
 * ASPEN_SEED=N replays a random run.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "bare_machine.h"
#include "helper.h"

#include "frames/pins.h"
#include "frames/ram.h"

#define RANGES(config, field, array)                                           \
    do {                                                                       \
        (config).field = (array);                                              \
        (config).field##_ranges = ASPEN_ARRAY_SIZE(array);                     \
    } while (0)

/* ---- Physical memory --------------------------------------------------- */

struct window {
    uint64_t first; /* frame */
    uint64_t frames;
    char *memory;
};

/* Frames [first, first + frames), none accessible. */
static struct window
window_open(uint64_t first, uint64_t frames)
{
    struct window window = {first, frames, NULL};

    /* qemu-user keeps a table of every page. */
    if (frames >> 28 && getenv("ASPEN_EMULATED"))
        unit_skip("an emulator's tables for so many addresses");
    window.memory = mmap(NULL, frames * PAGE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (window.memory == MAP_FAILED) /* ThreadSanitizer, RLIMIT_AS */
        unit_skip("no %llu GiB of addresses",
                  (unsigned long long)(frames >> 18));
    return window;
}

static void
window_close(struct window *window)
{
    assert_int_equal(munmap(window->memory, window->frames * PAGE), 0);
}

/* Where frame 0 would be. */
static void *
window_map(const struct window *window)
{
    return (void *)((uintptr_t)window->memory - window->first * PAGE);
}

static void
window_protect(const struct window *window, uint64_t first, uint64_t count,
               int protection)
{
    assert_int_equal(mprotect(window->memory + (first - window->first) * PAGE,
                              count * PAGE, protection),
                     0);
}

static void
window_allow(const struct window *window, const struct aspen_frame_range *range)
{
    window_protect(window, range->first, range->count, PROT_READ | PROT_WRITE);
}

/* ---- A machine --------------------------------------------------------- */

static struct aspen_config
plain_config(void)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.flags = ASPEN_CONFIG_TABLES_ONLY;
    config.direct_map = (void *)1; /* nobody looks */
    return config;
}

/* All that can be had, one by one; each is marked, and none comes twice. */
static uint64_t
take_all(struct aspen *aspen, uint8_t *mark, uint64_t limit)
{
    uint64_t taken = 0;
    uint32_t frame;

    while (!aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame)) {
        assert_true(frame < limit && !mark[frame]);
        mark[frame] = 1;
        taken++;
    }
    return taken;
}

static void
give_all(struct aspen *aspen, const uint8_t *mark, uint64_t limit)
{
    for (uint32_t i = 0; i < limit; i++)
        if (mark[i])
            aspen_frame_put(aspen, i);
}

/* ---- Whole machines ---------------------------------------------------- */

/* Two spaces that write, fork and copy, until everything has been touched. */
static void
use_all(struct helper *helper)
{
    struct aspen_mm *mm = helper_mm(helper), *child;
    struct aspen_counters counters;

    aspen_counters_read(helper->aspen, &counters);
    uint64_t pages = counters.frames_free;
    uint64_t at = helper_map(mm, 0, pages, ASPEN_VM_READ | ASPEN_VM_WRITE);
    uint64_t i = 0;

    helper_get(helper, mm, at);
    assert_int_equal(aspen_fork(mm, &child), 0);
    assert_int_equal(helper_get(helper, child, at), 0);
    while (i < pages &&
           !helper_write(helper, mm, at + i * PAGE, &(uint8_t){(uint8_t)i}, 1))
        i++;
    assert_true(i > pages / 2 && i < pages);
    assert_int_equal(helper_get(helper, child, at), 0);
    while (i-- > 0)
        assert_int_equal(helper_get(helper, mm, at + i * PAGE), (uint8_t)i);
    helper_assert_valid(helper);
    aspen_mm_put(child);
    aspen_mm_put(mm);
    helper_counts(helper->aspen);
}

/* The usual layout of AArch64: RAM at 1 GiB, the kernel in it, a hole of half
 * a gibibyte, and more RAM. */
static void
test_base_at_1_gib(void **unused)
{
    static const struct aspen_frame_range ram[] = {{3 << 17, 512},
                                                   {1 << 18, 640}};
    static const struct aspen_frame_range kernel[] = {{1 << 18, 64},
                                                      {(1 << 18) + 200, 3}};
    struct window window = window_open(1 << 18, (1 << 17) + 512);
    struct aspen_config config;
    struct helper helper = {.direct_map = window_map(&window)};
    (void)unused;

    aspen_config_init(&config);
    RANGES(config, ram, ram);
    RANGES(config, reserved, kernel);
    config.direct_map = helper.direct_map;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(ram); i++)
        window_allow(&window, &ram[i]);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(kernel); i++)
        window_protect(&window, kernel[i].first, kernel[i].count, PROT_NONE);

    helper.aspen = helper_machine_from(&config);
    assert_int_equal(helper.aspen->zero_frame, (1 << 18) + 64);
    assert_int_equal(helper.aspen->banks.ram_frames, 512 + 640 - 67);
    /* The hole has no table, what is reserved in RAM has one. */
    assert_int_equal(helper.aspen->banks.table_frames, 512 + 640);
    use_all(&helper);
    bare_assert_frames(helper.aspen);
    assert_int_equal(aspen_destroy(helper.aspen), 0);
    window_close(&window);
}

/* Above 4 GiB, and at the end of 16 TiB. */
static void
test_high(void **unused)
{
    static const struct aspen_frame_range ram[] = {{UINT32_MAX - 1024, 1023},
                                                   {(1 << 20) + 7, 300}};
    struct window window = window_open((1 << 20) + 7, UINT32_MAX - (1 << 20));
    struct aspen_config config;
    struct helper helper = {.direct_map = window_map(&window)};
    (void)unused;

    aspen_config_init(&config);
    RANGES(config, ram, ram);
    config.direct_map = helper.direct_map;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(ram); i++)
        window_allow(&window, &ram[i]);
    helper.aspen = helper_machine_from(&config);
    assert_int_equal(helper.aspen->banks.table_frames, 7 + 300 + 63 + 1023);
    use_all(&helper);
    bare_assert_frames(helper.aspen);
    assert_int_equal(aspen_destroy(helper.aspen), 0);
    window_close(&window);
}

/* ---- What makes sense -------------------------------------------------- */

static void
assert_refused(const struct aspen_config *config)
{
    struct aspen *aspen = NULL;

    assert_int_equal(aspen_create(config, &aspen), -ASPEN_EINVAL);
    assert_null(aspen);
}

static void
test_refused(void **unused)
{
    static const struct aspen_frame_range good[] = {{0, 100}, {200, 100}};
    static const struct aspen_frame_range few[] = {{0, 31}, {200, 32}};
    static const struct aspen_frame_range twice[] = {{0, 100}, {99, 100}};
    static const struct aspen_frame_range empty[] = {{0, 100}, {200, 0}};
    static const struct aspen_frame_range high[] = {{UINT32_MAX - 100, 100}};
    static const struct aspen_frame_range most[] = {{0, 100}, {237, 9000}};
    struct aspen_config config = plain_config(), bad;
    (void)unused;

    RANGES(config, ram, good);
    bad = config, bad.frames = 4096, assert_refused(&bad);
    bad = config, bad.ram = NULL, assert_refused(&bad);
    bad = config, bad.ram_ranges = 0, assert_refused(&bad);
    bad = config, bad.reserved_ranges = 1, assert_refused(&bad);
    bad = config, bad.frames_end = UINT32_MAX, assert_refused(&bad);
    bad = config, bad.direct_map = NULL, assert_refused(&bad);
    bad = config, bad.ram = few, assert_refused(&bad);
    bad = config, bad.ram = twice, assert_refused(&bad);
    bad = config, bad.ram = empty, assert_refused(&bad);
    bad = config;
    RANGES(bad, ram, high);
    assert_refused(&bad);
    bad = config;
    RANGES(bad, reserved, most);
    bad.reserved = most, assert_refused(&bad);
    /* The last range may end at the last number. */
    bad.ram_ranges = 1, bad.ram = &(struct aspen_frame_range){4294967000, 294};
    bad.reserved_ranges = 0;
    assert_int_equal(aspen_destroy(helper_machine_from(&bad)), 0);
}

/* ---- Any ranges -------------------------------------------------------- */

#define LIMIT 300000u

static unsigned
random_ranges(uint64_t *state, struct aspen_frame_range *ranges, unsigned count)
{
    uint32_t at = (uint32_t)unit_below(state, 70000);
    unsigned made = 0;

    for (; made < count && at < LIMIT - 4000; made++) {
        ranges[made].first = at;
        ranges[made].count =
            1 + (uint32_t)unit_below(state, made % 3 ? 200 : 4000);
        at += ranges[made].count;
        at += (uint32_t)unit_below(state, made % 4 ? 100 : 60000);
    }
    for (unsigned i = made; i > 1; i--) {
        unsigned j = (unsigned)unit_below(state, i);
        struct aspen_frame_range range = ranges[i - 1];
        ranges[i - 1] = ranges[j];
        ranges[j] = range;
    }
    return made;
}

static void
paint(uint8_t *picture, const struct aspen_frame_range *ranges, unsigned count,
      uint8_t colour)
{
    for (unsigned i = 0; i < count; i++)
        for (uint32_t j = 0; j < ranges[i].count; j++)
            picture[ranges[i].first + j] = colour;
}

/* Blocks lie in RAM, and give back what they took. */
static void
check_blocks(struct aspen *aspen, const uint8_t *picture)
{
    uint32_t frame;

    for (unsigned order = 1; order <= 12; order++) {
        if (aspen_frame_alloc(aspen, order, ASPEN_STEP_FRAME, &frame))
            continue;
        for (uint32_t i = 0; i < 1u << order; i++) {
            assert_int_equal(picture[frame + i], 1);
            assert_int_equal(aspen_frame_head(aspen, frame + i), frame);
        }
        assert_int_equal(aspen_frame_order(aspen, frame), order);
        bare_assert_frames(aspen);
        aspen_frame_put(aspen, frame);
    }
}

static void
check_ranges(const struct aspen_config *config, uint8_t *picture)
{
    static uint8_t mark[LIMIT];
    struct aspen *aspen = NULL;
    uint64_t expected = 0;

    for (uint32_t i = 0; i < LIMIT; i++)
        expected += picture[i];
    int error = aspen_create(config, &aspen);
    assert_int_equal(error, expected < 64 ? -ASPEN_EINVAL : 0);
    if (error)
        return;
    bare_assert_frames(aspen);
    assert_int_equal(aspen->banks.ram_frames, expected);
    memset(mark, 0, sizeof(mark));
    check_blocks(aspen, picture);
    assert_int_equal(take_all(aspen, mark, LIMIT), expected - 1);
    bare_assert_frames(aspen);
    mark[aspen->zero_frame] = 1;
    assert_memory_equal(mark, picture, sizeof(mark));
    for (uint32_t i = 0; i < LIMIT; i++)
        if (aspen_frame_exists(aspen, i))
            assert_int_equal(
                aspen_frame_number(aspen, aspen_frame_at(aspen, i)), i);
    mark[aspen->zero_frame] = 0;
    give_all(aspen, mark, LIMIT);
    bare_assert_frames(aspen);
    assert_int_equal(aspen_destroy(aspen), 0);
}

/* Of RAM, some of it more than once, in any order, and beyond its ends. */
static unsigned
reserve_inside(uint64_t *state, const struct aspen_config *config,
               struct aspen_frame_range *reserved, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct aspen_frame_range *range =
            &config->ram[unit_below(state, config->ram_ranges)];
        uint64_t first = range->first + unit_below(state, range->count);
        reserved[i].first = (uint32_t)first;
        reserved[i].count = (uint32_t)aspen_min_u64(
            1 + unit_below(state, range->count), LIMIT - first);
    }
    return count;
}

static void
test_random(void **unused)
{
    static uint8_t picture[LIMIT];
    uint64_t state = unit_seed("test_ram", 1);
    (void)unused;

    for (unsigned run = 0; run < 60; run++) {
        struct aspen_frame_range ram[12], reserved[8];
        struct aspen_config config = plain_config();
        unsigned wanted = 1 + (unsigned)unit_below(&state, 12);

        config.ram = ram;
        config.ram_ranges = random_ranges(&state, ram, wanted);
        config.reserved = reserved;
        config.reserved_ranges =
            run % 2 ? reserve_inside(&state, &config, reserved, run % 9)
                    : random_ranges(&state, reserved, run % 9);
        config.frames_end = run % 3 ? 0 : LIMIT + 1000;
        memset(picture, 0, sizeof(picture));
        paint(picture, ram, config.ram_ranges, 1);
        paint(picture, reserved, config.reserved_ranges, 0);
        check_ranges(&config, picture);
    }
}

/* ---- RAM that comes later ---------------------------------------------- */

static int
add_all(struct aspen *aspen)
{
    return aspen_frames_add(aspen, 5 << 15, 70000);
}

static void
test_added(void **unused)
{
    static const struct aspen_frame_range ram[] = {{100, 200}, {400, 200}};
    static const struct aspen_frame_range reserved[] = {{500, 100}};
    struct aspen_config config = plain_config();
    uint8_t *mark = calloc(1, 10 << 15);
    (void)unused;

    RANGES(config, ram, ram);
    RANGES(config, reserved, reserved);
    config.frames_end = 9 << 15;
    struct aspen *aspen = helper_machine_from(&config);
    struct aspen_counters before = helper_counts(aspen);

    /* Ours already, in part or all; none; beyond; a part without a table. */
    assert_int_equal(aspen_frames_add(aspen, 150, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 290, 11), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 299, 2), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 300, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 0, 3), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, (9 << 15) - 1, 2), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, (1 << 15) - 1, 2), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 7, UINT32_MAX), -ASPEN_EINVAL);
    helper_assert_counts(aspen, &before);
    bare_assert_frames(aspen);

    assert_int_equal(aspen_frames_add(aspen, 300, 100), 0);
    assert_int_equal(aspen_frames_add(aspen, 500, 50), 0);
    assert_int_equal(aspen_frames_add(aspen, 1, 99), 0);
    assert_int_equal(aspen_frames_add(aspen, 600, 1000), 0);
    bare_assert_frames(aspen);

    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONCE};
    before = helper_counts(aspen);
    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    assert_int_equal(add_all(aspen), -ASPEN_ENOMEM);
    helper_assert_counts(aspen, &before);
    assert_int_equal(add_all(aspen), 0);
    assert_int_equal(add_all(aspen), -ASPEN_EINVAL);
    bare_assert_frames(aspen);
    /* To the end of its last section. */
    assert_int_equal(aspen_frames_add(aspen, (5 << 15) + 70000, 28304), 0);
    assert_int_equal(aspen_frames_add(aspen, (4 << 15), 1 << 15), 0);
    /* A block over two banks. */
    check_blocks(aspen, memset(mark, 1, 10 << 15));
    memset(mark, 0, 10 << 15);
    uint64_t all = 1549 + 70000 + 28304 + (1 << 15);
    assert_int_equal(helper_counts(aspen).frames_total, all);
    assert_int_equal(take_all(aspen, mark, 9 << 15), all - 1);
    bare_assert_frames(aspen);
    give_all(aspen, mark, 9 << 15);
    assert_int_equal(aspen_destroy(aspen), 0);
    free(mark);
}

/* Without frames_end nothing may come but what has a table. */
static void
test_added_inside(void **unused)
{
    static const struct aspen_frame_range ram[] = {{4096, 200}, {5000, 200}};
    struct aspen_config config = plain_config();
    (void)unused;

    RANGES(config, ram, ram);
    struct aspen *aspen = helper_machine_from(&config);
    assert_int_equal(aspen_frames_add(aspen, 5200, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 4095, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_frames_add(aspen, 4296, 704), 0);
    assert_int_equal(helper_counts(aspen).frames_total, 1104);
    bare_assert_frames(aspen);
    assert_int_equal(aspen_destroy(aspen), 0);
}

/* A hole of 128 MiB has a table, a larger one has none. */
static void
test_added_to_hole(void **unused)
{
    (void)unused;
    for (uint32_t more = 0; more < 2; more++) {
        const struct aspen_frame_range ram[] = {{0, 256},
                                                {256 + (1 << 15) + more, 256}};
        struct aspen_config config = plain_config();
        RANGES(config, ram, ram);
        struct aspen *aspen = helper_machine_from(&config);
        assert_int_equal(aspen_frames_add(aspen, 256, 1 << 15),
                         more ? -ASPEN_EINVAL : 0);
        bare_assert_frames(aspen);
        assert_int_equal(aspen_destroy(aspen), 0);
    }
}

/* Pins, slots and groups are known of what comes later, too. */
static void
test_added_with_arrays(void **unused)
{
    static const struct aspen_frame_range ram[] = {{1, 100}};
    struct aspen_config config = plain_config();
    uint32_t frame;
    (void)unused;

    RANGES(config, ram, ram);
    config.frames_end = 9 << 15;
    struct aspen *aspen = helper_machine_from(&config);
    assert_int_equal(aspen_pins_prepare(aspen), 0);
    assert_int_equal(aspen_banks_make_slots(aspen), 0);
    assert_int_equal(aspen_banks_make_groups(aspen), 0);
    assert_int_equal(aspen_frames_add(aspen, 3 << 15, 64), 0);
    assert_int_equal(aspen_frame_alloc(aspen, 6, ASPEN_STEP_FRAME, &frame), 0);
    assert_int_equal(frame, 3 << 15);
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);
    assert_non_null(bank->pins);
    assert_non_null(bank->slots);
    assert_non_null(bank->groups);
    assert_int_equal(*aspen_bank_pins(aspen, frame + 63), 0);
    assert_int_equal(*aspen_bank_slot(aspen, frame + 63), 0);
    assert_null(*aspen_bank_group(aspen, frame + 63));
    aspen_frame_put(aspen, frame);
    assert_int_equal(aspen_destroy(aspen), 0);
}

/* ---- While the machine is in use --------------------------------------- */

struct busy {
    struct aspen *aspen;
    uint32_t stop;
};

static void *
take_and_give(void *argument)
{
    struct busy *busy = argument;
    uint32_t frames[3];

    while (!aspen_load(&busy->stop)) {
        unsigned got = 0;
        for (unsigned order = 0; order < 3; order++)
            got += !aspen_frame_alloc(busy->aspen, 2 * order, ASPEN_STEP_FRAME,
                                      &frames[got]);
        while (got > 0)
            aspen_frame_put(busy->aspen,
                            aspen_frame_head(busy->aspen, frames[--got]));
    }
    return NULL;
}

static void
test_added_beside(void **unused)
{
    static const struct aspen_frame_range ram[] = {{1, 64}};
    struct aspen_config config = plain_config();
    pthread_t threads[2];
    (void)unused;

    RANGES(config, ram, ram);
    config.frames_end = 100 << 15;
    struct busy busy = {helper_machine_from(&config), 0};
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(threads); i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, take_and_give, &busy), 0);
    for (uint32_t i = 1; i < 100; i++)
        assert_int_equal(aspen_frames_add(busy.aspen, i << 15, 17), 0);
    aspen_store(&busy.stop, 1u);
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    bare_assert_frames(busy.aspen);
    assert_int_equal(helper_counts(busy.aspen).frames_free, 63 + 99 * 17);
    assert_int_equal(aspen_destroy(busy.aspen), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_at_1_gib),
        cmocka_unit_test(test_high),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_added),
        cmocka_unit_test(test_added_inside),
        cmocka_unit_test(test_added_to_hole),
        cmocka_unit_test(test_added_with_arrays),
        cmocka_unit_test(test_added_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
