/* SPDX-License-Identifier: MIT */
/*
 * Threads, each on a processor that keeps what it has cached (tests/mmu), make
 * random calls in the same spaces (owned.h) while processors and a second MMU
 * cache ahead. Now and then all stop: everything that is cached is compared
 * with the tables, and the machine is validated.
 *
 * ASPEN_SEED         other numbers
 * ASPEN_MMU_THREADS  how many
 * ASPEN_MMU_SECONDS  how long with several
 *
 * What one thread finds comes again with the same seed; with more the calls are
 * the same, and their order is not.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "owned.h"
#include "owned_calls.h"

#include "beside.h"
#include "told.h"
#include "space/mm.h"
#include <aspen_posix.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#define NAME   "test_processor_threads"
#define FRAMES 8192u
#define TURN   300u /* calls of each thread, then all stop */

struct whole {
    struct owners owners;
    uint64_t turns, turn; /* how many; 0: until `end` */
    struct timespec end;
    pthread_barrier_t meet;
    bool over; /* atomic */
};

struct task {
    struct whole *whole;
    struct owner *owner;
    pthread_t thread;
};

/* ---- Threads ----------------------------------------------------------- */

static bool
is_over(struct whole *whole)
{
    return __atomic_load_n(&whole->over, __ATOMIC_ACQUIRE);
}

