/* SPDX-License-Identifier: MIT */
/*
 * run.c - see run.h.
 *
 * I1  What a page holds is known by its version, which changes with it under
 *     the page's lock. So a page that is read as it was before, or as another
 *     is, differs.
 * I2  Forks happen beside no access: what a child has is what the versions
 *     said then.
 *
 * Called by command.c. tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "pressure/run.h"
#include "pressure/contents.h"

#include <stdlib.h>
#include <string.h>

#define LOCKS       1024u
#define BATCH       16u
#define STORMS      64u  /* of a run */
#define STORM_LEAST 250u /* accesses from one to the next */
#define CHILDREN    8u   /* of a storm */
#define LOOKS       48u  /* at pages of a child */
#define NAP_NS      20000000u
/* While others reclaim there may be no memory for a moment. Where swap is full
 * there is none until somebody gives pages back. */
#define PATIENCE      2000u
#define PATIENCE_FULL 4u
#define GIVEN_UP      32u
/* Areas are exchanged so often, where they wear out. */
#define RENEWALS 24u
#define WAIT_NS  1000000u
/* Versions of what children write. */
#define CHILDS 0x80000000u

struct run {
    const struct pressure_plan *plan;
    struct pressure_machine machine;
    pthread_mutex_t locks[LOCKS]; /* I1 */
    uint32_t *versions;
    uint32_t *then;         /* as they were at the last fork */
    pthread_rwlock_t forks; /* I2: for writing, a fork */
    pthread_mutex_t storm;  /* for `then` */
    size_t next;            /* atomic, as all of the next ones */
    uint32_t running;
    uint64_t hits; /* from `skipped` on */
    uint64_t wrong_bytes;
    uint64_t forked;
    uint64_t given_up;
    int refused_with;
    uint32_t gave_up;
    size_t skipped;
};

struct thread {
    struct run *run;
    unsigned number;
    uint64_t seed;
    pthread_t id;
    char expected[PRESSURE_PAGE];
    char next[PRESSURE_PAGE];
};

/* ---- One access ------------------------------------------------------- */

/* The fault's error, when patience has ended or it will not become better. */
static int
try_again(struct thread *thread, struct aspen_mm *mm, uint32_t page,
          const void *next)
{
    struct run *run = thread->run;
    unsigned patience = run->plan->faults.full ? PATIENCE_FULL : PATIENCE;
    uint64_t wrong = 0;
    int error = 0;

    for (unsigned i = 0; i < patience; i++) {
        error = pressure_access(&run->machine, thread->number, mm, page,
                                thread->expected, next, &wrong);
        if (error == 0)
            pressure_add(&run->wrong_bytes, wrong);
        if (error != -ASPEN_ENOMEM)
            break;
        tool_sleep_until_ns(tool_now_ns() + WAIT_NS);
    }
    if (error)
        __atomic_store_n(&run->refused_with, error, __ATOMIC_RELAXED);
    return error;
}

static bool
is_write(const struct thread *thread, size_t at, uint32_t page)
{
    uint64_t seed = thread->run->plan->seed + at;

    /* A page that nobody has written takes no memory. */
    if (thread->run->versions[page] == 0)
        return true;
    return trace_below(&seed, 4) == 0;
}

/* I1 */
static int
access_page(struct thread *thread, size_t at)
{
    struct run *run = thread->run;
    uint32_t page = run->plan->trace->accesses[at];
    pthread_mutex_t *lock = &run->locks[page % LOCKS];
    uint64_t reads = run->machine.cpus[thread->number].reads;

    pthread_mutex_lock(lock);
    uint32_t version = run->versions[page];
    bool write = is_write(thread, at, page);
    pressure_contents(page, version, thread->expected);
    if (write)
        pressure_contents(page, version + 1, thread->next);
    int error =
        try_again(thread, run->machine.mm, page, write ? thread->next : NULL);
    if (!error && write)
        run->versions[page] = version + 1;
    pthread_mutex_unlock(lock);
    if (!error && at >= run->skipped && version &&
        run->machine.cpus[thread->number].reads == reads)
        pressure_add(&run->hits, 1);
    return error;
}

