/* SPDX-License-Identifier: MIT */
/*
 * Pages of a group leave when it has more than it may have; others' stay. What
 * is protected stays, too. Who is killed for a group is in it.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "group/group.h"

#include <pthread.h>

#define BASE  ((uint64_t)0x10000000)
#define PAGES 4096u
#define SLOTS 8192u

static uint8_t (*slots)[4096];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    for (uint32_t i = 0; i < io->pages; i++)
        if (io->write)
            memcpy(slots[io->slot + i], io->memory[i], sizeof(*slots));
        else
            memcpy(io->memory[i], slots[io->slot + i], sizeof(*slots));
    return 0;
}

static const struct aspen_swap_ops device = {.transfer = transfer};
static const struct aspen_pager_ops pager = {.read = helper_pager_number};

static struct aspen_group *
new_group(struct helper_space *s, struct aspen_group *parent)
{
    struct aspen_group *group;

    assert_int_equal(aspen_group_create(s->helper.aspen, parent, &group), 0);
    return group;
}

static struct aspen_group_counters
counts(struct aspen_group *group)
{
    struct aspen_group_counters counters;

    aspen_group_counters_read(group, &counters);
    return counters;
}

static void
set(struct aspen_group *group, enum aspen_group_limit limit, uint64_t pages)
{
    assert_int_equal(aspen_group_limit_set(group, limit, pages), 0);
    assert_int_equal(aspen_group_limit(group, limit), pages);
}

static struct aspen_mm *
space_in(struct helper_space *s, struct aspen_group *group)
{
    struct aspen_mm *mm = helper_mm(&s->helper);

    assert_int_equal(aspen_group_enter(mm, group), 0);
    return mm;
}

/* A space in the group with so many pages of the file, from `from` on. */
static struct aspen_mm *
reader(struct helper_space *s, struct aspen_group *group,
       struct aspen_object *file, uint64_t from, uint64_t pages)
{
    struct aspen_mm *mm = space_in(s, group);

    helper_map_object(mm, BASE, pages, R, file, from);
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(aspen_fault(mm, BASE + i * PAGE, ASPEN_ACCESS_READ),
                         0);
    return mm;
}

static struct aspen_mm *
writer(struct helper_space *s, struct aspen_group *group, uint64_t pages)
{
    struct aspen_mm *mm = space_in(s, group);

    helper_map(mm, BASE, 500, RW);
    for (uint64_t i = 0; i < pages; i++)
        helper_put(&s->helper, mm, BASE + i * PAGE, 1);
    return mm;
}

static struct aspen_object *
new_file(struct helper_space *s)
{
    return helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
}

#define group_test(name) helper_space_test(name)

/* ---- Limits -------------------------------------------------------------- */

/* A group that is full takes its own pages and those below, and goes on. */
static void
test_max(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *top = new_group(s, NULL), *low = new_group(s, top);
    struct aspen_group *other = new_group(s, NULL);
    struct aspen_object *file = new_file(s);
    struct aspen_mm *beside = reader(s, other, file, 0, 100);
    uint64_t number;

    set(top, ASPEN_GROUP_MAX, 64);
    struct aspen_mm *mm = reader(s, low, file, 1000, 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(
            helper_read(&s->helper, mm, BASE + i * PAGE, &number, 8), 0);
        assert_int_equal(number, 1000 + i);
    }
    assert_in_range(counts(top).pages, 32, 64);
    assert_int_equal(counts(top).pages, counts(low).pages);
    assert_int_equal(counts(other).pages, 100);
    assert_true(counts(top).events[ASPEN_GROUP_EVENT_MAX] > 20);
    assert_int_equal(counts(top).events[ASPEN_GROUP_EVENT_OOM], 0);
    assert_true(counts(top).peak_pages <= 64);
    helper_assert_valid(&s->helper);
    /* A lower limit is met at once, as far as pages can leave. */
    set(top, ASPEN_GROUP_MAX, 10);
    assert_true(counts(top).pages <= 10);
    assert_int_equal(aspen_mlock(beside, BASE, 50 * PAGE, false), 0);
    set(other, ASPEN_GROUP_MAX, 10);
    assert_int_equal(counts(other).pages, 50);
    assert_int_equal(counts(other).events[ASPEN_GROUP_EVENT_OOM], 0);
    assert_ptr_equal(aspen_group_full(other), other);
    assert_null(aspen_group_full(NULL));
    set(other, ASPEN_GROUP_MAX, ASPEN_GROUP_UNLIMITED);
    assert_null(aspen_group_full(other));
    assert_int_equal(aspen_group_reclaim(low, 3), 3);
    helper_assert_valid(&s->helper);
    aspen_mm_put(mm);
    aspen_mm_put(beside);
    aspen_object_put(file);
    aspen_group_put(other);
    aspen_group_put(low);
    aspen_group_put(top);
}

