/* SPDX-License-Identifier: MIT */
/*
 * machine.c - a machine that holds one captured address space.
 *
 * How a snapshot becomes one:
 *
 *   VMA       at its place, unmerged, with its flags; an anon_vma exactly when
 *             it holds an anonymous, swapped or guard page
 *   object    one for each device and inode; all have an open hook, so that
 *             every such step can fail
 *   anon      a frame each; huge ones a block each
 *   object    the object's page at that offset
 *   swap      the slot that it had, when the kernel told it; else one of its
 *             own
 *   other     left out and counted: userfault markers, poison
 *
 * What /proc does not show is built as if it were not there: relatives of the
 * process, other mappers of its files and shared memory, pages mapped by
 * somebody else too.
 *
 * Called by the workers of rehearse. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/machine.h"

#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <aspen/object.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE SNAPSHOT_PAGE_SIZE

/* Frames that wait in per-CPU caches or for a grace period. */
#define SLACK_FRAMES 16384u
/* A raw number that the kernel did not tell: which one makes no difference. */
#define RAW_UNKNOWN   (UINT64_C(1) << 34)
#define MAP_COUNT_MAX 65530u

#define TOLD_AREAS 3u /* swap areas of the kernel's that we keep apart */
#define SLOTS_MAX  ((uint64_t)1 << 30)

/* Swap as the import sees it: the kernel's areas, and one for the rest. */
struct swap_plan {
    uint64_t last_slot[32]; /* + 1, by the kernel's type; 0: not used */
    uint64_t pages[32];
    unsigned area[32];  /* ours */
    uint64_t own_slots; /* pages that get a slot of their own */
    uint64_t next_own;
    unsigned own_area;
};

/* What of an object's pages the import needs to know beforehand. */
struct object_plan {
    uint64_t end; /* in pages */
    bool has_pages;
    bool has_small;
    bool has_huge;
};

struct building {
    struct machine *machine;
    const struct snapshot *snapshot;
    enum machine_use use;
    struct tool_error *error;
    struct swap_plan swap;
    struct object_plan *objects;
};

/* --- hooks: everything succeeds, and is counted -------------------------- */

static struct machine_events *
events_of(void *context)
{
    return &((struct machine *)context)->events;
}

static int
arch_prepare(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_prepared++;
    return 0;
}

static void
arch_commit(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_committed++;
}

static void
arch_abort(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_aborted++;
}

static int
userfault_prepare(void *context, void *userfault, struct aspen_vma *parent,
                  struct aspen_vma *child, void **cookie)
{
    (void)userfault;
    (void)parent;
    (void)child;
    if (*cookie == NULL)
        events_of(context)->userfault_forks++;
    *cookie = context;
    return 0;
}

static void
userfault_commit(void *context, void *cookie)
{
    (void)cookie;
    events_of(context)->userfault_committed++;
}

static void
userfault_abort(void *context, void *cookie)
{
    (void)cookie;
    events_of(context)->userfault_aborted++;
}

static void
scanner_told(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->scanner_told++;
}

static void
bracket_opened(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_opened++;
}

static void
bracket_closed(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_closed++;
}

static int
object_opened(void *context, struct aspen_vma *vma)
{
    (void)vma;
    events_of(context)->opened++;
    return 0;
}

static void
object_closed(void *context, struct aspen_vma *vma)
{
    (void)vma;
    events_of(context)->closed++;
}

static void
object_released(void *context)
{
    events_of(context)->released++;
}

static const struct aspen_arch_ops arch_ops = {
    .fork_prepare = arch_prepare,
    .fork_commit = arch_commit,
    .fork_abort = arch_abort,
};
static const struct aspen_userfault_ops userfault_ops = {
    .fork_prepare = userfault_prepare,
    .fork_commit = userfault_commit,
    .fork_abort = userfault_abort,
};
static const struct aspen_scanner_ops scanner_ops = {
    .fork_done = scanner_told,
};
static const struct aspen_notifier_ops notifier_ops = {
    .invalidate_start = bracket_opened,
    .invalidate_end = bracket_closed,
};
static const struct aspen_pager_ops pager_ops = {
    .open = object_opened,
    .close = object_closed,
    .release = object_released,
};

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
    config.tables_only = building->use == MACHINE_FOR_FORK;
    config.contents_ignored = building->use == MACHINE_FOR_CALLS;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.map_count_max = MAP_COUNT_MAX;
    if (building->snapshot->vma_count > MAP_COUNT_MAX)
        config.map_count_max = (uint32_t)building->snapshot->vma_count;
    config.pkeys = ASPEN_PKEYS_MAX;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    config.hooks = (struct aspen_hooks){
        .arch = &arch_ops,
        .userfault = &userfault_ops,
        .scanner = &scanner_ops,
        .notifier = &notifier_ops,
        .context = machine,
    };
    result = aspen_create(&config, &machine->aspen);
    if (result == 0)
        result = aspen_mm_create(machine->aspen, &machine->mm);
    if (result == 0)
        result = aspen_import_pkeys(machine->mm, &pkeys);
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
            .pager = &pager_ops,
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

/* --- importing ----------------------------------------------------------- */

static bool
makes_anon_vma(const struct snapshot *snapshot, const struct snapshot_vma *vma)
{
    for (uint32_t i = 0; i < vma->run_count; i++) {
        unsigned kind = snapshot_run_kind(&snapshot->runs[vma->first_run + i]);

        if (kind == SNAPSHOT_ANON || kind == SNAPSHOT_SWAP ||
            kind == SNAPSHOT_GUARD)
            return true;
    }
    return false;
}

