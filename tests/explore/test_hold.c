/* SPDX-License-Identifier: MIT */
/*
 * Bytes copied into a space beside what could take the page away or share it,
 * over all orders, each step failing. The page begins in each of the states
 * that decide who has it. Every writer - a copy, a forced one, an atomic step,
 * a device that has pinned the page, the program itself - has a byte of its own
 * there: afterwards it is what was written, whoever wrote beside, and no child
 * that was made before has it.
 */
#include "explore.h"
#include "paging/table.h"
#include "space/vma.h"

#define FRAMES  64u
#define MOST    1000u
#define WRITERS 3u
#define OLD     42
#define NEW     43

/* What stands at the page when the tasks begin. */
enum page {
    WRITABLE, /* the program's */
    ALONE,    /* so, but read-only since a fork */
    SHARED,   /* with a child */
    ZERO,     /* the zero page; the bytes that were are 0 */
    NOTHING,
    LAZY, /* the program's, freed lazily */
};

static const char *const page_names[] = {"writable", "alone",   "shared",
                                         "zero",     "nothing", "lazy"};

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;  /* from the beginning; NULL: none */
    struct aspen_mm *forked; /* by a task; NULL: none */
    enum page page;
    bool read_only; /* the mapping is: the program cannot write */
    unsigned flags; /* of copies */
    uint8_t old;
    bool wrote[WRITERS];         /* writer n's byte is there */
    bool forked_with[WRITERS];   /* it was before fork began */
    uint8_t forked_saw[WRITERS]; /* what the child had when fork returned */
    bool dropped;                /* by munmap, DONTNEED: nothing may be left */
    bool unmapped;
    bool child_dropped;
    uint32_t pinned; /* or ASPEN_NO_FRAME */
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
};

static struct scene scene;

/* ---- Set-up ------------------------------------------------------------ */

static unsigned
at(unsigned writer)
{
    return 64 * writer;
}

static uint64_t
entry_now(void)
{
    struct aspen_slot slot;

    aspen_port_rcu_read_lock();
    uint64_t entry = aspen_table_walk(scene.parent, START, &slot);
    aspen_port_rcu_read_unlock();
    return aspen_entry_is_leaf(entry, slot.level) ? entry : 0;
}

static void
set_up_page(void)
{
    scene.old = OLD;
    if (scene.page == ZERO || scene.page == NOTHING) {
        scene.old = 0;
        if (scene.page == ZERO)
            must(aspen_fault(scene.parent, START, ASPEN_ACCESS_READ));
        return;
    }
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    memset(explore_bytes(scene.aspen, (uint32_t)aspen_entry_frame(entry_now())),
           OLD, PAGE);
    if (scene.page == WRITABLE)
        return;
    if (scene.page == LAZY) {
        must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_FREE));
        return;
    }
    must(aspen_fork(scene.parent, &scene.child));
    if (scene.page == ALONE) {
        aspen_mm_put(scene.child);
        scene.child = NULL;
    }
}

static void
setup(void *unused)
{
    (void)unused;
    scene.child = NULL;
    scene.forked = NULL;
    scene.pinned = ASPEN_NO_FRAME;
    scene.dropped = false;
    scene.unmapped = false;
    scene.child_dropped = false;
    memset(scene.wrote, 0, sizeof(scene.wrote));
    memset(scene.forked_with, 0, sizeof(scene.forked_with));
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.parent));
    explore_map(scene.parent, START, 2, RW, NULL);
    set_up_page();
    if (scene.read_only)
        must(aspen_mprotect(scene.parent, START, PAGE, ASPEN_VM_READ,
                            ASPEN_PKEY_SAME));
    explore_plan(scene.aspen, scene.fail_at);
}

/* ---- Check ------------------------------------------------------------- */

static uint8_t
byte_at(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;

    /* What was never touched, or was dropped, is zeroes. */
    if (aspen_translate(mm, address, ASPEN_ACCESS_READ, &frame))
        return 0;
    return explore_bytes(scene.aspen, frame)[address % PAGE];
}

static uint8_t
byte_in(struct aspen_mm *mm, unsigned writer)
{
    return byte_at(mm, START + at(writer));
}

static void
check_parent(unsigned writer)
{
    uint8_t byte = byte_in(scene.parent, writer);

    if (scene.unmapped || (scene.dropped && byte == 0))
        return;
    if (scene.page == LAZY && !scene.wrote[writer] && byte == 0)
        return;
    if (byte != (scene.wrote[writer] ? NEW : scene.old))
        sim_fail("a byte did not reach the space");
}

