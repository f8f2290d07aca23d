/* SPDX-License-Identifier: MIT */
/*
 * One processor goes on reading and writing through what it has cached
 * (tests/mmu) beside each call that takes it away, over all orders. A second
 * MMU listens to the brackets and takes in what it can meanwhile.
 *
 * What is written is there afterwards, or the write faulted. When a call
 * returns, nothing that it took away is cached anywhere; nor is a freed frame.
 */
#include "mmu_scene.h"

#define OTHER (64 * PAGE)
#define MOST  2000u

/* What the page is when the tasks begin. */
enum start {
    ANON,
    FREED,  /* MADV_FREE came before */
    FORKED, /* a child shares it */
    SHARED, /* a file's, mapped shared */
    COPIED, /* a file's, mapped private, and read only so far by two CPUs */
};

/* What is known of a run, besides. */
static struct {
    unsigned start; /* enum start */
    bool written;   /* the processor's write went through */
    bool child_frees;
    char child_saw;
    uint64_t at; /* where the page is in the end */
} scene;

/* ---- Set up ------------------------------------------------------------ */

/* The second MMU takes in what is there. */
static void
load_second(void)
{
    told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

static void
setup(void *unused)
{
    const bool file = scene.start == SHARED || scene.start == COPIED;
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    mmu_scene_begin(&config);
    scene.written = false;
    scene.child_frees = false;
    scene.at = START;
    must(aspen_mm_activate(mmu_scene.mm, CPU));
    told_keep(CPU, mmu_scene.mm);
    mmu_scene_map(file, scene.start == SHARED);
    if (file)
        must(aspen_mm_activate(mmu_scene.mm, CHILD)); /* calls are made there */
    if (scene.start == COPIED) {
        access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
        access_byte(CHILD, mmu_scene.mm, START, MMU_READ, 0);
    } else {
        access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    }
    if (scene.start == FREED) {
        must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_FREE));
        access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
    }
    if (scene.start == FORKED) {
        mmu_scene_fork();
        scene.child_saw = '1';
    }
    load_second();
}

/* ---- The processor ----------------------------------------------------- */

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
    load_second();
}

/* What one CPU has written another one reads. */
static void
write_and_read_task(void *unused)
{
    (void)unused;
    access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '2');
    if (access_byte(CHILD, mmu_scene.mm, START, MMU_READ, 0) != '2')
        sim_fail("another CPU reads what was there before a write");
}

/* Its CPU runs elsewhere for a moment, and keeps what it has. */
static void
switch_and_write_task(void *unused)
{
    told_switch_away(CPU, mmu_scene.mm);
    told_switch_back(CPU, mmu_scene.mm);
    write_task(unused);
}

static void
switch_and_read_task(void *unused)
{
    told_switch_away(CPU, mmu_scene.mm);
    told_switch_back(CPU, mmu_scene.mm);
    read_task(unused);
}

static void
second_task(void *unused)
{
    (void)unused;
    load_second();
}

/* ---- Calls ------------------------------------------------------------- */

static void
guard_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_GUARD_INSTALL));
    check_gone(since, MMU_GONE_ALL, "guards");
}

static void
free_and_write_task(void *unused)
{
    free_task(unused);
    write_task(unused);
}

static void
child_free_task(void *unused)
{
    scene.child_frees = true;
    must(aspen_madvise(mmu_scene.child, START, PAGE, ASPEN_MADV_FREE));
    child_page_out_task(unused);
}

static void
child_exit_task(void *unused)
{
    (void)unused;
    told_put(&mmu_scene.child);
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(mmu_scene.aspen, 1);
}

static void
sync_and_reclaim_task(void *unused)
{
    sync_task(unused);
    reclaim_task(unused);
}

static void
fork_task(void *unused)
{
    (void)unused;
    mmu_scene_fork();
    scene.child_saw = access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0);
}

/* There is no such swap slot: not even a flush of nothing comes of it. */
static void
import_nothing_task(void *unused)
{
    struct aspen_import_pages pages = {
        .address = START, .count = 1, .kind = ASPEN_IMPORT_SWAP};
    uint64_t done;

    (void)unused;
    if (aspen_import_pages(mmu_scene.mm, &pages, &done) != -ASPEN_EINVAL)
        sim_fail("a slot that is not there is imported");
}

