/* SPDX-License-Identifier: MIT */
/*
 * A page that goes to swap or comes back, beside another fault, another
 * swap-out, a fork, its removal, in the same space or a child that shares the
 * slot; over all orders, each step failing. Whatever the order, each space
 * reads what was there, or what it wrote, and nothing is left of the slot. The
 * same beside a move of the space from one memory group to another, which
 * leaves nothing behind that it alone has.
 */
#include "explore.h"
#include "frames/frames.h"
#include "group/group.h"
#include "space/vma.h"
#include "swap/swap.h"
#include "slots.h"

#define FRAMES 64u
#define SLOTS  4u
#define MOST   200u
#define OLD    42
#define NEW    43

struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;    /* from the beginning; NULL: none */
    struct aspen_mm *forked;   /* by a task; NULL: none */
    struct aspen_group *group; /* the same */
    bool with_child;
    bool two_devices;
    bool no_device; /* the page stays, until there is one */
    bool swapped;   /* from the beginning */
    bool grouped;
    struct aspen_group *from; /* the parent's at first; if grouped */
    struct aspen_group *to;
    bool moved;    /* the parent is in `to` */
    bool unmapped; /* the parent's page is */
    bool dropped;  /* the parent's page may be */
    bool wrote;    /* the parent */
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
    uint8_t slots[SLOTS][PAGE];
};

static struct scene scene;

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    sim_point(scene.slots[io->slot], io->write);
    return slots_transfer(scene.slots, io);
}

static const struct aspen_swap_ops ops = {.transfer = transfer};

static void
add_device(int32_t priority, unsigned flags)
{
    struct aspen_swap_args args = {
        .pages = SLOTS, .ops = &ops, .priority = priority, .flags = flags};
    unsigned type;

    must_or_planned(aspen_swap_add(scene.aspen, &args, &type));
}

static void
setup(void *unused)
{
    uint32_t frame;

    (void)unused;
    scene.child = NULL;
    scene.forked = NULL;
    scene.group = NULL;
    scene.dropped = false;
    scene.wrote = false;
    scene.aspen = explore_machine(NULL, FRAMES);
    if (!scene.no_device)
        add_device(0, 0);
    if (scene.two_devices)
        add_device(0, 0);
    must(aspen_mm_create(scene.aspen, &scene.parent));
    scene.moved = false;
    scene.unmapped = false;
    if (scene.grouped) {
        must(aspen_group_create(scene.aspen, NULL, &scene.from));
        must(aspen_group_create(scene.aspen, NULL, &scene.to));
        must(aspen_group_enter(scene.parent, scene.from));
    }
    explore_map(scene.parent, START, 1, RW, NULL);
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    must(aspen_translate(scene.parent, START, ASPEN_ACCESS_READ, &frame));
    memset(explore_bytes(scene.aspen, frame), OLD, PAGE);
    if (scene.swapped)
        must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
    if (scene.with_child)
        must(aspen_fork(scene.parent, &scene.child));
    explore_plan(scene.aspen, scene.fail_at);
}

/* ---- Check ------------------------------------------------------------- */

static uint8_t
byte_in(struct aspen_mm *mm)
{
    uint32_t frame;

    while (aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame))
        must(aspen_fault(mm, START, ASPEN_ACCESS_READ));
    return *explore_bytes(scene.aspen, frame);
}

/* Where there are groups each slot knows whose it is. */
static void
check_group(void)
{
    if (!scene.group)
        return;
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++)
        if (scene.aspen->swap[i].slots && !scene.aspen->swap[i].groups)
            sim_fail("an area knows nothing of groups");
    aspen_group_put(scene.group);
}

