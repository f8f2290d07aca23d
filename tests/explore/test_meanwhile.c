/* SPDX-License-Identifier: MIT */
/*
 * What somebody else sees in the middle of a call, over all orders: sizes,
 * counts and limits that were never so, a space in the registry that is none
 * any more, a dump of two moments, a huge leaf that goes while fork copies it.
 */
#include "explore.h"
#include "paging/table.h"
#include "space/mm.h"
#include <aspen/aspen.h>
#include <stdio.h>

#define HUGE_AT 0x40000000ull
#define HUGE    (2ull << 20)
#define FRAMES  192u
#define MOST    20000u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *object;
} scene;

static void
setup(void *unused)
{
    (void)unused;
    scene.child = NULL;
    scene.object = NULL;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
}

static void
tear_down(void)
{
    explore_validate(scene.aspen);
    if (scene.child)
        aspen_mm_put(scene.child);
    if (scene.mm)
        aspen_mm_put(scene.mm);
    if (scene.object)
        aspen_object_put(scene.object);
    explore_machine_end(scene.aspen);
}

/* ---- Sizes ------------------------------------------------------------- */

static void
setup_pages(void *unused)
{
    setup(unused);
    explore_map(scene.mm, START, 2, RW, NULL);
    must(aspen_fault(scene.mm, START + PAGE, ASPEN_ACCESS_WRITE));
}

static void
fault_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

static void
discard_task(void *unused)
{
    struct aspen_mm_counters counters;

    (void)unused;
    must(aspen_madvise(scene.mm, START, 2 * PAGE, ASPEN_MADV_DONTNEED));
    aspen_mm_counters_read(scene.mm, &counters);
    if (counters.anon_pages > 2)
        sim_fail("more pages than the mapping has");
}

static void
check_sizes(void *unused)
{
    struct aspen_mm_counters counters;

    (void)unused;
    aspen_mm_counters_read(scene.mm, &counters);
    if (counters.peak_resident_pages > 2)
        sim_fail("a peak of more pages than there ever were");
    tear_down();
}

static void
sizes_were_true(void **state)
{
    struct sim_program program = {
        setup_pages, {fault_task, discard_task}, 2, check_sizes, NULL};

    (void)state;
    explore_holds("a fault beside DONTNEED", &program, MOST);
}

/* ---- The registry ------------------------------------------------------ */

static void
exit_task(void *unused)
{
    (void)unused;
    aspen_mm_put(scene.mm);
    scene.mm = NULL;
}

static void
look_task(void *unused)
{
    (void)unused;
    aspen_spin_lock(&scene.aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_for_each(link, &scene.aspen->registry)
    {
        const struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, registry_link);
        uint32_t is = aspen_load(&mm->state);
        if (is != ASPEN_MM_LIVE && is != ASPEN_MM_DYING)
            sim_fail("the registry has a space that is no more");
    }
    aspen_spin_unlock(&scene.aspen->registry_lock);
}

static void
check(void *unused)
{
    (void)unused;
    tear_down();
}

static void
registry_has_spaces_alone(void **state)
{
    struct sim_program program = {
        setup, {exit_task, look_task}, 2, check, NULL};

    (void)state;
    explore_holds("exit beside the registry", &program, MOST);
}

/* ---- A table of the embedder's ----------------------------------------- */

static struct {
    struct aspen_port_spinlock lock;
    struct aspen_mm *mm;
} table;

static void
forget(void *context, struct aspen_mm *mm)
{
    (void)context;
    aspen_spin_lock(&table.lock, ASPEN_LOCK_LEAF);
    if (table.mm == mm)
        table.mm = NULL;
    aspen_spin_unlock(&table.lock);
}