static void
drop(struct run *run, uint32_t page)
{
    uint64_t address = run->machine.start + (uint64_t)page * PRESSURE_PAGE;

    if (aspen_madvise(run->machine.mm, address, PRESSURE_PAGE,
                      ASPEN_MADV_DONTNEED) == 0)
        run->versions[page] = 0;
}

/* Some pages are nobody's any more: zeroes. */
static void
give_up(struct thread *thread)
{
    struct run *run = thread->run;

    for (unsigned i = 0; i < GIVEN_UP; i++) {
        uint32_t page =
            (uint32_t)trace_below(&thread->seed, run->machine.pages);
        pthread_mutex_lock(&run->locks[page % LOCKS]);
        drop(run, page);
        pthread_mutex_unlock(&run->locks[page % LOCKS]);
    }
    pressure_add(&run->given_up, GIVEN_UP);
}

/* ---- Forks ------------------------------------------------------------ */

/* A child's page is as it was when it was forked, or as it has written it. */
static void
look(struct thread *thread, struct aspen_mm *child)
{
    struct run *run = thread->run;

    for (unsigned i = 0; i < LOOKS; i++) {
        uint32_t page =
            (uint32_t)trace_below(&thread->seed, run->machine.pages);
        uint32_t version = run->then[page];
        pressure_contents(page, version, thread->expected);
        if (i % 4) {
            (void)try_again(thread, child, page, NULL);
            continue;
        }
        pressure_contents(page, version | CHILDS, thread->next);
        if (try_again(thread, child, page, thread->next))
            continue;
        memcpy(thread->expected, thread->next, PRESSURE_PAGE);
        /* So that another look at the same page finds it as before. */
        pressure_contents(page, version, thread->next);
        if (try_again(thread, child, page, thread->next))
            return;
    }
}

static void
storm(struct thread *thread)
{
    struct run *run = thread->run;
    struct aspen_mm *children[CHILDREN];
    unsigned count = 0;

    pthread_mutex_lock(&run->storm);
    pthread_rwlock_wrlock(&run->forks);
    memcpy(run->then, run->versions,
           run->machine.pages * sizeof(*run->versions));
    while (count < CHILDREN &&
           aspen_fork(run->machine.mm, &children[count]) == 0)
        count++;
    pthread_rwlock_unlock(&run->forks);
    pressure_add(&run->forked, count);
    for (unsigned i = 0; i < count; i++) {
        if (aspen_mm_activate(children[i], thread->number) == 0) {
            look(thread, children[i]);
            (void)!aspen_mm_deactivate(children[i], thread->number);
        }
        aspen_mm_put(children[i]);
    }
    pthread_mutex_unlock(&run->storm);
}

/* ---- Threads ---------------------------------------------------------- */

static void
access_pages(struct thread *thread, size_t from, size_t end)
{
    struct run *run = thread->run;
    size_t every = run->plan->trace->length / STORMS + 1;

    if (every < STORM_LEAST)
        every = STORM_LEAST;
    for (size_t at = from; at < end; at++) {
        pthread_rwlock_rdlock(&run->forks);
        int error = access_page(thread, at);
        if (error == -ASPEN_ENOMEM && run->plan->faults.full)
            give_up(thread);
        else if (error == -ASPEN_ENOMEM)
            __atomic_store_n(&run->gave_up, 1u, __ATOMIC_RELAXED);
        pthread_rwlock_unlock(&run->forks);
        if (run->plan->forks && at % every == every - 1)
            storm(thread);
    }
}

static void *
run_thread(void *argument)
{
    struct thread *thread = argument;
    struct run *run = thread->run;
    size_t length = run->plan->trace->length;

    pressure_machine_enter(&run->machine, thread->number);
    while (!__atomic_load_n(&run->gave_up, __ATOMIC_RELAXED)) {
        size_t from = __atomic_fetch_add(&run->next, BATCH, __ATOMIC_RELAXED);
        if (from >= length)
            break;
        access_pages(thread, from,
                     from + BATCH < length ? from + BATCH : length);
    }
    __atomic_fetch_sub(&run->running, 1u, __ATOMIC_RELEASE);
    return NULL;
}

static size_t
done_of(const struct run *run)
{
    size_t next = __atomic_load_n(&run->next, __ATOMIC_RELAXED);
    size_t length = run->plan->trace->length;

    return next < length ? next : length;
}

/* ---- What is seen meanwhile ------------------------------------------- */

