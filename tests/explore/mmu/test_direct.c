/* SPDX-License-Identifier: MIT */
/*
 * Two faults find no memory at the same time, and one page can leave: one of
 * them gets it, the other is told that there is none, and nobody waits for ever
 * for what the other one holds.
 */
#include "explore.h"
#include "frames/frames.h"

#include <aspen/calls/reclaim.h>

#define FRAMES 64u
#define MOST   400u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint32_t taken[FRAMES];
    unsigned taken_count;
    int errors[2];
} scene;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    memset(page, 7, PAGE);
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_page};

/* A space whose tables are there, a clean page of a file, and no free frame. */
static void
setup(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGE, .pager = &pager};
    uint8_t byte;
    uint64_t done;

    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, 3, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    must(aspen_object_read(scene.file, 0, &byte, 1, &done));
    scene.taken_count = 0;
    while (!aspen_frame_alloc(scene.aspen, 0, ASPEN_STEP_FRAME,
                              &scene.taken[scene.taken_count]))
        scene.taken_count++;
}

static void
fault(unsigned number)
{
    scene.errors[number] =
        aspen_fault(scene.mm, START + (1 + number) * PAGE, ASPEN_ACCESS_WRITE);
    if (scene.errors[number] && scene.errors[number] != -ASPEN_ENOMEM)
        must(scene.errors[number]);
}

static void
first_task(void *unused)
{
    (void)unused;
    fault(0);
}

static void
second_task(void *unused)
{
    (void)unused;
    fault(1);
}

static void
check(void *unused)
{
    (void)unused;
    if (!scene.errors[0] == !scene.errors[1])
        sim_fail("one page can leave, and one fault gets it");
    while (scene.taken_count)
        aspen_frame_put(scene.aspen, scene.taken[--scene.taken_count]);
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    explore_machine_end(scene.aspen);
}

static void
two_faults(void **state)
{
    void (*const tasks[3])(void *) = {first_task, second_task};
    struct sim_program program = explore_program(setup, tasks, check);

    (void)state;
    explore_holds("two faults without memory", &program, MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
