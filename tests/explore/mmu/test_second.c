/* SPDX-License-Identifier: MIT */
/*
 * A second MMU fills itself as docs/use/mmu.md has it - it looks at the
 * tables without a lock, and puts in what it may still - while calls take away
 * what it looks at, over all orders.
 *
 * It never has what the tables do not, nor a frame that is free; what it has
 * written is there; what is written elsewhere it reads.
 */
#include "mmu_scene.h"

#define MOST 400u

enum start { ANON, FORKED, SHARED };

static struct {
    enum start start;
    bool held; /* the second MMU has the page when the tasks begin */
    char child_saw;
} scene;

/* ---- Set up ------------------------------------------------------------ */

static char
second(struct aspen_mm *mm, enum mmu_access access, char byte)
{
    must(told_second(mm, START, access, &byte, 1));
    return byte;
}

static void
setup(void *unused)
{
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    mmu_scene_begin(&config);
    scene.child_saw = '1';
    must(aspen_mm_activate(mmu_scene.mm, CPU));
    mmu_scene_map(scene.start == SHARED, scene.start == SHARED);
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    if (scene.start == FORKED)
        mmu_scene_fork();
    if (scene.held)
        second(mmu_scene.mm, scene.start == FORKED ? MMU_READ : MMU_WRITE, '1');
}

static void
tear_down(void)
{
    mmu_check(mmu_scene.mm->root, "all that");
    mmu_scene_end();
}

/* ---- The second MMU ---------------------------------------------------- */

/* It reads what somebody wrote, if anything is there. */
static void
read_task(void *unused)
{
    char byte = 0;

    (void)unused;
    int error = told_second(mmu_scene.mm, START, MMU_READ, &byte, 1);
    if (error == TOLD_FOR_EVER)
        sim_fail("the second MMU tries again for ever");
    if (!error && byte != '1' && byte != '2' && byte != 0)
        sim_fail("the second MMU reads what nobody wrote");
}

static void
write_task(void *unused)
{
    char byte = '2';

    (void)unused;
    int error = told_second(mmu_scene.mm, START, MMU_WRITE, &byte, 1);
    if (error == TOLD_FOR_EVER)
        sim_fail("the second MMU tries again for ever");
}

/* It takes in what it finds, as one that walks the tables itself. */
static void
load_task(void *unused)
{
    (void)unused;
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

/* ---- Calls ------------------------------------------------------------- */

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
    scene.child_saw = access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0);
}

/* What a processor writes to a copy the second MMU reads there. */
static void
copy_task(void *unused)
{
    (void)unused;
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '2');
    if (second(mmu_scene.mm, MMU_READ, 0) != '2')
        sim_fail("the second MMU reads what was there before a copy");
}

/* What it writes after FREE has returned stays. */
static void
free_and_write_task(void *unused)
{
    free_task(unused);
    write_task(unused);
}

static void
cold_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_COLD));
}

static void
young_task(void *unused)
{
    uint64_t pages;

    (void)unused;
    must(aspen_young(mmu_scene.mm, START, PAGE, ASPEN_YOUNG_CLEAR, &pages));
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check_nothing(void *unused)
{
    (void)unused;
    tear_down();
}

/* What it has written is there, and what it writes now. */
static void
check_written(void *unused)
{
    (void)unused;
    page_out_task(unused);
    if (access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0) != '2')
        sim_fail("what the second MMU wrote is lost");
    second(mmu_scene.mm, MMU_WRITE, '3');
    if (access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0) != '3')
        sim_fail("the second MMU writes elsewhere");
    tear_down();
}

/* The child reads what it read, whatever either side writes. */
static void
check_child(void *unused)
{
    (void)unused;
    second(mmu_scene.mm, MMU_WRITE, '3');
    if (access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) !=
        scene.child_saw)
        sim_fail("the second MMU writes into the child");
    tear_down();
}

static void
check_disk(void *unused)
{
    (void)unused;
    must(aspen_object_sync(mmu_scene.object, 0, PAGE));
    if (mmu_scene.disk[0] != '2')
        sim_fail("what the second MMU wrote is lost on its way to the file");
    tear_down();
}

/* It is as good as an access of a processor's. */
static void
check_young(void *unused)
{
    uint64_t pages;

    (void)unused;
    must(aspen_young(mmu_scene.mm, START, PAGE, ASPEN_YOUNG_CLEAR, &pages));
    second(mmu_scene.mm, MMU_READ, 0);
    must(aspen_young(mmu_scene.mm, START, PAGE, 0, &pages));
    if (pages != 1)
        sim_fail("an access of the second MMU goes unseen");
    tear_down();
}

/* ---- Scenes ------------------------------------------------------------ */

static void
explore_rows(const struct mmu_row *rows, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        const struct mmu_row *row = &rows[i / 2];
        struct sim_program program =
            explore_program(setup, row->tasks, row->check);
        char name[100];
        scene.start = row->start;
        scene.held = i % 2;
        snprintf(name, sizeof(name), "%s%s", row->name,
                 scene.held ? ", held before" : "");
        explore_holds(name, &program, MOST);
    }
}

#define EACH_TWICE(rows) explore_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void
filled_beside_calls(void **state)
{
    static const struct mmu_row rows[] = {
        {"read, munmap", ANON, {read_task, munmap_task}, check_nothing},
        {"read, DONTNEED", ANON, {read_task, discard_task}, check_nothing},
        {"write, mprotect", ANON, {write_task, protect_task}, check_nothing},
        {"read, copy", FORKED, {read_task, copy_task}, check_nothing},
        {"write, fork", ANON, {write_task, fork_task}, check_child},
        {"write, resize", SHARED, {write_task, resize_task}, check_nothing},
        {"write, sync", SHARED, {write_task, sync_task}, check_disk},
        {"PAGEOUT, FREE and write",
         ANON,
         {page_out_task, free_and_write_task},
         check_written},
    };

    (void)state;
    EACH_TWICE(rows);
}

static void
loaded_beside_calls(void **state)
{
    static const struct mmu_row rows[] = {
        {"load, munmap", ANON, {load_task, munmap_task}, check_nothing},
        {"load, DONTNEED", ANON, {load_task, discard_task}, check_nothing},
        {"load, mprotect", ANON, {load_task, protect_task}, check_nothing},
        {"load, copy", FORKED, {load_task, copy_task}, check_nothing},
        {"load, fork", ANON, {load_task, fork_task}, check_child},
        {"load, resize", SHARED, {load_task, resize_task}, check_nothing},
        {"load, sync", SHARED, {load_task, sync_task}, check_nothing},
        {"load, DONTNEED twice",
         ANON,
         {load_task, discard_task, discard_task},
         check_nothing},
    };

    (void)state;
    EACH_TWICE(rows);
}

static void
aged_beside_accesses(void **state)
{
    static const struct mmu_row rows[] = {
        {"read, COLD", ANON, {read_task, cold_task}, check_young},
        {"read, young", ANON, {read_task, young_task}, check_young},
        {"munmap, young", ANON, {munmap_task, young_task}, check_nothing},
    };

    (void)state;
    EACH_TWICE(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filled_beside_calls),
        cmocka_unit_test(loaded_beside_calls),
        cmocka_unit_test(aged_beside_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
