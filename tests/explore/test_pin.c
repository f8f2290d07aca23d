/* SPDX-License-Identifier: MIT */
/*
 * A pin beside what could take the page away, over all orders, each step
 * failing: fork, a write fault in the same space, a write fault or the exit of
 * the child that shares the page, PAGEOUT. Whatever the order, the page that is
 * pinned is the one that the program has, and no child has it.
 */
#include "explore.h"
#include "frames/pins.h"
#include "space/vma.h"

#define FRAMES (scene.with_huge ? 2048u : 128u)
#define HUGE   (512 * PAGE)
#define MOST   4000u

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child; /* NULL: none */
    uint32_t frame;         /* pinned, or ASPEN_NO_FRAME */
    uint32_t huge;          /* with_huge: pinned from the beginning */
    unsigned flags;         /* of the pin */
    bool unpin;             /* pinned at first, and given back */
    bool with_child;        /* from the beginning */
    bool with_huge;         /* a huge page is pinned as well */
    bool with_swap;         /* and a fork comes after all else */
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
};

static struct scene scene;

/* ---- Set-up and check -------------------------------------------------- */

static uint32_t
frame_at(struct aspen_mm *mm)
{
    uint32_t frame;

    if (scene.with_swap)
        while (aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame))
            must(aspen_fault(mm, START, ASPEN_ACCESS_READ));
    must(aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame));
    return frame;
}

/* A device that keeps one page. */
static int
transfer(void *context, const struct aspen_swap_io *io)
{
    static uint8_t kept[PAGE];

    (void)context;
    if (io->write)
        memcpy(kept, io->memory[0], PAGE);
    else
        memcpy(io->memory[0], kept, PAGE);
    return 0;
}

static void
add_swap(void)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    unsigned type;

    must(aspen_swap_add(scene.aspen,
                        &(struct aspen_swap_args){.pages = 1, .ops = &ops},
                        &type));
}

/* One mapping, which begins with the page and ends with a huge one. */
static void
map_with_huge(void)
{
    struct aspen_import_vma vma = {
        .start = START,
        .end = 2 * HUGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_MAYREAD |
                    ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages page = {
        .address = HUGE, .count = 1, .level = 1, .kind = ASPEN_IMPORT_ANON};
    uint64_t done;

    must(aspen_import_vma(scene.parent, &vma));
    must(aspen_import_pages(scene.parent, &page, &done));
    must(aspen_pin_range(scene.parent, HUGE, PAGE, 0, &scene.huge));
}

static void
map(void)
{
    if (scene.with_huge)
        map_with_huge();
    else
        explore_map(scene.parent, START, 1, RW, NULL);
}

static void
setup(void *unused)
{
    (void)unused;
    scene.child = NULL;
    scene.frame = ASPEN_NO_FRAME;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.parent));
    if (scene.with_swap)
        add_swap();
    map();
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    explore_bytes(scene.aspen, frame_at(scene.parent))[0] = 42;
    if (scene.unpin)
        must(aspen_pin_range(scene.parent, START, PAGE, scene.flags,
                             &scene.frame));
    if (scene.with_child)
        must(aspen_fork(scene.parent, &scene.child));
    explore_plan(scene.aspen, scene.fail_at);
}

/* The program's page is the pinned one, also when it writes; the child's is
 * another. */
static void
check_pinned(void)
{
    if (frame_at(scene.parent) != scene.frame)
        sim_fail("the program has another page than the one that is pinned");
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    if (frame_at(scene.parent) != scene.frame)
        sim_fail("a write took the program away from the pinned page");
    if (aspen_frame_pins(scene.aspen, scene.frame) != 1)
        sim_fail("the pin is not counted");
    if (scene.child && frame_at(scene.child) == scene.frame)
        sim_fail("a child has the pinned page");
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    explore_validate(scene.aspen);
    if (scene.with_swap)
        must(aspen_fork(scene.parent, &scene.child));
    if (explore_bytes(scene.aspen, frame_at(scene.parent))[0] != 42)
        sim_fail("contents are lost");
    if (scene.child &&
        explore_bytes(scene.aspen, frame_at(scene.child))[0] != 42)
        sim_fail("the child's contents are lost");
    if (scene.frame != ASPEN_NO_FRAME) {
        check_pinned();
        must(aspen_unpin(scene.parent, &scene.frame, 1, ASPEN_UNPIN_DIRTY));
    }
    if (scene.with_huge)
        must(aspen_unpin(scene.parent, &scene.huge, 1, ASPEN_UNPIN_DIRTY));
    if (scene.child)
        aspen_mm_put(scene.child);
    explore_validate(scene.aspen);
    aspen_mm_put(scene.parent);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
unpin_task(void *unused)
{
    uint32_t frame = scene.frame;

    (void)unused;
    scene.frame = ASPEN_NO_FRAME;
    must(aspen_unpin(scene.parent, &frame, 1, 0));
}

/* More than the space has, or, with a huge page, a frame that is not pinned. */
static void
wrong_unpin_task(void *unused)
{
    const uint32_t frames[] = {scene.frame,
                               scene.with_huge ? FRAMES - 1 : scene.frame};

    (void)unused;
    if (aspen_unpin(scene.parent, frames, 2, 0) != -ASPEN_EINVAL)
        sim_fail("what is not pinned was given back");
}

static void
pin_task(void *unused)
{
    uint32_t frame;

    if (scene.unpin) {
        unpin_task(unused);
        return;
    }
    int error = aspen_pin_range(scene.parent, START, PAGE, scene.flags, &frame);
    must_or_planned(error);
    if (!error)
        scene.frame = frame;
}

static void
fork_task(void *unused)
{
    struct aspen_mm *child;

    (void)unused;
    int error = aspen_fork(scene.parent, &child);
    must_or_planned(error);
    if (!error)
        scene.child = child;
}

static void
write_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
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
page_out_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.parent, START, PAGE, ASPEN_MADV_PAGEOUT));
}

