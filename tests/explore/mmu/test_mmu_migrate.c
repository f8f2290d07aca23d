/* SPDX-License-Identifier: MIT */
/*
 * A page goes to another frame while processors go on reading and writing
 * through what they have cached (tests/mmu), and beside whatever else takes it
 * away, copies it, moves it or holds it, over all orders: no write is lost, and
 * nobody reads or writes the frame where it was.
 */
#include "mmu_swap.h"

#include "migrate/migrate.h"

#include <aspen/memory/migrate.h>
#include <aspen/calls/pin.h>

#define MOST  250u
#define MOVED (48 * PAGE)

enum start {
    ALONE,
    FORKED,     /* a child shares the page */
    CHILD_HAS,  /* the child has it, and the parent's is in swap */
    CACHED,     /* the same, and the child has it no more */
    FILE_,      /* of a file, mapped shared, dirty */
    FILE_CLEAN, /* the same, read */
};

static struct {
    unsigned start; /* enum start */
    uint32_t frame;
    uint64_t fail_at; /* the step of a fork that fails; 0: none */
    bool alone;       /* there is no second MMU, for which each entry is flushed
                         on its own */
    bool forked;
    bool written; /* the processor's write went through */
    bool gone;    /* what the page held is not to be asked for */
    char child_saw;
} scene;

/* ---- Set up ------------------------------------------------------------ */

static uint32_t
frame_of(struct aspen_mm *mm)
{
    uint32_t frame;

    must(aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame));
    return frame;
}

static void
map_page(void)
{
    const bool file = scene.start >= FILE_;

    memset(mmu_scene.disk, '1', PAGE);
    mmu_scene_map(file, file);
    access_byte(CPU, mmu_scene.mm, START,
                scene.start == FILE_CLEAN ? MMU_READ : MMU_WRITE, '1');
}

static void
setup(void *unused)
{
    static const struct aspen_notifier_ops no_second;
    const bool out = scene.start == CHILD_HAS || scene.start == CACHED;

    (void)unused;
    mmu_swap_begin(scene.alone ? &no_second : NULL);
    scene.written = scene.gone = scene.forked = false;
    map_page();
    if (out)
        must(aspen_madvise(mmu_scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
    if (out || scene.start == FORKED) {
        mmu_scene_fork();
        scene.child_saw =
            out ? access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) : '1';
    }
    scene.frame = frame_of(out ? mmu_scene.child : mmu_scene.mm);
    if (scene.start == CACHED)
        must(aspen_munmap(mmu_scene.child, START, PAGE));
    if (!scene.alone)
        told_second_load(mmu_scene.mm, START, START + PAGE, 1);
    explore_plan(mmu_scene.aspen, scene.fail_at);
}

/* ---- Tasks ------------------------------------------------------------- */

/* It goes, or there is a reason why it does not. */
static void
migrate_task(void *unused)
{
    int error = aspen_migrate(mmu_scene.aspen, scene.frame);

    (void)unused;
    if (error != -ASPEN_EBUSY && error != -ASPEN_ENOENT)
        must_or_planned(error);
}

/* Nobody else has anything to do with it: it goes. */
static void
must_migrate_task(void *unused)
{
    (void)unused;
    must(aspen_migrate(mmu_scene.aspen, scene.frame));
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
    if (!error && byte != '1')
        sim_fail("the processor reads what nobody wrote");
    if (!scene.alone)
        told_second_load(mmu_scene.mm, START, START + PAGE, 1);
}

static void
child_read_task(void *unused)
{
    (void)unused;
    if (access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) != '1')
        sim_fail("what the parent does changes the child");
}

/* What it does not find it does not wait for. */
static void
nowait_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(mmu_scene.mm, START,
                            ASPEN_ACCESS_WRITE | ASPEN_ACCESS_NOWAIT);
    if (error != -ASPEN_EAGAIN)
        must(error);
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;

    (void)unused;
    int error = aspen_fork(mmu_scene.mm, &child);
    must_or_planned(error);
    if (error)
        return;
    scene.forked = true;
    mmu_scene.child = child;
    must(aspen_mm_activate(child, CHILD));
}

static void
child_exit_task(void *unused)
{
    (void)unused;
    told_put_beside(&mmu_scene.child);
}

static void
exit_task(void *unused)
{
    (void)unused;
    told_put_beside(&mmu_scene.mm);
}

static void
lock_then_there_task(void *unused)
{
    (void)unused;
    must(aspen_mlock(mmu_scene.mm, START, PAGE, 0));
}