/* Above `high` pages leave, but nothing fails. */
static void
test_high(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *group = new_group(s, NULL);
    struct aspen_object *file = new_file(s);

    set(group, ASPEN_GROUP_HIGH, 100);
    struct aspen_mm *mm = reader(s, group, file, 0, 1000);
    assert_true(counts(group).pages <= 100 + ASPEN_GROUP_BATCH);
    assert_true(counts(group).events[ASPEN_GROUP_EVENT_HIGH] > 5);
    assert_int_equal(counts(group).events[ASPEN_GROUP_EVENT_MAX], 0);
    set(group, ASPEN_GROUP_HIGH, 20);
    assert_true(counts(group).pages <= 20);
    /* Anonymous pages have no place to go to: they come all the same. */
    struct aspen_mm *writer = space_in(s, group);
    helper_map(writer, BASE, 200, RW);
    uint64_t done;
    assert_int_equal(
        aspen_populate(writer, BASE, 200 * PAGE, ASPEN_ACCESS_WRITE, &done), 0);
    assert_true(counts(group).pages >= 200);
    helper_assert_valid(&s->helper);
    aspen_mm_put(writer);
    aspen_mm_put(mm);
    aspen_object_put(file);
    aspen_group_put(group);
}

#define MANY 1000u

/* `high` is 100: about that, as if the pages had come one by one. */
static void
assert_high(struct aspen_group *group)
{
    assert_true(counts(group).pages <= 100 + ASPEN_GROUP_BATCH);
    aspen_group_reclaim(group, MANY);
}

/* Where a call brings many pages as many leave. */
static void
test_high_of_calls(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *group = new_group(s, NULL);
    struct aspen_object *file = new_file(s);
    struct aspen_mm *mm = space_in(s, group);
    const uint64_t at = 2 * BASE, bytes = MANY * PAGE;
    const struct aspen_import_pages import = {
        .address = BASE, .count = MANY, .kind = ASPEN_IMPORT_OBJECT};
    char *buffer = calloc(1, bytes);
    uint64_t done;
    unsigned type;

    slots = calloc(SLOTS, sizeof(*slots));
    assert_int_equal(aspen_swap_add(s->helper.aspen,
                                    &(struct aspen_swap_args){.pages = SLOTS,
                                                              .ops = &device},
                                    &type),
                     0);
    set(group, ASPEN_GROUP_HIGH, 100);
    helper_map_object(mm, BASE, MANY, R, file, 0);
    helper_map(mm, at, MANY, RW);
    assert_int_equal(aspen_madvise(mm, BASE, bytes, ASPEN_MADV_WILLNEED), 0);
    assert_high(group);
    assert_int_equal(aspen_import_pages(mm, &import, &done), 0);
    assert_high(group);
    assert_int_equal(aspen_populate(mm, at, bytes, ASPEN_ACCESS_WRITE, &done),
                     0);
    assert_high(group);
    assert_int_equal(aspen_madvise(mm, at, bytes, ASPEN_MADV_WILLNEED), 0);
    assert_high(group);
    assert_int_equal(aspen_write_memory(mm, at, buffer, bytes, 0, &done), 0);
    assert_high(group);
    free(buffer);
    helper_assert_valid(&s->helper);
    aspen_mm_put(mm);
    aspen_object_put(file);
    aspen_group_put(group);
}

