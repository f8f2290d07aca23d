/* SPDX-License-Identifier: MIT */
/*
 * workers.c - processes that rehearse, each with a machine of its own.
 *
 *   parent                            worker (one of `jobs`)
 *   maps the control block
 *   starts the workers            ->  builds its machine, counts the steps
 *   waits for `counted`           <-  worker 0 writes the kinds of the steps
 *   fills the plan, sets `go`     ->  takes the next item of the plan,
 *   watches, draws the bar            rehearses, writes the result, ...
 *   collects the dead             <-  validates its whole machine, ends it
 *
 * All they share is the control block and a file in memory with the kinds of
 * the steps, the plan and the results; words in it are touched with atomic
 * operations. A worker whose rehearsal broke a promise ends, since its machine
 * is not to be trusted any more, and another one takes its place. One that
 * crashes has broken a promise in the item it was at.
 *
 * Called by command.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/workers.h"
#include "rehearse/swapped.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_NS   1000000u
#define WATCH_NS 10000000u
/* What would be finished in this part more of the time is finished. */
#define FINISH_PART 4u

/* Exit statuses of a worker. */
#define WORKER_DONE    0
#define WORKER_RESTART 1 /* a promise broke: said in the control block */
#define WORKER_REFUSED 2 /* could not begin: said in the control block */

struct worker_state {
    uint64_t item; /* the item it is at, + 1; 0: none */
    uint64_t last; /* the last it did, + 1; 0: none */
    char error[sizeof(struct tool_error)];
    uint32_t broken; /* the error is a broken promise */
};

struct workers_control {
    uint32_t counted; /* facts and kinds are there */
    uint32_t go;      /* the plan is there */
    uint32_t stop;    /* no more items */
    uint32_t padding;
    uint64_t next; /* item to be taken */
    uint64_t done;
    uint64_t room;    /* items in the plan */
    uint64_t planned; /* of these, to be done */
    uint64_t break_count;
    struct workers_facts facts;
    struct worker_state workers[WORKERS_MAX];
    struct workers_break breaks[BREAKS_MAX];
};

static uint32_t
load32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void
store32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static uint64_t
load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void
store64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static uint64_t
take64(uint64_t *word)
{
    return __atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
}

static void
nap(uint64_t nanoseconds)
{
    tool_sleep_until_ns(tool_now_ns() + nanoseconds);
}

/* --- in a worker --------------------------------------------------------- */

static void
note_break(struct workers *workers, plan_item item, uint32_t held,
           const char *text)
{
    struct workers_control *control = workers->control;
    uint64_t number = take64(&control->break_count);
    struct workers_break *place;

    if (number >= BREAKS_MAX)
        return;
    place = &control->breaks[number];
    place->item = item;
    place->held = held;
    snprintf(place->text, sizeof(place->text), "%s", text);
}

/* The layout of the shared file: kinds; then the plan and the results. */
static size_t
plan_offset(uint64_t steps)
{
    return (size_t)((steps + 4095) & ~(uint64_t)4095);
}

static int
map_shared(struct workers *workers, uint64_t steps, uint64_t room,
           uint8_t **base)
{
    workers->shared_bytes =
        plan_offset(steps) +
        (size_t)room * (sizeof(plan_item) + sizeof(struct rehearsal_result));
    *base = mmap(NULL, workers->shared_bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED, workers->shared_fd, 0);
    if (*base == MAP_FAILED)
        return -1;
    workers->items = (plan_item *)(void *)(*base + plan_offset(steps));
    workers->results =
        (struct rehearsal_result *)(void *)(workers->items + room);
    return 0;
}

static int
publish_count(struct workers *workers, const struct rehearsal_stage *stage)
{
    struct workers_control *control = workers->control;
    uint64_t written = 0;

    control->facts = (struct workers_facts){
        .steps = stage->steps,
        .page_tables = stage->parent.page_tables,
        .left_out = stage->machine.left_out,
        .swapped = swapped_pages(stage->machine.swapped),
    };
    while (written < stage->steps) {
        ssize_t wrote =
            pwrite(workers->shared_fd, stage->kinds + written,
                   (size_t)(stage->steps - written), (off_t)written);

        if (wrote <= 0 && errno != EINTR)
            return -1;
        written += wrote > 0 ? (uint64_t)wrote : 0;
    }
    store32(&control->counted, 1);
    return 0;
}

/* -1: the end came before the plan. */
static int
await_plan(struct workers *workers)
{
    while (load32(&workers->control->go) == 0) {
        if (load32(&workers->control->stop) != 0)
            return -1;
        nap(NAP_NS);
    }
    return 0;
}

/* 0: nothing is left to do; WORKER_RESTART: something broke. */
static int
rehearse_items(struct workers *workers, struct rehearsal_stage *stage,
               struct worker_state *state)
{
    struct workers_control *control = workers->control;

