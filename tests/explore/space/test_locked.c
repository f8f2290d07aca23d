/* SPDX-License-Identifier: MIT */
/*
 * A page that is about to leave beside two mlocks, one after the other: the
 * first has looked at it and locked it by the time that the second begins, so
 * it stays, also where loads find what C11 lets them find (space/vma.h,
 * aspen_vma_keeps()).
 */
#include "explore.h"

#include "paging/table.h"
#include "reclaim/reclaim.h"
#include "space/vma.h"

#define FRAMES 128u
#define MOST   3000u
/* In another table, whose lock nobody else has. */
#define ABOVE (START + (1ull << 30))

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint32_t frame;
} scene;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    memset(page, 0, PAGE);
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_page};

static void
setup(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGE, .pager = &pager};

    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    explore_map(scene.mm, START, 1, ASPEN_VM_READ | ASPEN_VM_SHARED,
                scene.file);
    explore_map(scene.mm, ABOVE, 1, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
    must(aspen_fault(scene.mm, ABOVE, ASPEN_ACCESS_WRITE));
    must(aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &scene.frame));
}

static void
lock_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    must(aspen_mlock(scene.mm, START, PAGE, 0));
    must(aspen_mlock(scene.mm, ABOVE, PAGE, 0));
    if (aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &frame))
        sim_fail("a locked page is not there");
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_frame_get(aspen_frame_at(scene.aspen, scene.frame));
    aspen_reclaim_pages(scene.aspen, &scene.frame, 1);
}

static void
check(void *unused)
{
    uint32_t frame;

    (void)unused;
    if (aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &frame))
        sim_fail("a locked page is not there");
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    explore_machine_end(scene.aspen);
}

static void
two_locks(void **state)
{
    struct sim_program program = {
        setup, {lock_task, reclaim_task}, 2, check, NULL};

    (void)state;
    explore_holds("a page leaves, mlock, mlock of another", &program, MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
