/* SPDX-License-Identifier: MIT */
/*
 * Reclaim of a file's page, mapped or not, beside whatever reads, writes, keeps
 * and takes away that page, over all orders, one of the first two steps failing
 * or none: the page reads as what was last written, who holds a page holds the
 * file's, and what is locked or pinned is there.
 */
#include "file_scene.h"

#define MOST  400u
#define MOVED (48 * PAGE)

static bool cut; /* the file has no page any more */
static struct aspen_mm *child;

static void
setup(void *unused)
{
    (void)unused;
    cut = false;
    child = NULL;
    file_scene_begin();
    if (file_scene.before == MAPPED) {
        must(aspen_fault(file_scene.mm, FILE_SCENE_PRIVATE, ASPEN_ACCESS_READ));
        aspen_reclaim(file_scene.aspen, 0);
    }
    explore_plan(file_scene.aspen, file_scene.fail_at);
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(file_scene.aspen, &file_scene.counts);
    if (child)
        aspen_mm_put(child);
    if (!cut)
        file_scene_check_read();
    explore_validate(file_scene.aspen);
    /* Nobody holds the page: it can leave, but for what is dirty or locked. */
    aspen_reclaim(file_scene.aspen, 9);
    explore_validate(file_scene.aspen);
    file_scene_end();
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(file_scene.aspen, 2);
}

/* The file may have no page by now. */
static void
read_or_cut_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(file_scene.mm, START, ASPEN_ACCESS_READ);
    if (error != -ASPEN_EFBIG)
        must_or_planned(error);
}

/* Another file, whose last reference reclaim may have to give up. */
static void
last_task(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGE,
                                     .pager = &file_scene_pager};
    struct aspen_object *other;
    uint8_t byte;
    uint64_t done;

    (void)unused;
    int error = aspen_object_create(file_scene.aspen, &args, &other);
    must_or_planned(error);
    if (error)
        return;
    must_or_planned(aspen_object_read(other, 0, &byte, 1, &done));
    aspen_object_put(other);
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
    must_or_planned(aspen_munmap(file_scene.mm, START, PAGE));
}

static void
exit_task(void *unused)
{
    (void)unused;
    aspen_mm_put(file_scene.mm);
    file_scene.mm = NULL;
}

static void
resize_task(void *unused)
{
    (void)unused;
    int error = aspen_object_resize(file_scene.file, 0);
    must_or_planned(error);
    if (!error) {
        cut = true;
        file_scene.expected = file_scene.stored;
    }
}

static void
protect_task(void *unused)
{
    (void)unused;
    must_or_planned(
        aspen_mprotect(file_scene.mm, START, PAGE, ASPEN_VM_READ, -1));
}

static void
fork_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fork(file_scene.mm, &child));
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
    must_or_planned(aspen_mremap(file_scene.mm, &args, &at));
}

/* What is locked when the call returns stays. */
static void
lock_task(void *unused)
{
    struct aspen_mm_counters counters;
    uint32_t frame;

    (void)unused;
    int error = aspen_mlock(file_scene.mm, START, PAGE, 0);
    if (error != -ASPEN_EAGAIN) /* the planned failure of a frame */
        must_or_planned(error);
    if (error) {
        aspen_mm_counters_read(file_scene.mm, &counters);
        if (counters.locked_pages)
            sim_fail("an error, and the page is locked");
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (aspen_translate(file_scene.mm, START, ASPEN_ACCESS_READ, &frame))
            sim_fail("a locked page is not there");
        sim_point(&file_scene.counts, true);
    }
}

/* ---- Beside pages that go to swap -------------------------------------- */

#define ANON (64 * PAGE)
#define MANY 20u /* evictable pages: more than one is looked at at a time */

static struct {
    struct aspen_object *last; /* of one page; NULL: given up */
    struct aspen_object *many;
    uint8_t slot[PAGE];
} beside;

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    if (io->write)
        memcpy(beside.slot, io->memory[0], PAGE);
    else
        memcpy(io->memory[0], beside.slot, PAGE);
    return 0;
}

static void
add_swap(void)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = 1, .ops = &ops};
    unsigned type;

    must(aspen_swap_add(file_scene.aspen, &args, &type));
}

/* With all its pages in the cache. */
static struct aspen_object *
new_file(uint64_t pages)
{
    struct aspen_object_args args = {.size_bytes = pages * PAGE,
                                     .pager = &file_scene_pager};
    struct aspen_object *file;
    uint8_t byte;
    uint64_t done;

    must(aspen_object_create(file_scene.aspen, &args, &file));
    for (uint64_t i = 0; i < pages; i++)
        must(aspen_object_read(file, i * PAGE, &byte, 1, &done));
    return file;
}

/* An anonymous page, and that of a file, are the oldest. */
static void
setup_beside(void *unused)
{
    (void)unused;
    file_scene_begin();
    add_swap();
    explore_map(file_scene.mm, ANON, 1, RW, NULL);
    must(aspen_fault(file_scene.mm, ANON, ASPEN_ACCESS_WRITE));
    beside.last = new_file(1);
    beside.many = new_file(MANY);
}

static void
give_up_task(void *unused)
{
    struct aspen_object *last = beside.last;

    (void)unused;
    beside.last = NULL;
    aspen_object_put(last);
}

/* A file that is read, mapped private. */
static void
setup_copy(void *unused)
{
    (void)unused;
    file_scene_begin();
    add_swap();
}

static void
page_out_copy_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(file_scene.mm, FILE_SCENE_PRIVATE, PAGE,
                       ASPEN_MADV_PAGEOUT));
}

static void
check_copy(void *unused)
{
    (void)unused;
    explore_validate(file_scene.aspen);
    file_scene_end();
}

static void
check_beside(void *unused)
{
    (void)unused;
    explore_validate(file_scene.aspen);
    aspen_object_put(beside.many);
    file_scene_end();
}

/* Reclaim writes back what nobody else has any more when it holds no page. */
static void
last_reference(void **state)
{
    struct sim_program program = {
        setup_beside, {reclaim_task, give_up_task}, 2, check_beside, NULL};

    (void)state;
    file_scene.before = NOTHING;
    explore_holds("last reference, reclaim of an anonymous page", &program,
                  MOST);
}

/* Who copied a page, and has to read the copy from swap before he has it, has
 * the file's page no more while he waits. */
static void
copy_in_swap(void **state)
{
    struct sim_program program = {
        setup_copy, {copy_task, page_out_copy_task}, 2, check_copy, NULL};

    (void)state;
    file_scene.before = CACHED;
    explore_holds("private copy, PAGEOUT of the copy", &program, MOST);
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
    explore("reclaim, write through a mapping of what is dirty", DIRTY,
            reclaim_task, write_task, NULL);
    explore("reclaim, write to a file that is dirty", DIRTY, reclaim_task,
            write_file_task, NULL);
    explore("reclaim, sync", DIRTY, reclaim_task, sync_task, NULL);
    explore("reclaim, resize of what is dirty", DIRTY, reclaim_task,
            resize_task, NULL);
    explore("reclaim, reclaim, of what is dirty", DIRTY, reclaim_task,
            reclaim_task, NULL);
    explore("reclaim, pin of what is dirty", DIRTY, reclaim_task, pin_task,
            NULL);
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
        cmocka_unit_test(last_reference),
        cmocka_unit_test(copy_in_swap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