/* ---- Protection ---------------------------------------------------------- */

static void
test_protection(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_group *min = new_group(s, NULL), *low = new_group(s, NULL);
    struct aspen_group *none = new_group(s, NULL);
    struct aspen_object *file = new_file(s);
    struct aspen_mm *spaces[] = {reader(s, min, file, 0, 200),
                                 reader(s, low, file, 200, 200),
                                 reader(s, none, file, 400, 200)};

    aspen_group_drain(aspen, NULL);
    set(min, ASPEN_GROUP_MIN, 150);
    set(low, ASPEN_GROUP_LOW, 180);
    assert_int_equal(aspen_reclaim(aspen, 270), 270);
    assert_int_equal(counts(min).pages, 150);
    assert_int_equal(counts(low).pages, 180);
    assert_int_equal(counts(none).pages, 0);
    assert_int_equal(counts(low).events[ASPEN_GROUP_EVENT_LOW], 0);
    /* Nothing else is left: `low` gives, `min` does not. */
    assert_int_equal(aspen_reclaim(aspen, 100), 100);
    assert_int_equal(counts(min).pages, 150);
    assert_int_equal(counts(low).pages, 80);
    assert_true(counts(low).events[ASPEN_GROUP_EVENT_LOW] > 0);
    assert_int_equal(aspen_reclaim(aspen, 1000), 80);
    assert_int_equal(counts(min).pages, 150);
    /* Its own limit knows no protection. */
    set(min, ASPEN_GROUP_MAX, 100);
    assert_true(counts(min).pages <= 100);
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < 3; i++)
        aspen_mm_put(spaces[i]);
    aspen_object_put(file);
    aspen_group_put(min);
    aspen_group_put(low);
    aspen_group_put(none);
}

/* Those below share what is above them. */
static void
test_protection_is_shared(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_group *top = new_group(s, NULL);
    struct aspen_group *one = new_group(s, top), *two = new_group(s, top);
    struct aspen_object *file = new_file(s);
    struct aspen_mm *spaces[] = {reader(s, one, file, 0, 200),
                                 reader(s, two, file, 200, 200)};

    aspen_group_drain(aspen, NULL);
    set(top, ASPEN_GROUP_MIN, 150);
    set(one, ASPEN_GROUP_MIN, 200); /* both ask for 300 of 150 */
    set(two, ASPEN_GROUP_MIN, 100);
    assert_int_equal(aspen_reclaim(aspen, 1000), 250);
    assert_int_equal(counts(one).pages, 100);
    assert_int_equal(counts(two).pages, 50);
    /* What nobody asks for goes to who has more. */
    set(one, ASPEN_GROUP_MIN, 0);
    set(two, ASPEN_GROUP_MIN, 0);
    assert_int_equal(aspen_reclaim(aspen, 1000), 0);
    set(top, ASPEN_GROUP_MIN, 90);
    assert_int_equal(aspen_reclaim(aspen, 1000), 60);
    assert_int_equal(counts(one).pages, 60);
    assert_int_equal(counts(two).pages, 30);
    /* The group's own reclaim knows no protection but those below it. */
    set(one, ASPEN_GROUP_MIN, 40);
    assert_int_equal(aspen_group_reclaim(top, 1000), 50);
    assert_int_equal(counts(one).pages, 40);
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < 2; i++)
        aspen_mm_put(spaces[i]);
    aspen_object_put(file);
    aspen_group_put(one);
    aspen_group_put(two);
    aspen_group_put(top);
}

/* Reclaim of the group itself, and of nothing, while a page of another is being
 * written: whose pages it is about to look at for who called stays his affair.
 */
