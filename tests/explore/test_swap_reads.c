/* SPDX-License-Identifier: MIT */
/*
 * Two pages are being read from swap, and nobody waits: the device says that
 * it has, or could not, beside a call or two of those that need them, take them
 * away, or want the slots. Whatever the order, each space reads what was there,
 * or what it wrote; what could not be read is read anew; nobody waits for ever,
 * and nothing is left of the slots.
 */
#include "explore.h"
#include "slots.h"
#include "space/vma.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/memory.h>
#include <aspen/calls/mmap.h>
#include <aspen/calls/reclaim.h>
#include <aspen/account/group.h>

#define FRAMES 512u /* more than CPUs keep: memory is not short */
#define SLOTS  4u
#define PAGES  2u
#define MOST   60u
#define BESIDE (START + 64 * PAGE)
#define OLD    42
#define NEW    43

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child; /* NULL: none */
    bool dropped;
    bool wrote;
    bool unmapped;
    bool removed; /* the device */
    bool fails;   /* what is under way */
    bool holds;
    struct aspen_swap_io *waiting;
    uint8_t slots[SLOTS][PAGE];
};

static struct scene scene;

/* All that its group may have is under way; or NULL. */
static struct aspen_group *group;
static bool full;

static void
submit(void *context, struct aspen_swap_io *io)
{
    (void)context;
    if (scene.holds && !io->write) {
        scene.waiting = io;
        return;
    }
    sim_point(scene.slots[io->slot], io->write);
    aspen_swap_done(io, slots_transfer(scene.slots, io));
}

static void
setup(void *unused)
{
    static const struct aspen_swap_ops ops = {.submit = submit};
    struct aspen_swap_args args = {.pages = SLOTS, .ops = &ops};
    bool fails = scene.fails;
    uint32_t frame;
    unsigned type;

    (void)unused;
    memset(&scene, 0, sizeof(scene));
    scene.fails = fails;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_swap_add(scene.aspen, &args, &type));
    must(aspen_mm_create(scene.aspen, &scene.mm));
    if (full) {
        must(aspen_group_create(scene.aspen, NULL, &group));
        must(aspen_group_enter(scene.mm, group));
    }
    explore_map(scene.mm, START, PAGES, RW, NULL);
    if (full)
        explore_map(scene.mm, BESIDE, 1, RW, NULL);
    for (unsigned i = 0; i < PAGES; i++) {
        must(aspen_fault(scene.mm, START + i * PAGE, ASPEN_ACCESS_WRITE));
        must(aspen_translate(scene.mm, START + i * PAGE, ASPEN_ACCESS_READ,
                             &frame));
        memset(explore_bytes(scene.aspen, frame), OLD, PAGE);
    }
    must(aspen_madvise(scene.mm, START, PAGES * PAGE, ASPEN_MADV_PAGEOUT));
    scene.holds = true;
    must(aspen_madvise(scene.mm, START, PAGES * PAGE, ASPEN_MADV_WILLNEED));
    scene.holds = false;
    if (!scene.waiting || scene.waiting->pages != PAGES)
        sim_fail("the pages are not under way");
    if (full)
        must(aspen_group_limit_set(group, ASPEN_GROUP_MAX, PAGES));
}

/* ---- Check ------------------------------------------------------------- */

static uint8_t
byte_in(struct aspen_mm *mm, unsigned i)
{
    uint64_t at = START + i * PAGE;
    uint32_t frame;

    while (aspen_translate(mm, at, ASPEN_ACCESS_READ, &frame))
        must(aspen_fault(mm, at, ASPEN_ACCESS_READ));
    return *explore_bytes(scene.aspen, frame);
}

static void
check_space(struct aspen_mm *mm)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint8_t byte = byte_in(mm, i);
        if (byte != OLD && !(scene.dropped && byte == 0) &&
            !(scene.wrote && i == 0 && byte == NEW))
            sim_fail("the contents are not what they were");
    }
}

