/* SPDX-License-Identifier: MIT */
/*
 * Sums of what each CPU counts for itself, asked while others count, over all
 * orders: what is off on one CPU and on, on another, is not counted twice, and
 * no sum is less than nothing.
 */
#include "explore.h"

#include "space/mm.h"

#define FRAMES 64u
#define MOST   6000u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
} scene;

static void
begin(void)
{
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
}

static void
end(void)
{
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
beside(const char *name, void (*setup)(void *), void (*one)(void *),
       void (*two)(void *), void (*three)(void *), void (*check)(void *))
{
    struct sim_program program =
        explore_program(setup, (void (*[])(void *)){one, two, three}, check);

    explore_holds(name, &program, MOST);
}

/* ---- Resident pages ---------------------------------------------------- */

static void
setup_page(void *unused)
{
    (void)unused;
    begin();
    explore_map(scene.mm, START, 1, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

static void
read_task(void *unused)
{
    struct aspen_mm_counters counters;

    (void)unused;
    aspen_mm_counters_read(scene.mm, &counters);
}

static void
discard_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
}

/* Only once it is gone, and counted so. */
static void
fault_task(void *unused)
{
    (void)unused;
    if (aspen_mm_rss(scene.mm, ASPEN_RSS_ANON) == 0)
        must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

static void
check_peak(void *unused)
{
    struct aspen_mm_counters counters;

    (void)unused;
    aspen_mm_counters_read(scene.mm, &counters);
    if (counters.peak_resident_pages != 1)
        sim_fail("a peak of more pages than there ever were");
    end();
}

static void
test_peak(void **state)
{
    (void)state;
    beside("the peak is asked, DONTNEED, a fault", setup_page, read_task,
           discard_task, fault_task, check_peak);
}

static void
check(void *unused)
{
    (void)unused;
    end();
}

/* ---- Nodes of trees ---------------------------------------------------- */

static struct {
    uint64_t nodes;
    uint64_t waiting;
} dead;

static void
setup_areas(void *unused)
{
    (void)unused;
    begin();
    for (unsigned i = 0; i < 3; i++)
        explore_map(scene.mm, START + 2 * i * PAGE, 1, RW, NULL);
}

static void
count_task(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    aspen_counters_read(scene.aspen, &counters);
    if (counters.tree_nodes > FRAMES)
        sim_fail("more nodes of trees than there ever were");
}

static void
unmap_all_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        must(aspen_munmap(scene.mm, START + 2 * i * PAGE, PAGE));
}

static void
test_nodes(void **state)
{
    (void)state;
    beside("nodes are counted, munmap", setup_areas, count_task, unmap_all_task,
           NULL, check);
}

/* Nodes that wait go just now: they are counted as waiting, or are free. */
static void
setup_dead(void *unused)
{
    setup_areas(unused);
    for (unsigned i = 0; i < 3; i++)
        must(aspen_munmap(scene.mm, START + 2 * i * PAGE, PAGE));
    dead.nodes = aspen_tree_pool_nodes(&scene.aspen->tree_pool);
    dead.waiting = aspen_tree_pool_waiting(&scene.aspen->tree_pool);
    if (!dead.waiting)
        sim_fail("no node waits");
}

static void
count_used_task(void *unused)
{
    uint64_t nodes = aspen_tree_pool_nodes(&scene.aspen->tree_pool);

    (void)unused;
    /* While they go from one list to another they may count as used. */
    if (nodes < dead.nodes || nodes > dead.nodes + dead.waiting)
        sim_fail("what waits is counted twice, or not at all");
}

static void
give_back_task(void *unused)
{
    (void)unused;
    aspen_tree_pool_wait(&scene.aspen->tree_pool);
}

static void
test_dead_nodes(void **state)
{
    (void)state;
    beside("nodes are counted, those that wait go", setup_dead, count_used_task,
           give_back_task, NULL, check);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peak),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_dead_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
