/* SPDX-License-Identifier: MIT */
/*
 * One fork beside one walker, over all orders: the walker meets only whole
 * things (docs/design/fork.md, "Who may meet a child that is being built"),
 * whether the fork succeeds or fails, and wherever it fails.
 */
#include "explore.h"
#include "paging/table.h"
#include "rmap/rmap.h"
#include "space/vma.h"

#define FRAMES 128u
#define MOST   200000

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child; /* NULL: the fork failed */
    uint32_t frame;         /* of the parent's first page */
    uint64_t before;
    uint64_t fail_at; /* 0: the fork succeeds */
    bool swapped;     /* the second page is swapped out */
    bool parent_met;
    uint64_t entries;
};

static struct scene scene;

/* ---- Set-up and check -------------------------------------------------- */

static void
add_pages(enum aspen_import_kind kind, uint64_t address)
{
    struct aspen_import_pages pages = {
        .address = address, .count = 1, .kind = kind, .swap_slot = 3};
    uint64_t done;
    must(aspen_import_pages(scene.parent, &pages, &done));
}

static void
setup(void *unused)
{
    struct aspen_import_vma vma = {
        .start = START,
        .end = START + 2 * PAGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_MAYREAD |
                    ASPEN_VM_MAYWRITE | ASPEN_VM_ACCOUNT,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    unsigned type;

    (void)unused;
    scene.child = NULL;
    scene.parent_met = false;
    scene.entries = 0;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_swap_area_add(scene.aspen, 16, &type));
    must(aspen_mm_create(scene.aspen, &scene.parent));
    must(aspen_import_vma(scene.parent, &vma));
    add_pages(ASPEN_IMPORT_ANON, START);
    add_pages(scene.swapped ? ASPEN_IMPORT_SWAP : ASPEN_IMPORT_ANON,
              START + PAGE);
    must(aspen_translate(scene.parent, START, ASPEN_ACCESS_READ, &scene.frame));
    /* The walker's own reference. */
    aspen_frame_get(aspen_frame_at(scene.aspen, scene.frame));
    scene.before = aspen_hash_mm(scene.parent, ASPEN_HASH_COUNTS);
    if (scene.fail_at)
        explore_plan(scene.aspen, scene.fail_at);
}

