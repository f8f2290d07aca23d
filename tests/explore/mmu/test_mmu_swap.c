/* SPDX-License-Identifier: MIT */
/*
 * One processor goes on reading and writing through what it has cached
 * (tests/mmu) while the page goes to swap and comes back, over all orders. What
 * is written is there afterwards, wherever the page was meanwhile.
 */
#include "mmu_swap.h"

#define MOST 200u

enum start {
    ALONE,
    FORKED,       /* a child shares the page */
    OUT,          /* it is in swap */
    OUT_OF_BOTH,  /* the same, and a child's */
    OUT_OF_CHILD, /* the child's is in swap, and the parent has it back */
};

static struct {
    unsigned start; /* enum start */
    bool written;   /* the processor's write went through */
    char child_saw;
} scene;

/* ---- Set up ------------------------------------------------------------ */

static void
setup(void *unused)
{
    const bool out = scene.start >= OUT;

    (void)unused;
    mmu_swap_begin(NULL);
    scene.written = false;
    mmu_scene_map(false, false);
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    if (out)
        must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
    if (scene.start != ALONE && scene.start != OUT) {
        mmu_scene_fork();
        scene.child_saw = '1';
    }
    if (scene.start == OUT_OF_CHILD)
        access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

/* ---- Tasks ------------------------------------------------------------- */

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
    if (!error && byte != '1')
        sim_fail("the processor reads what nobody wrote");
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

static void
child_read_task(void *unused)
{
    (void)unused;
    if (access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) != '1')
        sim_fail("what the parent does changes the child");
}

/* Or it is gone already. */
static void
remove_twice_task(void *unused)
{
    int error = aspen_swap_remove(mmu_scene.aspen, 0);

    (void)unused;
    if (error && error != -ASPEN_EBUSY && error != -ASPEN_EINVAL)
        must(error);
}

/* It does not run any more, and its memory is taken back at once. */
static void
child_reap_task(void *unused)
{
    struct aspen_mm *child = mmu_scene.child;

    (void)unused;
    must(aspen_oom_kill(child));
    must(aspen_oom_reap(child));
    told_put(&mmu_scene.child);
}

static void
child_exit_task(void *unused)
{
    (void)unused;
    told_put(&mmu_scene.child);
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
    scene.child_saw = access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0);
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check_memory(void *unused)
{
    (void)unused;
    if (mmu_scene.child && access_byte(CHILD, mmu_scene.child, START, MMU_READ,
                                       0) != scene.child_saw)
        sim_fail("what the parent does changes the child");
    told_put(&mmu_scene.child);
    char has = access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
    if (has != (scene.written ? '2' : '1'))
        sim_fail("a write is lost");
    mmu_scene_end();
}

/* The page went, and nobody has asked for another. */
static void
check_untouched(void *unused)
{
    uint32_t frame;

    (void)unused;
    if (!aspen_translate(mmu_scene.mm, START, ASPEN_ACCESS_READ, &frame))
        sim_fail("a page comes that was not in swap");
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
page_out(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, PAGEOUT", ALONE, {write_task, page_out_task}, check_memory},
        {"write, PAGEOUT twice",
         ALONE,
         {write_task, page_out_task, page_out_task},
         check_memory},
        {"read, PAGEOUT", ALONE, {read_task, page_out_task}, check_memory},
        {"write, PAGEOUT, fork",
         ALONE,
         {write_task, page_out_task, fork_task},
         check_memory},
        {"PAGEOUT, munmap",
         ALONE,
         {page_out_rest_task, munmap_task},
         check_nothing},
        {"write, PAGEOUT, munmap",
         ALONE,
         {write_task, page_out_rest_task, munmap_task},
         check_nothing},
        {"write, PAGEOUT, mprotect",
         ALONE,
         {write_task, page_out_task, protect_task},
         check_memory},
        {"PAGEOUT, DONTNEED",
         ALONE,
         {page_out_task, discard_task},
         check_nothing},
    };

    (void)state;
    ROWS(rows);
}

static void
reclaim(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, reclaim", ALONE, {write_task, reclaim_task}, check_memory},
        {"write, reclaim, PAGEOUT",
         ALONE,
         {write_task, reclaim_task, page_out_task},
         check_memory},
        {"mlock, reclaim", ALONE, {lock_task, reclaim_task}, check_memory},
        {"reclaim, munmap", ALONE, {reclaim_task, munmap_task}, check_nothing},
        {"write, reclaim, fork",
         ALONE,
         {write_task, reclaim_task, fork_task},
         check_memory},
        {"shared: write, reclaim",
         FORKED,
         {write_task, reclaim_task},
         check_memory},
        {"shared: reclaim, exit of a child",
         FORKED,
         {reclaim_task, child_exit_task},
         check_memory},
        {"back from swap: write, reclaim",
         OUT_OF_CHILD,
         {write_task, reclaim_task},
         check_memory},
    };

    (void)state;
    ROWS(rows);
}

static void
swap_in(void **state)
{
    static const struct mmu_row rows[] = {
        {"in swap: write, PAGEOUT",
         OUT,
         {write_task, page_out_task},
         check_memory},
        {"in swap: read, reclaim",
         OUT,
         {read_task, reclaim_task},
         check_memory},
        {"in swap: write, fork", OUT, {write_task, fork_task}, check_memory},
        {"in swap of both: write, a child reads",
         OUT_OF_BOTH,
         {write_task, child_read_task},
         check_memory},
        {"in swap of both: write, a child reads, PAGEOUT",
         OUT_OF_BOTH,
         {write_task, child_read_task, child_page_out_task},
         check_memory},
        {"in swap of both: write, exit of a child",
         OUT_OF_BOTH,
         {write_task, child_exit_task},
         check_memory},
        {"back from swap: write, a child reads",
         OUT_OF_CHILD,
         {write_task, child_read_task},
         check_memory},
        {"back from swap: write, PAGEOUT, a child reads",
         OUT_OF_CHILD,
         {write_task, page_out_task, child_read_task},
         check_memory},
        {"back from swap: write, exit of a child",
         OUT_OF_CHILD,
         {write_task, child_exit_task},
         check_memory},
    };

    (void)state;
    ROWS(rows);
}

static void
removal(void **state)
{
    static const struct mmu_row rows[] = {
        {"swapoff, write", OUT, {remove_task, write_task}, check_memory},
        {"swapoff, PAGEOUT", ALONE, {remove_task, page_out_task}, check_memory},
        {"swapoff, fork", OUT, {remove_task, fork_task}, check_memory},
        {"swapoff, munmap", OUT, {remove_task, munmap_task}, check_nothing},
        {"swapoff twice",
         OUT,
         {remove_twice_task, remove_twice_task},
         check_memory},
        {"swapoff, a child reads",
         OUT_OF_BOTH,
         {remove_task, child_read_task},
         check_memory},
        {"swapoff, DONTNEED",
         OUT,
         {remove_task, discard_task},
         check_untouched},
        {"swapoff, a child is reaped",
         OUT_OF_BOTH,
         {remove_task, child_reap_task},
         check_memory},
        {"swapoff, exit of a child",
         OUT_OF_BOTH,
         {remove_task, child_exit_task},
         check_memory},
        {"swapoff, PAGEOUT of what is back",
         OUT_OF_CHILD,
         {remove_task, page_out_task},
         check_memory},
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_out),
        cmocka_unit_test(reclaim),
        cmocka_unit_test(swap_in),
        cmocka_unit_test(removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
