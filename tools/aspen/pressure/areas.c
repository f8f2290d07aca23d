/* SPDX-License-Identifier: MIT */
/*
 * areas.c - see areas.h.
 *
 * I1  An area that is late ends each transfer that was submitted before it
 *     goes: the core lets it go only when nothing is under way.
 *
 * Called by machine.c and run.c. tests/unit/tools/test_soak.c breaks first.
 */
#define _GNU_SOURCE
#include "pressure/areas.h"
#include "trace/trace.h"

#include <aspen/aspen.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE   4096u
#define LATE   256u /* transfers at a time; more wait */
#define GONE   40u  /* transfers that fail, when a device is gone for a time */
#define NAP_NS 50000u

struct pressure_area {
    struct pressure_areas *areas;
    struct aspen_posix_swap *device;
    struct aspen_swap_args args; /* the device's own */
    struct aspen_swap_ops ops;   /* around them */
    unsigned type;
    uint64_t seed; /* atomic */
    uint32_t gone; /* atomic: transfers that are still to fail */
    /* Where transfers are late. */
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t changed;
    struct aspen_swap_io *late[LATE];
    unsigned count;
    bool ending;
};

static __thread uint64_t *this_reads;

void
pressure_count_reads(uint64_t *reads)
{
    this_reads = reads;
}

void
pressure_note_read(void)
{
    if (this_reads)
        ++*this_reads;
}

/* ---- What goes wrong -------------------------------------------------- */

static uint64_t
chance(struct pressure_area *area, uint64_t limit)
{
    uint64_t seed = __atomic_fetch_add(&area->seed, 1, __ATOMIC_RELAXED);

    return trace_below(&seed, limit);
}

static bool
happens(struct pressure_area *area, unsigned per_thousand)
{
    return per_thousand &&
           !__atomic_load_n(&area->areas->calm, __ATOMIC_RELAXED) &&
           chance(area, 1000) < per_thousand;
}

