/* SPDX-License-Identifier: MIT */
/*
 * Calls that go through the entries of a table one after the other, beside one
 * that takes pages away, over all orders: populate leaves out nothing that was
 * missing all along, mincore says of each page what it was before or is
 * afterwards, and after mlock all are there.
 */
#include "explore.h"

#define FRAMES 64u
#define MOST   4000
#define PAGES  3u

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    unsigned there;   /* bit i: page i is there before */
    unsigned dropped; /* the page that DONTNEED takes */
    bool locks;       /* the task is mlock */
    uint8_t vector[PAGES];
};

static struct scene scene;

static void
setup(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, PAGES, RW, NULL);
    for (unsigned i = 0; i < PAGES; i++)
        if (scene.there & 1u << i)
            must(aspen_fault(scene.mm, START + i * PAGE, ASPEN_ACCESS_WRITE));
    memset(scene.vector, 0xff, sizeof(scene.vector));
}

static void
drop_task(void *unused)
{
    (void)unused;
    int error = aspen_madvise(scene.mm, START + scene.dropped * PAGE, PAGE,
                              ASPEN_MADV_DONTNEED);
    if (!scene.locks || error != -ASPEN_EINVAL) /* it is locked by then */
        must(error);
}

static void
populate_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGES * PAGE,
                       ASPEN_MADV_POPULATE_WRITE));
}

static void
mincore_task(void *unused)
{
    (void)unused;
    must(aspen_mincore(scene.mm, START, PAGES * PAGE, scene.vector));
}

static void
mlock_task(void *unused)
{
    (void)unused;
    must(aspen_mlock(scene.mm, START, PAGES * PAGE, 0));
}

static void
tear_down(void)
{
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
check_populated(void *unused)
{
    uint32_t frame;

    (void)unused;
    for (unsigned i = 0; i < PAGES; i++)
        if ((scene.locks || i != scene.dropped) &&
            aspen_translate(scene.mm, START + i * PAGE, ASPEN_ACCESS_WRITE,
                            &frame))
            sim_fail("a page was left out");
    tear_down();
}

static void
check_vector(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < PAGES; i++)
        if (scene.vector[i] != (scene.there >> i & 1) &&
            (i != scene.dropped || scene.vector[i] != 0))
            sim_fail("mincore says of a page what it never was");
    tear_down();
}

static void
beside(const char *name, void (*task)(void *), void (*check)(void *))
{
    struct sim_program program = {setup, {task, drop_task}, 2, check, NULL};
    char title[80];

    for (scene.there = 0; scene.there < 1u << PAGES; scene.there++) {
        for (scene.dropped = 0; scene.dropped < PAGES; scene.dropped++) {
            snprintf(title, sizeof(title), "%s of %x, page %u dropped", name,
                     scene.there, scene.dropped);
            explore_holds(title, &program, MOST);
        }
    }
}

static void
test_populate(void **state)
{
    (void)state;
    beside("populate", populate_task, check_populated);
}

static void
test_mincore(void **state)
{
    (void)state;
    beside("mincore", mincore_task, check_vector);
}

static void
test_mlock(void **state)
{
    (void)state;
    scene.locks = true;
    beside("mlock", mlock_task, check_populated);
    scene.locks = false;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_populate),
        cmocka_unit_test(test_mincore),
        cmocka_unit_test(test_mlock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
