/* SPDX-License-Identifier: MIT */
/*
 * Two faults find no memory at the same time, and one page can leave: one of
 * them gets it, the other is told that there is none, and nobody waits for ever
 * for what the other one holds. A fork finds none while somebody else reclaims,
 * or takes what it has reclaimed: it gets what it needs, since there is enough.
 */
#include "explore.h"
#include "frames/frames.h"
#include "paging/table.h"

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
    struct aspen_mm *child;
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

/* A space whose tables are there, clean pages of a file, and no free frame. */
static void
fill_with(uint64_t pages)
{
    struct aspen_object_args args = {.size_bytes = pages * PAGE,
                                     .pager = &pager};
    uint8_t byte;
    uint64_t done;

    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, 3, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    for (uint64_t i = 0; i < pages; i++)
        must(aspen_object_read(scene.file, i * PAGE, &byte, 1, &done));
    scene.taken_count = 0;
    while (!aspen_frame_alloc(scene.aspen, 0, ASPEN_STEP_FRAME,
                              &scene.taken[scene.taken_count]))
        scene.taken_count++;
}

static void
setup(void *unused)
{
    (void)unused;
    fill_with(1);
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
end(void)
{
    while (scene.taken_count)
        aspen_frame_put(scene.aspen, scene.taken[--scene.taken_count]);
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    explore_machine_end(scene.aspen);
}

static void
check(void *unused)
{
    (void)unused;
    if (!scene.errors[0] == !scene.errors[1])
        sim_fail("one page can leave, and one fault gets it");
    end();
}

static void
two_faults(void **state)
{
    void (*const tasks[3])(void *) = {first_task, second_task};
    struct sim_program program = explore_program(setup, tasks, check);

    (void)state;
    explore_holds("two faults without memory", &program, MOST);
}

/* ---- A fork, and somebody beside it ------------------------------------ */

/* What the child has in tables, and two pages that its parent may write to
 * before it does. */
#define ENOUGH (ASPEN_TABLE_LEVELS + 2u)

static void
setup_fork(void *unused)
{
    (void)unused;
    scene.child = NULL;
    fill_with(ENOUGH);
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.child));
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(scene.aspen, ENOUGH);
}

/* By the time that it copies, the fork may be over. */
static void
write_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_fault(scene.mm, START + PAGE, ASPEN_ACCESS_WRITE));
}

static void
check_fork(void *unused)
{
    (void)unused;
    if (!scene.child)
        sim_fail("there is no child");
    aspen_mm_put(scene.child);
    end();
}

static void
fork_beside(void (*other)(void *), const char *name)
{
    void (*const tasks[3])(void *) = {fork_task, other};
    struct sim_program program = explore_program(setup_fork, tasks, check_fork);

    explore_holds(name, &program, MOST);
}

static void
fork_and_reclaim(void **state)
{
    (void)state;
    fork_beside(reclaim_task, "a fork without memory, and a reclaim");
}

static void
fork_and_writes(void **state)
{
    (void)state;
    fork_beside(write_task, "a fork without memory, and writes");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_faults),
        cmocka_unit_test(fork_and_reclaim),
        cmocka_unit_test(fork_and_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
