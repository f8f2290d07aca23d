/* SPDX-License-Identifier: MIT */
/*
 * A device takes its memory back beside faults that have asked for it, over
 * all orders: what its fault hook said before is not mapped afterwards. And a
 * hook puts memory in by itself, beside a program that does not need it: the
 * program's accesses go on.
 */
#include "explore.h"
#include "paging/table.h"

#define FRAMES 64u
#define MOST   2000u
#define RAW    0x1000u

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *device;
    uint64_t generation; /* of its memory */
    bool warm;
    bool private;
    unsigned access;
};

static struct scene scene;

static int
device_fault(void *context, uint64_t offset_bytes, unsigned access,
             struct aspen_device_frame *frame)
{
    (void)context;
    (void)offset_bytes;
    (void)access;
    sim_point(&scene.generation, false);
    frame->number = RAW + scene.generation;
    return 0;
}

static const struct aspen_pager_ops ops = {.fault = device_fault};

static void
setup(void *unused)
{
    struct aspen_object_args object = {
        .kind = ASPEN_OBJECT_DEVICE, .size_bytes = PAGE, .pager = &ops};

    (void)unused;
    scene.generation = 0;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &object, &scene.device));
    explore_map(scene.mm, START, 1, RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP,
                scene.device);
    if (scene.warm)
        must(aspen_fault(scene.mm, START, ASPEN_ACCESS_READ));
}

static void
check(void *unused)
{
    struct aspen_slot slot;

    (void)unused;
    uint64_t entry = aspen_table_walk(scene.mm, START, &slot);
    if (entry && aspen_entry_frame(entry) != RAW + scene.generation)
        sim_fail("memory that was taken back is mapped");
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.device);
    explore_machine_end(scene.aspen);
}

static void
fault_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, scene.access));
}

/* Twice, as a device that gets no rest. */
static void
take_back_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        sim_point(&scene.generation, true);
        scene.generation++;
        must(aspen_object_unmap(scene.device, 0, PAGE, 0));
    }
}

static void
test_taken_back(void **state)
{
    struct sim_program program = {
        setup, {fault_task, take_back_task}, 2, check, NULL};
    char title[80];
    (void)state;

    for (unsigned i = 0; i < 4; i++) {
        scene.warm = i / 2;
        scene.access = i % 2 ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ;
        snprintf(title, sizeof(title), "memory taken back beside a %s, %s",
                 i % 2 ? "write" : "read",
                 scene.warm ? "mapped before" : "cold");
        explore_holds(title, &program, MOST);
    }
}

/* ---- Memory that moves from the object's cache to a device --------------- */

/* In the cache until it moves, raw from then on. */
static int
moving_fault(void *context, uint64_t offset_bytes, unsigned access,
             struct aspen_device_frame *frame)
{
    sim_point(&scene.generation, false);
    if (scene.generation)
        return device_fault(context, offset_bytes, access, frame);
    frame->flags = ASPEN_DEVICE_FRAME_CACHED;
    return 0;
}

static const struct aspen_pager_ops moving_ops = {.fault = moving_fault};

static void
setup_moving(void *unused)
{
    struct aspen_object_args object = {
        .kind = ASPEN_OBJECT_FILE, .size_bytes = PAGE, .pager = &moving_ops};
    uint64_t shared = scene.private ? 0 : ASPEN_VM_SHARED;
    uint64_t done;

    (void)unused;
    scene.generation = 0;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &object, &scene.device));
    explore_map(scene.mm, START, 1, RW | shared | ASPEN_VM_MIXEDMAP,
                scene.device);
    if (scene.warm) /* the page is in the cache */
        must(aspen_object_write(scene.device, 0, "x", 1, &done));
}

static void
move_task(void *unused)
{
    (void)unused;
    sim_point(&scene.generation, true);
    scene.generation++;
    must(aspen_object_unmap(scene.device, 0, PAGE, ASPEN_OBJECT_UNMAP_COPIES));
}

/* A private mapping has no use for raw memory. */
static void
fault_moving_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(scene.mm, START, scene.access);
    if (error && !(scene.private && error == -ASPEN_EOPNOTSUPP))
        sim_fail("a fault has failed");
}

static void
test_moved_away(void **state)
{
    struct sim_program program = {
        setup_moving, {fault_moving_task, move_task}, 2, check, NULL};
    char title[80];
    (void)state;

    for (unsigned i = 0; i < 8; i++) {
        scene.warm = i & 1;
        scene.access = i & 2 ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ;
        scene.private = i & 4;
        snprintf(title, sizeof(title), "memory moves beside a %s, %s, %s",
                 i & 2 ? "write" : "read", i & 4 ? "private" : "shared",
                 scene.warm ? "cached" : "cold");
        explore_holds(title, &program, MOST);
    }
}

/* ---- A hook that puts memory in by itself ------------------------------- */

static int
inserting_fault(void *context, uint64_t offset_bytes, unsigned access,
                struct aspen_device_frame *frame)
{
    (void)context;
    (void)access;
    (void)frame; /* it is there, as far as the hook is concerned */
    int error = aspen_insert_raw(scene.mm, START + offset_bytes,
                                 RAW + offset_bytes / PAGE, ASPEN_RAW_WRITABLE);
    return error == -ASPEN_EBUSY ? 0 : error;
}

static const struct aspen_pager_ops inserting_ops = {.fault = inserting_fault};

static void
setup_inserting(void *unused)
{
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_DEVICE,
                                       .size_bytes = 2 * PAGE,
                                       .pager = &inserting_ops};

    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &object, &scene.device));
    explore_map(scene.mm, START, 2, RW | ASPEN_VM_SHARED | ASPEN_VM_MIXEDMAP,
                scene.device);
}

static void
populate_task(void *unused)
{
    uint64_t done;

    (void)unused;
    must(aspen_populate(scene.mm, START, 2 * PAGE, ASPEN_ACCESS_READ, &done));
}

static void
fault_once_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

/* Twice, as one who gives no rest. */
static void
not_needed_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        must(aspen_madvise(scene.mm, START, 2 * PAGE, ASPEN_MADV_DONTNEED));
}

static void
check_inserting(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.device);
    explore_machine_end(scene.aspen);
}

static void
test_put_in_and_gone(void **state)
{
    struct sim_program program = {setup_inserting,
                                  {fault_once_task, not_needed_task},
                                  2,
                                  check_inserting,
                                  NULL};
    (void)state;

    explore_holds("a hook that inserts, a program that drops", &program, MOST);
    program.task[0] = populate_task;
    explore_holds("a hook that inserts for two, a program that drops", &program,
                  MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_moved_away),
        cmocka_unit_test(test_put_in_and_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
