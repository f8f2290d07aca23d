/* SPDX-License-Identifier: MIT */
/*
 * Who finds no memory takes pages out of it and goes on: faults, copies, reads
 * of files; and what ends with -ASPEN_ENOMEM all the same.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "internal.h"

#include <pthread.h>

#define FRAMES 128u
#define PAGES  (8 * FRAMES)

static int
read_numbers(void *context, uint64_t offset_bytes, void *const pages[],
             unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)helper_pager_number(context, offset_bytes + i * PAGE, pages[i]);
    return 0;
}

static const struct aspen_pager_ops pager = {.read = helper_pager_number,
                                             .readahead = read_numbers};

static struct aspen_object *
file(struct helper_space *s, struct helper *h)
{
    struct aspen_config config = helper_config(FRAMES);

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(s, &config);
    *h = s->helper;
    return helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
}

static uint64_t
number_at(struct helper *h, struct aspen_mm *mm, uint64_t address)
{
    uint64_t number = UINT64_MAX;

    assert_int_equal(helper_read(h, mm, address, &number, sizeof(number)), 0);
    return number;
}

static void
end(struct helper_space *s, struct aspen_object *o)
{
    helper_assert_valid(&s->helper);
    aspen_object_put(o);
    helper_space_destroy(s);
}

static uint64_t
file_pages(struct helper *h)
{
    struct aspen_counters counts = helper_counts(h->aspen);

    return counts.active_file + counts.inactive_file;
}

/* What runs goes on: it does not lose its code, page by page, to the others. */
static void
test_some_files_stay(void **state)
{
    (void)state;
    struct aspen_config config = helper_config(FRAMES);
    struct helper_space s;
    int error = 0;

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.file_pages_min = FRAMES;
    assert_int_equal(aspen_create(&config, &s.helper.aspen), -ASPEN_EINVAL);
    config.file_pages_min = FRAMES / 4;
    helper_space_create(&s, &config);
    struct helper *h = &s.helper;
    struct aspen_object *o =
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    uint64_t shared =
        helper_map_object(s.mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    uint64_t at = helper_map(s.mm, 0, PAGES, RW);
    for (uint64_t i = 0; i < FRAMES / 2; i++)
        assert_int_equal(number_at(h, s.mm, shared + i * PAGE), i);
    for (uint64_t i = 0; !error; i++)
        error = helper_write(h, s.mm, at + i * PAGE, &i, sizeof(i));
    assert_int_equal(error, -ASPEN_ENOMEM);
    assert_int_equal(file_pages(h), FRAMES / 4);
    assert_int_equal(aspen_reclaim(h->aspen, PAGES), 0);
    assert_int_equal(file_pages(h), FRAMES / 4);
    /* When memory is there again files have it as before. */
    assert_int_equal(aspen_munmap(s.mm, at, PAGES * PAGE), 0);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(number_at(h, s.mm, shared + i * PAGE), i);
    end(&s, o);
}

/* Mapped, in each way; copied through the space; read. */
static void
test_larger_than_memory(void **state)
{
    (void)state;
    struct helper_space s;
    struct helper h;
    struct aspen_object *o = file(&s, &h);
    uint64_t number, done;

    uint64_t shared =
        helper_map_object(s.mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    uint64_t private = helper_map_object(s.mm, 0, PAGES, R, o, 0);
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(number_at(&h, s.mm, shared + i * PAGE), i);
        assert_int_equal(number_at(&h, s.mm, private + (PAGES - 1 - i) * PAGE),
                         PAGES - 1 - i);
    }
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(
            aspen_object_read(o, i * PAGE, &number, sizeof(number), &done), 0);
        assert_int_equal(number, i);
        assert_int_equal(aspen_read_memory(s.mm, private + i * PAGE, &number,
                                           sizeof(number), 0, &done),
                         0);
        assert_int_equal(number, i);
    }
    assert_int_equal(
        aspen_populate(s.mm, shared, PAGES * PAGE, ASPEN_ACCESS_READ, &done),
        0);
    assert_int_equal(done, PAGES * PAGE);
    struct aspen_counters counts = helper_counts(s.helper.aspen);
    assert_true(counts.direct_reclaims > 2 * PAGES / 32);
    end(&s, o);
}

/* Pages of files make room for anonymous memory, until there is nothing else;
 * who asks then hears of it, and nothing is lost. */