static void
move_page(unsigned flags)
{
    struct aspen_mremap_args args = {
        .address = START,
        .old_bytes = PAGE,
        .new_bytes = PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | flags,
        .new_address = OTHER,
    };
    uint64_t since = mmu_now();

    must(aspen_mremap(mmu_scene.mm, &args, &scene.at));
    check_gone(since, MMU_GONE_ALL, "mremap");
}

static void
move_task(void *unused)
{
    (void)unused;
    move_page(0);
}

/* Nothing is removed afterwards, which would have brackets of its own. */
static void
move_only_task(void *unused)
{
    (void)unused;
    move_page(ASPEN_MREMAP_DONTUNMAP);
}

/* ---- Afterwards -------------------------------------------------------- */

/* A file has what was written, sooner or later. */
static void
check_disk(void *unused)
{
    (void)unused;
    must(aspen_object_sync(mmu_scene.object, 0, PAGE));
    if (scene.written && mmu_scene.disk[0] != '2')
        sim_fail("a write is lost on its way to the file");
    mmu_scene_end();
}

/* It reads what it read, or zeroes if it said that it does not need it. */
static void
check_child(void)
{
    if (!mmu_scene.child)
        return;
    char has = access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0);
    if (has != scene.child_saw && (has || !scene.child_frees))
        sim_fail("what the parent does changes the child");
}

/* So has memory; a page that was freed lazily goes now, if it may. */
static void
check_memory(void *unused)
{
    char wants = scene.written ? '2' : '1';

    (void)unused;
    check_child();
    told_put(&mmu_scene.child); /* who else maps the page keeps it */
    must(aspen_madvise(mmu_scene.mm, scene.at, PAGE, ASPEN_MADV_PAGEOUT));
    char has = access_byte(CPU, mmu_scene.mm, scene.at, MMU_READ, 0);
    if (has != wants && (scene.written || scene.start != FREED))
        sim_fail("a write is lost");
    mmu_scene_end();
}

