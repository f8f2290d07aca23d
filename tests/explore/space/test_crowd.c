/* SPDX-License-Identifier: MIT */
/*
 * The lock of a VMA where faults of several CPUs meet: readers name the VMA in
 * their CPU's part of the space, and writers look there (space/vma.c). Who has
 * it for reading finds it whole, and nobody changes it meanwhile; in all
 * orders, and with what C11 lets loads find.
 */
#include "explore.h"

#include "space/vma.h"

#define FRAMES 128u
#define MOST   8000u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *other;
    bool crowded;
} scene;

/* ---- Before and after -------------------------------------------------- */

static void
crowd(struct aspen_mm *mm)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        must(aspen_mm_activate(mm, cpu));
    for (unsigned cpu = 0; cpu < 2; cpu++)
        must(aspen_mm_deactivate(mm, cpu));
}

static void
setup(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_mm_create(scene.aspen, &scene.other));
    if (scene.crowded)
        crowd(scene.mm);
    explore_map(scene.mm, START, 2, RW, NULL);
}

static void
check(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_mm_put(scene.other);
    explore_machine_end(scene.aspen);
}

/* ---- Who reads --------------------------------------------------------- */

static void
read_task(void *unused)
{
    unsigned where;

    (void)unused;
    struct aspen_vma *vma = aspen_vma_read_lock_at(scene.mm, START, &where);
    if (!vma)
        return;
    /* Plain: whoever writes it meanwhile is a race. */
    uint64_t flags = vma->flags;
    if (vma->mm != scene.mm || vma->start != START)
        sim_fail("another VMA");
    sim_point(vma, false);
    if (vma->flags != flags || vma->start != START || vma->mm != scene.mm)
        sim_fail("a VMA that is read is changed");
    aspen_vma_read_unlock(vma, where);
}

static void
fault_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(scene.mm, START, ASPEN_ACCESS_READ);
    if (error && error != -ASPEN_EFAULT)
        sim_fail("a fault answers something else");
}

/* ---- Who writes -------------------------------------------------------- */

static void
protect_task(void *unused)
{
    (void)unused;
    must(aspen_mprotect(scene.mm, START, 2 * PAGE, ASPEN_VM_READ, -1));
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START, 2 * PAGE));
}

/* Its memory is the next VMA's. */
static void
again_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START, 2 * PAGE));
    explore_map(scene.mm, START, 1, ASPEN_VM_READ, NULL);
}

/* It is another space's meanwhile, whose writers do not look at this one. */
static void
elsewhere_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START, 2 * PAGE));
    explore_map(scene.other, START, 2, RW, NULL);
    must(aspen_munmap(scene.other, START, 2 * PAGE));
    explore_map(scene.mm, START, 1, ASPEN_VM_READ, NULL);
}

static void
beside(const char *name, void (*one)(void *), void (*two)(void *),
       void (*three)(void *))
{
    struct sim_program program =
        explore_program(setup, (void (*[])(void *)){one, two, three}, check);

    explore_holds(name, &program, MOST);
}

static void
crowded(void **state)
{
    (void)state;
    scene.crowded = true;
    beside("crowd: reader, mprotect", read_task, protect_task, NULL);
    beside("crowd: reader, munmap", read_task, unmap_task, NULL);
    beside("crowd: reader, munmap and mmap", read_task, again_task, NULL);
    beside("crowd: reader, memory that comes back", read_task, elsewhere_task,
           NULL);
    beside("crowd: fault, munmap", fault_task, unmap_task, NULL);
    beside("crowd: two readers, munmap", read_task, read_task, unmap_task);
}

/* Two that meet make it so. */
static void
crowds(void **state)
{
    (void)state;
    scene.crowded = false;
    beside("two readers meet, mprotect", read_task, read_task, protect_task);
    beside("two readers meet, munmap and mmap", read_task, read_task,
           again_task);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowded),
        cmocka_unit_test(crowds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