static struct aspen_group *meanwhile;

static void *
reclaim_itself(void *unused)
{
    (void)unused;
    assert_int_equal(aspen_group_reclaim(meanwhile, 0), 0);
    return NULL;
}

static int
transfer_meanwhile(void *context, const struct aspen_swap_io *io)
{
    pthread_t thread;

    if (meanwhile) {
        assert_int_equal(pthread_create(&thread, NULL, reclaim_itself, NULL),
                         0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    return transfer(context, io);
}

static void
test_protection_beside_its_own_reclaim(void **state)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer_meanwhile};
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_group *min = new_group(s, NULL), *none = new_group(s, NULL);
    struct aspen_mm *spaces[2];
    unsigned type;

    slots = calloc(SLOTS, sizeof(*slots));
    assert_int_equal(aspen_swap_add(aspen,
                                    &(struct aspen_swap_args){
                                        .pages = SLOTS,
                                        .ops = &ops,
                                    },
                                    &type),
                     0);
    spaces[0] = writer(s, min, 100);
    spaces[1] = writer(s, none, 200);
    /* So others seem to have more than they can give. */
    assert_int_equal(aspen_mlock(spaces[1], BASE, 100 * PAGE, 0), 0);
    aspen_group_drain(aspen, NULL);
    set(min, ASPEN_GROUP_MIN, 100);
    meanwhile = min;
    assert_int_equal(aspen_reclaim(aspen, 1000), 100);
    meanwhile = NULL;
    assert_int_equal(counts(min).pages, 100);
    assert_int_equal(counts(none).pages, 100);
    helper_assert_valid(&s->helper);
    aspen_mm_put(spaces[0]);
    aspen_mm_put(spaces[1]);
    aspen_group_put(min);
    aspen_group_put(none);
}

/* ---- Killing ------------------------------------------------------------- */