    while (load32(&control->stop) == 0) {
        uint64_t number = take64(&control->next);
        struct tool_error error;
        plan_item item;

        if (number >= control->planned)
            break;
        item = workers->items[number];
        store64(&state->item, number + 1);
        rehearsal_run(stage, plan_step(item), plan_mode(item),
                      &workers->results[number], &error);
        store32(&workers->results[number].done, 1);
        store64(&state->last, number + 1);
        store64(&state->item, 0);
        take64(&control->done);
        if (workers->results[number].held != HELD_ALL) {
            note_break(workers, item, workers->results[number].held,
                       error.text);
            return WORKER_RESTART;
        }
        if (stage->no_memory) {
            snprintf(state->error, sizeof(state->error),
                     "no memory to validate the machine");
            return WORKER_REFUSED;
        }
    }
    return WORKER_DONE;
}

/* What the whole machine shows at the end is put down to the last item. */
static void
note_late_break(struct workers *workers, const struct worker_state *state,
                const char *text)
{
    uint64_t number = state->last;
    char line[400];

    if (number == 0)
        return;
    snprintf(line, sizeof(line), "nothing_left: at the end: %.300s", text);
    workers->results[number - 1].held &= ~(1u << PROMISE_NOTHING_LEFT);
    note_break(workers, workers->items[number - 1],
               workers->results[number - 1].held, line);
}

static int
work(struct workers *workers, unsigned index)
{
    struct workers_control *control = workers->control;
    struct worker_state *state = &control->workers[index];
    struct rehearsal_stage stage;
    struct tool_error error;
    bool broken;
    uint8_t *base;
    int status;

    state->last = 0;
    if (rehearsal_begin(&stage, workers->snapshot, &broken, &error) != 0) {
        snprintf(state->error, sizeof(state->error), "%s", error.text);
        store32(&state->broken, broken);
        return WORKER_REFUSED;
    }
    if (index == 0 && load32(&control->counted) == 0 &&
        publish_count(workers, &stage) != 0) {
        snprintf(state->error, sizeof(state->error), "no memory");
        return WORKER_REFUSED;
    }
    if (await_plan(workers) != 0)
        return WORKER_DONE;
    if (stage.steps != control->facts.steps) {
        snprintf(state->error, sizeof(state->error),
                 "one machine takes %llu steps, another %llu",
                 (unsigned long long)stage.steps,
                 (unsigned long long)control->facts.steps);
        store32(&state->broken, 1);
        return WORKER_REFUSED;
    }
    if (map_shared(workers, stage.steps, control->room, &base) != 0) {
        snprintf(state->error, sizeof(state->error), "no memory");
        return WORKER_REFUSED;
    }
    status = rehearse_items(workers, &stage, state);
    if (status == WORKER_DONE && rehearsal_end(&stage, &error) != 0)
        note_late_break(workers, state, error.text);
    return status;
}

/* --- in the parent ------------------------------------------------------- */

static int
start_worker(struct workers *workers, unsigned index, struct tool_error *error)
{
    pid_t parent = getpid();
    pid_t process;

    fflush(NULL);
    process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(WORKER_DONE);
        _exit(work(workers, index));
    }
    if (process < 0)
        return tool_fail(error, "cannot start a worker: %s", strerror(errno));
    workers->processes[index] = process;
    return 0;
}

static const char *
signal_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "the worker died of signal %d (%s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "the worker ended with status %d",
                 WEXITSTATUS(status));
    return text;
}

/*
 * A worker has ended. 0: as it should, or a broken promise was noted; 1: it
 * broke one before there was a plan; -1: it could not work.
 */
static int
judge_ending(struct workers *workers, unsigned index, int status,
             struct tool_error *error)
{
    struct worker_state *state = &workers->control->workers[index];
    uint64_t number = load64(&state->item);
    char text[128];

    workers->processes[index] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) <= WORKER_RESTART)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_REFUSED) {
        tool_fail(error, "%s", state->error);
        return load32(&state->broken) != 0 ? 1 : -1;
    }
    signal_text(status, text, sizeof(text));
    if (number == 0) {
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            return tool_fail(error, "%s: out of memory?", text);
        tool_fail(error, "%s outside of any rehearsal", text);
        return 1;
    }
    /* In the middle of a rehearsal: none of its promises is known to hold. */
    workers->results[number - 1] = (struct rehearsal_result){.done = 1};
    take64(&workers->control->done);
    note_break(workers, workers->items[number - 1], 0, text);
    store64(&state->item, 0);
    return 0;
}

/* Whether the worker that has ended has to be replaced. */
static bool
has_work(const struct workers *workers)
{
    const struct workers_control *control = workers->control;

    return load32(&control->stop) == 0 &&
           load64(&control->next) < control->planned;
}

/* Look after the workers once. How many still run, or -1, or -2 (broken). */
static int
look_after(struct workers *workers, struct tool_error *error)
{
    int running = 0;

    for (unsigned i = 0; i < workers->jobs; i++) {
        int status;
        int judged;

        if (workers->processes[i] == 0)
            continue;
        if (waitpid(workers->processes[i], &status, WNOHANG) == 0) {
            running++;
            continue;
        }
        judged = judge_ending(workers, i, status, error);
        if (judged != 0)
            return judged > 0 ? -2 : -1;
        if (load64(&workers->control->break_count) >= BREAKS_MAX)
            store32(&workers->control->stop, 1);
        if (load32(&workers->control->go) != 0 && has_work(workers)) {
            if (start_worker(workers, i, error) != 0)
                return -1;
            running++;
        }
    }
    return running;
}