static void
test_until_nothing_can_leave(void **state)
{
    (void)state;
    struct helper_space s;
    struct helper h;
    struct aspen_object *o = file(&s, &h);
    uint64_t pages = 0;
    int error = 0;

    uint64_t shared =
        helper_map_object(s.mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    uint64_t at = helper_map(s.mm, 0, PAGES, RW);
    for (uint64_t i = 0; !error && i < PAGES; i++) {
        uint64_t number = ~i;
        if (i < FRAMES / 2)
            assert_int_equal(number_at(&h, s.mm, shared + i * PAGE), i);
        error = helper_write(&h, s.mm, at + i * PAGE, &number, sizeof(number));
        pages += !error;
    }
    assert_int_equal(error, -ASPEN_ENOMEM);
    assert_in_range(pages, FRAMES - 20, FRAMES);
    /* Who asks once more looks once, and hears of it. */
    uint64_t before = helper_counts(h.aspen).direct_reclaims;
    uint64_t number = 0;
    assert_int_equal(helper_write(&h, s.mm, at + (PAGES - 1) * PAGE, &number,
                                  sizeof(number)),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_counts(h.aspen).direct_reclaims, before);
    helper_assert_valid(&s.helper);
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(number_at(&h, s.mm, at + i * PAGE), ~i);
    /* Memory that is given back is enough. */
    helper_unmap(s.mm, at, 1);
    assert_int_equal(number_at(&h, s.mm, shared), 0);
    end(&s, o);
}

/* A planned failure is one. */
static void
test_plans_hold(void **state)
{
    (void)state;
    struct helper_space s;
    struct helper h;
    struct aspen_object *o = file(&s, &h);
    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONWARD};
    uint64_t number, done;

    uint64_t at = helper_map_object(s.mm, 0, 3, R, o, 0);
    (void)number_at(&h, s.mm, at);
    (void)number_at(&h, s.mm, at + PAGE);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, &plan), 0);
    assert_int_equal(
        aspen_object_read(o, 40 * PAGE, &number, sizeof(number), &done),
        -ASPEN_ENOMEM);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, NULL), 0);
    assert_int_equal(helper_counts(s.helper.aspen).reclaimed, 0);
    end(&s, o);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS  4000u

struct soak {
    struct helper *helper;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint64_t shared;
    uint64_t private;
    uint32_t next; /* atomic */
};

#define MUCH             4096u
#define ROUNDS_OF_OTHERS 40u

/* Somebody who is faster: he has each frame that left. */
struct greedy {
    struct aspen *aspen;
    unsigned rounds;
    bool inside;
    unsigned count;
    uint32_t frames[MUCH];
};

static void
take_all(void *context, enum aspen_step step, uint64_t number)
{
    const struct aspen_frames_args args = {.kind = ASPEN_FRAMES_KERNEL};
    struct greedy *greedy = context;

    (void)number;
    if (step != ASPEN_STEP_FRAME || greedy->inside ||
        greedy->rounds == ROUNDS_OF_OTHERS)
        return;
    greedy->inside = true;
    greedy->rounds++;
    while (!aspen_frames_alloc(greedy->aspen, &args,
                               &greedy->frames[greedy->count]))
        greedy->count++;
    greedy->inside = false;
}

/* As long as pages leave, memory is not short: the others are done some time.
 * And who asks for little is not killed for it. */
static void
test_others_are_faster(void **state)
{
    (void)state;
    struct aspen_config config = helper_config(MUCH);
    struct helper_space s;

    helper_space_create(&s, &config);
    struct greedy greedy = {.aspen = s.helper.aspen};
    const struct aspen_failpoint_plan plan = {.observer = take_all,
                                              .observer_context = &greedy};
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, MUCH, &pager, NULL);
    uint64_t shared =
        helper_map_object(s.mm, 0, MUCH, R | ASPEN_VM_SHARED, o, 0);
    uint64_t at = helper_map(s.mm, 0, 1, RW), number = 7, done;
    for (uint64_t i = 0; i < MUCH; i++)
        assert_int_equal(number_at(&s.helper, s.mm, shared + i * PAGE), i);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, &plan), 0);
    assert_int_equal(aspen_write_memory(s.mm, at, &number, 8, 0, &done), 0);
    assert_int_equal(greedy.rounds, ROUNDS_OF_OTHERS);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, NULL), 0);
    assert_int_equal(number_at(&s.helper, s.mm, at), 7);
    while (greedy.count > 0)
        aspen_frames_free(s.helper.aspen, greedy.frames[--greedy.count]);
    end(&s, o);
}

