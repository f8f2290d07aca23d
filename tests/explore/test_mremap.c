/* SPDX-License-Identifier: MIT */
/*
 * A reverse-map walker beside an mremap that moves a page, over all orders,
 * each step failing: the walker finds the page exactly once at every moment,
 * however much of the move is done; and so does a walk beside a fault.
 */
#include "explore.h"
#include "space/rmap.h"
#include "space/vma.h"
#include <aspen/aspen.h>

#define PAGE   4096ull
#define START  (16 * PAGE)
#define TARGET (1024 * PAGE)
#define FRAMES 128u
#define MOST   4000u

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *object; /* NULL: private zeroes */
    void *direct_map;
    uint32_t frame; /* with a reference of the scene's */
    bool shared;
    bool faults; /* the other task faults instead of walking */
    unsigned flags;
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
};

static struct scene scene;

static void
must(int error)
{
    if (error)
        sim_fail(aspen_error_name(error));
}

static void
map(uint64_t vm_flags)
{
    struct aspen_mmap_args args = {
        .address = START,
        .length_bytes = 2 * PAGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | vm_flags,
        .flags = ASPEN_MAP_FIXED,
        .object = scene.object,
    };
    uint64_t address;

    must(aspen_mmap(scene.mm, &args, &address));
}

static void
setup(void *unused)
{
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_SHMEM,
                                       .size_bytes = 4 * PAGE};
    struct aspen_failpoint_plan plan = {scene.fail_at ? ASPEN_FAIL_ONCE
                                                      : ASPEN_FAIL_NEVER,
                                        scene.fail_at, NULL, NULL};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = aspen_port_memory_alloc(FRAMES * PAGE);
    scene.direct_map = config.direct_map;
    must(aspen_create(&config, &scene.aspen));
    must(aspen_mm_create(scene.aspen, &scene.mm));
    scene.object = NULL;
    if (scene.shared)
        must(aspen_object_create(scene.aspen, &object, &scene.object));
    map(scene.shared ? ASPEN_VM_SHARED : 0);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &scene.frame));
    aspen_frame_get(aspen_frame_at(scene.aspen, scene.frame));
    must(aspen_failpoints_set(scene.aspen, &plan));
}

static void
move_task(void *unused)
{
    uint64_t address;

    (void)unused;
    int error = aspen_mremap(
        scene.mm,
        &(struct aspen_mremap_args){
            .address = START,
            .old_bytes = PAGE,
            .new_bytes = PAGE,
            .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | scene.flags,
            .new_address = TARGET,
        },
        &address);
    if (error && !scene.fail_at)
        sim_fail(aspen_error_name(error));
}

static void
other_task(void *unused)
{
    (void)unused;
    if (scene.faults) {
        /* At the old place the page, or nothing any more. */
        int error = aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE);
        if (error && error != -ASPEN_EFAULT && !scene.fail_at)
            sim_fail(aspen_error_name(error));
        return;
    }
    if (aspen_rmap_count(scene.aspen, scene.frame) != 1)
        sim_fail("a walker does not find the page exactly once");
}

static void
check(void *unused)
{
    struct aspen_finding finding = {0};

    (void)unused;
    aspen_failpoints_read(scene.aspen, &scene.counts);
    must(aspen_failpoints_set(scene.aspen, NULL));
    /* A fault may have mapped a shared page at its old place once more. */
    uint64_t entries = aspen_rmap_count(scene.aspen, scene.frame);
    if (entries != 1 && !(scene.faults && scene.shared && entries == 2))
        sim_fail("the page is lost");
    aspen_frame_put(scene.aspen, scene.frame);
    if (aspen_validate(scene.aspen, &finding))
        sim_fail(finding.text);
    aspen_mm_put(scene.mm);
    if (scene.object)
        aspen_object_put(scene.object);
    must(aspen_destroy(scene.aspen));
    aspen_port_memory_free(scene.direct_map, FRAMES * PAGE);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walker),
        cmocka_unit_test(test_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
