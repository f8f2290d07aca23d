/* SPDX-License-Identifier: MIT */
/*
 * Reclaim of a file's page, mapped or not, beside whatever reads, writes, keeps
 * and takes away that page, over all orders, one of the first two steps failing
 * or none: the page reads as what was last written, who holds a page holds the
 * file's, and what is locked or pinned is there.
 */
#include "explore.h"

#define FRAMES  64u
#define MOST    400u
#define PRIVATE (32 * PAGE)
#define MOVED   (48 * PAGE)

enum before { NOTHING, CACHED, MAPPED, DIRTY };

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    enum before before;
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
    uint8_t stored;   /* by the pager */
    uint8_t expected; /* what the page reads as */
    bool cut;         /* the file has no page any more */
    struct aspen_mm *child;
} scene;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    *(uint8_t *)page = scene.stored;
    sim_point(&scene.stored, false);
    return 0;
}

static int
write_pages(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)bytes;
    sim_point(&scene.stored, true);
    scene.stored = *(const uint8_t *)pages[0];
    return 0;
}

static const struct aspen_pager_ops ops = {.read = read_page,
                                           .write = write_pages};

static void
setup(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGE, .pager = &ops};
    uint8_t byte;
    uint64_t done;

    (void)unused;
    scene.stored = scene.expected = 42;
    scene.cut = false;
    scene.child = NULL;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    explore_map(scene.mm, START, 1, RW | ASPEN_VM_SHARED, scene.file);
    explore_map(scene.mm, PRIVATE, 1, RW, scene.file);
    if (scene.before >= CACHED)
        must(aspen_object_read(scene.file, 0, &byte, 1, &done));
    if (scene.before == MAPPED) {
        must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
        must(aspen_fault(scene.mm, PRIVATE, ASPEN_ACCESS_READ));
        aspen_reclaim(scene.aspen, 0);
    }
    if (scene.before == DIRTY) {
        scene.expected = 43;
        must(aspen_object_write(scene.file, 0, &scene.expected, 1, &done));
    }
    explore_plan(scene.aspen, scene.fail_at);
}

static void
check(void *unused)
{
    uint8_t byte = 0;
    uint64_t done;

    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    if (scene.child)
        aspen_mm_put(scene.child);
    if (!scene.cut) {
        must(aspen_object_read(scene.file, 0, &byte, 1, &done));
        if (byte != scene.expected)
            sim_fail("what was written is lost");
    }
    explore_validate(scene.aspen);
    /* Nobody holds the page: it can leave, but for what is dirty or locked. */
    aspen_reclaim(scene.aspen, 9);
    explore_validate(scene.aspen);
    if (scene.mm)
        aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    if (scene.stored != scene.expected)
        sim_fail("the file does not get what was written");
    explore_machine_end(scene.aspen);
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(scene.aspen, 2);
}

static void
read_fault_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
}

/* The file may have no page by now. */
static void
read_or_cut_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(scene.mm, START, ASPEN_ACCESS_READ);
    if (error != -ASPEN_EFBIG)
        must_or_planned(error);
}

/* Another file, whose last reference reclaim may have to give up. */
static void
last_task(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGE, .pager = &ops};
    struct aspen_object *other;
    uint8_t byte;
    uint64_t done;

    (void)unused;
    int error = aspen_object_create(scene.aspen, &args, &other);
    must_or_planned(error);
    if (error)
        return;
    must_or_planned(aspen_object_read(other, 0, &byte, 1, &done));
    aspen_object_put(other);
}

static void
drop_task(void *unused)
{
    uint64_t dropped;

    (void)unused;
    must_or_planned(aspen_object_drop(scene.file, 0, PAGE, &dropped));
}

static void
copy_task(void *unused)
{
    uint8_t byte = 42;
    uint64_t done;

    (void)unused;
    must_or_planned(aspen_write_memory(scene.mm, PRIVATE, &byte, 1, 0, &done));
}

/* Through the mapping, as somebody outside. */
static void
write_task(void *unused)
{
    uint8_t byte = 44;
    uint64_t done;

    (void)unused;
    int error = aspen_write_memory(scene.mm, START, &byte, 1, 0, &done);
    must_or_planned(error);
    if (!error)
        scene.expected = byte;
}

static void
write_file_task(void *unused)
{
    uint8_t byte = 44;
    uint64_t done;

    (void)unused;
    int error = aspen_object_write(scene.file, 0, &byte, 1, &done);
    must_or_planned(error);
    if (!error)
        scene.expected = byte;
}

static void
sync_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_object_sync(scene.file, 0, PAGE));
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
}

static void
write_and_sync_task(void *unused)
{
    write_file_task(unused);
    sync_task(unused);
}