static int
refuse_at(struct building *building, const char *what, uint64_t address,
          int result)
{
    return tool_fail(building->error, "cannot import %s at 0x%llx: %s", what,
                     (unsigned long long)address, aspen_error_name(result));
}

static int
import_entries(struct building *building, struct aspen_import_pages *pages)
{
    uint64_t done;
    int result = aspen_import_pages(building->machine->mm, pages, &done);

    if (result != 0)
        return refuse_at(building, "pages", pages->address, result);
    return 0;
}

static int
import_swap(struct building *building, const struct snapshot_run *run,
            struct aspen_import_pages *pages)
{
    struct swap_plan *swap = &building->swap;
    uint64_t mask = ((uint64_t)1 << SNAPSHOT_SWAP_TYPE_BITS) - 1;
    unsigned type = (unsigned)(run->value & mask);
    uint64_t slot = run->value >> SNAPSHOT_SWAP_TYPE_BITS;

    if (run->value != SNAPSHOT_NO_SLOT &&
        slot + run->count <= swap->last_slot[type]) {
        pages->swap_type = swap->area[type];
        pages->swap_slot = (uint32_t)slot;
    } else {
        pages->swap_type = swap->own_area;
        pages->swap_slot = (uint32_t)swap->next_own;
        swap->next_own += run->count;
    }
    return import_entries(building, pages);
}

/* One leaf as what it is; small pages where an object has both sizes. */
static void
flatten(struct aspen_import_pages *pages)
{
    pages->count *= snapshot_level_pages(pages->level);
    pages->level = 0;
}

static int
import_run(struct building *building, const struct snapshot_vma *vma,
           const struct snapshot_run *run)
{
    const struct object_plan *object = NULL;
    struct aspen_import_pages pages = {
        .address = snapshot_run_address(run),
        .count = run->count,
        .level = snapshot_run_level(run),
    };
    bool shared = (vma->flags & ASPEN_VM_SHARED) != 0;

    if (vma->object != SNAPSHOT_NO_OBJECT)
        object = &building->objects[vma->object];
    switch (snapshot_run_kind(run)) {
    case SNAPSHOT_ANON:
        if (shared)
            break;
        pages.kind = ASPEN_IMPORT_ANON;
        pages.dirty = true;
        return import_entries(building, &pages);
    case SNAPSHOT_OBJECT:
        if (object == NULL)
            break;
        pages.kind = ASPEN_IMPORT_OBJECT;
        if (object->has_small && object->has_huge && pages.level > 0)
            flatten(&pages);
        return import_entries(building, &pages);
    case SNAPSHOT_ZERO:
        if (shared)
            break;
        pages.kind = ASPEN_IMPORT_ZERO;
        flatten(&pages);
        return import_entries(building, &pages);
    case SNAPSHOT_SWAP:
        if (shared || pages.level > 0)
            break;
        pages.kind = ASPEN_IMPORT_SWAP;
        return import_swap(building, run, &pages);
    case SNAPSHOT_GUARD:
        pages.kind = ASPEN_IMPORT_GUARD;
        flatten(&pages);
        return import_entries(building, &pages);
    case SNAPSHOT_RAW:
        if ((vma->flags &
             (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_SPECIAL)) == 0)
            break;
        pages.kind = ASPEN_IMPORT_RAW;
        pages.first_raw = run->value ? run->value : RAW_UNKNOWN;
        return import_entries(building, &pages);
    default:
        break;
    }
    building->machine->left_out += snapshot_run_pages(run);
    return 0;
}

static int
import_vma(struct building *building, const struct snapshot_vma *vma)
{
    const struct snapshot *snapshot = building->snapshot;
    struct aspen_import_vma args = {
        .start = vma->start,
        .end = vma->end,
        .flags = vma->flags,
        .pgoff = vma->pgoff,
        .has_anon_vma = makes_anon_vma(snapshot, vma),
        .userfault = (vma->flags & ASPEN_VM_UFFD) != 0,
    };
    char name[ASPEN_NAME_BYTES];
    int result;

    if (snapshot_anon_name(snapshot->strings[vma->path], name))
        args.name = name;
    if (vma->object != SNAPSHOT_NO_OBJECT)
        args.object = building->machine->objects[vma->object];
    result = aspen_import_vma(building->machine->mm, &args);
    if (result != 0)
        return refuse_at(building, "the mapping", vma->start, result);
    for (uint32_t i = 0; i < vma->run_count; i++)
        if (import_run(building, vma, &snapshot->runs[vma->first_run + i]) != 0)
            return -1;
    return 0;
}

static int
import_all(struct building *building)
{
    const struct snapshot *snapshot = building->snapshot;

    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        if (import_vma(building, &snapshot->vmas[i]) != 0)
            return -1;
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
    if (result == 0)
        result = make_machine(&building);
    if (result == 0)
        result = make_swap(&building);
    if (result == 0)
        result = make_objects(&building);
    if (result == 0)
        result = import_all(&building);
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
    if (machine->direct_map != MAP_FAILED && result == 0)
        munmap(machine->direct_map, machine->direct_map_bytes);
    if (result != 0)
        tool_fail(error, "the machine cannot end: %s",
                  aspen_error_name(result));
    memset(machine, 0, sizeof(*machine));
    machine->direct_map = MAP_FAILED;
    return result == 0 ? 0 : -1;
}
