/* SPDX-License-Identifier: MIT */
/*
 * A checkpoint that is kept up to date by scans (aspen/track/pagemap.h) while a
 * processor and a second MMU go on writing by what they have cached
 * (tests/mmu), over all orders: what was told as written is copied, and after a
 * last scan a copy is what the memory has. So no write goes unseen, whatever
 * becomes of the page in between.
 */
#include "mmu_swap.h"

#include <aspen/track/pagemap.h>
#include <aspen/track/userfault.h>

#define MOST 200u

enum start {
    PROTECTED,
    WRITTEN,   /* since it was protected */
    EMPTY,     /* nothing is there, and that is protected */
    OUT,       /* it is in swap, protected */
    OF_SHARED, /* protected, of a file's shared mapping */
    OF_FILE,   /* the same, a private one */
};

static struct {
    unsigned start; /* enum start */
    struct aspen_userfault *userfault;
    /* What checkpoints have, each for itself: no two writes are alike. */
    bool copied[128];
    bool closed; /* nobody watches any more: all counts as written */
} scene;

/* ---- The checkpoint ---------------------------------------------------- */

static void
copy_page(void)
{
    uint64_t done;
    char byte;

    if (!aspen_read_memory(mmu_scene.mm, START, &byte, 1, ASPEN_MEMORY_REMOTE,
                           &done))
        scene.copied[(unsigned)byte] = true;
}

/* Is the page to be copied? It is protected then. */
static bool
harvest(void)
{
    struct aspen_pagemap_region region;
    struct aspen_pagemap_scan scan = {
        .start = START,
        .end = START + PAGE,
        .flags = ASPEN_PAGEMAP_PROTECT,
        .mask = ASPEN_PAGE_WRITTEN,
        .returned = ASPEN_PAGE_WRITTEN,
        .regions = &region,
        .regions_max = 1,
    };

    must(aspen_pagemap_scan(mmu_scene.mm, &scan));
    return scan.count > 0;
}

/* ---- Set up ------------------------------------------------------------ */

static void
setup(void *unused)
{
    const bool file = scene.start >= OF_SHARED;

    (void)unused;
    mmu_swap_begin(NULL);
    scene.closed = false;
    memset(scene.copied, 0, sizeof(scene.copied));
    mmu_scene_map(file, scene.start == OF_SHARED);
    if (scene.start != EMPTY)
        access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    if (scene.start == OUT)
        must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
    must(aspen_userfault_create(mmu_scene.mm, ASPEN_USERFAULT_WP_ASYNC,
                                &scene.userfault));
    must(aspen_userfault_register(scene.userfault, START, PAGE,
                                  ASPEN_USERFAULT_MODE_WP));
    if (!harvest())
        sim_fail("what was never protected is not written");
    copy_page();
    if (scene.start == WRITTEN)
        access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '2');
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
write_task(void *unused)
{
    (void)unused;
    (void)write_byte('3');
}

static void
second_write_task(void *unused)
{
    char byte = '4';

    (void)unused;
    if (told_second(mmu_scene.mm, START, MMU_WRITE, &byte, 1) == TOLD_FOR_EVER)
        sim_fail("the second MMU faults for ever");
}

static void
kernel_write_task(void *unused)
{
    uint64_t done;

    (void)unused;
    (void)!aspen_write_memory(mmu_scene.mm, START, "5", 1, 0, &done);
}

static void
harvest_task(void *unused)
{
    (void)unused;
    if (harvest())
        copy_page();
}

static void
protect_again_task(void *unused)
{
    (void)unused;
    must(aspen_userfault_write_protect(scene.userfault, START, PAGE, 0));
}

static void
close_task(void *unused)
{
    (void)unused;
    aspen_userfault_close(scene.userfault);
    scene.userfault = NULL;
    scene.closed = true;
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
    access_byte(CHILD, mmu_scene.child, START, MMU_WRITE, '9');
    told_put(&mmu_scene.child);
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check(void *unused)
{
    char has;
    uint64_t done;

    (void)unused;
    if (harvest() || scene.closed)
        copy_page();
    must(aspen_read_memory(mmu_scene.mm, START, &has, 1, ASPEN_MEMORY_REMOTE,
                           &done));
    if (!scene.copied[(unsigned)has])
        sim_fail("a write was not told");
    if (scene.userfault)
        aspen_userfault_close(scene.userfault);
    mmu_scene_end();
}

static void
check_nothing(void *unused)
{
    (void)unused;
    if (scene.userfault)
        aspen_userfault_close(scene.userfault);
    mmu_scene_end();
}

/* ---- Scenes ------------------------------------------------------------ */

static void
writers(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, scan", PROTECTED, {write_task, harvest_task}, check},
        {"written: write, scan", WRITTEN, {write_task, harvest_task}, check},
        {"written: write, scan, scan",
         WRITTEN,
         {write_task, harvest_task, harvest_task},
         check},
        {"nothing there: write, scan",
         EMPTY,
         {write_task, harvest_task},
         check},
        {"written: a second MMU writes, scan",
         WRITTEN,
         {second_write_task, harvest_task},
         check},
        {"a second MMU writes, write, scan",
         PROTECTED,
         {second_write_task, write_task, harvest_task},
         check},
        {"the kernel writes, scan",
         PROTECTED,
         {kernel_write_task, harvest_task},
         check},
        {"written: the kernel writes, scan",
         WRITTEN,
         {kernel_write_task, harvest_task},
         check},
    };

    (void)state;
    ROWS(rows);
}

static void
meanwhile(void **state)
{
    static const struct mmu_row rows[] = {
        {"written: write, PAGEOUT, scan",
         WRITTEN,
         {write_task, page_out_task, harvest_task},
         check},
        {"in swap: write, scan", OUT, {write_task, harvest_task}, check},
        {"in swap: write, swapoff, scan",
         OUT,
         {write_task, remove_task, harvest_task},
         check},
        {"written: write, mprotect, scan",
         WRITTEN,
         {write_task, protect_task, harvest_task},
         check},
        {"written: write, fork, scan",
         WRITTEN,
         {write_task, fork_task, harvest_task},
         check},
        {"written: DONTNEED, scan",
         WRITTEN,
         {discard_task, harvest_task},
         check},
        {"DONTNEED, write, scan",
         PROTECTED,
         {discard_task, write_task, harvest_task},
         check},
        {"munmap, scan, write",
         WRITTEN,
         {munmap_task, harvest_task, write_task},
         check_nothing},
        {"unprotect, write, scan",
         PROTECTED,
         {protect_again_task, write_task, harvest_task},
         check},
        {"close, write, scan",
         WRITTEN,
         {close_task, write_task, harvest_task},
         check},
        {"close, munmap", PROTECTED, {close_task, munmap_task}, check_nothing},
        {"close, fork", PROTECTED, {close_task, fork_task}, check},
    };

    (void)state;
    ROWS(rows);
}

static void
files(void **state)
{
    static const struct mmu_row rows[] = {
        {"shared: write, scan", OF_SHARED, {write_task, harvest_task}, check},
        {"shared: write, sync, scan",
         OF_SHARED,
         {write_task, sync_task, harvest_task},
         check},
        {"shared: write, DONTNEED, scan",
         OF_SHARED,
         {write_task, discard_task, harvest_task},
         check},
        {"shared: write, reclaim, scan",
         OF_SHARED,
         {write_task, reclaim_task, harvest_task},
         check},
        {"shared: close, DONTNEED",
         OF_SHARED,
         {close_task, discard_task},
         check},
        {"private: write, scan", OF_FILE, {write_task, harvest_task}, check},
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers),
        cmocka_unit_test(meanwhile),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
