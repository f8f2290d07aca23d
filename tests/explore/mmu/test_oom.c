/* SPDX-License-Identifier: MIT */
/*
 * A space is killed and reaped while its processors go on reading and writing,
 * and beside each call that changes it, over all orders: what was there is read
 * as it was, or not at all; nothing of it is cached when the reaper returns,
 * and nothing comes back.
 */
#include "mmu_scene.h"

#define MOST 1500u
#define NEXT (START + PAGE)

enum start { ANON, COPIED, ZEROES };

static struct {
    enum start start;
    bool exited;      /* its own last user has left */
    bool released;    /* and the reaper */
    uint64_t fail_at; /* the fork's step that fails; 0: none */
} scene;

/* ---- Set up, and afterwards -------------------------------------------- */

static void
setup(void *unused)
{
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.fault_around_pages = 2;
    mmu_scene_begin(&config);
    scene.exited = false;
    scene.released = false;
    must(aspen_mm_activate(mmu_scene.mm, CPU));
    must(aspen_mm_activate(mmu_scene.mm, CHILD));
    if (scene.start == COPIED) {
        struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                         .size_bytes = 2 * PAGE};
        must(aspen_object_create(mmu_scene.aspen, &args, &mmu_scene.object));
    }
    explore_map(mmu_scene.mm, START, 2, RW, mmu_scene.object);
    if (scene.start != ZEROES)
        access_byte(CPU, mmu_scene.mm, START, MMU_WRITE, '1');
    if (scene.start == COPIED)
        must(
            aspen_object_write(mmu_scene.object, PAGE, "f", 1, &(uint64_t){0}));
    aspen_mm_get(mmu_scene.mm); /* the reaper's */
}

static void
check(void *unused)
{
    (void)unused;
    must(aspen_failpoints_set(mmu_scene.aspen, NULL));
    told_put(&mmu_scene.child);
    if (!scene.released)
        aspen_mm_put(mmu_scene.mm);
    if (scene.exited)
        mmu_scene.mm = NULL;
    mmu_scene_end();
}

/* ---- The reaper -------------------------------------------------------- */

static void
reap_task(void *unused)
{
    uint64_t since = mmu_now();

    (void)unused;
    int error = aspen_oom_reap(mmu_scene.mm);
    if (error && error != -ASPEN_EAGAIN)
        sim_fail("the reaper refuses");
    if (!error)
        check_gone(since, MMU_GONE_ALL, "reaping");
    if (!error && aspen_mm_rss(mmu_scene.mm, ASPEN_RSS_ANON))
        sim_fail("a page is there after reaping");
    scene.released = true;
    aspen_mm_put(mmu_scene.mm);
}

static void
kill_task(void *unused)
{
    must(aspen_oom_kill(mmu_scene.mm));
    reap_task(unused);
}

/* What is free goes to another space at once. */
static void
kill_and_use_task(void *unused)
{
    struct aspen_mm *other;

    kill_task(unused);
    must(aspen_mm_create(mmu_scene.aspen, &other));
    explore_map(other, START, 1, RW, NULL);
    must(aspen_fault(other, START, ASPEN_ACCESS_WRITE));
    told_put(&other);
}

/* ---- The killed -------------------------------------------------------- */

/* Any answer but that it is dying is a mistake. */
static int
access_or_die(unsigned cpu, uint64_t address, enum mmu_access access,
              char *byte)
{
    int error = told_run(cpu, mmu_scene.mm, address, access, byte, 1);

    if (error && error != -ASPEN_ESRCH && error != -ASPEN_EFAULT)
        sim_fail("a fault in a space that is reaped answers something else");
    return error;
}

/* It reads what it has written, or nothing more. */
static void
write_and_read_task(void *unused)
{
    char byte = '2';

    (void)unused;
    if (access_or_die(CPU, START, MMU_WRITE, &byte))
        return;
    byte = 0;
    if (!access_or_die(CPU, START, MMU_READ, &byte) && byte != '2')
        sim_fail("what was written is read as something else");
}

static void
read_task(void *unused)
{
    char byte = 0;

    (void)unused;
    if (!access_or_die(CHILD, START, MMU_READ, &byte) && byte != '1' &&
        byte != '2')
        sim_fail("what was there is read as zeroes");
}

/* Its neighbours may come with a page that is read. */
static void
read_next_task(void *unused)
{
    char byte = 0;

    (void)unused;
    if (!access_or_die(CHILD, NEXT, MMU_READ, &byte) && byte != 'f')
        sim_fail("a file is read as something else");
    read_task(unused);
}

static void
exit_task(void *unused)
{
    (void)unused;
    mmu_quiet(mmu_scene.mm->root); /* nothing runs in it any more */
    scene.exited = true;
    aspen_mm_put(mmu_scene.mm);
}

/* ---- Calls ------------------------------------------------------------- */

