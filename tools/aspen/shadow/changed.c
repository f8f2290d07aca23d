/* SPDX-License-Identifier: MIT */
/*
 * changed.c - which addresses calls were about since mappings were compared
 * last, and those compared alone: with many mappings to look at all of them
 * after every few calls would take longer than the calls.
 *
 * Called by call.c and compare.c. tests/unit/tools/test_changed.c breaks
 * first.
 */
#define _GNU_SOURCE
#include "shadow/session.h"

#include <aspen/flags.h>
#include <aspen/limits.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE UINT64_C(4096)

/* So few that all of them are looked at every time. */
#define FEW 400u

/* ---- Noted -------------------------------------------------------------- */

static void
note(struct shadow_space *space, uint64_t start, uint64_t bytes)
{
    struct shadow_changed *changed = &space->changed;
    uint64_t end = start + bytes < start ? UINT64_MAX : start + bytes;
    struct shadow_range *last =
        changed->count ? &changed->list[changed->count - 1] : NULL;
    struct shadow_range *list;

    timeline_touch(space->timeline, space->mm, start, end);
    if (last && start <= last->end && end >= last->start) {
        last->start = start < last->start ? start : last->start;
        last->end = end > last->end ? end : last->end;
        return;
    }
    list =
        tool_room(changed->list, changed->count, &changed->room, sizeof(*list));
    if (!list) {
        changed->all = true;
        return;
    }
    changed->list = list;
    list[changed->count++] = (struct shadow_range){start, end};
}

/* From where it begins to the highest end that it had. */
static void
note_heap(struct shadow_space *space)
{
    struct aspen_layout layout;

    aspen_layout_read(space->mm, &layout);
    if (layout.brk > space->changed.heap_end)
        space->changed.heap_end = layout.brk;
    if (space->changed.heap_end > layout.brk_start)
        note(space, layout.brk_start,
             space->changed.heap_end - layout.brk_start);
}

void
shadow_changed_note(struct shadow_space *space, const struct guest_call *call)
{
    struct shadow_changed *changed = &space->changed;
    const uint64_t *a = call->call.arguments;

    changed->calls++;
    switch (call->call.number) {
    case SYS_mincore:
    case SYS_msync:
    case SYS_pkey_alloc:
    case SYS_pkey_free:
        break;
    case SYS_mmap:
        note(space, a[0], a[1]);
        note(space, (uint64_t)call->answer, a[1]);
        break;
    case SYS_mremap:
        note(space, a[0], a[1] > a[2] ? a[1] : a[2]);
        note(space, a[4], a[2]);
        note(space, (uint64_t)call->answer, a[2]);
        break;
    case SYS_brk:
        note_heap(space);
        break;
    case SYS_prctl:
        if (a[0] != PR_SET_MM)
            note(space, a[2], a[3]);
        break;
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_madvise:
    case SYS_remap_file_pages:
        note(space, a[0], a[1]);
        break;
    default:
        changed->all = true;
        timeline_touch(space->timeline, space->mm, 0, UINT64_MAX);
    }
}

void
shadow_changed_forget(struct shadow_space *space, bool whole)
{
    space->changed.count = 0;
    if (whole) {
        space->changed.all = false;
        space->changed.calls = 0;
    }
}

void
shadow_changed_free(struct shadow_space *space)
{
    free(space->changed.list);
    space->changed = (struct shadow_changed){0};
}

/* ---- Compared ----------------------------------------------------------- */

static int
by_start(const void *a, const void *b)
{
    const struct shadow_range *one = a, *other = b;

    return (one->start > other->start) - (one->start < other->start);
}

/* With a page on either side, where neighbours may have joined. */
static void
tidy(struct shadow_changed *changed)
{
    struct shadow_range *list = changed->list;
    size_t kept = 0;

    if (changed->count == 0)
        return;
    qsort(list, changed->count, sizeof(*list), by_start);
    for (size_t i = 0; i < changed->count; i++) {
        list[i].start -= list[i].start < PAGE ? list[i].start : PAGE;
        list[i].end += list[i].end > UINT64_MAX - PAGE ? 0 : PAGE;
        if (i == 0 || list[i].start > list[kept].end)
            list[i == 0 ? 0 : ++kept] = list[i];
        else if (list[i].end > list[kept].end)
            list[kept].end = list[i].end;
    }
    changed->count = kept + 1;
}

bool
shadow_changed_is_enough(const struct shadow_space *space)
{
    struct aspen_mm_counters counters;

    aspen_mm_counters_read(space->mm, &counters);
    return !space->changed.all && counters.vmas > FEW &&
           space->changed.calls < 2 * counters.vmas;
}

static int
compare_ranges(struct shadow_session *session, struct shadow_space *space,
               int maps, struct areas *ours, struct areas *theirs)
{
    struct shadow_changed *changed = &space->changed;

    tidy(changed);
    for (size_t i = 0; i < changed->count; i++) {
        const struct shadow_range *range = &changed->list[i];
        int result = areas_add_host(theirs, maps, range->start, range->end,
                                    session->error);
        if (result <= 0)
            return result;
        if (areas_add_aspen(ours, space->mm, range->start, range->end,
                            session->error) != 0)
            return -1;
    }
    return areas_difference(&session->memories, theirs, ours,
                            ASPEN_VM_ACCESS | ASPEN_VM_MAYSHARE) == SIZE_MAX;
}

int
shadow_changed_compare(struct shadow_session *session,
                       struct shadow_space *space, pid_t tid)
{
    struct areas ours = {0}, theirs = {0};
    char path[64];
    int maps, result;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)tid);
    maps = open(path, O_RDONLY | O_CLOEXEC);
    if (maps < 0)
        return 0;
    result = compare_ranges(session, space, maps, &ours, &theirs);
    close(maps);
    areas_free(&ours);
    areas_free(&theirs);
    return result;
}
