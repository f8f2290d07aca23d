/* SPDX-License-Identifier: MIT */
/*
 * A page of shared memory goes to swap and comes back while a processor
 * (tests/mmu) goes on with what it has cached, other spaces and calls read and
 * write it, it is cut off, and its area goes; over all orders. What was written
 * last is there afterwards, whoever looks.
 */
#include "mmu_swap.h"

#define MOST  200u
#define OTHER (START + PAGE) /* a second page of the object */

enum start {
    ALONE,
    FORKED,      /* a child maps it as well */
    OUT,         /* it is in swap */
    OUT_OF_BOTH, /* the same, and a child maps it */
    UNMAPPED,    /* it is in swap, and nobody maps it */
};

static struct {
    unsigned start; /* enum start */
    bool written;   /* '2', where there was '1' */
    bool cut;       /* the object ends before it */
} scene;

/* ---- Set up ------------------------------------------------------------ */

static void
setup(void *unused)
{
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_SHMEM,
                                       .size_bytes = 2 * PAGE};

    (void)unused;
    mmu_swap_begin(NULL);
    must(aspen_object_create(mmu_scene.aspen, &object, &mmu_scene.object));
    scene.written = scene.cut = false;
    explore_map(mmu_scene.mm, START, 2, RW | ASPEN_VM_SHARED, mmu_scene.object);
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    access_byte(CPU, mmu_scene.mm, OTHER, MMU_WRITE, '8');
    if (scene.start >= OUT)
        must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
    if (scene.start == FORKED || scene.start == OUT_OF_BOTH)
        mmu_scene_fork();
    if (scene.start == UNMAPPED)
        must(aspen_munmap(mmu_scene.mm, START, 2 * PAGE));
    else
        told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

/* ---- Tasks ------------------------------------------------------------- */

/* It went through, or the page is cut off. */
static bool
went_through(int error)
{
    if (error == TOLD_FOR_EVER)
        sim_fail("faults answer 0, and the access faults again");
    if (error && !scene.cut)
        must(error);
    return !error;
}

static void
write_task(void *unused)
{
    char byte = '2';

    (void)unused;
    if (went_through(told_run(CPU, mmu_scene.mm, START, MMU_WRITE, &byte, 1)))
        scene.written = true;
}

/* By a mapping that may be gone. */
static void
write_rest_task(void *unused)
{
    char byte = '2';

    (void)unused;
    scene.written = !told_run(CPU, mmu_scene.mm, START, MMU_WRITE, &byte, 1);
}

static void
look_at_byte(char byte)
{
    if (byte != '1' && byte != '2')
        sim_fail("somebody reads what nobody wrote");
}

static void
read_by(unsigned cpu, struct aspen_mm *mm)
{
    char byte = 0;

    if (went_through(told_run(cpu, mm, START, MMU_READ, &byte, 1)))
        look_at_byte(byte);
}

static void
read_task(void *unused)
{
    (void)unused;
    read_by(CPU, mmu_scene.mm);
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

static void
child_read_task(void *unused)
{
    (void)unused;
    read_by(CHILD, mmu_scene.child);
}

static void
child_write_task(void *unused)
{
    char byte = '2';

    (void)unused;
    if (went_through(
            told_run(CHILD, mmu_scene.child, START, MMU_WRITE, &byte, 1)))
        scene.written = true;
}

/* As write(2), and read(2). */
static void
write_bytes_task(void *unused)
{
    char byte = '2';
    uint64_t done;

    (void)unused;
    must(aspen_object_write(mmu_scene.object, 0, &byte, 1, &done));
    scene.written |= done == 1;
}

static void
read_bytes_task(void *unused)
{
    char byte = 0;
    uint64_t done;

    (void)unused;
    must(aspen_object_read(mmu_scene.object, 0, &byte, 1, &done));
    if (done)
        look_at_byte(byte);
}

/* As process_vm_writev(2): it holds the page, and writes without its lock. */
static void
copy_task(void *unused)
{
    char byte = '2';
    uint64_t done;

    (void)unused;
    must(aspen_write_memory(mmu_scene.mm, START, &byte, 1, 0, &done));
    scene.written = true;
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
    read_by(CHILD, mmu_scene.child);
}

static void
page_out_other_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.mm, OTHER, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
cut_task(void *unused)
{
    scene.cut = true;
    resize_task(unused);
}

/* All but the first byte. */
static void
cut_short_task(void *unused)
{
    (void)unused;
    must(aspen_object_resize(mmu_scene.object, 1));
}

static void
will_need_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_WILLNEED));
}

/* Beside who ends and gives all back: that is waited for. */
static void
remove_surely_task(void *unused)
{
    (void)unused;
    must(aspen_swap_remove(mmu_scene.aspen, 0));
}

static void
end_task(void *unused)
{
    struct aspen_object *object = mmu_scene.object;

    (void)unused;
    mmu_scene.object = NULL;
    if (scene.start != UNMAPPED)
        must(aspen_munmap(mmu_scene.mm, START, 2 * PAGE));
    aspen_object_put(object);
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check_memory(void *unused)
{
    const char wanted = scene.written ? '2' : '1';

    (void)unused;
    if (access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0) != wanted)
        sim_fail("a write is lost");
    if (access_byte(CPU, mmu_scene.mm, OTHER, MMU_READ, 0) != '8')
        sim_fail("another page has changed");
    if (mmu_scene.child &&
        access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) != wanted)
        sim_fail("two spaces see different things");
    mmu_scene_end();
}