static void
setup_table(void *unused)
{
    static const struct aspen_scanner_ops scanner = {.exit = forget};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.hooks.scanner = &scanner;
    memset(&scene, 0, sizeof(scene));
    scene.aspen = explore_machine(&config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    memset(&table, 0, sizeof(table)); /* an unlocked lock is zeroes */
    table.mm = scene.mm;
}

/* It is no user: it finds the space, and it may be the last to leave it. */
static void
find_task(void *unused)
{
    struct aspen_mm *mm;

    (void)unused;
    aspen_spin_lock(&table.lock, ASPEN_LOCK_LEAF);
    mm = table.mm;
    if (mm && !aspen_mm_get_if_alive(mm))
        mm = NULL;
    aspen_spin_unlock(&table.lock);
    if (!mm)
        return;
    if (aspen_mm_state(mm) != ASPEN_MM_LIVE)
        sim_fail("a space that has a user is not alive");
    aspen_mm_put(mm);
}

static void
a_space_is_found_alive_or_not_at_all(void **state)
{
    struct sim_program program = {
        setup_table, {exit_task, find_task}, 2, check, NULL};

    (void)state;
    explore_holds("the last put beside a look-up", &program, MOST);
}

/* ---- A huge leaf ------------------------------------------------------- */

static void
setup_huge(void *unused)
{
    struct aspen_object_args object = {.kind = ASPEN_OBJECT_DEVICE,
                                       .size_bytes = HUGE};
    struct aspen_import_vma vma = {
        .start = HUGE_AT,
        .end = HUGE_AT + HUGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_MAYREAD |
                    ASPEN_VM_MAYWRITE | ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE |
                    ASPEN_VM_PFNMAP,
    };
    struct aspen_import_pages pages = {
        .address = HUGE_AT,
        .count = 1,
        .level = 1,
        .kind = ASPEN_IMPORT_RAW,
        .first_raw = 0x100000,
    };
    uint64_t done;

    setup(unused);
    must(aspen_object_create(scene.aspen, &object, &scene.object));
    vma.object = scene.object;
    must(aspen_import_vma(scene.mm, &vma));
    must(aspen_import_pages(scene.mm, &pages, &done));
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.child));
}

static void
take_back_task(void *unused)
{
    (void)unused;
    must(aspen_object_unmap(scene.object, 0, HUGE, 0));
}

static void
check_huge(void *unused)
{
    struct aspen_slot slot;

    (void)unused;
    if (aspen_table_walk(scene.child, HUGE_AT, &slot) || slot.level == 0)
        sim_fail("the child has something where nothing is");
    tear_down();
}

static void
huge_leaf_goes_in_fork(void **state)
{
    struct sim_program program = {
        setup_huge, {fork_task, take_back_task}, 2, check_huge, NULL};

    (void)state;
    explore_holds("fork beside a huge leaf that goes", &program, MOST);
}

/* ---- A dump ------------------------------------------------------------ */

static char text[600];

static void
to_text(void *unused, const char *bytes, size_t length)
{
    size_t used = strlen(text);

    (void)unused;
    snprintf(text + used, sizeof(text) - used, "%.*s", (int)length, bytes);
}

static void
setup_three(void *unused)
{
    setup(unused);
    text[0] = 0;
    for (unsigned i = 0; i < 3; i++)
        explore_map(scene.mm, START + 2 * i * PAGE, 1, RW, NULL);
}

static void
dump_task(void *unused)
{
    (void)unused;
    aspen_inspect_mm(scene.mm, 0, to_text, NULL);
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START, 3 * PAGE));
}

/* As many as it says at the top, all from before or all from afterwards. */
static void
check_text(void *unused)
{
    unsigned said = 0, mappings = 0;

    (void)unused;
    if (sscanf(text, "mm %*u LIVE %u vmas", &said) != 1)
        sim_fail("a dump without a beginning");
    for (const char *at = text; (at = strstr(at, "  vma  ")) != NULL; at++)
        mappings++;
    if (said != mappings || (said != 3 && said != 1))
        sim_fail("a dump of what never was");
    tear_down();
}

static void
a_dump_is_of_one_moment(void **state)
{
    struct sim_program program = {
        setup_three, {dump_task, unmap_task}, 2, check_text, NULL};

    (void)state;
    explore_holds("a dump beside munmap", &program, MOST);
}

/* ---- Counters ---------------------------------------------------------- */

static void
count_task(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    aspen_counters_read(scene.aspen, &counters);
    if (counters.mms != 1 || counters.mms_live != 1 || counters.vmas > 4 ||
        counters.tree_nodes > 100)
        sim_fail("more is counted than ever was");
}

static void
counters_are_of_something(void **state)
{
    struct sim_program program = {
        setup_three, {count_task, unmap_task}, 2, check, NULL};

    (void)state;
    explore_holds("counters beside munmap", &program, MOST / 10);
}

/* ---- Limits ------------------------------------------------------------ */

static void
exec_task(void *unused)
{
    (void)unused;
    must(aspen_exec_prepare(scene.mm, &scene.child));
}

static void
limit_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        must(aspen_limit_set(scene.mm, (enum aspen_limit)i, 5 * PAGE));
}

/* The first of them were set before the others. */
static void
check_limits(void *unused)
{
    (void)unused;
    for (unsigned i = 1; i < ASPEN_LIMITS; i++)
        if (scene.child->limits[i] == 5 * PAGE &&
            scene.child->limits[i - 1] != 5 * PAGE)
            sim_fail("limits that were never together");
    aspen_exec_abort(scene.child);
    scene.child = NULL;
    tear_down();
}

