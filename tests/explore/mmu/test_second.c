/* SPDX-License-Identifier: MIT */
/*
 * A second MMU fills itself as docs/use/mmu.md has it - it looks at the
 * tables without a lock, and puts in what it may still - while calls take away
 * what it looks at, over all orders.
 *
 * It never has what the tables do not, nor a frame that is free; what it has
 * written is there; what is written elsewhere it reads.
 */
#include "explore.h"
#include "told.h"
#include "space/mm.h"
#include <aspen/aspen.h>

#define FRAMES 128u
#define MOST   400u
#define CPU    0u
#define CHILD  1u

#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
#define FLAGS MMU_FLAGS_SET
#else
#define FLAGS MMU_FLAGS_FAULT
#endif

enum start { ANON, FORKED, SHARED };

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *object;
    enum start start;
    bool held; /* the second MMU has the page when the tasks begin */
    char disk[PAGE];
    char child_saw;
} scene;

/* ---- A file ------------------------------------------------------------ */

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes;
    memcpy(page, scene.disk, PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context, (void)offset_bytes;
    sim_point(pages[0], false);
    memcpy(scene.disk, pages[0], bytes < PAGE ? bytes : PAGE);
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_disk,
                                             .write = write_disk};

/* ---- Set up ------------------------------------------------------------ */

static char
second(struct aspen_mm *mm, enum mmu_access access, char byte)
{
    must(told_second(mm, START, access, &byte, 1));
    return byte;
}

static char
processor(unsigned cpu, struct aspen_mm *mm, enum mmu_access access, char byte)
{
    must(told_run(cpu, mm, START, access, &byte, 1));
    return byte;
}

static void
send_away(void *unused, struct aspen_mm *mm)
{
    (void)unused;
    for (unsigned cpu = 0; cpu < MMU_CPUS; cpu++)
        must(aspen_mm_deactivate(mm, cpu));
}

static const struct aspen_arch_ops arch = {.mm_exit = send_away};

static void
fork_it(void)
{
    must(aspen_fork(scene.mm, &scene.child));
    must(aspen_mm_activate(scene.child, CHILD));
}

static void
setup(void *unused)
{
    struct aspen_object_args object = {
        .kind = ASPEN_OBJECT_FILE, .size_bytes = PAGE, .pager = &pager};
    struct mmu_config mmu = {
        .frames = FRAMES, .flags = FLAGS, .on_breach = sim_fail};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.hooks.arch = &arch;
    config.hooks.notifier = &told_notifier;
    scene.child = NULL;
    scene.object = NULL;
    scene.child_saw = '1';
    memset(scene.disk, 0, sizeof(scene.disk));
    told_of(NULL);
    scene.aspen = explore_machine(&config, FRAMES);
    mmu.direct_map = scene.aspen->config.direct_map;
    mmu_attach(&mmu);
    told_of(scene.aspen);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_mm_activate(scene.mm, CPU));
    if (scene.start == SHARED)
        must(aspen_object_create(scene.aspen, &object, &scene.object));
    explore_map(scene.mm, START, 1,
                RW | (scene.start == SHARED ? ASPEN_VM_SHARED : 0),
                scene.object);
    processor(CPU, scene.mm, MMU_WRITE, '1');
    if (scene.start == FORKED)
        fork_it();
    if (scene.held)
        second(scene.mm, scene.start == FORKED ? MMU_READ : MMU_WRITE, '1');
}

static void
tear_down(void)
{
    mmu_check(scene.mm->root, "all that");
    explore_validate(scene.aspen);
    told_put(&scene.child);
    told_put(&scene.mm);
    if (scene.object)
        aspen_object_put(scene.object);
    told_of(NULL);
    explore_machine_end(scene.aspen);
}

/* ---- The second MMU ---------------------------------------------------- */

/* It reads what somebody wrote, if anything is there. */
static void
read_task(void *unused)
{
    char byte = 0;

    (void)unused;
    int error = told_second(scene.mm, START, MMU_READ, &byte, 1);
    if (error == TOLD_FOR_EVER)
        sim_fail("the second MMU tries again for ever");
    if (!error && byte != '1' && byte != '2' && byte != 0)
        sim_fail("the second MMU reads what nobody wrote");
}

static void
write_task(void *unused)
{
    char byte = '2';

    (void)unused;
    int error = told_second(scene.mm, START, MMU_WRITE, &byte, 1);
    if (error == TOLD_FOR_EVER)
        sim_fail("the second MMU tries again for ever");
}

/* It takes in what it finds, as one that walks the tables itself. */
static void
load_task(void *unused)
{
    (void)unused;
    told_second_load(scene.mm, START, START + PAGE, 1);
}

/* ---- Calls ------------------------------------------------------------- */

static void
gone(uint64_t since, enum mmu_gone what, const char *call)
{
    mmu_check_gone(scene.mm->root, START, START + PAGE, since, what, call);
}

static void
munmap_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_munmap(scene.mm, START, PAGE));
    gone(since, MMU_GONE_ALL, "munmap");
}

static void
discard_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
    gone(since, MMU_GONE_ALL, "DONTNEED");
}

static void
protect_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_mprotect(scene.mm, START, PAGE, ASPEN_VM_READ, -1));
    gone(since, MMU_GONE_WRITABLE, "mprotect");
}

static void
resize_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_object_resize(scene.object, 0));
    gone(since, MMU_GONE_ALL, "resize");
}