/* By its bytes, whatever is mapped. */
static void
check_bytes(void *unused)
{
    char byte = 0;
    uint64_t done;

    (void)unused;
    must(aspen_object_read(mmu_scene.object, 0, &byte, 1, &done));
    if (byte != (scene.written ? '2' : '1'))
        sim_fail("a write is lost");
    mmu_scene_end();
}

/* Beyond the end nothing is left, also if it moves on. */
static void
check_cut(void *unused)
{
    struct aspen_counters counters;
    char byte = 0;
    uint64_t done;

    (void)unused;
    aspen_counters_read(mmu_scene.aspen, &counters);
    if (counters.swap_slots_used)
        sim_fail("a slot is left");
    must(aspen_object_resize(mmu_scene.object, PAGE));
    must(aspen_object_read(mmu_scene.object, 0, &byte, 1, &done));
    if (byte)
        sim_fail("what was cut off is there again");
    mmu_scene_end();
}

static void
check_nothing(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    aspen_counters_read(mmu_scene.aspen, &counters);
    if (!mmu_scene.object && counters.swap_slots_used)
        sim_fail("a slot is left");
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
        {"write by bytes, PAGEOUT",
         ALONE,
         {write_bytes_task, page_out_task},
         check_memory},
        {"copy, PAGEOUT", ALONE, {copy_task, page_out_task}, check_memory},
        {"PAGEOUT, munmap",
         ALONE,
         {page_out_rest_task, munmap_task},
         check_nothing},
        {"write, PAGEOUT, munmap",
         ALONE,
         {write_rest_task, page_out_rest_task, munmap_task},
         check_bytes},
        {"PAGEOUT, truncate", ALONE, {page_out_task, cut_task}, check_cut},
        {"write, PAGEOUT, truncate",
         ALONE,
         {write_task, page_out_task, cut_task},
         check_cut},
        {"PAGEOUT, truncate to a byte",
         ALONE,
         {page_out_task, cut_short_task},
         check_bytes},
    };

    (void)state;
    ROWS(rows);
}

static void
reclaim(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, reclaim", ALONE, {write_task, reclaim_task}, check_memory},
        {"mlock, reclaim", ALONE, {lock_task, reclaim_task}, check_memory},
        {"reclaim twice", ALONE, {reclaim_task, reclaim_task}, check_memory},
        {"mapped by two: write, reclaim",
         FORKED,
         {write_task, reclaim_task},
         check_memory},
        {"mapped by two: write, reclaim, the other reads",
         FORKED,
         {write_task, reclaim_task, child_read_task},
         check_memory},
        {"reclaim, truncate", ALONE, {reclaim_task, cut_task}, check_cut},
        {"reclaim, the last reference",
         ALONE,
         {reclaim_task, end_task},
         check_nothing},
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
        {"in swap: write, read by bytes",
         OUT,
         {write_task, read_bytes_task},
         check_memory},
        {"in swap: read, reclaim",
         OUT,
         {read_task, reclaim_task},
         check_memory},
        {"in swap: write, fork", OUT, {write_task, fork_task}, check_memory},
        {"in swap: write, another reads",
         OUT_OF_BOTH,
         {write_task, child_read_task},
         check_memory},
        {"in swap: read, another writes, a page leaves",
         OUT_OF_BOTH,
         {read_task, child_write_task, page_out_other_task},
         check_memory},
        {"in swap: read, another reads, its neighbour leaves",
         OUT,
         {read_task, read_bytes_task, page_out_other_task},
         check_memory},
        {"in swap: write, truncate", OUT, {write_task, cut_task}, check_cut},
        {"in swap: write, truncate to a byte",
         OUT,
         {write_task, cut_short_task},
         check_bytes},
        {"in swap: write, WILLNEED, PAGEOUT",
         OUT,
         {write_task, will_need_task, page_out_task},
         check_memory},
        {"in swap: WILLNEED, truncate",
         OUT,
         {will_need_task, cut_task},
         check_cut},
        {"in swap: write, munmap",
         OUT,
         {write_rest_task, munmap_task},
         check_bytes},
    };

    (void)state;
    ROWS(rows);
}

static void
removal(void **state)
{
    static const struct mmu_row rows[] = {
        {"swapoff, write", OUT, {remove_task, write_task}, check_memory},
        {"swapoff, read by bytes",
         OUT,
         {remove_task, read_bytes_task},
         check_memory},
        {"swapoff, PAGEOUT", ALONE, {remove_task, page_out_task}, check_memory},
        {"swapoff, PAGEOUT of another",
         OUT,
         {remove_task, page_out_other_task},
         check_memory},
        {"swapoff, fork", OUT, {remove_task, fork_task}, check_memory},
        {"swapoff, another reads",
         OUT_OF_BOTH,
         {remove_task, child_read_task},
         check_memory},
        {"swapoff, truncate", OUT, {remove_task, cut_task}, check_cut},
        {"swapoff, the last reference",
         UNMAPPED,
         {remove_surely_task, end_task},
         check_nothing},
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
