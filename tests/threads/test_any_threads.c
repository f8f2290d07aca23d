/* SPDX-License-Identifier: MIT */
/*
 * Any call beside any other: threads make random calls at the same few
 * addresses of the same spaces and their children, with memory and without, and
 * here and there a step fails. What they answer does not matter. Nothing
 * panics; now and then all stop, what processors have cached is compared with
 * the tables, and the machine is validated.
 *
 * ASPEN_SEED         other numbers
 * ASPEN_MMU_THREADS  how many
 * ASPEN_MMU_SECONDS  how long
 */
#define _GNU_SOURCE
#include "any_calls.h"
#include "helper.h"

#include "beside.h"
#include <aspen_posix.h>

#define NAME   "test_any_threads"
#define TURN   300u
#define LITTLE 140u

/* Others come in between. */
static void
be_slow(void)
{
    static uint64_t count;
    const struct timespec pause = {.tv_nsec = 20000};

    if (__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) % 8 == 0)
        nanosleep(&pause, NULL);
}

static void
flush_slowly(void *context, const struct aspen_tlb_flush *flush)
{
    (void)context, (void)flush;
    be_slow();
}

static void
cross_slowly(void *context, enum aspen_step step, uint64_t number)
{
    (void)context, (void)step, (void)number;
    be_slow();
}

/* Nobody is in a call. The next turn has a step that fails. */
static void
look_at_all(struct task *t)
{
    struct whole *whole = t->whole;
    const struct aspen_failpoint_plan plan = {
        .mode = ASPEN_FAIL_ONCE,
        .number = 1 + unit_below(&t->random, 20 * TURN),
        .observer = cross_slowly};
    struct timespec now;

    beside_check("all of a turn");
    helper_assert_valid(&whole->helper);
    assert_int_equal(aspen_failpoints_set(whole->helper.aspen, &plan), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec < whole->end.tv_sec)
        return;
    assert_int_equal(aspen_failpoints_set(whole->helper.aspen, NULL), 0);
    __atomic_store_n(&whole->over, true, __ATOMIC_RELEASE);
}

static void *
run(void *argument)
{
    struct task *t = argument;
    struct whole *whole = t->whole;

    while (!__atomic_load_n(&whole->over, __ATOMIC_ACQUIRE)) {
        for (unsigned i = 0; i < TURN; i++)
            any_call(t);
        pthread_barrier_wait(&whole->meet);
        if (t->number == 0)
            look_at_all(t);
        pthread_barrier_wait(&whole->meet);
    }
    any_end(t);
    return NULL;
}

static struct whole *low; /* whose files have pages to spare */

static bool
memory_low(void *context, unsigned order, unsigned attempt)
{
    uint64_t dropped, sum = 0;

    (void)context, (void)order, (void)attempt;
    for (unsigned i = 0; i < 2; i++)
        if (!aspen_object_drop(low->files[i], 0, UINT64_MAX, &dropped))
            sum += dropped;
    return sum;
}

static const struct aspen_memory_ops memory_ops = {.low = memory_low};

static unsigned
number_from(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static uint64_t first_raw = RAW;

static struct whole *
make(uint32_t frames, unsigned count)
{
    struct whole *whole = calloc(1, sizeof(*whole));
    struct aspen_config config;

    assert_non_null(whole);
    low = whole;
    aspen_config_init(&config);
    config.frames = frames;
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.hooks.memory = &memory_ops;
    struct helper *helper = &whole->helper;
    helper_create(helper, &config);
    for (unsigned i = 0; i < SPACES; i++) {
        whole->mm[i] = helper_mm(helper);
        for (unsigned cpu = 0; cpu < count; cpu++)
            assert_int_equal(aspen_mm_activate(whole->mm[i], cpu), 0);
    }
    whole->files[0] = helper_object(helper, ASPEN_OBJECT_FILE, FILE_PAGES,
                                    &any_file_ops, NULL);
    whole->files[1] = helper_object(helper, ASPEN_OBJECT_FILE, FILE_PAGES,
                                    &any_file_ops, NULL);
    whole->files[2] =
        helper_object(helper, ASPEN_OBJECT_SHMEM, FILE_PAGES, NULL, NULL);
    whole->files[DEVICE] = helper_object(
        helper, ASPEN_OBJECT_DEVICE, FILE_PAGES, &any_device_ops, &first_raw);
    pthread_barrier_init(&whole->meet, NULL, count);
    clock_gettime(CLOCK_MONOTONIC, &whole->end);
    whole->end.tv_sec += number_from("ASPEN_MMU_SECONDS", 1);
    return whole;
}

static void
end(struct whole *whole)
{
    for (unsigned i = 0; i < SPACES; i++)
        aspen_mm_put(whole->mm[i]);
    for (unsigned i = 0; i < FILES; i++)
        aspen_object_put(whole->files[i]);
    helper_assert_valid(&whole->helper);
    helper_destroy(&whole->helper);
    pthread_barrier_destroy(&whole->meet);
    free(whole);
}

static void
run_all(uint32_t frames)
{
    unsigned count = number_from("ASPEN_MMU_THREADS", 4);
    uint64_t seed = unit_seed(NAME, 1);
    struct task tasks[THREADS] = {0};

    assert_in_range(count, 1, THREADS);
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    beside_flags(MMU_FLAGS_SET);
#else
    beside_flags(MMU_FLAGS_FAULT);
#endif
    struct whole *whole = make(frames, count);
    aspen_posix_observe_tlb(flush_slowly, NULL);
    for (unsigned i = 0; i < count; i++) {
        tasks[i].whole = whole;
        tasks[i].number = i;
        tasks[i].random = seed + i * 1000003u;
        assert_int_equal(pthread_create(&tasks[i].thread, NULL, run, &tasks[i]),
                         0);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(tasks[i].thread, NULL);
    aspen_posix_observe_tlb(NULL, NULL);
    end(whole);
}

static void
with_much_memory(void **state)
{
    (void)state;
    run_all(MUCH);
}

static void
with_little_memory(void **state)
{
    (void)state;
    run_all(LITTLE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_much_memory),
        cmocka_unit_test(with_little_memory),
    };

    beside_load(false);
    beside_public();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