static void
move_task(void *unused)
{
    struct aspen_mremap_args args = {
        .address = START,
        .old_bytes = PAGE,
        .new_bytes = PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = MOVED,
    };
    uint64_t at;

    (void)unused;
    must(aspen_mremap(mmu_scene.mm, &args, &at));
}

/* What has it pinned reads what is written, and the other way round. */
static void
pin_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    must(aspen_pin_range(mmu_scene.mm, START, PAGE, ASPEN_PIN_WRITE, &frame));
    for (unsigned i = 0; i < 2; i++) {
        if (frame_of(mmu_scene.mm) != frame)
            sim_fail("a pinned page moves");
        sim_point(&scene, true);
    }
    must(aspen_unpin(mmu_scene.mm, &frame, 1, ASPEN_UNPIN_DIRTY));
}

/* Somebody else writes, who holds the page for that. */
static void
copy_in_task(void *unused)
{
    uint64_t done;

    (void)unused;
    must(aspen_write_memory(mmu_scene.mm, START, "2", 1, 0, &done));
    scene.written = true;
}

static void
write_object_task(void *unused)
{
    uint64_t done;

    (void)unused;
    must(aspen_object_write(mmu_scene.object, 0, "2", 1, &done));
    scene.written = true;
}

static void
drop_task(void *unused)
{
    uint64_t dropped;

    (void)unused;
    must(aspen_object_drop(mmu_scene.object, 0, PAGE, &dropped));
}

/* ---- Afterwards -------------------------------------------------------- */

static void
end(void)
{
    mmu_scene_end();
}

static void
check_at(uint64_t address)
{
    struct aspen_failpoint_counts counts;

    explore_plan_end(mmu_scene.aspen, &counts);
    explore_validate(mmu_scene.aspen);
    if (mmu_scene.child && !scene.forked && scene.start != CACHED &&
        access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) !=
            scene.child_saw)
        sim_fail("what the parent does changes the child");
    told_put(&mmu_scene.child);
    char has = access_byte(CPU, mmu_scene.mm, address, MMU_READ, 0);
    if (has != (scene.written ? '2' : '1'))
        sim_fail("a write is lost");
    end();
}

static void
check_memory(void *unused)
{
    (void)unused;
    check_at(START);
}

static void
check_moved(void *unused)
{
    (void)unused;
    check_at(MOVED);
}

/* What is dirty reaches the disk. */
static void
check_disk(void *unused)
{
    (void)unused;
    must(aspen_object_sync(mmu_scene.object, 0, PAGE));
    if (mmu_scene.disk[0] != (scene.written ? '2' : '1'))
        sim_fail("what was written does not reach the disk");
    end();
}

static void
check_nothing(void *unused)
{
    (void)unused;
    end();
}

/* ---- Tests ------------------------------------------------------------- */

#define MIGRATE migrate_task

static void
anonymous(void **state)
{
    static const struct mmu_row rows[] = {
        {"read", ALONE, {must_migrate_task, read_task}, check_memory},
        {"write", ALONE, {must_migrate_task, write_task}, check_memory},
        {"no wait", ALONE, {must_migrate_task, nowait_task}, check_memory},
        {"twice, write", ALONE, {MIGRATE, MIGRATE, write_task}, check_memory},
        {"munmap, write", ALONE, {MIGRATE, munmap_task}, check_nothing},
        {"DONTNEED", ALONE, {MIGRATE, discard_task}, check_nothing},
        {"DONTNEED, write",
         ALONE,
         {MIGRATE, discard_task, write_task},
         check_nothing},
        {"FREE", ALONE, {MIGRATE, free_task}, check_nothing},
        {"mprotect", ALONE, {MIGRATE, protect_task}, check_memory},
        {"mprotect, write",
         ALONE,
         {MIGRATE, protect_task, write_task},
         check_memory},
        {"mremap", ALONE, {MIGRATE, move_task}, check_moved},
        {"mlock",
         ALONE,
         {must_migrate_task, lock_then_there_task},
         check_memory},
        {"pin", ALONE, {MIGRATE, pin_task}, check_memory},
        {"copy in", ALONE, {MIGRATE, copy_in_task}, check_memory},
        {"exit", ALONE, {MIGRATE, exit_task}, check_nothing},
        {"PAGEOUT", ALONE, {MIGRATE, page_out_task}, check_memory},
        {"PAGEOUT, write",
         ALONE,
         {MIGRATE, page_out_task, write_task},
         check_memory},
        {"reclaim, write",
         ALONE,
         {MIGRATE, reclaim_task, write_task},
         check_memory},
    };

    (void)state;
    scene.fail_at = 0;
    ROWS(rows);
}