static int
await_count(struct workers *workers, struct tool_error *error)
{
    for (;;) {
        bool counted = load32(&workers->control->counted) != 0;
        int running;

        if (counted)
            return 0;
        running = look_after(workers, error);
        if (running < 0)
            return running == -2 ? 1 : -1;
        if (workers->processes[0] == 0)
            return tool_fail(error, "the first worker has ended");
        nap(NAP_NS);
    }
}

int
workers_begin(struct workers *workers, const struct snapshot *snapshot,
              unsigned jobs, struct tool_error *error)
{
    int result;

    memset(workers, 0, sizeof(*workers));
    workers->snapshot = snapshot;
    workers->jobs = jobs;
    workers->shared_fd = memfd_create("aspen-rehearse", MFD_CLOEXEC);
    workers->control =
        mmap(NULL, sizeof(*workers->control), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (workers->control == MAP_FAILED || workers->shared_fd < 0) {
        workers->control =
            workers->control == MAP_FAILED ? NULL : workers->control;
        return tool_fail(error, "no memory for the workers");
    }
    for (unsigned i = 0; i < jobs; i++)
        if (start_worker(workers, i, error) != 0)
            return -1;
    result = await_count(workers, error);
    if (result != 0)
        return result;
    workers->facts = workers->control->facts;
    workers->kinds = malloc((size_t)workers->facts.steps + 1);
    if (workers->kinds == NULL ||
        pread(workers->shared_fd, workers->kinds, (size_t)workers->facts.steps,
              0) != (ssize_t)workers->facts.steps)
        return tool_fail(error, "no memory for the steps");
    workers->possible = plan_count(workers->kinds, workers->facts.steps);
    return 0;
}

int
workers_plan(struct workers *workers, uint64_t seed, plan_item single,
             uint64_t limit, struct tool_error *error)
{
    uint64_t room = single != 0 ? 1 : workers->possible;
    size_t bytes =
        plan_offset(workers->facts.steps) +
        (size_t)room * (sizeof(plan_item) + sizeof(struct rehearsal_result));
    uint8_t *base;

    workers->planned = limit < room ? limit : room;
    if (ftruncate(workers->shared_fd, (off_t)bytes) != 0 ||
        map_shared(workers, workers->facts.steps, room, &base) != 0)
        return tool_fail(error, "no memory for the plan");
    if (single != 0)
        workers->items[0] = single;
    else if (plan_fill(workers->items, workers->kinds, workers->facts.steps,
                       seed) != 0)
        return tool_fail(error, "no memory for the plan");
    workers->control->room = room;
    workers->control->planned = workers->planned;
    return 0;
}

/*
 * The running estimate: when all of it would take much longer than wanted,
 * what is done so far is the sample.
 */
static bool
is_enough(const struct workers *workers, uint64_t done, uint64_t begun_ns,
          uint64_t seconds)
{
    uint64_t passed = tool_now_ns() - begun_ns;
    uint64_t wanted = seconds * 1000000000u;
    uint64_t left = workers->planned - done;

    if (seconds == 0 || passed < wanted || done == 0)
        return false;
    return left > done / FINISH_PART;
}

int
workers_run(struct workers *workers, uint64_t seconds, struct tool_error *error)
{
    struct workers_control *control = workers->control;
    uint64_t begun_ns = tool_now_ns();
    struct tool_progress progress;
    int running;

    tool_progress_begin(&progress, "rehearsing", workers->planned);
    store32(&control->go, 1);
    while ((running = look_after(workers, error)) > 0) {
        uint64_t done = load64(&control->done);

        tool_progress_set(&progress, done);
        if (is_enough(workers, done, begun_ns, seconds))
            store32(&control->stop, 1);
        nap(WATCH_NS);
    }
    tool_progress_end(&progress);
    return running == 0 ? 0 : running == -2 ? 1 : -1;
}

uint64_t
workers_breaks(const struct workers *workers,
               const struct workers_break **breaks)
{
    *breaks = workers->control->breaks;
    return load64(&workers->control->break_count);
}

void
workers_end(struct workers *workers)
{
    for (unsigned i = 0; i < workers->jobs; i++)
        if (workers->processes[i] != 0) {
            kill(workers->processes[i], SIGKILL);
            while (waitpid(workers->processes[i], NULL, 0) < 0 &&
                   errno == EINTR)
                continue;
        }
    if (workers->items != NULL)
        munmap((uint8_t *)(void *)workers->items -
                   plan_offset(workers->facts.steps),
               workers->shared_bytes);
    if (workers->control != NULL)
        munmap(workers->control, sizeof(*workers->control));
    if (workers->shared_fd >= 0)
        close(workers->shared_fd);
    free(workers->kinds);
    memset(workers, 0, sizeof(*workers));
    workers->shared_fd = -1;
}
