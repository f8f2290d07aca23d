/* SPDX-License-Identifier: MIT */
/*
 * A page that goes to swap or comes back, beside another fault, another
 * swap-out, a fork, its removal, in the same space or a child that shares the
 * slot; over all orders, each step failing. Whatever the order, each space
 * reads what was there, or what it wrote, and nothing is left of the slot.
 */
#include "explore.h"
#include "frames/frames.h"
#include "space/vma.h"
#include "slots.h"

#define FRAMES 64u
#define SLOTS  4u
#define MOST   200u
#define OLD    42
#define NEW    43

struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;  /* from the beginning; NULL: none */
    struct aspen_mm *forked; /* by a task; NULL: none */
    bool with_child;
    bool swapped; /* from the beginning */
    bool dropped; /* the parent's page may be */
    bool wrote;   /* the parent */
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
    uint8_t slots[SLOTS][PAGE];
};

static struct scene scene;

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    sim_point(scene.slots[io->slot], io->write);
    return slots_transfer(scene.slots, io);
}

static const struct aspen_swap_ops ops = {.transfer = transfer};

static void
setup(void *unused)
{
    struct aspen_swap_args args = {.pages = SLOTS, .ops = &ops};
    unsigned type;
    uint32_t frame;

    (void)unused;
    scene.child = NULL;
    scene.forked = NULL;
    scene.dropped = false;
    scene.wrote = false;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_swap_add(scene.aspen, &args, &type));
    must(aspen_mm_create(scene.aspen, &scene.parent));
    explore_map(scene.parent, START, 1, RW, NULL);
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    must(aspen_translate(scene.parent, START, ASPEN_ACCESS_READ, &frame));
    memset(explore_bytes(scene.aspen, frame), OLD, PAGE);
    if (scene.swapped)
        must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
    if (scene.with_child)
        must(aspen_fork(scene.parent, &scene.child));
    explore_plan(scene.aspen, scene.fail_at);
}

/* ---- Check ------------------------------------------------------------- */

static uint8_t
byte_in(struct aspen_mm *mm)
{
    uint32_t frame;

    while (aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame))
        must(aspen_fault(mm, START, ASPEN_ACCESS_READ));
    return *explore_bytes(scene.aspen, frame);
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    explore_validate(scene.aspen);
    if (scene.child && byte_in(scene.child) != OLD)
        sim_fail("the child's contents are not what they were");
    uint8_t forked = scene.forked ? byte_in(scene.forked) : OLD;
    if (forked != OLD && !(scene.wrote && forked == NEW) &&
        !(scene.dropped && forked == 0))
        sim_fail("a forked child's contents are not what they were");
    uint8_t parent = byte_in(scene.parent);
    if (!scene.dropped && parent != (scene.wrote ? NEW : OLD))
        sim_fail("the parent's contents are not what they were");
    explore_validate(scene.aspen);
    if (scene.child)
        aspen_mm_put(scene.child);
    if (scene.forked)
        aspen_mm_put(scene.forked);
    aspen_mm_put(scene.parent);
    struct aspen_counters counters;
    aspen_counters_read(scene.aspen, &counters);
    if (counters.swap_slots_used)
        sim_fail("a slot is left");
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
read_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.parent, START, ASPEN_ACCESS_READ));
}

static void
write_task(void *unused)
{
    uint8_t byte = NEW;
    uint64_t done;

    (void)unused;
    must_or_planned(
        aspen_write_memory(scene.parent, START, &byte, 1, 0, &done));
    scene.wrote = done == 1;
}

static void
pageout_task(void *unused)
{
    (void)unused;
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
dontneed_task(void *unused)
{
    (void)unused;
    scene.dropped = true;
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_DONTNEED));
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;

    (void)unused;
    int error = aspen_fork(scene.parent, &child);
    must_or_planned(error);
    if (!error)
        scene.forked = child;
}

static void
child_read_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.child, START, ASPEN_ACCESS_READ));
}

static void
child_exit_task(void *unused)
{
    struct aspen_mm *child = scene.child;

    (void)unused;
    scene.child = NULL;
    aspen_mm_put(child);
}

/* ---- Tests ------------------------------------------------------------- */

struct row {
    const char *name;
    void (*first)(void *context);
    void (*second)(void *context);
    bool with_child;
};

static uint64_t
count_steps(const struct row *row)
{
    scene.fail_at = 0;
    setup(NULL);
    row->first(NULL);
    row->second(NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
explore(const struct row *row)
{
    struct sim_program program = {
        setup, {row->first, row->second}, 2, check, NULL};
    char title[100];

    scene.with_child = row->with_child;
    for (unsigned swapped = 0; swapped < 2; swapped++) {
        scene.swapped = swapped;
        uint64_t steps = count_steps(row);
        for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
            snprintf(title, sizeof(title), "%s, page %s, %s %llu", row->name,
                     swapped ? "in swap" : "in memory",
                     scene.fail_at ? "failing at" : "succeeding,",
                     (unsigned long long)scene.fail_at);
            explore_holds(title, &program, MOST);
        }
    }
}

static void
test_pairs(void **state)
{
    static const struct row rows[] = {
        {"a read beside PAGEOUT", read_task, pageout_task, false},
        {"a write beside PAGEOUT", write_task, pageout_task, false},
        {"PAGEOUT beside PAGEOUT", pageout_task, pageout_task, false},
        {"a read beside a read", read_task, read_task, false},
        {"a read beside a write", read_task, write_task, false},
        {"a read beside a fork", read_task, fork_task, false},
        {"a write beside a fork", write_task, fork_task, false},
        {"PAGEOUT beside a fork", pageout_task, fork_task, false},
        {"a read beside DONTNEED", read_task, dontneed_task, false},
        {"PAGEOUT beside DONTNEED", pageout_task, dontneed_task, false},
        {"a read beside a child's", read_task, child_read_task, true},
        {"a write beside a child's read", write_task, child_read_task, true},
        {"a write beside a child's exit", write_task, child_exit_task, true},
        {"PAGEOUT beside a child's exit", pageout_task, child_exit_task, true},
        {"DONTNEED beside a child's read", dontneed_task, child_read_task,
         true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