/* Nobody else has what the parent has. */
static void
check_moved(void)
{
    struct aspen_group_counters counters;

    aspen_group_counters_read(scene.from, &counters);
    if (scene.moved && !scene.forked && (counters.pages || counters.swap_pages))
        sim_fail("a space has left something in its old group");
    aspen_group_counters_read(scene.to, &counters);
    if (!scene.moved && (counters.pages || counters.swap_pages))
        sim_fail("a space that did not go has something in the new group");
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    check_group();
    explore_validate(scene.aspen);
    if (scene.grouped)
        check_moved();
    if (scene.child && byte_in(scene.child) != OLD)
        sim_fail("the child's contents are not what they were");
    uint8_t forked = scene.forked ? byte_in(scene.forked) : OLD;
    if (forked != OLD && !(scene.wrote && forked == NEW) &&
        !(scene.dropped && forked == 0))
        sim_fail("a forked child's contents are not what they were");
    uint8_t parent = scene.unmapped ? 0 : byte_in(scene.parent);
    if (!scene.dropped && !scene.unmapped &&
        parent != (scene.wrote ? NEW : OLD))
        sim_fail("the parent's contents are not what they were");
    explore_validate(scene.aspen);
    if (scene.child)
        aspen_mm_put(scene.child);
    if (scene.forked)
        aspen_mm_put(scene.forked);
    aspen_mm_put(scene.parent);
    if (scene.grouped) {
        aspen_group_put(scene.from);
        aspen_group_put(scene.to);
    }
    struct aspen_counters counters;
    aspen_counters_read(scene.aspen, &counters);
    if (counters.swap_slots_used)
        sim_fail("a slot is left");
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
read_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.parent, START, ASPEN_ACCESS_READ));
}

static void
write_task(void *unused)
{
    uint8_t byte = NEW;
    uint64_t done;

    (void)unused;
    must_or_planned(
        aspen_write_memory(scene.parent, START, &byte, 1, 0, &done));
    scene.wrote = done == 1;
}

static void
pageout_task(void *unused)
{
    (void)unused;
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
dontneed_task(void *unused)
{
    (void)unused;
    scene.dropped = true;
    must_or_planned(
        aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_DONTNEED));
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;

    (void)unused;
    int error = aspen_fork(scene.parent, &child);
    must_or_planned(error);
    if (!error)
        scene.forked = child;
}

static void
child_read_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.child, START, ASPEN_ACCESS_READ));
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
add_area_task(void *unused)
{
    unsigned type;

    (void)unused;
    must_or_planned(aspen_swap_area_add(scene.aspen, SLOTS, &type));
}

static void
add_device_task(void *unused)
{
    (void)unused;
    add_device(0, 0);
}

static void
first_group_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_group_create(scene.aspen, NULL, &scene.group));
}

static void
move_task(void *unused)
{
    (void)unused;
    int error = aspen_group_enter(scene.parent, scene.to);
    must_or_planned(error);
    scene.moved = !error;
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_group_reclaim(scene.from, 1);
}

static void
munmap_task(void *unused)
{
    (void)unused;
    int error = aspen_munmap(scene.parent, START, PAGE);
    must_or_planned(error);
    scene.unmapped = !error;
}

/* The page's frame becomes the embedder's, and is given back. */
static void
other_use_task(void *unused)
{
    struct aspen_frames_args args = {.kind = ASPEN_FRAMES_KERNEL};
    uint32_t frame;

    munmap_task(unused);
    int error = aspen_frames_alloc(scene.aspen, &args, &frame);
    must_or_planned(error);
    if (!error)
        aspen_frames_free(scene.aspen, frame);
}

/* The first device goes, if nobody is at its slots; true: it has. */
static bool
remove_first(void)
{
    int error = aspen_swap_remove(scene.aspen, 0);

    must_or_planned(error == -ASPEN_EBUSY ? 0 : error);
    return !error;
}

/* In its place comes what counts alone, */
static void
replace_by_counts_task(void *unused)
{
    if (remove_first())
        add_area_task(unused);
}

/* ... or another device. */
static void
replace_by_device_task(void *unused)
{
    (void)unused;
    if (remove_first())
        add_device(1, ASPEN_SWAP_ROTATING);
}

/* ---- Tests ------------------------------------------------------------- */

struct row {
    const char *name;
    void (*first)(void *context);
    void (*second)(void *context);
    bool with_child;
};