static void
test_oom(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_group *top = new_group(s, NULL), *low = new_group(s, top);
    struct aspen_group *other = new_group(s, NULL);
    struct aspen_mm *largest = writer(s, other, 300);
    struct aspen_mm *large = writer(s, low, 60), *small = writer(s, top, 10);
    struct aspen_oom_choice choice = {.patience = 100};
    struct aspen_mm *victim;

    set(top, ASPEN_GROUP_MAX, 70);
    assert_int_equal(aspen_fault(large, BASE + 60 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_int_equal(counts(top).events[ASPEN_GROUP_EVENT_OOM], 1);
    choice.group = aspen_group_full(low);
    assert_ptr_equal(choice.group, top);
    assert_int_equal(aspen_oom_select(aspen, &choice, &victim), 0);
    assert_ptr_equal(victim, large);
    assert_int_equal(aspen_oom_kill(victim), 0);
    assert_int_equal(counts(low).events[ASPEN_GROUP_EVENT_OOM_KILL], 1);
    assert_int_equal(counts(top).events[ASPEN_GROUP_EVENT_OOM_KILL], 1);
    assert_int_equal(counts(other).events[ASPEN_GROUP_EVENT_OOM_KILL], 0);
    aspen_mm_put(victim);
    /* The group waits for it; others and the machine's choice, too, know of it
     * or not. */
    assert_int_equal(aspen_oom_select(aspen, &choice, &victim), -ASPEN_EAGAIN);
    struct aspen_oom_choice others = {.patience = 100, .group = other};
    assert_int_equal(aspen_oom_select(aspen, &others, &victim), 0);
    assert_ptr_equal(victim, largest);
    aspen_mm_put(victim);
    assert_int_equal(aspen_oom_reap(large), 0);
    assert_int_equal(counts(top).pages, 10);
    assert_int_equal(aspen_fault(small, BASE + 60 * PAGE, ASPEN_ACCESS_WRITE),
                     0);
    assert_int_equal(aspen_oom_select(aspen, &choice, &victim), 0);
    assert_ptr_equal(victim, small);
    aspen_mm_put(victim);
    choice.group = low;
    assert_int_equal(aspen_oom_select(aspen, &choice, &victim), -ASPEN_ESRCH);
    helper_assert_valid(&s->helper);
    aspen_mm_put(largest);
    aspen_mm_put(large);
    aspen_mm_put(small);
    aspen_group_put(low);
    aspen_group_put(top);
    aspen_group_put(other);
}

/* ---- Threads ------------------------------------------------------------- */

#define THREADS 4u
#define EACH    200u
#define ROUNDS  6u

struct worker {
    struct aspen_mm *mm;
    uint64_t salt;
    bool good;
};

/* Writes what only this thread knows, and reads it back, again and again; a
 * part goes and comes meanwhile. A page can leave between a fault and a store
 * of one's own, so the library stores. */
static void *
work(void *argument)
{
    struct worker *w = argument;
    uint64_t number, done;

    w->good = true;
    for (uint64_t round = 0; w->good && round < ROUNDS; round++) {
        for (uint64_t i = 0; w->good && i < EACH; i++) {
            number = w->salt + round * EACH + i;
            w->good = !aspen_write_memory(w->mm, BASE + i * PAGE, &number,
                                          sizeof(number), 0, &done);
        }
        for (uint64_t i = 0; w->good && i < EACH; i++) {
            w->good = !aspen_read_memory(w->mm, BASE + i * PAGE, &number,
                                         sizeof(number), 0, &done) &&
                      number == w->salt + round * EACH + i;
        }
        if (w->good)
            w->good = !aspen_madvise(w->mm, BASE, EACH / 2 * PAGE,
                                     ASPEN_MADV_DONTNEED);
    }
    return NULL;
}

/* Two groups, each for less than its two spaces write. */
static void
test_threads(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *top = new_group(s, NULL);
    struct aspen_group *groups[] = {new_group(s, top), new_group(s, top)};
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned type;

    slots = calloc(SLOTS, sizeof(*slots));
    assert_int_equal(aspen_swap_add(s->helper.aspen,
                                    &(struct aspen_swap_args){
                                        .pages = SLOTS,
                                        .ops = &device,
                                    },
                                    &type),
                     0);
    set(groups[0], ASPEN_GROUP_MAX, 150);
    set(groups[1], ASPEN_GROUP_MAX, 250);
    set(groups[1], ASPEN_GROUP_HIGH, 200);
    set(top, ASPEN_GROUP_MAX, 350);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.mm = space_in(s, groups[i % 2]),
                                     .salt = (uint64_t)(i + 1) << 32};
        helper_map(workers[i].mm, BASE, EACH, RW);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(workers[i].good);
    }
    helper_assert_valid(&s->helper);
    assert_true(counts(groups[0]).peak_pages <= 150);
    assert_true(counts(groups[1]).peak_pages <= 250);
    assert_true(counts(top).peak_pages <= 350);
    assert_true(counts(top).peak_swap_pages > 0);
    for (unsigned i = 0; i < THREADS; i++)
        aspen_mm_put(workers[i].mm);
    assert_int_equal(counts(top).pages, 0);
    assert_int_equal(counts(top).swap_pages, 0);
    aspen_group_put(groups[0]);
    aspen_group_put(groups[1]);
    aspen_group_put(top);
    helper_assert_valid(&s->helper);
}

static int
teardown(void **state)
{
    int error = helper_space_teardown(state);

    free(slots);
    slots = NULL;
    return error;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        group_test(test_max),
        group_test(test_high),
        cmocka_unit_test_setup_teardown(test_high_of_calls, helper_space_setup,
                                        teardown),
        group_test(test_protection),
        group_test(test_protection_is_shared),
        group_test(test_oom),
        cmocka_unit_test_setup_teardown(test_protection_beside_its_own_reclaim,
                                        helper_space_setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, helper_space_setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