/* Which FREE came last, and so whether the write stays, nobody can say. */
static void
check_freed_twice(void *unused)
{
    (void)unused;
    must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
    char has = access_byte(CPU, mmu_scene.mm, START, MMU_READ, 0);
    if (has != '2' && has != 0)
        sim_fail("the page is older than what was freed");
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
anonymous_memory(void **state)
{
    static const struct mmu_row rows[] = {
        {"write, munmap", ANON, {write_task, munmap_task}, check_nothing},
        {"write, mprotect", ANON, {write_task, protect_task}, check_memory},
        {"read, munmap", ANON, {read_task, munmap_task}, check_nothing},
        {"read, DONTNEED twice",
         ANON,
         {read_task, discard_task, discard_task},
         check_nothing},
        {"import of nothing, DONTNEED",
         ANON,
         {import_nothing_task, discard_task},
         check_nothing},
        {"write, fork", ANON, {write_task, fork_task}, check_memory},
        {"write, mremap", ANON, {write_task, move_task}, check_memory},
    };

    (void)state;
    ROWS(rows);
}

static void
lazily_freed_memory(void **state)
{
    static const struct mmu_row rows[] = {
        {"freed: write, fork", FREED, {write_task, fork_task}, check_memory},
        {"freed: write, mremap", FREED, {write_task, move_task}, check_memory},
        {"freed: write, mprotect",
         FREED,
         {write_task, protect_task},
         check_memory},
    };

    (void)state;
    ROWS(rows);
}

/* Who frees a page and then writes to it keeps what he wrote, whoever else
 * looks at the page; and nobody loses what only a relative freed. */
static void
freed_by_several(void **state)
{
    static const struct mmu_row rows[] = {
        {"FREE, FREE and write",
         ANON,
         {free_task, free_and_write_task},
         check_freed_twice},
        {"FREE and write, PAGEOUT",
         ANON,
         {free_and_write_task, page_out_task},
         check_memory},
        {"FREE and write, PAGEOUT twice",
         ANON,
         {free_and_write_task, page_out_task, page_out_task},
         check_memory},
        {"FREE and write, fork",
         FREED,
         {free_and_write_task, fork_task},
         check_memory},
        {"FREE and write, FREE by a child",
         FORKED,
         {free_and_write_task, child_free_task},
         check_memory},
        {"FREE and write, PAGEOUT by a child",
         FORKED,
         {free_and_write_task, child_page_out_task},
         check_memory},
        {"FREE and write, exit of a child",
         FORKED,
         {free_and_write_task, child_exit_task},
         check_memory},
        {"write, FREE by a child",
         FORKED,
         {write_task, child_free_task},
         check_memory},
    };

    (void)state;
    ROWS(rows);
}

static void
private_file(void **state)
{
    static const struct mmu_row rows[] = {
        {"private file: write and read, PAGEOUT",
         COPIED,
         {write_and_read_task, page_out_task},
         check_nothing},
        {"private file: write and read, reclaim",
         COPIED,
         {write_and_read_task, reclaim_task},
         check_nothing},
    };

    (void)state;
    ROWS(rows);
}

static void
shared_file(void **state)
{
    static const struct mmu_row rows[] = {
        {"file: write, sync", SHARED, {write_task, sync_task}, check_disk},
        {"file: write, munmap", SHARED, {write_task, munmap_task}, check_disk},
        {"file: write, munmap, sync",
         SHARED,
         {write_task, munmap_task, sync_task},
         check_disk},
        {"file: write, mprotect, sync",
         SHARED,
         {write_task, protect_task, sync_task},
         check_disk},
        {"file: write, DONTNEED, sync",
         SHARED,
         {write_task, discard_task, sync_task},
         check_disk},
        {"file: write, resize",
         SHARED,
         {write_task, resize_task},
         check_nothing},
        {"file: write, sync and reclaim",
         SHARED,
         {write_task, sync_and_reclaim_task},
         check_disk},
        {"file: write, PAGEOUT",
         SHARED,
         {write_task, page_out_task},
         check_disk},
        {"file: write, PAGEOUT, sync",
         SHARED,
         {write_task, page_out_task, sync_task},
         check_disk},
        {"file: write, PAGEOUT, resize",
         SHARED,
         {write_task, page_out_task, resize_task},
         check_nothing},
        {"file: PAGEOUT, munmap",
         SHARED,
         {page_out_rest_task, munmap_task},
         check_disk},
    };

    (void)state;
    ROWS(rows);
}

/* What a CPU keeps over a switch, and is not told of meanwhile. */
static void
over_a_switch(void **state)
{
    static const struct mmu_row rows[] = {
        {"kept: read, munmap",
         ANON,
         {switch_and_read_task, munmap_task},
         check_nothing},
        {"kept: read, DONTNEED twice",
         ANON,
         {switch_and_read_task, discard_task, discard_task},
         check_nothing},
        {"kept: write, mprotect",
         ANON,
         {switch_and_write_task, protect_task},
         check_memory},
        {"kept: write, sync",
         SHARED,
         {switch_and_write_task, sync_task},
         check_disk},
    };

    (void)state;
    ROWS(rows);
}

/* It takes in what is there beside everything that has brackets. */
static void
second_mmu(void **state)
{
#define BESIDE(call, start)                                                    \
    {                                                                          \
        "second MMU, " #call, start, {second_task, call##_task}, check_nothing \
    }
    static const struct mmu_row rows[] = {
        BESIDE(munmap, ANON),    BESIDE(protect, ANON), BESIDE(discard, ANON),
        BESIDE(guard, ANON),     BESIDE(free, ANON),    BESIDE(fork, ANON),
        BESIDE(move_only, ANON), BESIDE(write, FORKED), BESIDE(sync, SHARED),
        BESIDE(resize, SHARED),
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous_memory),
        cmocka_unit_test(lazily_freed_memory),
        cmocka_unit_test(freed_by_several),
        cmocka_unit_test(private_file),
        cmocka_unit_test(shared_file),
        cmocka_unit_test(over_a_switch),
        cmocka_unit_test(second_mmu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
