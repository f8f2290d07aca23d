/* SPDX-License-Identifier: MIT */
/*
 * load_import.c - VMAs, and what their entries hold, into the machine.
 *
 * Called by load.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/load_parts.h"
#include "rehearse/swapped.h"

#include <aspen/calls/mmu.h>
#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <aspen/object.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* So much is zeroed at a time. */
#define PART_BYTES (UINT64_C(16) << 20)

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

/* Pages of zeroes need no memory of the host, until somebody writes to them. */
static void
give_zeroes_back(const struct machine *machine, uint64_t address,
                 uint64_t bytes)
{
    struct aspen_translation to;

    for (uint64_t end = address + bytes; address < end;) {
        if (aspen_mmu_translate(machine->mm, address, &to) != 0) {
            address += PAGE;
            continue;
        }
        uint64_t first = to.number, count = 0;
        while (address < end &&
               aspen_mmu_translate(machine->mm, address, &to) == 0 &&
               to.number == first + count) {
            address += PAGE;
            count++;
        }
        (void)madvise((char *)machine->direct_map + first * PAGE, count * PAGE,
                      MADV_DONTNEED);
    }
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

/* Frames with memory are zeroes: of these a part at a time has any. */
static int
import_frames(struct building *building, const struct aspen_import_pages *pages)
{
    const struct machine *machine = building->machine;
    struct aspen_import_pages part = *pages;
    uint64_t size = PAGE * snapshot_level_pages(pages->level);
    int result = 0;

    if (!machine->swapped)
        return import_entries(building, &part);
    for (uint64_t done = 0; done < pages->count && result == 0;
         done += part.count) {
        uint64_t rest = pages->count - done;
        part.address = pages->address + done * size;
        part.count = rest * size > PART_BYTES ? PART_BYTES / size : rest;
        part.count += part.count == 0;
        result = import_entries(building, &part);
        if (result == 0)
            give_zeroes_back(machine, part.address, part.count * size);
    }
    return result;
}

/* Pages `first` of the run and on, as slots that are only counted. */
static int
import_slots(struct building *building, const struct snapshot_run *run,
             uint64_t first, struct aspen_import_pages *pages)
{
    struct swap_plan *swap = &building->swap;
    uint64_t mask = ((uint64_t)1 << SNAPSHOT_SWAP_TYPE_BITS) - 1;
    unsigned type = (unsigned)(run->value & mask);
    uint64_t slot = (run->value >> SNAPSHOT_SWAP_TYPE_BITS) + first;

    if (run->value != SNAPSHOT_NO_SLOT &&
        slot + pages->count <= swap->last_slot[type]) {
        pages->swap_type = swap->area[type];
        pages->swap_slot = (uint32_t)slot;
    } else {
        pages->swap_type = swap->own_area;
        pages->swap_slot = (uint32_t)swap->next_own;
        swap->next_own += pages->count;
    }
    return import_entries(building, pages);
}

/* Pages in a row that are swapped in the same way, at a time. */
static int
import_swap(struct building *building, const struct snapshot_vma *vma,
            const struct snapshot_run *run, struct aspen_import_pages *pages)
{
    struct swapped *swapped = building->machine->swapped;
    int result = 0;

    for (uint64_t first = 0, end; first < run->count && result == 0;
         first = end) {
        bool really = swapped_takes(swapped, vma, run, first);
        for (end = first + 1; end < run->count; end++)
            if (swapped_takes(swapped, vma, run, end) != really)
                break;
        pages->address = snapshot_run_address(run) + first * PAGE;
        pages->count = end - first;
        if (!really) {
            result = import_slots(building, run, first, pages);
            continue;
        }
        result = swapped_put(swapped, building->machine->mm, pages->address,
                             pages->count);
        if (result != 0)
            result = refuse_at(building, "pages", pages->address, result);
    }
    return result;
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
        return import_frames(building, &pages);
    case SNAPSHOT_OBJECT:
        if (object == NULL)
            break;
        pages.kind = ASPEN_IMPORT_OBJECT;
        if (object->has_small && object->has_huge && pages.level > 0)
            flatten(&pages);
        return import_frames(building, &pages);
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
        return import_swap(building, vma, run, &pages);
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
