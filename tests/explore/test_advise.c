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

/* ---- A guard beside a cut ----------------------------------------------- */

/*
 * A guard is installed under the lock of its mapping alone, beside a call that
 * makes parts of the mapping, or moves it: wherever the guard is then, a child
 * has it, too.
 */
#define MOST_CUTS 3000
#define PAGES     3u
#define OTHER     (START + 16 * PAGE)

enum cut { PROTECT, UNMAP, MOVE, MOVE_ALL };

struct cutting {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *object;
    enum cut cut;
    unsigned guarded; /* the page */
    unsigned page;    /* that the call is about */
};

static struct cutting cutting;

static void
cut_setup(void *unused)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = PAGES * PAGE};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    cutting.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(cutting.aspen, &cutting.mm));
    must(aspen_object_create(cutting.aspen, &args, &cutting.object));
    explore_map(cutting.mm, START, PAGES, RW, cutting.object);
}

/* A hole, where the page has gone already, is an error of its own. */
static void
guard_task(void *unused)
{
    (void)unused;
    int error = aspen_madvise(cutting.mm, START + cutting.guarded * PAGE, PAGE,
                              ASPEN_MADV_GUARD_INSTALL);
    if (error != -ASPEN_ENOMEM)
        must(error);
}

static void
cut_task(void *unused)
{
    bool all = cutting.cut == MOVE_ALL;
    uint64_t at = all ? START : START + cutting.page * PAGE;
    struct aspen_mremap_args args = {
        .address = at,
        .old_bytes = all ? PAGES * PAGE : PAGE,
        .new_bytes = all ? PAGES * PAGE : PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = OTHER,
    };

    (void)unused;
    switch (cutting.cut) {
    case PROTECT:
        must(aspen_mprotect(cutting.mm, at, PAGE, ASPEN_VM_READ,
                            ASPEN_PKEY_SAME));
        break;
    case UNMAP:
        must(aspen_munmap(cutting.mm, at, PAGE));
        break;
    case MOVE:
    case MOVE_ALL:
        must(aspen_mremap(cutting.mm, &args, &at));
        break;
    }
}

static void
cut_check(void *unused)
{
    static const uint64_t at[] = {
        START, START + PAGE, START + 2 * PAGE,
        OTHER, OTHER + PAGE, OTHER + 2 * PAGE,
    };
    struct aspen_mm *child;

    (void)unused;
    must(aspen_fork(cutting.mm, &child));
    for (unsigned i = 0; i < 6; i++)
        if (aspen_fault(cutting.mm, at[i], ASPEN_ACCESS_READ) !=
            aspen_fault(child, at[i], ASPEN_ACCESS_READ))
            sim_fail("the child has no guard where its parent has one");
    explore_validate(cutting.aspen);
    aspen_mm_put(child);
    aspen_mm_put(cutting.mm);
    aspen_object_put(cutting.object);
    explore_machine_end(cutting.aspen);
}

static void
test_guard_moves(void **state)
{
    static const char *const names[] = {"mprotect", "munmap", "mremap",
                                        "mremap of all"};
    struct sim_program program = {
        cut_setup, {cut_task, guard_task}, 2, cut_check, NULL};
    char title[80];

    (void)state;
    for (unsigned i = 0; i < 4 * PAGES * PAGES; i++) {
        cutting.cut = (enum cut)(i / (PAGES * PAGES));
        cutting.page = i / PAGES % PAGES;
        cutting.guarded = i % PAGES;
        snprintf(title, sizeof(title), "%s of page %u beside a guard at %u",
                 names[cutting.cut], cutting.page, cutting.guarded);
        explore_holds(title, &program, MOST_CUTS);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dontneed),
        cmocka_unit_test(test_lazy),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_guard_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