static void
shared(void **state)
{
    static const struct mmu_row rows[] = {
        {"child: write", FORKED, {MIGRATE, write_task}, check_memory},
        {"child: write, read",
         FORKED,
         {MIGRATE, write_task, child_read_task},
         check_memory},
        {"child: exit, write",
         FORKED,
         {MIGRATE, child_exit_task, write_task},
         check_memory},
        {"swap cache: read", CHILD_HAS, {MIGRATE, read_task}, check_memory},
        {"swap cache: write", CHILD_HAS, {MIGRATE, write_task}, check_memory},
        {"swap cache: write, child reads",
         CHILD_HAS,
         {MIGRATE, write_task, child_read_task},
         check_memory},
        {"swap cache: child exits, write",
         CHILD_HAS,
         {MIGRATE, child_exit_task, write_task},
         check_memory},
        {"swap cache: unmapped, write",
         CACHED,
         {MIGRATE, write_task},
         check_memory},
        {"swap cache: unmapped, swapoff",
         CACHED,
         {MIGRATE, remove_task},
         check_memory},
        {"swap cache: munmap", CACHED, {MIGRATE, munmap_task}, check_nothing},
    };

    (void)state;
    scene.fail_at = 0;
    ROWS(rows);
}

static void
of_a_file(void **state)
{
    static const struct mmu_row rows[] = {
        {"file: write", FILE_CLEAN, {MIGRATE, write_task}, check_disk},
        {"file: write of what is dirty",
         FILE_,
         {MIGRATE, write_task},
         check_disk},
        {"file: munmap, then sync", FILE_, {MIGRATE, munmap_task}, check_disk},
        {"file: sync", FILE_, {MIGRATE, sync_task}, check_disk},
        {"file: sync, write",
         FILE_,
         {MIGRATE, sync_task, write_task},
         check_disk},
        {"file: write by bytes",
         FILE_CLEAN,
         {MIGRATE, write_object_task},
         check_disk},
        {"file: resize", FILE_, {MIGRATE, resize_task}, check_nothing},
        {"file: resize, write",
         FILE_,
         {MIGRATE, resize_task, write_task},
         check_nothing},
        {"file: reclaim, write",
         FILE_CLEAN,
         {MIGRATE, reclaim_task, write_task},
         check_disk},
        {"file: drop, write",
         FILE_CLEAN,
         {MIGRATE, drop_task, write_task},
         check_disk},
        {"file: exit", FILE_, {MIGRATE, exit_task}, check_disk},
    };

    (void)state;
    scene.fail_at = 0;
    ROWS(rows);
}

static void
without_second(void **state)
{
    static const struct mmu_row rows[] = {
        {"alone: read", ALONE, {must_migrate_task, read_task}, check_memory},
        {"alone: write", ALONE, {must_migrate_task, write_task}, check_memory},
        {"alone: child: write", FORKED, {MIGRATE, write_task}, check_memory},
        {"alone: munmap, write",
         ALONE,
         {MIGRATE, munmap_task, write_task},
         check_nothing},
        {"alone: file: write", FILE_, {MIGRATE, write_task}, check_disk},
        {"alone: file: sync, write",
         FILE_,
         {MIGRATE, sync_task, write_task},
         check_disk},
    };

    (void)state;
    scene.fail_at = 0;
    scene.alone = true;
    ROWS(rows);
    scene.alone = false;
}

/* Each step of the fork fails, and so does none. */
static void
beside_fork(void **state)
{
    static const unsigned starts[] = {ALONE, FILE_};
    char name[64];

    (void)state;
    for (unsigned i = 0; i < 2; i++)
        for (scene.fail_at = 0; scene.fail_at < 12; scene.fail_at++) {
            const struct mmu_row rows[] = {
                {name, starts[i], {MIGRATE, fork_task}, check_memory}};
            snprintf(name, sizeof(name), "%s, step %u fails",
                     i ? "file: fork" : "fork", (unsigned)scene.fail_at);
            ROWS(rows);
        }
    static const struct mmu_row rows[] = {
        {"fork, write", ALONE, {MIGRATE, fork_task, write_task}, check_memory}};
    scene.fail_at = 0;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anonymous),   cmocka_unit_test(shared),
        cmocka_unit_test(of_a_file),   cmocka_unit_test(without_second),
        cmocka_unit_test(beside_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