static uint64_t
count_steps(const struct row *row)
{
    scene.fail_at = 0;
    setup(NULL);
    row->first(NULL);
    row->second(NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
explore(const struct row *row)
{
    struct sim_program program = {
        setup, {row->first, row->second}, 2, check, NULL};
    char title[100];

    scene.with_child = row->with_child;
    for (unsigned swapped = 0; swapped < (scene.no_device ? 1u : 2u);
         swapped++) {
        scene.swapped = swapped;
        uint64_t steps = count_steps(row);
        for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
            snprintf(title, sizeof(title), "%s, page %s, %s %llu", row->name,
                     swapped ? "in swap" : "in memory",
                     scene.fail_at ? "failing at" : "succeeding,",
                     (unsigned long long)scene.fail_at);
            explore_holds(title, &program, MOST);
        }
    }
}

static void
test_pairs(void **state)
{
    static const struct row rows[] = {
        {"a read beside PAGEOUT", read_task, pageout_task, false},
        {"a write beside PAGEOUT", write_task, pageout_task, false},
        {"PAGEOUT beside PAGEOUT", pageout_task, pageout_task, false},
        {"a read beside a read", read_task, read_task, false},
        {"a read beside a write", read_task, write_task, false},
        {"a read beside a fork", read_task, fork_task, false},
        {"a write beside a fork", write_task, fork_task, false},
        {"PAGEOUT beside a fork", pageout_task, fork_task, false},
        {"a read beside DONTNEED", read_task, dontneed_task, false},
        {"PAGEOUT beside DONTNEED", pageout_task, dontneed_task, false},
        {"a read beside a child's", read_task, child_read_task, true},
        {"a write beside a child's read", write_task, child_read_task, true},
        {"a write beside a child's exit", write_task, child_exit_task, true},
        {"PAGEOUT beside a child's exit", pageout_task, child_exit_task, true},
        {"DONTNEED beside a child's read", dontneed_task, child_read_task,
         true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i]);
}

/* Areas come and go, and what comes may be of another kind. */
static void
test_areas(void **state)
{
    static const struct row rows[] = {
        {"PAGEOUT beside a device that becomes counts", pageout_task,
         replace_by_counts_task, false},
        {"a read beside a device that becomes another", read_task,
         replace_by_device_task, false},
        {"an area that comes beside one that goes", add_area_task,
         replace_by_counts_task, false},
        {"a first group beside an area that comes", first_group_task,
         add_area_task, false},
        {"a first group beside an area that comes for another",
         first_group_task, replace_by_counts_task, false},
    };
    static const struct row of_two = {
        "PAGEOUT beside one of two that becomes another", pageout_task,
        replace_by_device_task, false};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i]);
    scene.two_devices = true;
    explore(&of_two);
    scene.two_devices = false;
}

/* A group's charge beside a space that moves. */
static void
test_groups(void **state)
{
    static const struct row rows[] = {
        {"a move beside a read", move_task, read_task, false},
        {"a move beside a write", move_task, write_task, false},
        {"a move beside PAGEOUT", move_task, pageout_task, false},
        {"a move beside a group's reclaim", move_task, reclaim_task, false},
        {"a move beside a fork", move_task, fork_task, false},
        {"a move beside DONTNEED", move_task, dontneed_task, false},
        {"a move beside munmap", move_task, munmap_task, false},
        {"a move beside a device that comes", move_task, add_device_task,
         false},
    };
    static const struct row first[] = {
        {"a move beside the first device", move_task, add_device_task, false},
        {"a frame that finds another use beside the first device",
         other_use_task, add_device_task, false},
    };

    (void)state;
    scene.grouped = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        explore(&rows[i]);
    scene.no_device = true;
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        explore(&first[i]);
    scene.no_device = false;
    scene.grouped = false;
}

/* ---- A slot that is another page's by the time it is read --------------- */

/* Whoever reads slots gets nothing. *late: the page was dropped before. */
static int
bad_transfer(void *context, const struct aspen_swap_io *io)
{
    bool *late = context;

    if (io->write)
        return 0;
    sim_point(&scene.dropped, false);
    *late = scene.dropped;
    return -ASPEN_EIO;
}