/* It shared the page, or had nothing to share, before anybody wrote. */
static void
check_child(unsigned writer)
{
    if (scene.child && !scene.child_dropped &&
        byte_in(scene.child, writer) != scene.old)
        sim_fail("a byte reached a child, or was lost there");
}

static void
check_forked(unsigned writer)
{
    if (!scene.forked)
        return;
    uint8_t byte = byte_in(scene.forked, writer);
    if (scene.forked_with[writer] && byte != NEW)
        sim_fail("a child lacks a byte from before it was made");
    if (byte != scene.forked_saw[writer])
        sim_fail("a byte reached a child after it was made");
    if (byte != scene.old && byte != NEW)
        sim_fail("a child lost a byte");
}

static void
check_pinned(void)
{
    if (scene.pinned == ASPEN_NO_FRAME)
        return;
    if (!scene.dropped && aspen_entry_frame(entry_now()) != scene.pinned)
        sim_fail("the program has another page than the pinned one");
    must(aspen_unpin(scene.parent, &scene.pinned, 1, ASPEN_UNPIN_DIRTY));
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    explore_validate(scene.aspen);
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        check_parent(writer);
        check_child(writer);
        check_forked(writer);
        if (byte_at(scene.parent, START + PAGE + at(writer)))
            sim_fail("a byte reached another page");
    }
    check_pinned();
    if (scene.child)
        aspen_mm_put(scene.child);
    if (scene.forked)
        aspen_mm_put(scene.forked);
    aspen_mm_put(scene.parent);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
copy_as(unsigned writer)
{
    uint8_t byte = NEW;
    uint64_t done;

    int error = aspen_write_memory(scene.parent, START + at(writer), &byte, 1,
                                   scene.flags, &done);
    if (error != -ASPEN_EFAULT || !scene.unmapped)
        must_or_planned(error);
    if (done != (error ? 0 : 1))
        sim_fail("the count is wrong");
    scene.wrote[writer] = !error;
}

static void
copy_task(void *unused)
{
    (void)unused;
    copy_as(0);
}

static void
copy_too_task(void *unused)
{
    (void)unused;
    copy_as(1);
}

/* An atomic step on a word that the kernel shares with the program. */
static void
step_task(void *unused)
{
    const uint64_t address = START + at(1);
    uint32_t word = scene.old * 0x01010101u, before;
    int error;

    (void)unused;
    for (;;) {
        error = aspen_futex_compare_exchange(scene.parent, address, word,
                                             (word & ~0xffu) | NEW, &before);
        if (error || before == word)
            break;
        word = before; /* the page was dropped, or freed */
    }
    must_or_planned(error);
    scene.wrote[1] = !error;
}

/* A store, as a processor does it: at that moment its entry is writable. 0, or
 * an error of the fault. */
static int
store_as(unsigned writer)
{
    for (;;) {
        uint64_t entry = entry_now();
        int error;
        if (!(aspen_entry_bits(entry) & ASPEN_ENTRY_WRITE)) {
            error = aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE);
            if (error)
                return error;
            continue;
        }
        uint8_t *page =
            explore_bytes(scene.aspen, (uint32_t)aspen_entry_frame(entry));
        struct aspen_slot slot;
        aspen_table_walk(scene.parent, START, &slot);
        sim_point(page, true);
        if (*(volatile uint64_t *)slot.entry != entry)
            continue;
        page[at(writer)] = NEW;
        scene.wrote[writer] = true;
        return 0;
    }
}

static void
store_task(void *unused)
{
    (void)unused;
    must_or_planned(store_as(2));
}

/* The program makes the mapping writable first. */
static void
protect_task(void *unused)
{
    (void)unused;
    int error = aspen_mprotect(scene.parent, START, PAGE, RW, ASPEN_PKEY_SAME);
    must_or_planned(error);
    if (!error)
        must_or_planned(store_as(2));
}

/* A device: what it writes while the page is pinned is the program's. */
static void
device_as(unsigned writer, unsigned flags, bool unpin)
{
    uint32_t frame;

    int error = aspen_pin_range(scene.parent, START, PAGE, flags, &frame);
    must_or_planned(error);
    if (error)
        return;
    if (flags & ASPEN_PIN_WRITE) {
        sim_point(explore_bytes(scene.aspen, frame), true);
        explore_bytes(scene.aspen, frame)[at(writer)] = NEW;
        scene.wrote[writer] = true;
    }
    if (unpin)
        must(aspen_unpin(scene.parent, &frame, 1, ASPEN_UNPIN_DIRTY));
    else
        scene.pinned = frame;
}

