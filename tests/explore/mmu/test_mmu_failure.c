/* SPDX-License-Identifier: MIT */
/*
 * The frame of a page goes bad, or a block is made free where it is, beside
 * processors that go on by what they have cached (tests/mmu) and calls that
 * take the page away, copy it or hold it, over all orders: who has lost it
 * hears of it, nobody else loses anything, and no bad frame is given to
 * anybody.
 */
#include "mmu_swap.h"

#include <aspen/calls/pin.h>
#include <aspen/memory/compact.h>
#include <aspen/memory/failure.h>
#include <aspen/memory/migrate.h>

#define MOST 250u

enum start {
    ALONE,
    FORKED,
    FILE_CLEAN, /* mapped shared, read */
    SCATTERED,  /* two frames are free, and no two neighbours */
};

static struct {
    unsigned start; /* enum start */
    uint32_t frame;
    bool lost;
    bool written;
    uint32_t taken[MMU_SCENE_FRAMES];
    unsigned count;
} scene;

/* ---- Set up ------------------------------------------------------------ */

static const struct aspen_frames_args one = {.kind = ASPEN_FRAMES_DEVICE};

static void
take_all(void)
{
    while (
        !aspen_frames_alloc(mmu_scene.aspen, &one, &scene.taken[scene.count]))
        scene.count++;
}

static void
give_all(void)
{
    while (scene.count)
        aspen_frames_free(mmu_scene.aspen, scene.taken[--scene.count]);
}

/* Frame `number`, which was taken. False: it was not. */
static bool
give(uint32_t number)
{
    for (unsigned i = 0; i < scene.count; i++)
        if (scene.taken[i] == number) {
            aspen_frames_free(mmu_scene.aspen, number);
            scene.taken[i] = scene.taken[--scene.count];
            return true;
        }
    return false;
}

static bool
is_taken(uint32_t number)
{
    for (unsigned i = 0; i < scene.count; i++)
        if (scene.taken[i] == number)
            return true;
    return false;
}

/* The page goes where its buddy was taken, too; that is free then, and where it
 * was. */
static void
scatter(void)
{
    unsigned i = 0;

    take_all();
    while (i < scene.count && (!is_taken(scene.taken[i] ^ 1) ||
                               (scene.taken[i] ^ scene.frame) < 4))
        i++;
    if (i == scene.count)
        sim_fail("no two neighbours are there to be taken");
    uint32_t to = scene.taken[i];
    (void)give(to);
    must(aspen_migrate(mmu_scene.aspen, scene.frame));
    scene.frame = to;
    (void)give(to ^ 1);
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
}

static void
setup(void *unused)
{
    const bool file = scene.start == FILE_CLEAN;

    (void)unused;
    mmu_swap_begin(NULL);
    scene.lost = scene.written = false;
    scene.count = 0;
    memset(mmu_scene.disk, '1', PAGE);
    mmu_scene_map(file, file);
    access_byte(CPU, mmu_scene.mm, START, file ? MMU_READ : MMU_WRITE, '1');
    if (scene.start == FORKED)
        mmu_scene_fork();
    must(aspen_translate(mmu_scene.mm, START, ASPEN_ACCESS_READ, &scene.frame));
    if (scene.start == SCATTERED)
        scatter();
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
fail_task(void *unused)
{
    (void)unused;
    int error = aspen_memory_failure(mmu_scene.aspen, scene.frame);
    if (error != -ASPEN_EBUSY && error != -ASPEN_EAGAIN)
        must(error);
    scene.lost = error != -ASPEN_EBUSY;
}

static void
compact_task(void *unused)
{
    (void)unused;
    int error = aspen_compact(mmu_scene.aspen, 1);
    if (error != -ASPEN_EBUSY && error != -ASPEN_ENOMEM)
        must(error);
}

/* Nothing else is under way. */
static void
must_compact_task(void *unused)
{
    (void)unused;
    must(aspen_compact(mmu_scene.aspen, 1));
}

/* One frame, as anybody might want. */
static void
allocate_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    if (!aspen_frames_alloc(mmu_scene.aspen, &one, &frame))
        aspen_frames_free(mmu_scene.aspen, frame);
}