/* ---- Tests ------------------------------------------------------------- */

/* One after the other: how many steps there are to fail. */
static uint64_t
count_steps(void (*other)(void *))
{
    scene.fail_at = 0;
    setup(NULL);
    pin_task(NULL);
    other(NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
beside(const char *name, void (*other)(void *), bool with_child)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool unpin;
    } pins[] = {
        {"pin to read", 0, false},
        {"pin to write", ASPEN_PIN_WRITE, false},
        {"unpin", 0, true},
    };
    struct sim_program program = {setup, {pin_task, other}, 2, check, NULL};
    char title[80];

    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++) {
        scene.flags = pins[i].flags;
        scene.unpin = pins[i].unpin;
        scene.with_child = with_child;
        uint64_t steps = count_steps(other);
        for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
            snprintf(title, sizeof(title), "%s beside %s, %s %llu",
                     pins[i].name, name,
                     scene.fail_at ? "failing at" : "succeeding,",
                     (unsigned long long)scene.fail_at);
            explore_holds(title, &program, MOST);
        }
    }
}

static void
test_fork(void **state)
{
    (void)state;
    beside("a fork", fork_task, false);
}

/* What fork has ready for a page that is given back is not for the next one,
 * which is of another size. */
static void
test_huge(void **state)
{
    struct sim_program program = {setup, {pin_task, fork_task}, 2, check, NULL};

    (void)state;
    scene.with_huge = true;
    scene.unpin = true;
    scene.with_child = false;
    scene.fail_at = 0;
    explore_holds("unpin beside a fork, and a huge page", &program, 100);
    scene.with_huge = false;
}

/* Who gives back what is not pinned takes nobody's pin, not for a moment. */
static void
test_wrong(void **state)
{
    struct sim_program fork = {
        setup, {wrong_unpin_task, fork_task}, 2, check, NULL};
    struct sim_program unpin = {
        setup, {wrong_unpin_task, unpin_task}, 2, check, NULL};

    (void)state;
    scene.unpin = true;
    scene.with_child = false;
    scene.fail_at = 0;
    for (unsigned i = 0; i < 2; i++) {
        scene.with_huge = i;
        explore_holds(i ? "a wrong unpin beside a fork, and a huge page"
                        : "a wrong unpin beside a fork",
                      &fork, MOST);
        explore_holds(i ? "a wrong unpin beside an unpin, and a huge page"
                        : "a wrong unpin beside an unpin",
                      &unpin, MOST);
    }
    scene.with_huge = false;
}

static void
test_write(void **state)
{
    (void)state;
    beside("a write", write_task, true);
}

static void
test_child_write(void **state)
{
    (void)state;
    beside("a child's write", child_write_task, true);
}

static void
test_child_exit(void **state)
{
    (void)state;
    beside("a child's exit", child_exit_task, true);
}

/* Fork tells by the pin that a page is not to be shared: so none is in swap. */
static void
test_page_out(void **state)
{
    (void)state;
    scene.with_swap = true;
    beside("PAGEOUT", page_out_task, false);
    scene.with_swap = false;
}

/* ---- A space that has ended -------------------------------------------- */

/* Two who have pinned the page are all that is left of the space. */
static void
setup_ended(void *unused)
{
    uint32_t again;

    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.parent));
    explore_map(scene.parent, START, 1, RW | ASPEN_VM_SHARED, NULL);
    must(aspen_pin_range(scene.parent, START, PAGE, 0, &scene.frame));
    must(aspen_pin_range(scene.parent, START, PAGE, 0, &again));
    aspen_mm_put(scene.parent);
}

static void
give_back_task(void *unused)
{
    (void)unused;
    must(aspen_unpin(scene.parent, &scene.frame, 1, ASPEN_UNPIN_DIRTY));
}

static void
check_ended(void *unused)
{
    (void)unused;
    explore_machine_end(scene.aspen);
}

/* The space goes with the last of them, and the other one is not done yet. */
static void
test_ended(void **state)
{
    struct sim_program program = {
        setup_ended, {give_back_task, give_back_task}, 2, check_ended, NULL};

    (void)state;
    explore_holds("two unpins when the space has ended", &program, MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended),      cmocka_unit_test(test_fork),
        cmocka_unit_test(test_huge),       cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_write),      cmocka_unit_test(test_child_write),
        cmocka_unit_test(test_child_exit), cmocka_unit_test(test_page_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