static void
check(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    explore_validate(scene.aspen);
    if (scene.child)
        check_space(scene.child);
    if (!scene.unmapped && scene.mm)
        check_space(scene.mm);
    if (scene.mm && scene.wrote && !scene.dropped && !scene.unmapped &&
        byte_in(scene.mm, 0) != NEW)
        sim_fail("a write is lost");
    explore_validate(scene.aspen);
    if (scene.child)
        aspen_mm_put(scene.child);
    if (scene.mm)
        aspen_mm_put(scene.mm);
    if (full)
        aspen_group_put(group);
    aspen_reclaim(scene.aspen, 1);
    aspen_counters_read(scene.aspen, &counters);
    if (counters.swap_slots_used || counters.swap_cached)
        sim_fail("a slot is left");
    if (scene.removed != (counters.swap_slots == 0))
        sim_fail("the device has not gone");
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
device_task(void *unused)
{
    struct aspen_swap_io *io = scene.waiting;

    (void)unused;
    if (scene.fails) {
        aspen_swap_done(io, -ASPEN_EIO);
        return;
    }
    sim_point(scene.slots[io->slot], false);
    aspen_swap_done(io, slots_transfer(scene.slots, io));
}

static void
read_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
}

static void
read_other_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START + PAGE, ASPEN_ACCESS_READ));
}

static void
write_task(void *unused)
{
    uint8_t byte = NEW;
    uint64_t done;

    (void)unused;
    must(aspen_write_memory(scene.mm, START, &byte, 1, 0, &done));
    scene.wrote = true;
}

static void
willneed_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGES * PAGE, ASPEN_MADV_WILLNEED));
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(scene.aspen, PAGES);
}

static void
dontneed_task(void *unused)
{
    (void)unused;
    scene.dropped = true;
    must(aspen_madvise(scene.mm, START, PAGES * PAGE, ASPEN_MADV_DONTNEED));
}

static void
munmap_task(void *unused)
{
    (void)unused;
    scene.unmapped = true;
    must(aspen_munmap(scene.mm, START, PAGES * PAGE));
}

static void
exit_task(void *unused)
{
    struct aspen_mm *mm = scene.mm;

    (void)unused;
    scene.mm = NULL;
    aspen_mm_put(mm);
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.child));
}

/* One more page: one of those under way has to leave for it. */
static void
grow_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, BESIDE, ASPEN_ACCESS_WRITE));
}

static void
swapoff_task(void *unused)
{
    (void)unused;
    int error = aspen_swap_remove(scene.aspen, 0);
    if (error != -ASPEN_EBUSY)
        must(error);
    scene.removed = !error;
}

/* ---- Tests ------------------------------------------------------------- */

struct row {
    const char *name;
    void (*first)(void *context);
    void (*second)(void *context); /* NULL: it is alone */
};

static void
explore(const struct row *row, uint64_t most)
{
    struct sim_program program = explore_program(
        setup, (void (*const[])(void *)){device_task, row->first, row->second},
        check);
    char title[100];

    program.tasks = row->second ? 3 : 2;
    for (unsigned fails = 0; fails < 2; fails++) {
        scene.fails = fails;
        snprintf(title, sizeof(title), "a read that %s beside %s",
                 fails ? "fails" : "ends", row->name);
        explore_holds(title, &program, most);
    }
}

static void
test_one(void **state)
{
    static const struct row rows[] = {
        {"a fault", read_task, NULL},      {"a write", write_task, NULL},
        {"advice", willneed_task, NULL},   {"reclaim", reclaim_task, NULL},
        {"DONTNEED", dontneed_task, NULL}, {"munmap", munmap_task, NULL},
        {"exit", exit_task, NULL},         {"fork", fork_task, NULL},
        {"swapoff", swapoff_task, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i], 600);
}

static void
test_full(void **state)
{
    static const struct row row = {"a fault of a group that is full", grow_task,
                                   NULL};

    (void)state;
    full = true;
    explore(&row, 600);
    full = false;
}

static void
test_two(void **state)
{
    static const struct row rows[] = {
        {"a fault and one of the other page", read_task, read_other_task},
        {"a fault and reclaim", read_task, reclaim_task},
        {"a fault and swapoff", read_task, swapoff_task},
        {"a write and a fork", write_task, fork_task},
        {"swapoff and munmap", swapoff_task, munmap_task},
        {"swapoff and exit", swapoff_task, exit_task},
        {"swapoff and reclaim", swapoff_task, reclaim_task},
        {"a fault and DONTNEED", read_task, dontneed_task},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i], MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_two),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