/* Both are done: nothing of a failed child is left, nothing is lost. */
static void
check(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    if ((scene.child == NULL) != (scene.fail_at != 0))
        sim_fail("the fork did not end as planned");
    if (scene.child)
        aspen_mm_put(scene.child);
    aspen_counters_read(scene.aspen, &counters);
    if (counters.mms != 1 || counters.vmas != 1)
        sim_fail("something is left of the child");
    if (aspen_hash_mm(scene.parent, ASPEN_HASH_COUNTS) != scene.before)
        sim_fail("the parent is not as it was");
    aspen_frame_put(scene.aspen, scene.frame);
    explore_validate(scene.aspen);
    aspen_mm_put(scene.parent);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
fork_task(void *unused)
{
    (void)unused;
    int error = aspen_fork(scene.parent, &scene.child);
    if ((error != 0) != (scene.fail_at != 0))
        sim_fail("the fork did not answer as planned");
}

/* Whole: every field set, its space not EMPTY, its entry counted. */
static bool
visit(void *context, struct aspen_vma *vma, uint64_t address)
{
    struct aspen_slot slot;

    (void)context;
    if (!vma->mm || vma->start != START || vma->end != START + 2 * PAGE ||
        !(vma->flags & ASPEN_VM_WRITE))
        sim_fail("a VMA that is not whole is met");
    if (vma->mm != scene.parent && !scene.parent_met)
        sim_fail("the child is met before its parent");
    if (vma->mm == scene.parent)
        scene.parent_met = true;
    if (aspen_load(&vma->mm->state) == ASPEN_MM_EMPTY)
        sim_fail("an EMPTY space is met");
    uint64_t entry = aspen_table_walk(vma->mm, address, &slot);
    if (!aspen_entry_is_leaf(entry, slot.level))
        return true;
    if (aspen_entry_frame(entry) != scene.frame)
        sim_fail("an entry leads elsewhere");
    if (aspen_frame_map_count(aspen_frame_at(scene.aspen, scene.frame)) == 0)
        sim_fail("an entry is not counted");
    scene.entries++;
    return true;
}

static void
rmap_task(void *unused)
{
    (void)unused;
    aspen_rmap_walk(scene.aspen, scene.frame, visit, NULL);
    if (!scene.parent_met || scene.entries == 0)
        sim_fail("the parent's entry is missed");
}

/* The first space on the list that is not `than`, held; or NULL. */
static struct aspen_mm *
hold_from_swap_list(const struct aspen_mm *than)
{
    struct aspen_mm *found = NULL;

    aspen_spin_lock(&scene.aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    aspen_list_for_each(link, &scene.aspen->swap_list)
    {
        struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, swap_link);
        if (mm == than)
            continue;
        aspen_mm_hold(mm);
        found = mm;
        break;
    }
    aspen_spin_unlock(&scene.aspen->swap_list_lock);
    return found;
}

/* As swapoff: who gets past the gate walks the space. */
static void
swap_list_task(void *unused)
{
    struct aspen_mm *mm = hold_from_swap_list(scene.parent);

    (void)unused;
    if (!mm)
        return;
    if (aspen_mm_get_live(mm)) {
        struct aspen_vma *vma = aspen_vma_find(mm, 0);
        if (scene.fail_at)
            sim_fail("a failed child gets past the gate");
        if (!vma || vma->mm != mm)
            sim_fail("a space holds a VMA that is not its own");
        aspen_read_unlock(&mm->mmap_lock);
    } else if (!aspen_tree_is_empty(&mm->vmas)) {
        sim_fail("a refused space has VMAs");
    }
    aspen_mm_drop(mm);
}

/* The registry holds LIVE and DYING spaces only. */
static void
registry_task(void *unused)
{
    (void)unused;
    aspen_spin_lock(&scene.aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_list_for_each(link, &scene.aspen->registry)
    {
        struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, registry_link);
        uint32_t state = aspen_load(&mm->state);
        if (state != ASPEN_MM_LIVE && state != ASPEN_MM_DYING)
            sim_fail("the registry holds a space that is not LIVE");
    }
    aspen_spin_unlock(&scene.aspen->registry_lock);
}

/* ---- Tests ------------------------------------------------------------- */

/* Crossings of the gate by a fork of the scene. */
static uint64_t
count_steps(void)
{
    struct aspen_failpoint_counts counts;

    scene.fail_at = 0;
    setup(NULL);
    explore_plan(scene.aspen, scene.fail_at);
    must(aspen_fork(scene.parent, &scene.child));
    aspen_failpoints_read(scene.aspen, &counts);
    check(NULL);
    return counts.crossings;
}

/* Beside the walker: the fork that succeeds and each one that fails. */
static void
beside(const char *name, void (*walker)(void *), bool swapped)
{
    struct sim_program program = {setup, {fork_task, walker}, 2, check, NULL};
    char title[80];

    scene.swapped = swapped;
    uint64_t steps = count_steps();
    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        snprintf(title, sizeof(title), "fork beside %s, %s %llu", name,
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, &program, MOST);
    }
}

static void
test_rmap(void **state)
{
    (void)state;
    beside("a reverse-map walker", rmap_task, false);
}

static void
test_swap_list(void **state)
{
    (void)state;
    beside("a swap-list walker", swap_list_task, true);
}

static void
test_registry(void **state)
{
    (void)state;
    beside("a registry walker", registry_task, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmap),
        cmocka_unit_test(test_swap_list),
        cmocka_unit_test(test_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
