/* SPDX-License-Identifier: MIT */
/*
 * load_import.c - VMAs, and what their entries hold, into the machine.
 *
 * Called by load.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/load_parts.h"

#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <aspen/object.h>

#include <stdlib.h>
#include <string.h>

/* A raw number that the kernel did not tell: which one makes no difference. */
#define RAW_UNKNOWN (UINT64_C(1) << 34)

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
        .vm_flags = vma->flags,
        .offset_bytes = vma->pgoff << SNAPSHOT_PAGE_SHIFT,
        .flags =
            (makes_anon_vma(snapshot, vma) ? ASPEN_IMPORT_HAS_ANON_VMA : 0) |
            (vma->flags & ASPEN_VM_UFFD ? ASPEN_IMPORT_HAS_USERFAULT : 0),
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

int
load_import(struct building *building)
{
    const struct snapshot *snapshot = building->snapshot;

    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        if (import_vma(building, &snapshot->vmas[i]) != 0)
            return -1;
    return 0;
}