/* What is dirty stays; and whenever somebody looks, another looks as well. */
static int
refuse(void *context, uint64_t offset_bytes, const void *const pages[],
       uint64_t length_bytes)
{
    struct helper *h = context;

    (void)offset_bytes;
    (void)pages;
    (void)length_bytes;
    aspen_fetch_add(&h->aspen->leaving.begun, 1u);
    aspen_fetch_add(&h->aspen->leaving.ended, 1u);
    return -ASPEN_EIO;
}

/* That others look in vain, too, is a hope only so often. */
static void
test_nothing_leaves_beside_others(void **state)
{
    (void)state;
    static const struct aspen_pager_ops dirty = {.read = helper_pager_number,
                                                 .write = refuse};
    struct aspen_config config = helper_config(FRAMES);
    struct helper_space s;
    int error = 0;

    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&s, &config);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, PAGES, &dirty, &s.helper);
    uint64_t at = helper_map_object(s.mm, 0, PAGES, RW | ASPEN_VM_SHARED, o, 0);
    for (uint64_t i = 0; !error && i < PAGES; i++)
        error = helper_write(&s.helper, s.mm, at + i * PAGE, &i, sizeof(i));
    assert_int_equal(error, -ASPEN_ENOMEM);
    uint64_t before = helper_counts(s.helper.aspen).direct_stalls;
    assert_int_equal(
        aspen_fault(s.mm, at + (PAGES - 1) * PAGE, ASPEN_ACCESS_READ),
        -ASPEN_ENOMEM);
    assert_int_equal(helper_counts(s.helper.aspen).direct_stalls - before, 16);
    end(&s, o);
}

/* The word of a page, by the tables alone or with a fault; what a processor
 * does between the two nobody holds here: so the page is read by a call. */
static void
look(struct soak *soak, uint64_t seed)
{
    uint64_t page = unit_below(&seed, PAGES), number = ~page, done;
    uint64_t at = (seed & 1 ? soak->shared : soak->private) + page * PAGE;
    int error = 0;

    switch (unit_below(&seed, 8)) {
    case 0:
        error = aspen_object_read(soak->file, page * PAGE, &number,
                                  sizeof(number), &done);
        break;
    case 1:
        aspen_reclaim(soak->helper->aspen, 8);
        return;
    case 2:
        error = aspen_fault(soak->mm, at, ASPEN_ACCESS_READ);
        number = page;
        break;
    default:
        error =
            aspen_read_memory(soak->mm, at, &number, sizeof(number), 0, &done);
    }
    if (error)
        fail_msg("page %u: %d", (unsigned)page, error);
    assert_int_equal(number, page);
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    uint64_t seed = aspen_fetch_add(&soak->next, 1u) + 1;
    struct aspen_mm *child;

    for (unsigned i = 0; i < unit_rounds(ROUNDS); i++) {
        look(soak, unit_random(&seed));
        if (i % 500 == 499 && !aspen_fork(soak->mm, &child))
            aspen_mm_put(child);
    }
    return NULL;
}

/* All that is asked for is eight times the memory. */
static void
test_threads(void **state)
{
    (void)state;
    struct helper_space s;
    struct helper h;
    struct aspen_object *o = file(&s, &h);
    struct soak soak = {.helper = &h, .mm = s.mm, .file = o};

    soak.shared = helper_map_object(s.mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    soak.private = helper_map_object(s.mm, 0, PAGES, R, o, 0);
    unit_run_threads(THREADS, soak_thread, &soak);
    struct aspen_counters counts = helper_counts(s.helper.aspen);
    print_message("%u pages left, %u came back too soon, %u direct reclaims\n",
                  (unsigned)counts.reclaimed, (unsigned)counts.refaults,
                  (unsigned)counts.direct_reclaims);
    assert_true(counts.reclaimed > PAGES);
    end(&s, o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_larger_than_memory),
        cmocka_unit_test(test_until_nothing_can_leave),
        cmocka_unit_test(test_some_files_stay),
        cmocka_unit_test(test_plans_hold),
        cmocka_unit_test(test_others_are_faster),
        cmocka_unit_test(test_nothing_leaves_beside_others),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