static bool
is_past(const struct timespec *end)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec ||
           (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* Nobody is in a call. */
static void
look_at_all(struct whole *whole)
{
    beside_check("all of a turn");
    helper_assert_valid(&whole->owners.helper);
    whole->turn++;
    if (whole->turns ? whole->turn == whole->turns : is_past(&whole->end))
        __atomic_store_n(&whole->over, true, __ATOMIC_RELEASE);
}

static void *
call_in_turns(void *argument)
{
    const struct task *task = argument;
    struct whole *whole = task->whole;

    while (!is_over(whole)) {
        for (unsigned i = 0; i < TURN; i++)
            owned_call(task->owner);
        owned_access_all(task->owner);
        pthread_barrier_wait(&whole->meet);
        if (task->owner->number == 0)
            look_at_all(whole);
        pthread_barrier_wait(&whole->meet);
    }
    owned_exit(task->owner);
    return NULL;
}

/* A processor, or the second MMU, caches what nobody asked for. */
static void
cache_ahead(struct owners *owners, uint64_t *random)
{
    const struct region *region =
        &owners->owners[unit_below(random, owners->count)]
             .regions[unit_below(random, SPACES)];
    unsigned cpu = owners->owners[unit_below(random, owners->count)].cpu;
    uint64_t page = unit_below(random, PAGES);

    uint64_t start = region->start + page * PAGE;

    if (unit_below(random, 2))
        mmu_load(cpu, region->mm->root, start, start + 8 * PAGE, 8);
    else
        told_second_load(region->mm, start, start + 8 * PAGE, 8);
    beside_say("what was cached ahead");
}

static void *
speculate(void *argument)
{
    const struct timespec pause = {.tv_nsec = 20000};
    struct whole *whole = argument;
    uint64_t random = 1;

    while (!is_over(whole)) {
        cache_ahead(&whole->owners, &random);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Processors are slow to hear of a flush: others come in between. */
static void
be_slow(void *context, const struct aspen_tlb_flush *flush)
{
    static uint64_t count;
    const struct timespec pause = {.tv_nsec = 20000};

    (void)context, (void)flush;
    if (__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) % 8 == 0)
        nanosleep(&pause, NULL);
}

/* ---- The whole --------------------------------------------------------- */

static void
make_owner(struct owners *all, unsigned number, uint64_t seed)
{
    struct owner *owner = &all->owners[number];

    owner->all = all;
    owner->number = owner->cpu = number;
    owner->random = seed + number * 1000003u;
    owner->call = "the start";
    owner->file_pages = FILE_PAGES;
    owner->file = helper_object(&all->helper, ASPEN_OBJECT_FILE, FILE_PAGES,
                                &owned_pager, owner);
    owner->device = helper_object(&all->helper, ASPEN_OBJECT_DEVICE, FILE_PAGES,
                                  NULL, NULL);
    owner->slots = malloc(SLOTS * PAGE);
    assert_non_null(owner->slots);
    for (unsigned i = 0; i < SPACES; i++) {
        owner->regions[i].mm = all->mm[i];
        /* Across two tables of each level but the top. */
        owner->regions[i].start = (number + 1) * GIB - PAGES / 2 * PAGE;
        assert_int_equal(aspen_mm_activate(all->mm[i], owner->cpu), 0);
    }
}

static struct whole *
make(unsigned count, uint64_t seed)
{
    struct whole *whole = calloc(1, sizeof(*whole));
    struct aspen_config config;

    assert_non_null(whole);
    struct owners *all = &whole->owners;
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.pkeys = ASPEN_PKEYS_MAX;
    helper_create(&all->helper, &config);
    all->count = count;
    for (unsigned i = 0; i < SPACES; i++) {
        all->mm[i] = helper_mm(&all->helper);
        assert_int_equal(aspen_pkey_alloc(all->mm[i], 0, &all->key), 0);
    }
    for (unsigned i = 0; i < count; i++)
        make_owner(all, i, seed);
    pthread_barrier_init(&whole->meet, NULL, count);
    return whole;
}

static void
end(struct whole *whole)
{
    struct owners *all = &whole->owners;
    uint64_t calls = 0, accesses = 0;

    for (unsigned i = 0; i < all->count; i++) {
        calls += all->owners[i].calls;
        accesses += all->owners[i].accesses;
    }
    print_message("%u threads: %" PRIu64 " turns, %" PRIu64 " calls, %" PRIu64
                  " accesses\n",
                  all->count, whole->turn, calls, accesses);
    for (unsigned i = 0; i < SPACES; i++)
        aspen_mm_put(all->mm[i]);
    for (unsigned i = 0; i < all->count; i++) {
        aspen_object_put(all->owners[i].file);
        aspen_object_put(all->owners[i].device);
    }
    helper_assert_valid(&all->helper);
    helper_destroy(&all->helper);
    for (unsigned i = 0; i < all->count; i++)
        free(all->owners[i].slots);
    pthread_barrier_destroy(&whole->meet);
    free(whole);
}

static void
run_one(enum mmu_flags flags)
{
    beside_flags(flags);
    struct whole *whole = make(1, unit_seed(NAME, 1));
    whole->turns = unit_rounds(25);
    call_in_turns(&(struct task){whole, &whole->owners.owners[0], 0});
    end(whole);
}

static unsigned
number_from(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

static void
run_many(enum mmu_flags flags)
{
    unsigned count = number_from("ASPEN_MMU_THREADS", 4);
    struct task tasks[OWNERS_MOST];
    pthread_t ahead;

    assert_in_range(count, 1, OWNERS_MOST);
    beside_flags(flags);
    struct whole *whole = make(count, unit_seed(NAME, 1));
    clock_gettime(CLOCK_MONOTONIC, &whole->end);
    whole->end.tv_sec += number_from("ASPEN_MMU_SECONDS", 1);
    aspen_posix_observe_tlb(be_slow, NULL);
    for (unsigned i = 0; i < count; i++) {
        tasks[i] = (struct task){whole, &whole->owners.owners[i], 0};
        assert_int_equal(
            pthread_create(&tasks[i].thread, NULL, call_in_turns, &tasks[i]),
            0);
    }
    assert_int_equal(pthread_create(&ahead, NULL, speculate, whole), 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(tasks[i].thread, NULL);
    pthread_join(ahead, NULL);
    aspen_posix_observe_tlb(NULL, NULL);
    end(whole);
}

/* A processor that writes accessed and dirty itself, or faults. */
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
#define FLAGS MMU_FLAGS_SET
#else
#define FLAGS MMU_FLAGS_FAULT
#endif

static void
test_one_thread(void **state)
{
    (void)state;
    run_one(FLAGS);
}

static void
test_threads(void **state)
{
    (void)state;
    run_many(FLAGS);
}

#ifndef ASPEN_PORT_MMU_WRITES_ENTRIES
/* Software that walks the tables, and does not look at them. */
static void
test_one_thread_in_software(void **state)
{
    (void)state;
    run_one(MMU_FLAGS_NOBODY);
}

static void
test_threads_in_software(void **state)
{
    (void)state;
    run_many(MMU_FLAGS_NOBODY);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread),
        cmocka_unit_test(test_threads),
#ifndef ASPEN_PORT_MMU_WRITES_ENTRIES
        cmocka_unit_test(test_one_thread_in_software),
        cmocka_unit_test(test_threads_in_software),
#endif
    };

    beside_load(false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
