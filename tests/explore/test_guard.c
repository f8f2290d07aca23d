/* SPDX-License-Identifier: MIT */
/*
 * A guard is installed under the lock of its mapping alone, beside a call that
 * makes parts of the mapping, or moves it, over all orders: wherever the guard
 * is then, a child has it, too.
 */
#include "explore.h"

#define FRAMES 64u
#define MOST   3000
#define PAGES  3u
#define OTHER  (START + 16 * PAGE)

enum cut { PROTECT, UNMAP, MOVE, MOVE_ALL };

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *object;
    enum cut cut;
    unsigned guarded; /* the page */
    unsigned page;    /* that the call is about */
};

static struct scene scene;

static void
setup(void *unused)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = PAGES * PAGE};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    scene.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.object));
    explore_map(scene.mm, START, PAGES, RW, scene.object);
}

/* A hole, where the page has gone already, is an error of its own. */
static void
guard_task(void *unused)
{
    (void)unused;
    int error = aspen_madvise(scene.mm, START + scene.guarded * PAGE, PAGE,
                              ASPEN_MADV_GUARD_INSTALL);
    if (error != -ASPEN_ENOMEM)
        must(error);
}

static void
cut_task(void *unused)
{
    bool all = scene.cut == MOVE_ALL;
    uint64_t at = all ? START : START + scene.page * PAGE;
    struct aspen_mremap_args args = {
        .address = at,
        .old_bytes = all ? PAGES * PAGE : PAGE,
        .new_bytes = all ? PAGES * PAGE : PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = OTHER,
    };

    (void)unused;
    switch (scene.cut) {
    case PROTECT:
        must(
            aspen_mprotect(scene.mm, at, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME));
        break;
    case UNMAP:
        must(aspen_munmap(scene.mm, at, PAGE));
        break;
    case MOVE:
    case MOVE_ALL:
        must(aspen_mremap(scene.mm, &args, &at));
        break;
    }
}

static void
check(void *unused)
{
    static const uint64_t at[] = {
        START, START + PAGE, START + 2 * PAGE,
        OTHER, OTHER + PAGE, OTHER + 2 * PAGE,
    };
    struct aspen_mm *child;

    (void)unused;
    must(aspen_fork(scene.mm, &child));
    for (unsigned i = 0; i < 6; i++)
        if (aspen_fault(scene.mm, at[i], ASPEN_ACCESS_READ) !=
            aspen_fault(child, at[i], ASPEN_ACCESS_READ))
            sim_fail("the child has no guard where its parent has one");
    explore_validate(scene.aspen);
    aspen_mm_put(child);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.object);
    explore_machine_end(scene.aspen);
}

static void
test_guard(void **state)
{
    static const char *const names[] = {"mprotect", "munmap", "mremap",
                                        "mremap of all"};
    struct sim_program program = {
        setup, {cut_task, guard_task}, 2, check, NULL};
    char title[80];

    (void)state;
    for (unsigned i = 0; i < 4 * PAGES * PAGES; i++) {
        scene.cut = (enum cut)(i / (PAGES * PAGES));
        scene.page = i / PAGES % PAGES;
        scene.guarded = i % PAGES;
        snprintf(title, sizeof(title), "%s of page %u beside a guard at %u",
                 names[scene.cut], scene.page, scene.guarded);
        explore_holds(title, &program, MOST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
