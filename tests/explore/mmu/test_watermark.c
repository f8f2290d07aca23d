/* SPDX-License-Identifier: MIT */
/*
 * The worker that keeps memory free beside who takes it, over all orders: when
 * less is free than low, and the worker sleeps, it has been woken since; and
 * nobody wakes it before.
 */
#include "explore.h"

#include "frames/watermark.h"

#define FRAMES 64u
#define PAGES  32u
#define MIN    2u
#define LOW    4u
#define HIGH   6u

static struct aspen *machine;
static struct aspen_object *file;
static uint32_t rest, more; /* frames that nobody needs: runs are short */
static bool gave_up;
static bool woken; /* and has not begun yet */
static unsigned wakes;
static bool alone; /* there is one worker */

static void
wake(void *context)
{
    (void)context;
    woken = true;
    wakes++;
}

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    *(uint8_t *)page = (uint8_t)(offset_bytes / PAGE);
    return 0;
}

static void
read_next(unsigned page)
{
    uint8_t byte;
    uint64_t done;

    must(aspen_object_read(file, page * PAGE, &byte, 1, &done));
    if (byte != page)
        sim_fail("another page");
}

static void
setup(void *unused)
{
    static const struct aspen_memory_ops memory = {.wake = wake};
    static const struct aspen_pager_ops pager = {.read = read_page};
    struct aspen_object_args args = {.size_bytes = PAGES * PAGE,
                                     .pager = &pager};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.hooks.memory = &memory;
    config.watermark_min = MIN;
    config.watermark_low = LOW;
    config.watermark_high = HIGH;
    woken = gave_up = false;
    machine = explore_machine(&config, FRAMES);
    must(aspen_frames_alloc(
        machine,
        &(struct aspen_frames_args){.kind = ASPEN_FRAMES_KERNEL, .order = 5},
        &rest));
    must(aspen_frames_alloc(
        machine,
        &(struct aspen_frames_args){.kind = ASPEN_FRAMES_KERNEL, .order = 4},
        &more));
    must(aspen_object_create(machine, &args, &file));
    for (unsigned page = 0; !woken; page++)
        read_next(page);
}

static uint64_t
looked(void)
{
    struct aspen_counters counts;

    aspen_counters_read(machine, &counts);
    return counts.reclaim_looked_background;
}

/* It gives up if it looked, but nothing could leave: all is held. Or there was
 * nothing to look at: those that were read last are in their CPU's batch. */
static void
worker(void *unused)
{
    uint64_t before, free;
    unsigned woken_by = wakes;

    (void)unused;
    woken = false;
    for (bool more_to_do = true; more_to_do;) {
        before = looked();
        free = aspen_watermark_free(machine);
        more_to_do = aspen_reclaim_tick(machine);
        if (more_to_do && alone && wakes != woken_by)
            sim_fail("woken, and it does not sleep");
    }
    gave_up |= looked() != before || free < HIGH;
}

static void
taker(void *unused)
{
    (void)unused;
    for (unsigned page = PAGES - 3; page < PAGES; page++)
        read_next(page);
}

static void
check(void *unused)
{
    (void)unused;
    if (aspen_watermark_free(machine) < LOW && !woken && !gave_up)
        sim_fail("little is free, and nobody has been woken");
    explore_validate(machine);
    aspen_object_put(file);
    aspen_frames_free(machine, rest);
    aspen_frames_free(machine, more);
    explore_machine_end(machine);
}

static void
somebody_is_awake(void **state)
{
    void (*const two[])(void *) = {worker, taker, NULL};
    void (*const three[])(void *) = {worker, taker, worker};
    struct sim_program program = explore_program(setup, two, check);

    (void)state;
    alone = true;
    explore_holds("worker, who takes memory", &program, 200);
    alone = false;
    program = explore_program(setup, three, check);
    explore_holds("two workers, who takes memory", &program, 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(somebody_is_awake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
