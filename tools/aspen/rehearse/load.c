/* SPDX-License-Identifier: MIT */
/*
 * load.c - a machine that holds one captured address space.
 *
 * How a snapshot becomes one:
 *
 *   VMA       at its place, unmerged, with its flags; an anon_vma exactly when
 *             it holds an anonymous, swapped or guard page
 *   object    one for each device and inode; all have an open hook, so that
 *             every such step can fail
 *   anon      a frame each; huge ones a block each
 *   object    the object's page at that offset
 *   swap      really swapped (swapped.h), where that can be; else the slot that
 *             it had, when the kernel told it, or one of its own
 *   other     left out and counted: userfault markers, poison
 *
 * What /proc does not show is built as if it were not there: relatives of the
 * process, other mappers of its files and shared memory, pages mapped by
 * somebody else too.
 *
 * Called by the workers of rehearse. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/load_parts.h"
#include "rehearse/swapped.h"

#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <aspen/object.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Frames that wait in per-CPU caches or for a grace period. */
#define SLACK_FRAMES  16384u
#define MAP_COUNT_MAX 65530u

#define TOLD_AREAS 3u /* swap areas of the kernel's that we keep apart */
#define SLOTS_MAX  ((uint64_t)1 << 30)

/* --- planning ------------------------------------------------------------ */

static void
plan_swap_run(struct swap_plan *swap, const struct snapshot_run *run)
{
    uint64_t mask = ((uint64_t)1 << SNAPSHOT_SWAP_TYPE_BITS) - 1;
    unsigned type = (unsigned)(run->value & mask);
    uint64_t last = (run->value >> SNAPSHOT_SWAP_TYPE_BITS) + run->count - 1;

    if (run->value == SNAPSHOT_NO_SLOT || last >= SLOTS_MAX)
        swap->own_slots += run->count;
    else {
        swap->pages[type] += run->count;
        if (last + 1 > swap->last_slot[type])
            swap->last_slot[type] = last + 1;
    }
}

static void
plan_object_run(struct object_plan *object, const struct snapshot_run *run)
{
    object->has_pages = true;
    if (snapshot_run_level(run) > 0)
        object->has_huge = true;
    else
        object->has_small = true;
}

static int
plan(struct building *building)
{
    const struct snapshot *snapshot = building->snapshot;

    building->objects =
        calloc(snapshot->object_count + 1u, sizeof(*building->objects));
    if (building->objects == NULL)
        return tool_fail(building->error, "no memory");
    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        const struct snapshot_vma *vma = &snapshot->vmas[i];
        uint64_t pages = (vma->end - vma->start) / PAGE;
        struct object_plan *object = NULL;

        if (vma->object != SNAPSHOT_NO_OBJECT) {
            object = &building->objects[vma->object];
            if (vma->pgoff + pages > object->end)
                object->end = vma->pgoff + pages;
        }
        for (uint32_t j = 0; j < vma->run_count; j++) {
            const struct snapshot_run *run =
                &snapshot->runs[vma->first_run + j];
            unsigned kind = snapshot_run_kind(run);

            if (kind == SNAPSHOT_SWAP)
                plan_swap_run(&building->swap, run);
            else if (kind == SNAPSHOT_OBJECT && object != NULL)
                plan_object_run(object, run);
        }
    }
    return 0;
}

/* Frames: contents, tables of parent and child, and slack. */
static int
plan_frames(struct building *building, uint32_t *frames)
{
    struct snapshot_totals totals;
    uint64_t needed = SLACK_FRAMES;

    snapshot_sum(building->snapshot, &totals);
    needed += totals.pages[SNAPSHOT_ANON] + totals.pages[SNAPSHOT_OBJECT];
    /* No more than that waits to be written, or is read for a comparison. */
    needed += building->machine->swapped ? 4096 : 0;
    for (unsigned i = 0; i < 4; i++)
        needed += 3 * totals.tables[i];
    needed += 3 * totals.huge_entries[1]; /* huge zero pages become small */
    needed += needed / 64;
    if (totals.huge_entries[1] > 0)
        needed += 2048;
    if (totals.huge_entries[2] > 0)
        needed += (uint64_t)1 << 19;
    if (needed > UINT32_MAX - 1)
        return tool_fail(building->error,
                         "the process has more than 16 TiB of pages");
    *frames = (uint32_t)needed;
    return 0;
}

/* --- making -------------------------------------------------------------- */

static struct aspen_pkeys
find_pkeys(const struct snapshot *snapshot)
{
    struct aspen_pkeys pkeys = {1, -1};

    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        snapshot_note_pkey(&pkeys, snapshot->vmas[i].flags);
    return pkeys;
}