static void
fork_task(void *unused)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE,
                                        .number = scene.fail_at};

    (void)unused;
    if (scene.fail_at)
        must(aspen_failpoints_set(mmu_scene.aspen, &plan));
    int error = aspen_fork(mmu_scene.mm, &mmu_scene.child);
    must(aspen_failpoints_set(mmu_scene.aspen, NULL));
    if (error == -ASPEN_ESRCH || (error && scene.fail_at))
        return;
    must(error);
    must(aspen_mm_activate(mmu_scene.child, CHILD));
    if (access_byte(CHILD, mmu_scene.child, START, MMU_READ, 0) != '1')
        sim_fail("a child has less than its parent had");
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(mmu_scene.mm, START, PAGE));
}

static void
move_task(void *unused)
{
    struct aspen_mremap_args args = {
        .address = START,
        .old_bytes = PAGE,
        .new_bytes = PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = 64 * PAGE,
    };
    uint64_t at;
    char byte = 0;

    (void)unused;
    must(aspen_mremap(mmu_scene.mm, &args, &at));
    if (!access_or_die(CPU, at, MMU_READ, &byte) && byte != '1')
        sim_fail("what was moved is read as something else");
}

static void
pin_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    int error =
        aspen_pin_range(mmu_scene.mm, START, PAGE, ASPEN_PIN_WRITE, &frame);
    if (error == -ASPEN_ESRCH)
        return;
    must(error);
    if (*(char *)aspen_frame_pointer(mmu_scene.aspen, frame) != '1')
        sim_fail("a page is pinned that is another one");
    must(aspen_unpin(mmu_scene.mm, &frame, 1, 0));
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(mmu_scene.aspen, 2);
}

/* Who was killed is not chosen again; before, he may be. */
static void
select_task(void *unused)
{
    const struct aspen_oom_choice choice = {.patience = 1};
    struct aspen_mm *victim;

    (void)unused;
    bool was_killed = aspen_oom_is_killed(mmu_scene.mm);
    int error = aspen_oom_select(mmu_scene.aspen, &choice, &victim);
    if (!error && was_killed)
        sim_fail("who was killed is chosen");
    if (!error)
        aspen_mm_put(victim);
    else if (error != -ASPEN_EAGAIN && error != -ASPEN_ESRCH)
        sim_fail("a choice is refused");
}

/* Two fight over who kills it; both may reap. */
static void
kill_too_task(void *unused)
{
    (void)unused;
    int error = aspen_oom_kill(mmu_scene.mm);
    if (error && error != -ASPEN_EALREADY)
        sim_fail("killing is refused");
    error = aspen_oom_reap(mmu_scene.mm);
    if (error && error != -ASPEN_EAGAIN)
        sim_fail("the second reaper refuses");
}

static void
kill_first_task(void *unused)
{
    int error = aspen_oom_kill(mmu_scene.mm);
    if (error && error != -ASPEN_EALREADY)
        sim_fail("killing is refused");
    reap_task(unused);
}

/* ---- Scenes ------------------------------------------------------------ */

static void
explore_tasks(const char *name, enum start start,
              void (*const tasks[3])(void *context))
{
    struct sim_program program = explore_program(setup, tasks, check);

    scene.start = start;
    explore_holds(name, &program, MOST);
}

#define SCENE(name, start, ...)                                                \
    explore_tasks(name, start, (void (*const[3])(void *)){__VA_ARGS__})

static void
accesses(void **state)
{
    (void)state;
    scene.fail_at = 0;
    SCENE("kill, write and read", ANON, kill_task, write_and_read_task);
    SCENE("kill, read", ANON, kill_and_use_task, read_task);
    SCENE("kill, first touch, read back", ZEROES, kill_task,
          write_and_read_task);
    SCENE("kill, copied: write and read", COPIED, kill_task,
          write_and_read_task);
    SCENE("kill, copied: the page beside it", COPIED, kill_task,
          read_next_task);
    SCENE("kill, write and read, read", ANON, kill_task, write_and_read_task,
          read_task);
}

static void
calls(void **state)
{
    (void)state;
    scene.fail_at = 0;
    SCENE("kill, exit", ANON, kill_task, exit_task);
    SCENE("kill, fork", ANON, kill_task, fork_task);
    SCENE("kill, munmap", ANON, kill_task, unmap_task);
    SCENE("kill, mremap", ANON, kill_task, move_task);
    SCENE("kill, pin", ANON, kill_task, pin_task);
    SCENE("kill, reclaim", COPIED, kill_task, reclaim_task);
    SCENE("kill, choose", ANON, kill_task, select_task);
    SCENE("kill twice", ANON, kill_first_task, kill_too_task);
}

static void
failing_fork(void **state)
{
    char name[60];

    (void)state;
    for (scene.fail_at = 1; scene.fail_at <= 12; scene.fail_at++) {
        int number = (int)scene.fail_at;
        snprintf(name, sizeof(name), "kill, fork failing at %d", number);
        SCENE(name, ANON, kill_task, fork_task);
        snprintf(name, sizeof(name), "choose, fork failing at %d", number);
        SCENE(name, ANON, select_task, fork_task);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses),
        cmocka_unit_test(calls),
        cmocka_unit_test(failing_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