static void
pin_task(void *unused)
{
    (void)unused;
    device_as(1, scene.read_only ? 0 : ASPEN_PIN_WRITE, false);
}

static void
device_task(void *unused)
{
    (void)unused;
    device_as(1, scene.read_only ? 0 : ASPEN_PIN_WRITE, true);
}

/* The bytes of the page are read now, as others may write them. */
static void
look_at(struct aspen_mm *mm)
{
    uint32_t frame;

    if (!aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame))
        sim_point(explore_bytes(scene.aspen, frame), false);
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;
    bool before[WRITERS];

    (void)unused;
    memcpy(before, scene.wrote, sizeof(before));
    int error = aspen_fork(scene.parent, &child);
    must_or_planned(error);
    if (!error) {
        memcpy(scene.forked_with, before, sizeof(before));
        scene.forked = child;
        look_at(child);
        for (unsigned writer = 0; writer < WRITERS; writer++)
            scene.forked_saw[writer] = byte_in(child, writer);
    }
}

static void
child_write_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.child, START, ASPEN_ACCESS_WRITE));
}

static void
child_exit_task(void *unused)
{
    struct aspen_mm *child = scene.child;

    (void)unused;
    scene.child = NULL;
    aspen_mm_put(child);
}

static void
read_task(void *unused)
{
    uint8_t byte;
    uint64_t done;

    (void)unused;
    int error = aspen_read_memory(scene.parent, START, &byte, 1, 0, &done);
    must_or_planned(error);
    if (!error && byte != scene.old && byte != NEW)
        sim_fail("a byte that was never there is read");
}

/* The child reads what was there when it was made, or what it has dropped; and
 * what it copies comes after the page was found. */
static void
child_read_task(void *unused)
{
    uint8_t byte;
    uint64_t done;

    (void)unused;
    must_or_planned(
        aspen_read_memory(scene.child, START + at(2), &byte, 1, 0, &done));
    if (done && byte != scene.old && byte != 0)
        sim_fail("a child reads what was written after it was made");
}

static void
child_dontneed_task(void *unused)
{
    (void)unused;
    scene.child_dropped = true;
    must_or_planned(
        aspen_madvise(scene.child, START, PAGE, ASPEN_MADV_DONTNEED));
}

/* The page is dropped; the memory that it was is what the next page gets. */
static void
dontneed_task(void *unused)
{
    (void)unused;
    scene.dropped = true; /* from now on it may be */
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_DONTNEED));
    must_or_planned(
        aspen_fault(scene.parent, START + PAGE, ASPEN_ACCESS_WRITE));
}

static void
free_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_FREE));
}