static int
sample(struct run *run, struct pressure_result *result)
{
    struct pressure_sample *samples =
        tool_room(result->samples, result->sample_count, &result->sample_room,
                  sizeof(*samples));
    struct aspen_mm_counters mm;

    if (!samples)
        return -1;
    result->samples = samples;
    aspen_mm_counters_read(run->machine.mm, &mm);
    samples[result->sample_count++] = (struct pressure_sample){
        .accesses = done_of(run),
        .resident = mm.anon_pages + mm.file_pages,
    };
    return 0;
}

/* Until all threads have ended. */
static void
watch(struct run *run, struct pressure_result *result)
{
    struct tool_progress progress;
    uint64_t begun_ns = tool_now_ns();
    size_t renewed = 0, every = run->plan->trace->length / RENEWALS + 1;

    tool_progress_begin(&progress, "accesses", run->plan->trace->length);
    while (__atomic_load_n(&run->running, __ATOMIC_ACQUIRE)) {
        tool_sleep_until_ns(tool_now_ns() + NAP_NS);
        tool_progress_set(&progress, done_of(run));
        /* Without it there is less to see. */
        (void)sample(run, result);
        if (run->plan->can_fail && done_of(run) - renewed >= every) {
            renewed = done_of(run);
            pressure_areas_renew(&run->machine.swap);
        }
    }
    tool_progress_end(&progress);
    result->seconds = (double)(tool_now_ns() - begun_ns) / 1e9;
}

static int
run_threads(struct run *run, struct thread *threads,
            struct pressure_result *result, struct tool_error *error)
{
    unsigned started = 0;
    int failed = 0;

    run->running = run->plan->threads;
    for (; started < run->plan->threads; started++) {
        struct thread *thread = &threads[started];
        thread->run = run;
        thread->number = started;
        thread->seed = run->plan->seed + started;
        failed = pthread_create(&thread->id, NULL, run_thread, thread);
        if (failed)
            break;
    }
    if (failed) { /* the others end soon */
        __atomic_store_n(&run->gave_up, 1u, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&run->running, run->plan->threads - started,
                           __ATOMIC_RELEASE);
    }
    watch(run, result);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i].id, NULL);
    return failed ? tool_fail(error, "no thread: %s", strerror(failed)) : 0;
}

/* ---- Afterwards ------------------------------------------------------- */

/* Every page once more. Where memory and slots are full a page may have no room
 * to be read; those that were compared make room. */
static void
compare_all(struct run *run, struct thread *thread,
            struct pressure_result *result)
{
    const bool full = run->plan->faults.full;

    __atomic_store_n(&run->machine.swap.calm, 1u, __ATOMIC_RELAXED);
    pressure_machine_enter(&run->machine, 0);
    for (uint32_t page = 0; page < run->machine.pages; page++) {
        if (run->versions[page] == 0)
            continue;
        pressure_contents(page, run->versions[page], thread->expected);
        int error = try_again(thread, run->machine.mm, page, NULL);
        bool no_room = full && error == -ASPEN_ENOMEM;
        run->given_up += no_room;
        result->lost_pages += error && !no_room;
        if (full)
            drop(run, page);
    }
    pressure_count_reads(NULL);
}

static void
count_all(struct run *run, struct pressure_result *result)
{
    struct pressure_machine *machine = &run->machine;
    struct aspen_posix_swap_counters swap;
    struct aspen_counters all;

    aspen_counters_read(machine->aspen, &all);
    pressure_areas_count(&machine->swap, &swap);
    for (unsigned i = 0; i < PRESSURE_THREADS; i++) {
        result->faults += machine->cpus[i].faults;
        result->refused += machine->cpus[i].refused;
    }
    result->accesses = done_of(run);
    result->refaults = all.refaults;
    result->reclaimed = all.reclaimed;
    result->direct_reclaims = all.direct_reclaims;
    result->swap_in = swap.pages_read;
    result->swap_out = swap.pages_written;
    result->swap_memory_bytes = swap.memory_bytes;
    result->file_in = machine->file_reads;
    result->file_out = machine->file_writes;
    result->forks = run->forked;
    result->failed = machine->swap.failed;
    result->given_up = run->given_up;
    result->areas_removed = machine->swap.removed;
}

