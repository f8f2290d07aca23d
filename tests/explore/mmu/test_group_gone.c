/* SPDX-License-Identifier: MIT */
/*
 * A fault of a space whose group it leaves meanwhile, and which goes with it:
 * nobody is charged in its place, though a new group may have its memory.
 */
#include "explore.h"

#define FRAMES 64u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    struct aspen_group *to;
    struct aspen_group *other; /* comes when the first has gone */
} scene;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    memset(page, 1, PAGE);
    return 0;
}

static void
setup(void *unused)
{
    static const struct aspen_pager_ops pager = {.read = read_page};
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE, .size_bytes = PAGE, .pager = &pager};
    struct aspen_group *from;

    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_group_create(scene.aspen, NULL, &from));
    must(aspen_group_create(scene.aspen, NULL, &scene.to));
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_group_enter(scene.mm, from));
    aspen_group_put(from); /* it lives as long as the space is in it */
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    explore_map(scene.mm, START, 1, ASPEN_VM_READ, scene.file);
}

static void
fault_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
}

static void
leave_task(void *unused)
{
    (void)unused;
    must(aspen_group_enter(scene.mm, scene.to));
    must(aspen_group_create(scene.aspen, NULL, &scene.other));
}

static void
check(void *unused)
{
    struct aspen_group_counters counters;

    (void)unused;
    explore_validate(scene.aspen);
    aspen_group_counters_read(scene.other, &counters);
    if (counters.pages)
        sim_fail("a group pays for a space that was never in it");
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    aspen_group_put(scene.to);
    aspen_group_put(scene.other);
    explore_machine_end(scene.aspen);
}

static void
test_group_that_goes(void **state)
{
    struct sim_program program = {
        setup, {fault_task, leave_task}, 2, check, NULL};

    (void)state;
    explore_holds("a fault beside a space that leaves its group", &program,
                  2000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group_that_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
