/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out: the embedder is asked and may give something back; counters
 * say what there was too little of.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "machine/charge.h"

#define FRAMES     96u
#define FILE_PAGES (4 * FRAMES)

static struct {
    struct aspen_object *file; /* whose pages can go; or NULL */
    bool again;                /* what the hook answers */
    unsigned asked;
    unsigned last_attempt;
    uint64_t dropped;
} low;

static bool
memory_low(void *context, unsigned order, unsigned attempt)
{
    uint64_t dropped = 0;

    (void)context;
    assert_int_equal(order, 0);
    low.asked++;
    low.last_attempt = attempt;
    if (low.file)
        assert_int_equal(
            aspen_object_drop(low.file, 0, FILE_PAGES * PAGE, &dropped), 0);
    low.dropped += dropped;
    return low.again || dropped;
}

static const struct aspen_memory_ops memory_ops = {.low = memory_low};

static const struct aspen_pager_ops pager = {.read = helper_pager_number};

static struct aspen *
machine(bool asks)
{
    struct aspen_config config = helper_config(FRAMES);

    memset(&low, 0, sizeof(low));
    if (asks)
        config.hooks.memory = &memory_ops;
    return helper_machine_from(&config);
}

static struct aspen_object *
file_create(struct aspen *aspen)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = FILE_PAGES * PAGE,
                                     .pager = &pager};
    struct aspen_object *file;

    assert_int_equal(aspen_object_create(aspen, &args, &file), 0);
    return file;
}

/* How many of its pages can be read, one after the other. */
static unsigned
read_file(struct aspen_object *file)
{
    for (uint64_t page = 0; page < FILE_PAGES; page++) {
        uint64_t number = 0, done;
        int error = aspen_object_read(file, page * PAGE, &number,
                                      sizeof(number), &done);
        if (error) {
            assert_int_equal(error, -ASPEN_ENOMEM);
            return (unsigned)page;
        }
        assert_int_equal(number, page);
    }
    return FILE_PAGES;
}

static void
a_file_larger_than_memory(void **state)
{
    (void)state;
    for (int asks = 0; asks <= 1; asks++) {
        struct aspen *aspen = machine(asks);
        struct aspen_object *file = file_create(aspen);

        low.file = file;
        assert_int_equal(read_file(file), FILE_PAGES);
        struct aspen_counters counts = helper_counts(aspen);
        if (asks) {
            assert_true(low.asked >= FILE_PAGES / FRAMES);
            assert_int_equal(counts.direct_reclaims, 0);
        } else {
            assert_true(counts.direct_reclaims > 0);
        }
        assert_int_equal(counts.refused_frames, counts.direct_reclaims);
        aspen_object_put(file);
        helper_machine_destroy(aspen);
    }
}

static void
who_gives_nothing_is_not_asked_for_ever(void **state)
{
    (void)state;
    for (int again = 0; again <= 1; again++) {
        struct aspen *aspen = machine(true);
        struct aspen_mm *mm;
        int error;

        assert_int_equal(aspen_mm_create(aspen, &mm), 0);
        uint64_t at = helper_map(mm, 0, FRAMES, RW);

        low.again = again;
        while ((error = aspen_fault(mm, at, ASPEN_ACCESS_WRITE)) == 0)
            at += PAGE;
        assert_int_equal(error, -ASPEN_ENOMEM);
        assert_int_equal(low.asked, again ? ASPEN_MEMORY_ATTEMPTS : 1);
        assert_int_equal(low.last_attempt,
                         again ? ASPEN_MEMORY_ATTEMPTS - 1 : 0);
        assert_int_equal(helper_counts(aspen).refused_frames, 1);
        aspen_mm_put(mm);
        helper_machine_destroy(aspen);
    }
}

/* Until no frame is free. */
static void
fill(struct aspen *aspen, struct aspen_object *file)
{
    uint8_t byte;
    uint64_t done;

    for (uint64_t page = 0; helper_counts(aspen).frames_free; page++)
        assert_int_equal(aspen_object_read(file, page * PAGE, &byte, 1, &done),
                         0);
}

/* Each call that takes frames: the cache of a file fills what is free, and goes
 * under whatever locks that call holds. */
static void
every_call_finds_more(void **state)
{
    struct aspen *aspen = machine(true);
    struct aspen_mm *mm, *child;
    struct aspen_object *file = file_create(aspen);
    const uint64_t far = UINT64_C(1) << 40;
    uint64_t start, done;
    char bytes[PAGE] = {1};
    (void)state;

#define FILLED(call)                                                           \
    low.file = NULL;                                                           \
    fill(aspen, file);                                                         \
    low.file = file;                                                           \
    low.asked = 0;                                                             \
    assert_int_equal(call, 0);                                                 \
    assert_true(low.asked > 0)

    assert_int_equal(aspen_mm_create(aspen, &mm), 0);
    start = helper_map(mm, 0, 16, RW);
    uint64_t shared = helper_map_object(mm, 0, 16, RW | ASPEN_VM_SHARED, file,
                                        FILE_PAGES - 16);
    FILLED(aspen_fault(mm, start, ASPEN_ACCESS_WRITE));
    FILLED(aspen_write_memory(mm, start + PAGE, bytes, PAGE, 0, &done));
    FILLED(aspen_populate(mm, start, 4 * PAGE, ASPEN_ACCESS_WRITE, &done));
    FILLED(aspen_mlock(mm, start + 4 * PAGE, 2 * PAGE, 0));
    FILLED(aspen_fault(mm, shared + 9 * PAGE, ASPEN_ACCESS_WRITE));
    /* A page of the file that is there, and has to stay: what is missing is a
     * copy, or tables. */
    uint64_t copied = helper_map_object(mm, 0, 16, RW, file, 0);
    FILLED(aspen_fault(mm, copied, ASPEN_ACCESS_WRITE));
    helper_map_object(mm, 2 * far, 16, R, file, 0);
    FILLED(aspen_fault(mm, 2 * far, ASPEN_ACCESS_READ));
    struct aspen_mremap_args move = {.address = start,
                                     .old_bytes = 2 * PAGE,
                                     .new_bytes = 2 * PAGE,
                                     .flags = ASPEN_MREMAP_MAYMOVE |
                                              ASPEN_MREMAP_FIXED,
                                     .new_address = far};
    FILLED(aspen_mremap(mm, &move, &start));
    FILLED(aspen_fork(mm, &child));
    FILLED(aspen_fault(child, far, ASPEN_ACCESS_WRITE));
#undef FILLED
    struct aspen_finding finding;
    assert_int_equal(aspen_validate(aspen, &finding), 0);
    aspen_mm_put(child);
    aspen_mm_put(mm);
    aspen_object_put(file);
    helper_machine_destroy(aspen);
}

static void
counters_say_what_ran_out(void **state)
{
    struct aspen_config config = helper_config(FRAMES);
    (void)state;

    config.overcommit = ASPEN_OVERCOMMIT_NEVER;
    config.overcommit_percent = 50;
    struct aspen *aspen = helper_machine_from(&config);
    assert_int_equal(aspen_charge(aspen, FRAMES), -ASPEN_ENOMEM);
    struct aspen_counters counts = helper_counts(aspen);
    assert_int_equal(counts.refused_charge, 1);
    assert_int_equal(counts.refused_frames, 0);
    assert_int_equal(counts.refused_metadata, 0);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_larger_than_memory),
        cmocka_unit_test(who_gives_nothing_is_not_asked_for_ever),
        cmocka_unit_test(every_call_finds_more),
        cmocka_unit_test(counters_say_what_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
