/* SPDX-License-Identifier: MIT */
/*
 * A fork that copies at once (COPYONFORK) beside a write fault or PAGEOUT in
 * the parent, over all orders, each step failing: whatever the order, parent
 * and child have what the page held, each for itself, and nothing is left of a
 * fork that failed.
 */
#include "explore.h"

#define FRAMES 128u
#define MOST   1000u

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *sibling; /* of an earlier fork that shares the page */
    struct aspen_mm *child;   /* NULL: none */
    bool shared;
    bool swaps; /* it may be in swap, which fork shares */
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
};

static struct scene scene;

static uint32_t
frame_at(struct aspen_mm *mm)
{
    uint32_t frame;

    while (aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame))
        must(aspen_fault(mm, START, ASPEN_ACCESS_READ));
    return frame;
}

/* A device that keeps one page. */
static int
transfer(void *context, const struct aspen_swap_io *io)
{
    static uint8_t kept[PAGE];

    (void)context;
    if (io->write)
        memcpy(kept, io->memory[0], PAGE);
    else
        memcpy(io->memory[0], kept, PAGE);
    return 0;
}

static void
setup(void *unused)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    unsigned type;

    (void)unused;
    scene.child = scene.sibling = NULL;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.parent));
    must(aspen_swap_add(scene.aspen,
                        &(struct aspen_swap_args){.pages = 1, .ops = &ops},
                        &type));
    explore_map(scene.parent, START, 1, RW, NULL);
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    explore_bytes(scene.aspen, frame_at(scene.parent))[0] = 42;
    if (scene.shared)
        must(aspen_fork(scene.parent, &scene.sibling));
    must(aspen_minherit(scene.parent, START, PAGE, ASPEN_INHERIT_COPY_NOW));
    explore_plan(scene.aspen, scene.fail_at);
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    explore_validate(scene.aspen);
    if (explore_bytes(scene.aspen, frame_at(scene.parent))[0] != 42)
        sim_fail("contents are lost");
    if (scene.child) {
        if (explore_bytes(scene.aspen, frame_at(scene.child))[0] != 42)
            sim_fail("the child's contents are lost");
        if (!scene.swaps && frame_at(scene.child) == frame_at(scene.parent))
            sim_fail("the child shares the page");
        /* One writes; the other one does not see it. */
        must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
        explore_bytes(scene.aspen, frame_at(scene.parent))[0] = 43;
        if (explore_bytes(scene.aspen, frame_at(scene.child))[0] != 42)
            sim_fail("the child sees what the parent writes");
        aspen_mm_put(scene.child);
    }
    if (scene.sibling)
        aspen_mm_put(scene.sibling);
    explore_validate(scene.aspen);
    aspen_mm_put(scene.parent);
    explore_machine_end(scene.aspen);
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;

    (void)unused;
    int error = aspen_fork(scene.parent, &child);
    must_or_planned(error);
    if (!error)
        scene.child = child;
}

static void
write_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
}

static void
page_out_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
beside(const char *name, void (*other)(void *), bool shared)
{
    struct sim_program program = {setup, {fork_task, other}, 2, check, NULL};
    char title[80];

    scene.shared = shared;
    scene.swaps = other == page_out_task;
    scene.fail_at = 0;
    setup(NULL);
    fork_task(NULL);
    other(NULL);
    check(NULL);
    uint64_t steps = scene.counts.crossings;
    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        snprintf(title, sizeof(title), "fork at once beside %s, %s %llu", name,
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, &program, MOST);
    }
}

static void
test_write(void **state)
{
    (void)state;
    beside("a write", write_task, false);
    beside("a write to a shared page", write_task, true);
}

static void
test_page_out(void **state)
{
    (void)state;
    beside("PAGEOUT", page_out_task, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_page_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
