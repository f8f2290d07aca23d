/* SPDX-License-Identifier: MIT */
/*
 * Two pages leave together, and TLBs are flushed for both at once: one
 * processor goes on reading and writing through what it has cached (tests/mmu)
 * meanwhile, and others look at what is gone already, over all orders. There is
 * no second MMU, for which each page would be flushed on its own.
 */
#include "mmu_swap.h"

#include "reclaim/reclaim.h"

#define PAGES 2u
#define MOST  200u

enum start {
    ANON,
    FREED, /* MADV_FREE came before */
    CLEAN, /* a file's, mapped shared and read */
    DIRTY, /* the same, written */
};

static struct {
    unsigned start; /* enum start */
    bool written;   /* the processor's write went through */
    uint32_t frames[PAGES];
    char disk[PAGES][PAGE];
} scene;

/* ---- Devices ------------------------------------------------------------ */

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memcpy(page, scene.disk[offset_bytes / PAGE], PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context;
    sim_point(pages[0], false);
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        memcpy(scene.disk[offset_bytes / PAGE + i], pages[i], PAGE);
    return 0;
}

/* ---- Set up ------------------------------------------------------------ */

static void
map_file(void)
{
    static const struct aspen_pager_ops pager = {.read = read_disk,
                                                 .write = write_disk};
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE, .size_bytes = PAGES * PAGE, .pager = &pager};

    must(aspen_object_create(mmu_scene.aspen, &args, &mmu_scene.object));
    explore_map(mmu_scene.mm, START, PAGES, RW | ASPEN_VM_SHARED,
                mmu_scene.object);
}

static void
map_pages(void)
{
    const bool reads = scene.start == CLEAN;

    memset(scene.disk, '1', sizeof(scene.disk));
    if (scene.start >= CLEAN)
        map_file();
    else
        explore_map(mmu_scene.mm, START, PAGES, RW, NULL);
    for (unsigned i = 0; i < PAGES; i++)
        access_byte(CPU, mmu_scene.mm, START + i * PAGE,
                    reads ? MMU_READ : MMU_WRITE, '1');
    for (unsigned i = 0; i < PAGES; i++)
        must(aspen_translate(mmu_scene.mm, START + i * PAGE, ASPEN_ACCESS_READ,
                             &scene.frames[i]));
    if (scene.start != FREED)
        return;
    must(aspen_madvise(mmu_scene.mm, START, PAGES * PAGE, ASPEN_MADV_FREE));
    for (unsigned i = 0; i < PAGES; i++)
        access_byte(CPU, mmu_scene.mm, START + i * PAGE, MMU_READ, 0);
}

static void
setup(void *unused)
{
    static const struct aspen_notifier_ops no_second;

    (void)unused;
    mmu_swap_begin(&no_second);
    scene.written = false;
    map_pages();
}

/* ---- Tasks ------------------------------------------------------------- */

/* 0, or the fault's error where the page is no more. */
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
    if (!error && byte != '1' && byte != 0)
        sim_fail("the processor reads what nobody wrote");
}

/* Whatever they are by now, as reclaim finds them. */
static void
reclaim_both_task(void *unused)
{
    uint32_t frames[PAGES];
    unsigned count = 0;

    (void)unused;
    for (unsigned i = 0; i < PAGES; i++)
        if (aspen_frame_get_used(
                aspen_frame_at(mmu_scene.aspen, scene.frames[i])))
            frames[count++] = scene.frames[i];
    aspen_reclaim_pages(mmu_scene.aspen, frames, count);
}

/* Until they are old enough to leave, both together. */
static void
reclaim_pages_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        aspen_reclaim(mmu_scene.aspen, PAGES);
}

/* Nobody runs in it then. */
static void
exit_task(void *unused)
{
    (void)unused;
    told_put_beside(&mmu_scene.mm);
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check_memory(void *unused)
{
    char wants = scene.written ? '2' : '1';

    (void)unused;
    char has = access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
    if (has != wants && (scene.written || scene.start != FREED))
        sim_fail("a write is lost");
    mmu_scene_end();
}

/* A file has what was written, sooner or later. */
static void
check_disk(void *unused)
{
    (void)unused;
    must(aspen_object_sync(mmu_scene.object, 0, PAGES * PAGE));
    if (scene.disk[0][0] != (scene.written ? '2' : '1'))
        sim_fail("a write is lost on its way to the file");
    mmu_scene_end();
}

static void
check_nothing(void *unused)
{
    (void)unused;
    mmu_scene_end();
}

/* ---- Scenes ------------------------------------------------------------ */

static void
anonymous(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, two leave",
         ANON,
         {write_task, reclaim_both_task},
         check_memory},
        {"write, two leave, fork",
         ANON,
         {write_task, reclaim_both_task, fork_task},
         check_memory},
        {"read, two leave, DONTNEED",
         ANON,
         {read_task, reclaim_both_task, discard_task},
         check_nothing},
        {"two leave, munmap",
         ANON,
         {reclaim_both_task, munmap_task},
         check_nothing},
        {"two leave, mprotect",
         ANON,
         {reclaim_both_task, protect_task},
         check_memory},
        {"write, reclaim",
         ANON,
         {write_task, reclaim_pages_task},
         check_memory},
        {"two leave, exit",
         ANON,
         {reclaim_both_task, exit_task},
         check_nothing},
        {"freed: write, two leave",
         FREED,
         {write_task, reclaim_both_task},
         check_memory},
        {"freed: two leave, DONTNEED",
         FREED,
         {reclaim_both_task, discard_task},
         check_nothing},
    };

    (void)state;
    ROWS(rows);
}

static void
of_a_file(void **state)
{
    static const struct mmu_row rows[] = {
        {"file: read, two leave, DONTNEED",
         CLEAN,
         {read_task, reclaim_both_task, discard_task},
         check_disk},
        {"file: two leave, munmap",
         CLEAN,
         {reclaim_both_task, munmap_task},
         check_disk},
        {"file: two leave, exit",
         CLEAN,
         {reclaim_both_task, exit_task},
         check_nothing},
        {"file: write, two leave",
         DIRTY,
         {write_task, reclaim_both_task},
         check_disk},
        {"file: write, two leave, sync",
         DIRTY,
         {write_task, reclaim_both_task, sync_task},
         check_disk},
        {"file: two leave, resize",
         CLEAN,
         {reclaim_both_task, resize_task},
         check_nothing},
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous),
        cmocka_unit_test(of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