static void
sync_and_reclaim_task(void *unused)
{
    sync_task(unused);
    reclaim_task(unused);
}

static void
munmap_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_munmap(scene.mm, START, PAGE));
}

static void
exit_task(void *unused)
{
    (void)unused;
    aspen_mm_put(scene.mm);
    scene.mm = NULL;
}

static void
resize_task(void *unused)
{
    (void)unused;
    int error = aspen_object_resize(scene.file, 0);
    must_or_planned(error);
    if (!error) {
        scene.cut = true;
        scene.expected = scene.stored;
    }
}

static void
protect_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_mprotect(scene.mm, START, PAGE, ASPEN_VM_READ, -1));
}

static void
fork_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fork(scene.mm, &scene.child));
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
    must_or_planned(aspen_mremap(scene.mm, &args, &at));
}

/* What is locked when the call returns stays. */
static void
lock_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    int error = aspen_mlock(scene.mm, START, PAGE, 0);
    if (error != -ASPEN_EAGAIN) /* the planned failure of a frame */
        must_or_planned(error);
    if (error)
        return;
    for (unsigned i = 0; i < 2; i++) {
        if (aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &frame))
            sim_fail("a locked page is not there");
        sim_point(&scene.counts, true);
    }
}

/* A pinned page stays the file's, mapped or not. */
static void
pin_task(void *unused)
{
    uint32_t pinned, mapped;

    (void)unused;
    int error = aspen_pin_range(scene.mm, START, PAGE, 0, &pinned);
    must_or_planned(error);
    if (error)
        return;
    unmap_task(unused);
    must_or_planned(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
    if (!aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &mapped) &&
        mapped != pinned)
        sim_fail("a pinned page is not the file's any more");
    must(aspen_unpin(scene.mm, &pinned, 1, 0));
}

static void
explore(const char *name, enum before before, void (*first)(void *),
        void (*second)(void *), void (*third)(void *))
{
    struct sim_program program = {
        setup, {first, second, third}, third ? 3 : 2, check, NULL};

    scene.before = before;
    for (scene.fail_at = 0; scene.fail_at < 3; scene.fail_at++)
        explore_holds(name, &program, scene.fail_at ? MOST / 10 : MOST);
}

static void
reclaim(void **state)
{
    (void)state;
    explore("reclaim, read fault", CACHED, reclaim_task, read_fault_task, NULL);
    explore("reclaim, private copy", CACHED, reclaim_task, copy_task, NULL);
    explore("reclaim, private copy of what is mapped", MAPPED, reclaim_task,
            copy_task, NULL);
    explore("reclaim, write through a mapping", MAPPED, reclaim_task,
            write_task, NULL);
    explore("reclaim, write to the file", CACHED, reclaim_task, write_file_task,
            NULL);
    explore("reclaim, write and sync", MAPPED, reclaim_task,
            write_and_sync_task, NULL);
    explore("sync and reclaim, write through a mapping", DIRTY,
            sync_and_reclaim_task, write_task, NULL);
    explore("reclaim, DONTNEED", MAPPED, reclaim_task, unmap_task, NULL);
    explore("reclaim, munmap", MAPPED, reclaim_task, munmap_task, NULL);
    explore("reclaim, exit", MAPPED, reclaim_task, exit_task, NULL);
    explore("reclaim, resize", MAPPED, reclaim_task, resize_task, NULL);
    explore("reclaim, resize, read fault", CACHED, reclaim_task, resize_task,
            read_or_cut_task);
    explore("reclaim, mprotect", MAPPED, reclaim_task, protect_task, NULL);
    explore("reclaim, fork", MAPPED, reclaim_task, fork_task, NULL);
    explore("reclaim, mremap", MAPPED, reclaim_task, move_task, NULL);
    explore("reclaim, mlock", MAPPED, reclaim_task, lock_task, NULL);
    explore("reclaim, mlock of what is cached", CACHED, reclaim_task, lock_task,
            NULL);
    explore("reclaim, pin", CACHED, reclaim_task, pin_task, NULL);
    explore("reclaim, pin of what is mapped", MAPPED, reclaim_task, pin_task,
            NULL);
    explore("reclaim, reclaim", MAPPED, reclaim_task, reclaim_task, NULL);
    explore("reclaim, reclaim, read fault", CACHED, reclaim_task, reclaim_task,
            read_fault_task);
    explore("reclaim, drop", CACHED, reclaim_task, drop_task, NULL);
    explore("sync and reclaim, sync, read fault", DIRTY, sync_and_reclaim_task,
            sync_task, read_fault_task);
    explore("last reference, reclaim", CACHED, reclaim_task, last_task, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reclaim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