static void
limits_are_of_one_moment(void **state)
{
    struct sim_program program = {
        setup, {exec_task, limit_task}, 2, check_limits, NULL};

    (void)state;
    explore_holds("exec beside limits", &program, MOST);
}

/* ---- Sizes of an object ------------------------------------------------ */

static void
setup_charged(void *unused)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = 3 * PAGE,
                                     .flags = ASPEN_OBJECT_CHARGED};

    setup(unused);
    must(aspen_object_create(scene.aspen, &args, &scene.object));
}

static void
more_task(void *unused)
{
    (void)unused;
    must(aspen_object_resize(scene.object, 5 * PAGE));
}

static void
less_task(void *unused)
{
    (void)unused;
    must(aspen_object_resize(scene.object, PAGE));
}

static void
check_charge(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    aspen_counters_read(scene.aspen, &counters);
    if (counters.committed_pages * PAGE != aspen_object_size(scene.object))
        sim_fail("another size is charged than the object has");
    tear_down();
}

static void
one_size_is_charged(void **state)
{
    struct sim_program program = {
        setup_charged, {more_task, less_task}, 2, check_charge, NULL};

    (void)state;
    explore_holds("two sizes at once", &program, MOST);
}

/* ---- A page for a mapping that goes ------------------------------------ */

static void
setup_driven(void *unused)
{
    setup_charged(unused);
    explore_map(scene.mm, START, 2, RW | ASPEN_VM_SHARED | ASPEN_VM_MIXEDMAP,
                scene.object);
}

static void
insert_task(void *unused)
{
    (void)unused;
    int error = aspen_insert_page(scene.mm, START);
    if (error != -ASPEN_EFAULT && error != -ASPEN_EINVAL)
        must(error);
}

static void
check_nothing(void *unused)
{
    uint32_t frame;

    (void)unused;
    if (!aspen_translate(scene.mm, START, ASPEN_ACCESS_READ, &frame))
        sim_fail("a page is left where nothing is mapped");
    tear_down();
}

static void
a_page_goes_with_its_mapping(void **state)
{
    struct sim_program program = {
        setup_driven, {insert_task, unmap_task}, 2, check_nothing, NULL};

    (void)state;
    explore_holds("a page inserted beside munmap", &program, MOST);
}

/* ---- A huge leaf, and then a table in its place ------------------------- */

#define MORE_FRAMES 1100u /* a huge page's among them, aligned */

/* Private, and all of it may go. Nobody looks at contents. */
static void
setup_huge_page(void *unused)
{
    static uint8_t ram[MORE_FRAMES * PAGE] __attribute__((aligned(PAGE)));
    struct aspen_import_vma vma = {
        .start = HUGE_AT,
        .end = HUGE_AT + HUGE,
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
    };
    struct aspen_import_pages pages = {
        .address = HUGE_AT, .count = 1, .level = 1, .kind = ASPEN_IMPORT_ANON};
    struct aspen_config config;
    uint64_t done;

    (void)unused;
    aspen_config_init(&config);
    config.flags = ASPEN_CONFIG_CONTENTS_IGNORED;
    config.frames = MORE_FRAMES;
    config.direct_map = ram;
    must(aspen_create(&config, &scene.aspen));
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_import_vma(scene.mm, &vma));
    must(aspen_import_pages(scene.mm, &pages, &done));
}

static void
discard_huge_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, HUGE_AT, HUGE, ASPEN_MADV_DONTNEED));
}

static void
discard_and_fault_task(void *unused)
{
    discard_huge_task(unused);
    must(aspen_fault(scene.mm, HUGE_AT + PAGE, ASPEN_ACCESS_WRITE));
}

static void
check_tables(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    must(aspen_destroy(scene.aspen));
}

static void
table_in_place_of_a_huge_leaf(void **state)
{
    struct sim_program program = {setup_huge_page,
                                  {discard_huge_task, discard_and_fault_task},
                                  2,
                                  check_tables,
                                  NULL};

    (void)state;
    explore_holds("a huge page discarded twice, and a fault", &program, MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_were_true),
        cmocka_unit_test(registry_has_spaces_alone),
        cmocka_unit_test(a_space_is_found_alive_or_not_at_all),
        cmocka_unit_test(huge_leaf_goes_in_fork),
        cmocka_unit_test(a_dump_is_of_one_moment),
        cmocka_unit_test(counters_are_of_something),
        cmocka_unit_test(limits_are_of_one_moment),
        cmocka_unit_test(one_size_is_charged),
        cmocka_unit_test(a_page_goes_with_its_mapping),
        cmocka_unit_test(table_in_place_of_a_huge_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