static int
make_machine(struct building *building)
{
    struct machine *machine = building->machine;
    const struct aspen_pkeys pkeys = find_pkeys(building->snapshot);
    struct aspen_config config;
    int result;

    aspen_config_init(&config);
    if (plan_frames(building, &config.frames) != 0)
        return -1;
    machine->direct_map_bytes = (size_t)config.frames * PAGE;
    machine->direct_map =
        mmap(NULL, machine->direct_map_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (machine->direct_map == MAP_FAILED)
        return tool_fail(building->error,
                         "cannot reserve %zu MiB of addresses for the machine",
                         machine->direct_map_bytes >> 20);
    config.direct_map = machine->direct_map;
    if (machine->swapped)
        config.swap_ahead_pages = 1; /* what is compared, and nothing else */
    else if (building->use == MACHINE_FOR_FORK)
        config.flags = ASPEN_CONFIG_TABLES_ONLY;
    else if (building->use == MACHINE_FOR_CALLS)
        config.flags = ASPEN_CONFIG_CONTENTS_IGNORED;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.map_count_max = MAP_COUNT_MAX;
    if (building->snapshot->vma_count > MAP_COUNT_MAX)
        config.map_count_max = (uint32_t)building->snapshot->vma_count;
    config.pkeys = ASPEN_PKEYS_MAX;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    load_hooks(machine, &config.hooks);
    result = aspen_create(&config, &machine->aspen);
    if (result == 0)
        result = aspen_mm_create(machine->aspen, &machine->mm);
    if (result == 0)
        result = aspen_import_pkeys(machine->mm, &pkeys);
    if (result == 0 && machine->swapped)
        result = swapped_attach(machine->swapped, machine->aspen);
    if (result != 0)
        return tool_fail(building->error, "cannot make the machine: %s",
                         aspen_error_name(result));
    return 0;
}

static int
add_swap_area(struct building *building, uint64_t slots, unsigned *area)
{
    int result =
        aspen_swap_area_add(building->machine->aspen, (uint32_t)slots, area);

    if (result != 0)
        return tool_fail(building->error, "cannot make a swap area: %s",
                         aspen_error_name(result));
    return 0;
}

/* The kernel may have more areas than we keep apart: the rest is pooled. */
static int
make_swap(struct building *building)
{
    struct swap_plan *swap = &building->swap;
    unsigned told = 0;

    for (unsigned type = 0; type < 32; type++) {
        if (swap->last_slot[type] == 0)
            continue;
        if (told == TOLD_AREAS) {
            swap->own_slots += swap->pages[type];
            swap->last_slot[type] = 0;
            continue;
        }
        told++;
        if (add_swap_area(building, swap->last_slot[type], &swap->area[type]) !=
            0)
            return -1;
    }
    if (swap->own_slots == 0)
        return 0;
    if (swap->own_slots > UINT32_MAX - 1)
        return tool_fail(building->error, "too many swapped pages");
    return add_swap_area(building, swap->own_slots, &swap->own_area);
}

static enum aspen_object_kind
kind_of(const struct snapshot_object *object, const struct object_plan *plan)
{
    switch (object->kind) {
    case SNAPSHOT_OBJECT_HUGETLB:
        return ASPEN_OBJECT_HUGETLB;
    case SNAPSHOT_OBJECT_SHMEM:
        return ASPEN_OBJECT_SHMEM;
    case SNAPSHOT_OBJECT_DEVICE:
        return plan->has_pages ? ASPEN_OBJECT_FILE : ASPEN_OBJECT_DEVICE;
    case SNAPSHOT_OBJECT_FILE:
    case SNAPSHOT_OBJECT_SPECIAL:
    default:
        return ASPEN_OBJECT_FILE;
    }
}

static int
make_objects(struct building *building)
{
    const struct snapshot *snapshot = building->snapshot;
    struct machine *machine = building->machine;

    machine->objects =
        calloc(snapshot->object_count + 1u, sizeof(*machine->objects));
    if (machine->objects == NULL)
        return tool_fail(building->error, "no memory");
    for (uint32_t i = 0; i < snapshot->object_count; i++) {
        const struct object_plan *plan = &building->objects[i];
        struct aspen_object_args args = {
            .kind = kind_of(&snapshot->objects[i], plan),
            .device = snapshot->objects[i].device,
            .inode = snapshot->objects[i].inode,
            .size_bytes =
                plan->end > UINT64_MAX / PAGE ? UINT64_MAX : plan->end * PAGE,
            .pager = &load_pager_ops,
            .context = machine,
        };
        int result =
            aspen_object_create(machine->aspen, &args, &machine->objects[i]);

        if (result != 0)
            return tool_fail(building->error, "cannot make an object: %s",
                             aspen_error_name(result));
        machine->object_count++;
    }
    return 0;
}

int
machine_begin(struct machine *machine, const struct snapshot *snapshot,
              enum machine_use use, struct tool_error *error)
{
    struct building building = {
        .machine = machine,
        .snapshot = snapshot,
        .use = use,
        .error = error,
    };
    struct tool_error ignored;
    int result;

    memset(machine, 0, sizeof(*machine));
    machine->direct_map = MAP_FAILED;
    result = plan(&building);
    if (result == 0 && use == MACHINE_FOR_FORK &&
        swapped_begin(&machine->swapped, snapshot) != 0)
        result = tool_fail(error, "no memory");
    if (result == 0)
        result = make_machine(&building);
    if (result == 0)
        result = make_swap(&building);
    if (result == 0)
        result = make_objects(&building);
    if (result == 0)
        result = load_import(&building);
    free(building.objects);
    if (result != 0)
        (void)machine_end(machine, &ignored);
    return result;
}

int
machine_end(struct machine *machine, struct tool_error *error)
{
    int result = 0;

    if (machine->mm != NULL)
        aspen_mm_put(machine->mm);
    for (uint32_t i = 0; i < machine->object_count; i++)
        aspen_object_put(machine->objects[i]);
    free(machine->objects);
    if (machine->aspen != NULL)
        result = aspen_destroy(machine->aspen);
    if (result == 0)
        swapped_end(machine->swapped);
    if (machine->direct_map != MAP_FAILED && result == 0)
        munmap(machine->direct_map, machine->direct_map_bytes);
    if (result != 0)
        tool_fail(error, "the machine cannot end: %s",
                  aspen_error_name(result));
    memset(machine, 0, sizeof(*machine));
    machine->direct_map = MAP_FAILED;
    return result == 0 ? 0 : -1;
}