static bool
is_gone(struct pressure_area *area)
{
    uint32_t gone = __atomic_load_n(&area->gone, __ATOMIC_RELAXED);

    if (__atomic_load_n(&area->areas->calm, __ATOMIC_RELAXED))
        return false;
    if (gone) {
        (void)__atomic_compare_exchange_n(&area->gone, &gone, gone - 1, false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        return true;
    }
    if (!happens(area, area->areas->faults.gone))
        return false;
    __atomic_store_n(&area->gone, GONE, __ATOMIC_RELAXED);
    return true;
}

static int
transfer_half(struct pressure_area *area, const struct aspen_swap_io *io)
{
    struct aspen_swap_io half = *io;

    half.pages /= 2;
    if (half.pages)
        (void)area->args.ops->transfer(area->args.context, &half);
    return -ASPEN_EIO;
}

static int
transfer(struct pressure_area *area, const struct aspen_swap_io *io)
{
    const struct pressure_faults *faults = &area->areas->faults;
    int error;

    if (is_gone(area))
        error = -ENODEV;
    else if (happens(area, faults->errors))
        error = -ASPEN_EIO;
    else if (happens(area, faults->shorts))
        error = transfer_half(area, io);
    else {
        error = area->args.ops->transfer(area->args.context, io);
        if (!io->write && happens(area, faults->lies))
            ((char *)io->memory[chance(area, io->pages)])[chance(area, PAGE)] ^=
                1;
        return error;
    }
    pressure_add(&area->areas->failed, 1);
    return error;
}

/* ---- Now or later ----------------------------------------------------- */

static int
at_once(void *context, const struct aspen_swap_io *io)
{
    if (!io->write)
        pressure_note_read();
    return transfer(context, io);
}

/* The device's own submit: it fails as it likes. */
static void
pass_on(void *context, struct aspen_swap_io *io)
{
    struct pressure_area *area = context;

    if (!io->write)
        pressure_note_read();
    area->args.ops->submit(area->args.context, io);
}

static void
later(void *context, struct aspen_swap_io *io)
{
    struct pressure_area *area = context;

    if (!io->write)
        pressure_note_read();
    pthread_mutex_lock(&area->lock);
    while (area->count == LATE)
        pthread_cond_wait(&area->changed, &area->lock);
    area->late[area->count++] = io;
    pthread_cond_broadcast(&area->changed);
    pthread_mutex_unlock(&area->lock);
}

/* Any of them; NULL: the area goes. */
static struct aspen_swap_io *
take_late(struct pressure_area *area)
{
    struct aspen_swap_io *io = NULL;

    pthread_mutex_lock(&area->lock);
    while (!area->count && !area->ending)
        pthread_cond_wait(&area->changed, &area->lock);
    if (area->count) {
        uint64_t at = chance(area, area->count);
        io = area->late[at];
        area->late[at] = area->late[--area->count];
        pthread_cond_broadcast(&area->changed);
    }
    pthread_mutex_unlock(&area->lock);
    return io;
}

static void *
be_late(void *argument)
{
    struct pressure_area *area = argument;
    struct aspen_swap_io *io;

    while ((io = take_late(area))) { /* I1 */
        if (chance(area, 8) == 0)
            tool_sleep_until_ns(tool_now_ns() + chance(area, NAP_NS));
        aspen_swap_done(io, transfer(area, io));
    }
    return NULL;
}

static void
end_late(struct pressure_area *area)
{
    if (!area->areas->faults.late)
        return;
    pthread_mutex_lock(&area->lock);
    area->ending = true;
    pthread_cond_broadcast(&area->changed);
    pthread_mutex_unlock(&area->lock);
    pthread_join(area->thread, NULL);
}

/* ---- An area ---------------------------------------------------------- */

static void
sum(struct aspen_posix_swap_counters *to,
    const struct aspen_posix_swap_counters *of)
{
    uint64_t *all = (uint64_t *)to;

    for (size_t i = 0; i < sizeof(*to) / sizeof(*all); i++)
        all[i] += ((const uint64_t *)of)[i];
}

static void
free_area(struct pressure_area *area)
{
    if (area->device)
        aspen_posix_swap_close(area->device);
    pthread_mutex_destroy(&area->lock);
    pthread_cond_destroy(&area->changed);
    free(area);
}

/* The machine has let it go. */
static void
close_area(void *context)
{
    struct pressure_area *area = context;
    struct pressure_areas *areas = area->areas;
    struct aspen_posix_swap_counters counters;

    end_late(area);
    aspen_posix_swap_counters_read(area->device, &counters);
    counters.memory_bytes = 0; /* it has none any more */
    pthread_mutex_lock(&areas->lock);
    sum(&areas->ended, &counters);
    for (unsigned i = 0; i < PRESSURE_AREAS; i++)
        if (areas->areas[i] == area)
            areas->areas[i] = NULL;
    areas->removed++;
    pthread_mutex_unlock(&areas->lock);
    free_area(area);
}

static struct pressure_area *
make_area(struct pressure_areas *areas, struct tool_error *error)
{
    struct pressure_area *area = calloc(1, sizeof(*area));
    char why[400];

    if (!area) {
        tool_fail(error, "no memory");
        return NULL;
    }
    area->areas = areas;
    area->seed = trace_random(&areas->seed);
    pthread_mutex_init(&area->lock, NULL);
    pthread_cond_init(&area->changed, NULL);
    if (aspen_posix_swap_open(areas->swap, areas->slots, &area->device, why,
                              sizeof(why)) != 0) {
        tool_fail(error, "%s", why);
        free_area(area);
        return NULL;
    }
    aspen_posix_swap_area(area->device, &area->args);
    if (areas->can_fail && !area->args.ops->transfer) {
        tool_fail(error, "this device fails as it likes, not when it is told");
        free_area(area);
        return NULL;
    }
    area->ops.close = close_area;
    if (areas->faults.late)
        area->ops.submit = later;
    else if (area->args.ops->submit)
        area->ops.submit = pass_on;
    else
        area->ops.transfer = at_once;
    return area;
}

static int
add_area(struct pressure_area *area, struct tool_error *error)
{
    struct aspen_swap_args args = area->args;
    bool late = area->areas->faults.late;
    int result;

    args.ops = &area->ops;
    args.context = area;
    args.flags = area->areas->flags;
    if (late && (result = pthread_create(&area->thread, NULL, be_late, area)))
        return tool_fail(error, "no thread: %s", strerror(result));
    result = aspen_swap_add(area->areas->aspen, &args, &area->type);
    if (result == 0)
        return 0;
    end_late(area);
    return tool_fail(error, "no swap area: %s", aspen_error_name(result));
}

int
pressure_areas_add(struct pressure_areas *areas, struct tool_error *error)
{
    struct pressure_area *area;
    unsigned place = 0;

    while (place < PRESSURE_AREAS && areas->areas[place])
        place++;
    if (place == PRESSURE_AREAS)
        return tool_fail(error, "%u areas are enough", PRESSURE_AREAS);
    area = make_area(areas, error);
    if (!area)
        return -1;
    areas->areas[place] = area;
    if (add_area(area, error) == 0)
        return 0;
    areas->areas[place] = NULL;
    free_area(area);
    return -1;
}

void
pressure_areas_renew(struct pressure_areas *areas)
{
    unsigned old[PRESSURE_AREAS], count = 0;
    struct tool_error unused;

    for (unsigned i = 0; i < PRESSURE_AREAS; i++)
        if (areas->areas[i])
            old[count++] = areas->areas[i]->type;
    (void)pressure_areas_add(areas, &unused);
    for (unsigned i = 0; i < count; i++)
        (void)!aspen_swap_remove(areas->aspen, old[i]);
}

void
pressure_areas_count(struct pressure_areas *areas,
                     struct aspen_posix_swap_counters *counters)
{
    struct aspen_posix_swap_counters one;

    pthread_mutex_lock(&areas->lock);
    *counters = areas->ended;
    for (unsigned i = 0; i < PRESSURE_AREAS; i++) {
        if (!areas->areas[i])
            continue;
        aspen_posix_swap_counters_read(areas->areas[i]->device, &one);
        sum(counters, &one);
    }
    pthread_mutex_unlock(&areas->lock);
}

void
pressure_areas_begin(struct pressure_areas *areas)
{
    memset(areas, 0, sizeof(*areas));
    pthread_mutex_init(&areas->lock, NULL);
}

void
pressure_areas_end(struct pressure_areas *areas)
{
    pthread_mutex_destroy(&areas->lock);
}
