/* SPDX-License-Identifier: MIT */
/*
 * One madvise beside one page fault, over all orders: whatever comes first,
 * the space is whole afterwards, and no page is both given back and mapped.
 */
#include "explore.h"
#include "space/vma.h"

#define FRAMES 128u
#define MOST   6000
#define OLD    7

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    enum aspen_advice advice;
    bool touched; /* the page is there before */
    bool owns;    /* the VMA has an anon_vma before */
    bool write;   /* the fault */
    int faulted;
};

static struct scene scene;

static uint8_t *
byte_at(uint64_t address)
{
    uint32_t frame;

    must(aspen_translate(scene.mm, address, ASPEN_ACCESS_READ, &frame));
    return explore_bytes(scene.aspen, frame);
}

static void
setup(void *unused)
{
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.mmap_min_address = 0;
    config.mmap_min_fixed = 0;
    config.semantics = ASPEN_SEMANTICS_6_18;
    scene.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    explore_map(scene.mm, START, 2, RW, NULL);
    if (scene.owns)
        must(aspen_fault(scene.mm, START + PAGE, ASPEN_ACCESS_WRITE));
    if (!scene.touched)
        return;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    *byte_at(START) = OLD;
}

/* What the page reads as in the end. */
static void
check_page(void)
{
    int error = aspen_fault(scene.mm, START, ASPEN_ACCESS_READ);

    if (scene.advice == ASPEN_MADV_GUARD_INSTALL) {
        if (error != -ASPEN_EFAULT)
            sim_fail("the guard is not there");
        return;
    }
    must(error);
    uint8_t byte = *byte_at(START);
    if (scene.advice == ASPEN_MADV_FREE ? byte != (scene.touched ? OLD : 0)
                                        : byte != 0)
        sim_fail("the page holds something else");
}

static void
check(void *unused)
{
    (void)unused;
    if (scene.faulted && (scene.advice != ASPEN_MADV_GUARD_INSTALL ||
                          scene.faulted != -ASPEN_EFAULT))
        sim_fail("the fault failed");
    check_page();
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
fault_task(void *unused)
{
    (void)unused;
    scene.faulted = aspen_fault(
        scene.mm, START, scene.write ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
}

static void
advise_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, scene.advice));
}

/* Page there or not, anon_vma there or not, read or write. */
static void
beside(const char *name, enum aspen_advice advice)
{
    struct sim_program program = {
        setup, {fault_task, advise_task}, 2, check, NULL};
    char title[80];

    scene.advice = advice;
    for (unsigned i = 0; i < 8; i++) {
        scene.touched = i & 1;
        scene.owns = i & 2;
        scene.write = i & 4;
        snprintf(title, sizeof(title), "%s beside a %s%s%s", name,
                 scene.write ? "write" : "read",
                 scene.touched ? ", page there" : "",
                 scene.owns ? ", anon_vma there" : "");
        explore_holds(title, &program, MOST);
    }
}

static void
test_dontneed(void **state)
{
    (void)state;
    beside("DONTNEED", ASPEN_MADV_DONTNEED);
}

static void
test_lazy(void **state)
{
    (void)state;
    beside("FREE", ASPEN_MADV_FREE);
}

static void
test_guard(void **state)
{
    (void)state;
    beside("GUARD_INSTALL", ASPEN_MADV_GUARD_INSTALL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dontneed),
        cmocka_unit_test(test_lazy),
        cmocka_unit_test(test_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
