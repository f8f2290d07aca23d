/* SPDX-License-Identifier: MIT */
/*
 * Denying writable mappings of an object beside calls that make and end them,
 * over all orders: what was denied is nowhere, from the answer on.
 */
#include "explore.h"

#define FRAMES 128u
#define MOST   6000u
#define OTHER  (64 * PAGE)

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *object;
    bool mapped; /* before */
    int denied;
    int made;
} scene;

static int
map_at(uint64_t address)
{
    struct aspen_mmap_args args = {
        .address = address,
        .length_bytes = PAGE,
        .vm_flags = RW | ASPEN_VM_SHARED,
        .flags = ASPEN_MAP_FIXED,
        .object = scene.object,
    };
    uint64_t where;

    return aspen_mmap(scene.mm, &args, &where);
}

static void
setup(void *unused)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = PAGE};
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.object));
    if (scene.mapped) {
        must(map_at(START));
        must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    }
}

static void
deny_task(void *unused)
{
    (void)unused;
    scene.denied = aspen_object_deny_writable(scene.object);
    if (scene.denied && scene.denied != -ASPEN_EBUSY)
        sim_fail("deny answers something else");
    if (!scene.denied && aspen_object_writable_mappings(scene.object))
        sim_fail("what was denied is there");
}

static void
map_task(void *unused)
{
    (void)unused;
    scene.made = map_at(OTHER);
    if (scene.made && scene.made != -ASPEN_EPERM)
        sim_fail("mmap answers something else");
}

/* In its own place: it never stops being there, as far as others can see. */
static void
replace_task(void *unused)
{
    (void)unused;
    must(map_at(START));
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START, PAGE));
}

static void
finish(void)
{
    explore_validate(scene.aspen);
    if (!scene.denied)
        must(aspen_object_allow_writable(scene.object));
    must(map_at(OTHER));
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.object);
    explore_machine_end(scene.aspen);
}

/* Both cannot succeed; and somebody does. */
static void
check_one(void *unused)
{
    (void)unused;
    if (!scene.denied == !scene.made)
        sim_fail("both succeed, or neither");
    finish();
}

static void
check_busy(void *unused)
{
    (void)unused;
    if (!scene.denied)
        sim_fail("a mapping was there all the time");
    finish();
}

static void
check_nothing(void *unused)
{
    (void)unused;
    finish();
}

static void
beside(const char *name, bool mapped, void (*task)(void *),
       void (*check)(void *))
{
    struct sim_program program = {setup, {deny_task, task}, 2, check, NULL};

    scene.mapped = mapped;
    explore_holds(name, &program, MOST);
}

static void
deny(void **state)
{
    (void)state;
    beside("deny, mmap", false, map_task, check_one);
    beside("deny, mmap in its place", true, replace_task, check_busy);
    beside("deny, munmap", true, unmap_task, check_nothing);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deny),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
