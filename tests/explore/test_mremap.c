/* SPDX-License-Identifier: MIT */
/*
 * A reverse-map walker beside an mremap that moves a page, over all orders,
 * each step failing: the walker finds the page exactly once at every moment,
 * however much of the move is done; and so does a walk beside a fault. The
 * first fault of all brings page tables that the move has to have room for, and
 * one next to what moves brings a table of which nothing moves.
 */
#include "explore.h"
#include "rmap/rmap.h"
#include "space/vma.h"

#define TARGET (1024 * PAGE)
#define FRAMES 128u
#define MOST   4000u

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *object; /* NULL: private zeroes */
    uint32_t frame;              /* with a reference of the scene's */
    bool shared;
    bool faults; /* the other task faults instead of walking */
    bool cold;   /* nothing is there yet, no table either */
    bool two;    /* mappings move */
    bool beside; /* the other task faults beside what moves */
    unsigned flags;
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
};

static struct scene scene;

static void
map(uint64_t vm_flags)
{
    explore_map(scene.mm, START, 2, RW | vm_flags, scene.object);
    if (scene.two || scene.beside)
        explore_map(scene.mm, START + 2 * PAGE, 1, ASPEN_VM_READ, NULL);
}

/* The page that everybody looks for. */
static void
make_page(void)
{
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &scene.frame));
    aspen_frame_get(aspen_frame_at(scene.aspen, scene.frame));
}

static void
setup(void *unused)
{
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_SHMEM,
                                       .size_bytes = 4 * PAGE};

    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18; /* several may move */
    scene.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    scene.object = NULL;
    if (scene.shared)
        must(aspen_object_create(scene.aspen, &object, &scene.object));
    map(scene.shared ? ASPEN_VM_SHARED : 0);
    if (!scene.cold)
        make_page();
    explore_plan(scene.aspen, scene.fail_at);
}

static void
move_task(void *unused)
{
    uint64_t bytes = scene.two ? 3 * PAGE : scene.cold ? 2 * PAGE : PAGE;
    uint64_t address;

    (void)unused;
    int error = aspen_mremap(
        scene.mm,
        &(struct aspen_mremap_args){
            .address = START,
            .old_bytes = bytes,
            .new_bytes = bytes,
            .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | scene.flags,
            .new_address = TARGET,
        },
        &address);
    must_or_planned(error);
}

static void
other_task(void *unused)
{
    (void)unused;
    if (scene.faults) {
        /* At the old place the page, or nothing any more. */
        int error =
            aspen_fault(scene.mm, START + (scene.beside ? 2 * PAGE : 0),
                        scene.cold ? ASPEN_ACCESS_READ : ASPEN_ACCESS_WRITE);
        if (error != -ASPEN_EFAULT)
            must_or_planned(error);
        return;
    }
    if (aspen_rmap_count(scene.aspen, scene.frame) != 1)
        sim_fail("a walker does not find the page exactly once");
}

static void
check_page(void)
{
    /* A fault may have mapped a shared page at its old place once more. */
    uint64_t entries = aspen_rmap_count(scene.aspen, scene.frame);
    if (entries != 1 && !(scene.faults && scene.shared && entries == 2))
        sim_fail("the page is lost");
    aspen_frame_put(scene.aspen, scene.frame);
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    if (!scene.cold)
        check_page();
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    if (scene.object)
        aspen_object_put(scene.object);
    explore_machine_end(scene.aspen);
}

static uint64_t
count_steps(void)
{
    scene.fail_at = 0;
    setup(NULL);
    move_task(NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
beside(const char *name)
{
    struct sim_program program = {
        setup, {move_task, other_task}, 2, check, NULL};
    uint64_t steps = count_steps();
    char title[80];

    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        snprintf(title, sizeof(title), "%s, %s %llu", name,
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, &program, MOST);
    }
}

static void
both_kinds(const char *what)
{
    char name[60];

    for (unsigned i = 0; i < 4; i++) {
        scene.shared = i & 1;
        scene.flags = i & 2 ? ASPEN_MREMAP_DONTUNMAP : 0;
        snprintf(name, sizeof(name), "%s, %s%s", what,
                 scene.shared ? "shared" : "private",
                 i & 2 ? ", not unmapped" : "");
        beside(name);
    }
}

static void
test_walker(void **state)
{
    (void)state;
    scene.faults = false;
    both_kinds("a walker beside a move");
}

static void
test_fault(void **state)
{
    (void)state;
    scene.faults = true;
    both_kinds("a fault beside a move");
}

/* All of a mapping moves: nothing of it is cut out, which would lock it. */
static void
test_first_fault(void **state)
{
    struct sim_program program = {
        setup, {move_task, other_task}, 2, check, NULL};
    (void)state;

    scene.faults = true;
    scene.cold = true;
    scene.fail_at = 0;
    scene.shared = false;
    scene.flags = 0;
    explore_holds("the first fault beside a move", &program, MOST);
    scene.shared = true;
    explore_holds("the first fault beside a move, shared", &program, MOST);
    scene.shared = false;
    scene.beside = true;
    explore_holds("a first fault next to what moves", &program, MOST);
    scene.beside = false;
    scene.two = true;
    explore_holds("the first fault beside a move of two", &program, MOST / 4);
    scene.two = scene.cold = false;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walker),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_first_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