/* Of what is freed lazily it takes what nobody has written since. */
static void
pageout_task(void *unused)
{
    (void)unused;
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
unmap_task(void *unused)
{
    (void)unused;
    scene.unmapped = true; /* from now on it may be */
    int error = aspen_munmap(scene.parent, START, PAGE);
    must_or_planned(error);
    if (error)
        scene.unmapped = false;
}

/* ---- Tests ------------------------------------------------------------- */

struct beside {
    const char *name;
    void (*tasks[SIM_TASKS])(void *context);
    enum page first; /* pages to begin with: [first, last] */
    enum page last;
};

/* One after the other: how many steps there are to fail. */
static uint64_t
count_steps(const struct sim_program *program)
{
    scene.fail_at = 0;
    setup(NULL);
    for (unsigned i = 0; i < program->tasks; i++)
        program->task[i](NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
explore(const struct beside *beside, const struct sim_program *program)
{
    char title[100];
    /* Where there is a page, steps that fail come nearer to its races. */
    uint64_t steps = scene.page <= SHARED ? count_steps(program) : 0;

    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        snprintf(title, sizeof(title), "%s, %spage %s, %s %llu", beside->name,
                 scene.read_only ? "read-only " : "", page_names[scene.page],
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, program, MOST);
    }
}

static void
run(const struct beside *rows, size_t count, unsigned flags, bool read_only)
{
    scene.flags = flags;
    scene.read_only = read_only;
    for (size_t i = 0; i < count; i++) {
        struct sim_program program =
            explore_program(setup, rows[i].tasks, check);
        for (scene.page = rows[i].first; scene.page <= rows[i].last;
             scene.page++)
            explore(&rows[i], &program);
    }
}

#define RUN(rows, flags, read_only)                                            \
    run(rows, sizeof(rows) / sizeof((rows)[0]), flags, read_only)

/* The program may write, too. */
static void
test_plain(void **state)
{
    static const struct beside rows[] = {
        {"a copy beside a store", {copy_task, store_task}, WRITABLE, NOTHING},
        {"a copy beside a copy", {copy_task, copy_too_task}, WRITABLE, NOTHING},
        {"a copy beside a fork", {copy_task, fork_task}, WRITABLE, SHARED},
        {"a copy beside a child's write",
         {copy_task, child_write_task},
         SHARED,
         SHARED},
        {"a copy beside a child's exit",
         {copy_task, child_exit_task},
         SHARED,
         SHARED},
        {"a copy beside munmap", {copy_task, unmap_task}, WRITABLE, SHARED},
        {"a copy beside DONTNEED",
         {copy_task, dontneed_task},
         WRITABLE,
         SHARED},
        {"a copy beside a pin", {copy_task, pin_task}, WRITABLE, SHARED},
        {"a copy beside a reader", {copy_task, read_task}, WRITABLE, SHARED},
        {"a store beside a device",
         {store_task, device_task},
         WRITABLE,
         SHARED},
        {"a step beside a store", {step_task, store_task}, WRITABLE, NOTHING},
        {"a step beside a copy", {step_task, copy_task}, WRITABLE, NOTHING},
        {"a step beside a fork", {step_task, fork_task}, WRITABLE, SHARED},
        {"a step beside a child's exit",
         {step_task, child_exit_task},
         SHARED,
         SHARED},
        {"a step beside PAGEOUT", {step_task, pageout_task}, LAZY, LAZY},
        {"a store beside a reader", {store_task, read_task}, WRITABLE, SHARED},
        {"a copy beside PAGEOUT", {copy_task, pageout_task}, LAZY, LAZY},
        {"a store beside PAGEOUT", {store_task, pageout_task}, LAZY, LAZY},
        {"a device beside PAGEOUT", {device_task, pageout_task}, LAZY, LAZY},
    };

    (void)state;
    RUN(rows, 0, false);
}

static void
test_forced(void **state)
{
    static const struct beside rows[] = {
        {"a forced copy beside a store",
         {copy_task, store_task},
         WRITABLE,
         SHARED},
        {"a forced copy beside DONTNEED",
         {copy_task, dontneed_task},
         WRITABLE,
         SHARED},
    };

    (void)state;
    RUN(rows, ASPEN_MEMORY_FORCE, false);
}

/* The program may only read: a forced copy leaves the entry so. */
static void
test_read_only(void **state)
{
    static const struct beside rows[] = {
        {"a forced copy beside another",
         {copy_task, copy_too_task},
         WRITABLE,
         NOTHING},
        {"a forced copy beside mprotect and a store",
         {copy_task, protect_task},
         WRITABLE,
         SHARED},
        {"a forced copy beside a fork",
         {copy_task, fork_task},
         WRITABLE,
         SHARED},
        {"a forced copy beside a pin", {copy_task, pin_task}, WRITABLE, SHARED},
        {"a forced copy beside a device",
         {copy_task, device_task},
         WRITABLE,
         SHARED},
        {"a forced copy beside DONTNEED",
         {copy_task, dontneed_task},
         WRITABLE,
         SHARED},
        {"a forced copy beside PAGEOUT", {copy_task, pageout_task}, LAZY, LAZY},
    };

    (void)state;
    RUN(rows, ASPEN_MEMORY_FORCE, true);
}

/* What FREE makes read-only a store takes back by a fault. */
static void
test_three(void **state)
{
    static const struct beside rows[] = {
        {"a copy beside FREE and a store",
         {copy_task, free_task, store_task},
         WRITABLE,
         ALONE},
        {"a copy, a copy and a store",
         {copy_task, copy_too_task, store_task},
         ALONE,
         SHARED},
        {"a copy, a child's exit and a store",
         {copy_task, child_exit_task, store_task},
         SHARED,
         SHARED},
        {"a child that reads and drops, and a store",
         {child_read_task, child_dontneed_task, store_task},
         SHARED,
         SHARED},
    };

    (void)state;
    RUN(rows, 0, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_forced),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