static void
sync_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    must(aspen_object_sync(scene.object, 0, PAGE));
    gone(since, MMU_GONE_WRITABLE, "sync");
}

static void
fork_task(void *unused)
{
    (void)unused;
    fork_it();
    scene.child_saw = processor(CHILD, scene.child, MMU_READ, 0);
}

/* What a processor writes to a copy the second MMU reads there. */
static void
copy_task(void *unused)
{
    (void)unused;
    processor(CPU, scene.mm, MMU_WRITE, '2');
    if (second(scene.mm, MMU_READ, 0) != '2')
        sim_fail("the second MMU reads what was there before a copy");
}

static void
free_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_FREE));
}

/* What it writes after FREE has returned stays. */
static void
free_and_write_task(void *unused)
{
    free_task(unused);
    write_task(unused);
}

static void
page_out_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
cold_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_COLD));
}

static void
young_task(void *unused)
{
    uint64_t pages;

    (void)unused;
    must(aspen_young(scene.mm, START, PAGE, ASPEN_YOUNG_CLEAR, &pages));
}

/* ---- Afterwards -------------------------------------------------------- */

static void
check_nothing(void *unused)
{
    (void)unused;
    tear_down();
}

/* What it has written is there, and what it writes now. */
static void
check_written(void *unused)
{
    (void)unused;
    page_out_task(unused);
    if (processor(CPU, scene.mm, MMU_READ, 0) != '2')
        sim_fail("what the second MMU wrote is lost");
    second(scene.mm, MMU_WRITE, '3');
    if (processor(CPU, scene.mm, MMU_READ, 0) != '3')
        sim_fail("the second MMU writes elsewhere");
    tear_down();
}

/* The child reads what it read, whatever either side writes. */
static void
check_child(void *unused)
{
    (void)unused;
    second(scene.mm, MMU_WRITE, '3');
    if (processor(CHILD, scene.child, MMU_READ, 0) != scene.child_saw)
        sim_fail("the second MMU writes into the child");
    tear_down();
}

static void
check_disk(void *unused)
{
    (void)unused;
    must(aspen_object_sync(scene.object, 0, PAGE));
    if (scene.disk[0] != '2')
        sim_fail("what the second MMU wrote is lost on its way to the file");
    tear_down();
}

/* It is as good as an access of a processor's. */
static void
check_young(void *unused)
{
    uint64_t pages;

    (void)unused;
    must(aspen_young(scene.mm, START, PAGE, ASPEN_YOUNG_CLEAR, &pages));
    second(scene.mm, MMU_READ, 0);
    must(aspen_young(scene.mm, START, PAGE, 0, &pages));
    if (pages != 1)
        sim_fail("an access of the second MMU goes unseen");
    tear_down();
}

/* ---- Scenes ------------------------------------------------------------ */

struct row {
    const char *name;
    enum start start;
    void (*tasks[3])(void *context);
    void (*check)(void *context);
};

static void
explore_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        const struct row *row = &rows[i / 2];
        struct sim_program program = {.setup = setup, .check = row->check};
        char name[100];
        scene.start = row->start;
        scene.held = i % 2;
        while (program.tasks < 3 && row->tasks[program.tasks]) {
            program.task[program.tasks] = row->tasks[program.tasks];
            program.tasks++;
        }
        snprintf(name, sizeof(name), "%s%s", row->name,
                 scene.held ? ", held before" : "");
        explore_holds(name, &program, MOST);
    }
}

#define ROWS(rows) explore_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void
filled_beside_calls(void **state)
{
    static const struct row rows[] = {
        {"read, munmap", ANON, {read_task, munmap_task}, check_nothing},
        {"read, DONTNEED", ANON, {read_task, discard_task}, check_nothing},
        {"write, mprotect", ANON, {write_task, protect_task}, check_nothing},
        {"read, copy", FORKED, {read_task, copy_task}, check_nothing},
        {"write, fork", ANON, {write_task, fork_task}, check_child},
        {"write, resize", SHARED, {write_task, resize_task}, check_nothing},
        {"write, sync", SHARED, {write_task, sync_task}, check_disk},
        {"PAGEOUT, FREE and write",
         ANON,
         {page_out_task, free_and_write_task},
         check_written},
    };

    (void)state;
    ROWS(rows);
}

static void
loaded_beside_calls(void **state)
{
    static const struct row rows[] = {
        {"load, munmap", ANON, {load_task, munmap_task}, check_nothing},
        {"load, DONTNEED", ANON, {load_task, discard_task}, check_nothing},
        {"load, mprotect", ANON, {load_task, protect_task}, check_nothing},
        {"load, copy", FORKED, {load_task, copy_task}, check_nothing},
        {"load, fork", ANON, {load_task, fork_task}, check_child},
        {"load, resize", SHARED, {load_task, resize_task}, check_nothing},
        {"load, sync", SHARED, {load_task, sync_task}, check_nothing},
        {"load, DONTNEED twice",
         ANON,
         {load_task, discard_task, discard_task},
         check_nothing},
    };

    (void)state;
    ROWS(rows);
}

static void
aged_beside_accesses(void **state)
{
    static const struct row rows[] = {
        {"read, COLD", ANON, {read_task, cold_task}, check_young},
        {"read, young", ANON, {read_task, young_task}, check_young},
        {"munmap, young", ANON, {munmap_task, young_task}, check_nothing},
    };

    (void)state;
    ROWS(rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filled_beside_calls),
        cmocka_unit_test(loaded_beside_calls),
        cmocka_unit_test(aged_beside_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