static bool late;

static void
setup_bad(void *unused)
{
    static const struct aspen_swap_ops bad = {.transfer = bad_transfer};
    struct aspen_swap_args args = {.pages = 1, .ops = &bad, .context = &late};
    unsigned type;

    (void)unused;
    scene.dropped = false;
    late = false;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_swap_add(scene.aspen, &args, &type));
    must(aspen_mm_create(scene.aspen, &scene.parent));
    explore_map(scene.parent, START, 2, RW, NULL);
    for (unsigned i = 0; i < 2; i++)
        must(aspen_fault(scene.parent, START + i * PAGE, ASPEN_ACCESS_WRITE));
    must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

/* The slot cannot be read, which is no affair of who has nothing there. */
static void
read_bad_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(scene.parent, START, ASPEN_ACCESS_READ);
    if (error && (error != -ASPEN_EIO || late))
        sim_fail("a fault hears of another page's slot");
}

static void
drop_and_reuse_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_DONTNEED));
    sim_point(&scene.dropped, true);
    scene.dropped = true;
    must(aspen_madvise(scene.parent, START + PAGE, PAGE, ASPEN_MADV_PAGEOUT));
}

static void
check_bad(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.parent);
    explore_machine_end(scene.aspen);
}

static void
test_slot_of_another(void **state)
{
    struct sim_program program = {
        setup_bad, {read_bad_task, drop_and_reuse_task}, 2, check_bad, NULL};

    (void)state;
    explore_holds("a read beside a slot that becomes another's", &program,
                  10 * MOST);
}

/* ---- A slot that is just being taken ------------------------------------ */

static void
setup_stale(void *unused)
{
    scene.swapped = false;
    scene.with_child = false;
    scene.fail_at = 0;
    setup(unused);
}

/* Who has looked at an entry, and was slow, reads the slot when it is another
 * page's. */
static void
read_stale_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    must(aspen_swap_read(scene.aspen, NULL, aspen_entry_make_swap(0, 0), 0,
                         &frame));
    if (frame != ASPEN_NO_FRAME)
        aspen_frame_put(scene.aspen, frame);
}

static void
test_slot_that_is_taken(void **state)
{
    struct sim_program program = {
        setup_stale, {read_stale_task, pageout_task}, 2, check, NULL};

    (void)state;
    explore_holds("a read of a slot beside who takes it", &program, 10 * MOST);
}

/* ---- A slot that goes to another group while it is read ----------------- */

static void
setup_slot(void *unused)
{
    scene.grouped = true;
    scene.swapped = true;
    scene.with_child = false;
    scene.fail_at = 0;
    setup(unused);
}

/* The slot alone goes; then another reads it, who may have to wait. */
static void
move_slot_task(void *unused)
{
    struct aspen_group_transfer transfer = {
        .from = scene.from, .to = scene.to, .slots = 1};

    must(aspen_group_transfer_begin(&transfer));
    int error = aspen_swap_regroup(scene.aspen, 0, 0, true, ASPEN_NO_FRAME,
                                   scene.from, scene.to);
    if (error && error != -ASPEN_EAGAIN)
        sim_fail("the slot is another's");
    aspen_group_transfer_end(&transfer, 0, error ? 0 : 1);
    read_stale_task(unused);
}

static void
check_slot(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    if (byte_in(scene.parent) != OLD)
        sim_fail("the contents are not what they were");
    aspen_mm_put(scene.parent);
    aspen_group_put(scene.from);
    aspen_group_put(scene.to);
    explore_machine_end(scene.aspen);
}

static void
test_slot_that_moves(void **state)
{
    struct sim_program program = {
        setup_slot, {read_stale_task, move_slot_task}, 2, check_slot, NULL};

    (void)state;
    explore_holds("a read of a slot that goes to another group", &program,
                  20 * MOST);
    scene.grouped = false;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_that_is_taken),
        cmocka_unit_test(test_slot_that_moves),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_areas),
        cmocka_unit_test(test_slot_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
