/* SPDX-License-Identifier: MIT */
/*
 * The cache of a file made smaller beside whatever reads, writes and takes away
 * its page, over all orders, one of the first two steps failing or none: the
 * page reads as what was last written, and who holds a page holds the file's.
 */
#include "file_scene.h"

#define MOST 1500u

static void
setup(void *unused)
{
    (void)unused;
    file_scene_begin();
    explore_plan(file_scene.aspen, file_scene.fail_at);
}

static void
check(void *unused)
{
    uint8_t byte = 0;
    uint64_t done;

    (void)unused;
    explore_plan_end(file_scene.aspen, &file_scene.counts);
    file_scene_check_read();
    must(aspen_read_memory(file_scene.mm, START, &byte, 1, 0, &done));
    if (byte != file_scene.expected)
        sim_fail("a mapping has another page than the file");
    explore_validate(file_scene.aspen);
    file_scene_end();
}

static void
write_sync_and_drop_task(void *unused)
{
    write_file_task(unused);
    sync_task(unused);
    drop_task(unused);
}

static void
explore(const char *name, enum file_before before, void (*first)(void *),
        void (*second)(void *), void (*third)(void *))
{
    void (*const tasks[])(void *) = {first, second, third};
    struct sim_program program = explore_program(setup, tasks, check);

    file_scene_explore(name, before, &program, MOST);
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