/* What others would have had in a memory that held as many pages on average. */
static int
compare_ratios(const struct run *run, struct pressure_result *result,
               struct tool_error *error)
{
    const struct trace *trace = run->plan->trace;
    uint64_t resident = 0, count = 0;

    for (size_t i = 0; i < result->sample_count; i++) {
        const struct pressure_sample *sample = &result->samples[i];
        bool last = i + 1 == result->sample_count;
        if (sample->accesses < run->skipped && !(last && count == 0))
            continue;
        resident += sample->resident;
        count++;
    }
    result->resident = count ? (uint32_t)(resident / count) : 0;
    uint32_t memory = result->resident ? result->resident : 1;
    if (trace->length > run->skipped)
        result->hit_ratio =
            (double)run->hits / (double)(trace->length - run->skipped);
    result->lru_ratio = trace_lru(trace, memory, run->skipped);
    result->optimal_ratio = trace_optimum(trace, memory, run->skipped);
    return result->lru_ratio < 0 || result->optimal_ratio < 0
               ? tool_fail(error, "no memory to compare with LRU")
               : 0;
}

static int
validate(struct run *run, struct tool_error *error)
{
    struct aspen_finding finding;

    pressure_machine_rest(&run->machine);
    return aspen_validate(run->machine.aspen, &finding) == 1
               ? tool_fail(error, "inconsistent: %s: %s", finding.check,
                           finding.text)
               : 0;
}

static int
run_all(struct run *run, struct thread *threads, struct pressure_result *result,
        struct tool_error *error)
{
    if (run_threads(run, threads, result, error) != 0)
        return -1;
    count_all(run, result);
    if (run->gave_up)
        return tool_fail(error, "no memory after %zu accesses: %s",
                         done_of(run), aspen_error_name(run->refused_with));
    compare_all(run, &threads[0], result);
    result->wrong_bytes = run->wrong_bytes;
    result->refused_with = run->refused_with;
    if (validate(run, error) != 0)
        return -1;
    return compare_ratios(run, result, error);
}

/* ---- From begin to end ------------------------------------------------ */

static void
locks_begin(struct run *run)
{
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&run->locks[i], NULL);
    pthread_rwlock_init(&run->forks, NULL);
    pthread_mutex_init(&run->storm, NULL);
}

static void
locks_end(struct run *run)
{
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&run->locks[i]);
    pthread_rwlock_destroy(&run->forks);
    pthread_mutex_destroy(&run->storm);
}

static int
run_machine(struct run *run, struct thread *threads,
            struct pressure_result *result, struct tool_error *error)
{
    const struct pressure_plan *plan = run->plan;
    struct pressure_machine_args args = {
        .frames = plan->frames,
        .pages = plan->trace->pages,
        .swap = plan->swap,
        .swap_flags = plan->swap_flags,
        .faults = plan->faults,
        .can_fail = plan->can_fail,
        .seed = plan->seed,
    };
    struct tool_error left;
    int status = pressure_machine_begin(&run->machine, &args, error);

    if (status == 0)
        status = run_all(run, threads, result, error);
    if (!pressure_machine_end(&run->machine, &left) && status == 0)
        status = tool_fail(error, "%s", left.text);
    return status;
}

int
pressure_run(const struct pressure_plan *plan, struct pressure_result *result,
             struct tool_error *error)
{
    struct run *run = calloc(1, sizeof(*run));
    struct thread *threads = calloc(plan->threads, sizeof(*threads));
    size_t pages = plan->trace->pages;
    int status = -1;

    memset(result, 0, sizeof(*result));
    if (run) {
        run->plan = plan;
        run->versions = calloc(pages, sizeof(*run->versions));
        run->then = calloc(pages, sizeof(*run->then));
        /* Until memory is full, as fast as may be. */
        run->skipped = plan->frames < plan->trace->length / 2
                           ? plan->frames
                           : plan->trace->length / 2;
        locks_begin(run);
    }
    if (run && threads && run->versions && run->then)
        status = run_machine(run, threads, result, error);
    else
        tool_fail(error, "no memory");
    if (run) {
        locks_end(run);
        free(run->versions);
        free(run->then);
    }
    free(threads);
    free(run);
    return status;
}

void
pressure_result_free(struct pressure_result *result)
{
    free(result->samples);
    memset(result, 0, sizeof(*result));
}
