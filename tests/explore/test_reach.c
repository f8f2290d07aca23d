/* SPDX-License-Identifier: MIT */
/*
 * Bytes copied into a space beside what could take the page away or share it,
 * over all orders, each step failing: they reach the space that they are for,
 * and no other.
 */
#include "explore.h"
#include "paging/table.h"
#include "space/vma.h"
#include <aspen/aspen.h>

#define PAGE   4096ull
#define START  (16 * PAGE)
#define FRAMES 128u
#define MOST   4000u
#define OLD    42
#define NEW    43

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child; /* NULL: none */
    void *direct_map;
    unsigned flags;  /* of the copy */
    bool with_child; /* from the beginning: it never sees the bytes */
    bool copied;
    bool unmapped;
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
must_or_planned(int error)
{
    if (error && !scene.fail_at)
        sim_fail(aspen_error_name(error));
}

/* ---- Set-up and check -------------------------------------------------- */

static uint8_t *
byte_of(struct aspen_mm *mm)
{
    uint32_t frame;

    must(aspen_translate(mm, START, ASPEN_ACCESS_READ, &frame));
    return (uint8_t *)scene.direct_map + frame * PAGE;
}

static void
setup(void *unused)
{
    struct aspen_config config;
    struct aspen_mmap_args args = {
        .address = START,
        .length_bytes = PAGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE,
        .place = ASPEN_MAP_FIXED,
    };
    struct aspen_failpoint_plan plan = {scene.fail_at ? ASPEN_FAIL_ONCE
                                                      : ASPEN_FAIL_NEVER,
                                        scene.fail_at, NULL, NULL};
    uint64_t address;

    (void)unused;
    scene.child = NULL;
    scene.copied = false;
    scene.unmapped = false;
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = aspen_port_memory_alloc(FRAMES * PAGE);
    scene.direct_map = config.direct_map;
    must(aspen_create(&config, &scene.aspen));
    must(aspen_mm_create(scene.aspen, &scene.parent));
    must(aspen_mmap(scene.parent, &args, &address));
    must(aspen_fault(scene.parent, START, ASPEN_ACCESS_WRITE));
    *byte_of(scene.parent) = OLD;
    if (scene.with_child)
        must(aspen_fork(scene.parent, &scene.child));
    must(aspen_failpoints_set(scene.aspen, &plan));
}

static void
check_bytes(void)
{
    uint8_t child = scene.child ? *byte_of(scene.child) : OLD;

    if (!scene.unmapped && *byte_of(scene.parent) != (scene.copied ? NEW : OLD))
        sim_fail("the bytes did not reach the space");
    if (child != OLD && (scene.with_child || child != NEW))
        sim_fail("the bytes reached a child");
}

static void
check(void *unused)
{
    struct aspen_finding finding = {0};

    (void)unused;
    aspen_failpoints_read(scene.aspen, &scene.counts);
    must(aspen_failpoints_set(scene.aspen, NULL));
    if (aspen_validate(scene.aspen, &finding))
        sim_fail(finding.text);
    check_bytes();
    if (scene.child)
        aspen_mm_put(scene.child);
    aspen_mm_put(scene.parent);
    must(aspen_destroy(scene.aspen));
    aspen_port_memory_free(scene.direct_map, FRAMES * PAGE);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
copy_task(void *unused)
{
    uint8_t byte = NEW;
    uint64_t done;

    (void)unused;
    int error =
        aspen_copy_out(scene.parent, START, &byte, 1, scene.flags, &done);
    if (error != -ASPEN_EFAULT || !scene.unmapped)
        must_or_planned(error);
    if (done != (error ? 0 : 1))
        sim_fail("the count is wrong");
    scene.copied = !error;
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

/* One after the other: how many steps there are to fail. */
static uint64_t
count_steps(void (*other)(void *))
{
    scene.fail_at = 0;
    setup(NULL);
    copy_task(NULL);
    other(NULL);
    check(NULL);
    return scene.counts.crossings;
}

static void
beside(const char *name, void (*other)(void *), bool with_child)
{
    struct sim_program program = {setup, {copy_task, other}, 2, check, NULL};
    char title[80];

    scene.with_child = with_child;
    uint64_t steps = count_steps(other);
    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        snprintf(title, sizeof(title), "a copy beside %s, %s %llu", name,
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, &program, MOST);
    }
}

static void
test_fork(void **state)
{
    (void)state;
    beside("a fork", fork_task, false);
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
test_unmap(void **state)
{
    (void)state;
    beside("munmap", unmap_task, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_child_write),
        cmocka_unit_test(test_unmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