static void
write_task(void *unused)
{
    (void)unused;
    scene.written = write_byte('2');
}

static void
read_task(void *unused)
{
    char byte = 0;

    (void)unused;
    int error = told_run(CPU, mmu_scene.mm, START, MMU_READ, &byte, 1);
    if (error && error != -ASPEN_EHWPOISON)
        must(error);
    if (!error && byte != '1')
        sim_fail("the processor reads what nobody wrote");
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
}

static void
pin_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    int error =
        aspen_pin_range(mmu_scene.mm, START, PAGE, ASPEN_PIN_WRITE, &frame);
    if (!error)
        must(aspen_unpin(mmu_scene.mm, &frame, 1, ASPEN_UNPIN_DIRTY));
}

static void
exit_task(void *unused)
{
    (void)unused;
    told_put_beside(&mmu_scene.mm);
}

/* ---- Afterwards -------------------------------------------------------- */

static void
end(void)
{
    explore_validate(mmu_scene.aspen);
    told_put(&mmu_scene.child);
    take_all();
    for (unsigned i = 0; scene.lost && i < scene.count; i++)
        if (scene.taken[i] == scene.frame &&
            !aspen_memory_failure(mmu_scene.aspen, scene.frame))
            sim_fail("a bad frame is given to somebody");
    give_all();
    mmu_scene_end();
}

/* Each space has lost it, or none. */
static void
check_space(unsigned cpu, struct aspen_mm *mm, char expected)
{
    char byte = 0;

    if (!mm)
        return;
    int error = told_run(cpu, mm, START, MMU_READ, &byte, 1);
    if (error == -ASPEN_EHWPOISON ? !scene.lost : error != 0)
        must(error ? error : -ASPEN_EHWPOISON);
    if (!error && byte != expected)
        sim_fail("a write is lost");
}

static void
check_memory(void *unused)
{
    (void)unused;
    check_space(CPU, mmu_scene.mm, scene.written ? '2' : '1');
    if (scene.start == FORKED)
        check_space(CHILD, mmu_scene.child, '1');
    end();
}

static void
check_nothing(void *unused)
{
    (void)unused;
    end();
}

/* ---- Tests ------------------------------------------------------------- */

static void
failures(void **state)
{
    static const struct mmu_row rows[] = {
        {"read", ALONE, {fail_task, read_task}, check_memory},
        {"write", ALONE, {fail_task, write_task}, check_memory},
        {"twice", ALONE, {fail_task, allocate_task}, check_memory},
        {"fork", ALONE, {fail_task, fork_task}, check_nothing},
        {"munmap", ALONE, {fail_task, munmap_task}, check_nothing},
        {"exit", ALONE, {fail_task, exit_task}, check_nothing},
        {"pin", ALONE, {fail_task, pin_task}, check_memory},
        {"PAGEOUT", ALONE, {fail_task, page_out_task}, check_nothing},
        {"reclaim", ALONE, {fail_task, reclaim_task}, check_nothing},
        {"child: write", FORKED, {fail_task, write_task}, check_memory},
        {"file: read", FILE_CLEAN, {fail_task, read_task}, check_memory},
        {"file: write", FILE_CLEAN, {fail_task, write_task}, check_memory},
        {"file: munmap", FILE_CLEAN, {fail_task, munmap_task}, check_nothing},
        {"file: resize", FILE_CLEAN, {fail_task, resize_task}, check_nothing},
    };

    (void)state;
    ROWS(rows);
}

static void
blocks(void **state)
{
    static const struct mmu_row rows[] = {
        {"block: write",
         SCATTERED,
         {must_compact_task, write_task},
         check_memory},
        {"block: munmap",
         SCATTERED,
         {compact_task, munmap_task},
         check_nothing},
        {"block: allocation",
         SCATTERED,
         {compact_task, allocate_task},
         check_memory},
        {"block: allocation, write",
         SCATTERED,
         {compact_task, allocate_task, write_task},
         check_memory},
        {"block: twice",
         SCATTERED,
         {compact_task, compact_task, write_task},
         check_memory},
        {"block: exit", SCATTERED, {compact_task, exit_task}, check_nothing},
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures),
        cmocka_unit_test(blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
