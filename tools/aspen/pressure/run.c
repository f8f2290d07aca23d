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
#include "pressure/replay.h"

#include <stdlib.h>
#include <string.h>

#define LOCKS       1024u
#define BATCH       16u
#define STORMS      64u  /* of a run */
#define STORM_LEAST 250u /* accesses from one to the next */
#define CHILDREN    8u   /* of a storm */
#define LOOKS       48u  /* at pages of a child */
#define NAP_NS      20000000u
#define GIVEN_UP    32u
/* Areas are exchanged so often, where they wear out. */
#define RENEWALS 24u
/* Versions of what children write. */
#define CHILDS 0x80000000u

struct run {
    const struct pressure_plan *plan;
    struct pressure_result *result;
    struct pressure_machine machine;
    struct replay *replay;        /* of plan->recorded */
    pthread_mutex_t locks[LOCKS]; /* I1 */
    uint32_t *versions;
    uint32_t *then;         /* as they were at the last fork */
    pthread_rwlock_t forks; /* I2: for writing, a fork */
    pthread_mutex_t storm;  /* for `then` */
    size_t next;            /* atomic, as all of the next ones */
    uint32_t running;
    uint64_t hits;
    uint64_t hits_counted; /* of these, when memory was full */
    uint64_t wrong_bytes;
    uint64_t forked;
    uint64_t given_up;
    uint32_t gave_up;
    struct tool_error error; /* why, if it was not for memory */
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
try_access(struct thread *thread, struct aspen_mm *mm, uint32_t page,
           const void *next)
{
    struct pressure_machine *machine = &thread->run->machine;
    uint64_t address = machine->start + (uint64_t)page * PRESSURE_PAGE;
    uint64_t wrong = 0;
    int error = pressure_access(machine, thread->number, mm, address,
                                thread->expected, next, &wrong);

    pressure_add(&thread->run->wrong_bytes, wrong);
    return error;
}

/* It has found its page in memory. */
static void
count_hit(struct run *run, size_t at)
{
    pressure_add(&run->hits, 1);
    if (at >= run->result->skipped)
        pressure_add(&run->hits_counted, 1);
}

bool
pressure_is_write(const struct pressure_plan *plan, size_t at, bool first)
{
    uint64_t seed = plan->seed + at;

    /* A page that nobody has written takes no memory. */
    return first || trace_below(&seed, 4) == 0;
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
    bool write = pressure_is_write(run->plan, at, version == 0);
    pressure_contents(page, version, thread->expected);
    if (write)
        pressure_contents(page, version + 1, thread->next);
    int error =
        try_access(thread, run->machine.mm, page, write ? thread->next : NULL);
    if (!error && write)
        run->versions[page] = version + 1;
    pthread_mutex_unlock(lock);
    if (!error && version && run->machine.cpus[thread->number].reads == reads)
        count_hit(run, at);
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
            (void)try_access(thread, child, page, NULL);
            continue;
        }
        pressure_contents(page, version | CHILDS, thread->next);
        if (try_access(thread, child, page, thread->next))
            continue;
        memcpy(thread->expected, thread->next, PRESSURE_PAGE);
        /* So that another look at the same page finds it as before. */
        pressure_contents(page, version, thread->next);
        if (try_access(thread, child, page, thread->next))
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
        pressure_result_note(run->result, &run->machine, at,
                             __atomic_load_n(&run->hits, __ATOMIC_RELAXED));
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

/* What was recorded, up to what cannot be done. */
static void
replay(struct thread *thread)
{
    struct run *run = thread->run;
    const struct recorded *recorded = run->plan->recorded;
    struct pressure_cpu *cpu = &run->machine.cpus[thread->number];

    for (size_t i = 0; i < recorded->step_count && !run->gave_up; i++) {
        const struct recorded_step *step = &recorded->steps[i];
        uint64_t reads = cpu->reads;
        if (step->counted)
            pressure_result_note(run->result, &run->machine, run->next,
                                 run->hits);
        if (replay_step(run->replay, step, &run->wrong_bytes, &run->error))
            __atomic_store_n(&run->gave_up, 1u, __ATOMIC_RELAXED);
        run->forked += step->kind == RECORDED_FORK;
        if (step->counted && !step->fresh && cpu->reads == reads)
            count_hit(run, run->next);
        if (step->counted)
            __atomic_store_n(&run->next, run->next + 1, __ATOMIC_RELAXED);
    }
}

static void
access_batches(struct thread *thread)
{
    struct run *run = thread->run;
    size_t length = run->plan->trace->length;

    while (!__atomic_load_n(&run->gave_up, __ATOMIC_RELAXED)) {
        size_t from = __atomic_fetch_add(&run->next, BATCH, __ATOMIC_RELAXED);
        if (from >= length)
            break;
        access_pages(thread, from,
                     from + BATCH < length ? from + BATCH : length);
    }
}

static void *
run_thread(void *argument)
{
    struct thread *thread = argument;
    struct run *run = thread->run;

    pressure_machine_enter(&run->machine, thread->number);
    if (run->replay)
        replay(thread);
    else
        access_batches(thread);
    pressure_count_reads(NULL);
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

/* ---- Beside them ------------------------------------------------------- */

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
    aspen_pressure_threads(run->machine.aspen, run->plan->threads);
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
    aspen_pressure_threads(run->machine.aspen, 0);
    return failed ? tool_fail(error, "no thread: %s", strerror(failed)) : 0;
}

/* ---- Afterwards ------------------------------------------------------- */

/* Every page once more. Where memory and slots are full a page may have no room
 * to be read; those that were compared make room. */
static void
compare_pages(struct thread *thread, struct pressure_result *result)
{
    struct run *run = thread->run;
    const bool full = run->plan->faults.full;

    for (uint32_t page = 0; page < run->machine.pages; page++) {
        if (run->versions[page] == 0)
            continue;
        pressure_contents(page, run->versions[page], thread->expected);
        int error = try_access(thread, run->machine.mm, page, NULL);
        bool no_room = full && error == -ASPEN_ENOMEM;
        run->given_up += no_room;
        result->lost_pages += error && !no_room;
        if (full)
            drop(run, page);
    }
}

static void
compare_all(struct thread *thread, struct pressure_result *result)
{
    struct run *run = thread->run;

    __atomic_store_n(&run->machine.swap.calm, 1u, __ATOMIC_RELAXED);
    pressure_machine_enter(&run->machine, 0);
    if (run->replay)
        replay_compare(run->replay, &run->wrong_bytes, &result->lost_pages);
    else
        compare_pages(thread, result);
    pressure_count_reads(NULL);
    result->forks = run->forked;
    result->given_up = run->given_up;
    result->wrong_bytes = run->wrong_bytes;
    result->refused_with = run->machine.refused_with;
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
say_gave_up(struct run *run, struct tool_error *error)
{
    if (run->error.text[0])
        return tool_fail(error, "%s", run->error.text);
    return tool_fail(error, "no memory after %zu accesses: %s", done_of(run),
                     aspen_error_name(run->machine.refused_with));
}

static int
run_all(struct run *run, struct thread *threads, struct pressure_result *result,
        struct tool_error *error)
{
    const struct trace *trace = run->plan->trace;

    if (run_threads(run, threads, result, error) != 0)
        return -1;
    result->accesses = done_of(run);
    pressure_result_count(result, &run->machine, run->hits);
    if (run->gave_up)
        return say_gave_up(run, error);
    compare_all(&threads[0], result);
    if (validate(run, error) != 0)
        return -1;
    if (trace->length > result->skipped)
        result->hit_ratio = (double)run->hits_counted /
                            (double)(trace->length - result->skipped);
    return pressure_result_compare(result, trace) == 0
               ? 0
               : tool_fail(error, "no memory to compare with LRU");
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
        status = plan->recorded ? replay_begin(&run->replay, &run->machine,
                                               plan->recorded, error)
                                : pressure_machine_map(&run->machine, error);
    if (status == 0)
        status = run_all(run, threads, result, error);
    replay_end(run->replay);
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

    int begun = pressure_result_begin(result, plan->trace->length);
    if (run) {
        run->plan = plan;
        run->result = result;
        run->versions = calloc(pages, sizeof(*run->versions));
        run->then = calloc(pages, sizeof(*run->then));
        /* Until memory is full, as fast as may be. */
        result->skipped = plan->frames < plan->trace->length / 2
                              ? plan->frames
                              : plan->trace->length / 2;
        locks_begin(run);
    }
    if (begun == 0 && run && threads && run->versions && run->then)
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
