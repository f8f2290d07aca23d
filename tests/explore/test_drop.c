/* SPDX-License-Identifier: MIT */
/*
 * The cache of a file made smaller beside whatever reads, writes and takes away
 * its page, over all orders, one of the first two steps failing or none: the
 * page reads as what was last written, and who holds a page holds the file's.
 */
#include "explore.h"

#define FRAMES  64u
#define MOST    1500u
#define PRIVATE (32 * PAGE)

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
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    explore_map(scene.mm, START, 1, RW | ASPEN_VM_SHARED, scene.file);
    explore_map(scene.mm, PRIVATE, 1, RW, scene.file);
    if (scene.before >= CACHED)
        must(aspen_object_read(scene.file, 0, &byte, 1, &done));
    if (scene.before == MAPPED)
        must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
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
    must(aspen_object_read(scene.file, 0, &byte, 1, &done));
    if (byte != scene.expected)
        sim_fail("what was written is lost");
    must(aspen_read_memory(scene.mm, START, &byte, 1, 0, &done));
    if (byte != scene.expected)
        sim_fail("a mapping has another page than the file");
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    if (scene.stored != scene.expected)
        sim_fail("the file does not get what was written");
    explore_machine_end(scene.aspen);
}

static void
drop_task(void *unused)
{
    uint64_t dropped;

    (void)unused;
    must_or_planned(aspen_object_drop(scene.file, 0, PAGE, &dropped));
    if (dropped > 1)
        sim_fail("more pages go than there are");
}

static void
read_fault_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
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
write_sync_and_drop_task(void *unused)
{
    write_file_task(unused);
    sync_task(unused);
    drop_task(unused);
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
drop(void **state)
{
    (void)state;
    explore("drop, read fault", CACHED, drop_task, read_fault_task, NULL);
    explore("drop, private copy", CACHED, drop_task, copy_task, NULL);
    explore("drop, write through a mapping", MAPPED, drop_task, write_task,
            NULL);
    explore("drop, write to the file", CACHED, drop_task, write_file_task,
            NULL);
    explore("drop, DONTNEED", MAPPED, drop_task, unmap_task, NULL);
    explore("drop, pin", CACHED, drop_task, pin_task, NULL);
    explore("drop, sync", DIRTY, drop_task, sync_task, NULL);
    explore("drop, drop", CACHED, drop_task, drop_task, NULL);
    explore("drop, sync, read fault", DIRTY, drop_task, sync_task,
            read_fault_task);
    /* What the fault has read is old by the time that it enters it. */
    explore("write, sync and drop, read fault", NOTHING,
            write_sync_and_drop_task, read_fault_task, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
