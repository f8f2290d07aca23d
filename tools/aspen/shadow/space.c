/* SPDX-License-Identifier: MIT */
/*
 * space.c - address spaces of the guest: what exec set up, or what is
 * there after a call that Aspen lacks, taken over VMA by VMA.
 *
 * Called by watch.c and call.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/process.h"
#include "host/host.h"
#include "shadow/record.h"
#include "shadow/session.h"
#include "snapshot/smaps.h"

#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <aspen/calls/mlock.h>
#include <aspen/special.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPECIAL_PAGES 0x100000u

/* Only special mappings may not grow and yet have no file. */
static bool
is_special(const struct smaps_area *area, uint64_t flags)
{
    return area->inode == 0 && area->device == 0 &&
           (flags & (ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP)) != 0;
}

/* Somewhere, since nobody looks into it. */
static int
special_page(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
             uint64_t *raw)
{
    (void)context;
    (void)mm;
    *raw = SPECIAL_PAGES + offset_bytes / SNAPSHOT_PAGE_SIZE;
    return 0;
}

static const struct aspen_special special = {
    .name = "[vdso]",
    .fault = special_page,
};

/* Entries of pagemap, at a time; and what tells of a guard there (6.15 on). */
#define WINDOW      4096u
#define ENTRY_GUARD (UINT64_C(1) << 58)

static int
import_guard(struct aspen_mm *mm, uint64_t address)
{
    uint64_t done;

    return aspen_import_pages(mm,
                              &(struct aspen_import_pages){
                                  .address = address,
                                  .count = 1,
                                  .kind = ASPEN_IMPORT_GUARD,
                              },
                              &done);
}

/* An access there fails, and with it calls that need pages. */
static int
import_guards(struct aspen_mm *mm, pid_t tid, const struct smaps_area *area)
{
    static uint64_t entries[WINDOW];
    char path[64];
    int result = 0, file;

    snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)tid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    for (uint64_t at = area->start; at < area->end && result == 0;) {
        uint64_t pages = (area->end - at) / SNAPSHOT_PAGE_SIZE;
        ssize_t got =
            pread(file, entries, 8 * (pages < WINDOW ? pages : WINDOW),
                  (off_t)(at / SNAPSHOT_PAGE_SIZE * 8));
        if (got < 8)
            break;
        for (ssize_t i = 0; i < got / 8 && result == 0; i++)
            if (entries[i] & ENTRY_GUARD)
                result =
                    import_guard(mm, at + (uint64_t)i * SNAPSHOT_PAGE_SIZE);
        at += (uint64_t)(got / 8) * SNAPSHOT_PAGE_SIZE;
    }
    close(file);
    return result;
}

static int
import_area(struct shadow_session *session, struct aspen_mm *mm, pid_t tid,
            const struct smaps_area *area)
{
    struct aspen_import_vma vma = {
        .start = area->start,
        .end = area->end,
        .vm_flags = snapshot_flags(area->permissions, area->vm_flags),
        .offset_bytes = area->offset,
    };
    char name[ASPEN_NAME_BYTES];
    int result;

    if (snapshot_anon_name(area->path, name))
        vma.name = name;
    if (is_special(area, vma.vm_flags)) {
        vma.vm_flags |= ASPEN_VM_SPECIAL;
        if (!(vma.vm_flags & ASPEN_VM_PFNMAP))
            vma.special = &special;
    }
    if (area->inode != 0 || area->device != 0) {
        vma.object = shadow_files_mapped(session, tid, area, vma.vm_flags);
        if (!vma.object)
            return tool_fail(session->error, "no memory");
        /* Open for reading only it is private, whatever was asked for. */
        if (shadow_files_is_zeroes(area))
            vma.vm_flags &= ~(uint64_t)ASPEN_VM_SHARED;
    }
    if (area->anonymous_kb > 0 && !(vma.vm_flags & ASPEN_VM_SHARED))
        vma.flags = ASPEN_IMPORT_HAS_ANON_VMA;
    result = aspen_import_vma(mm, &vma);
    if (result == 0 && strstr(area->vm_flags, "gu"))
        result = import_guards(mm, tid, area);
    if (result != 0)
        return tool_fail(
            session->error,
            "cannot take over %" PRIx64 "-%" PRIx64 " of process %d: %s",
            area->start, area->end, (int)tid, aspen_error_name(result));
    return 0;
}

static void
note_stack(struct shadow_space *space, const struct smaps_area *area,
           uint64_t flags)
{
    if (strcmp(area->path, "[stack]") == 0)
        space->stack_end = area->end;
    else if (flags & ASPEN_VM_GROWSDOWN)
        space->grows = true;
}

/* Is it for execution alone, by a key that nobody was given? */
static bool
is_own_key(const struct shadow_space *space, const struct aspen_pkeys *pkeys,
           uint64_t flags)
{
    unsigned pkey = (unsigned)((flags & ASPEN_VM_PKEY) >> ASPEN_VM_PKEY_SHIFT);

    return space->own_key_open && pkeys->execute_only_key == -1 &&
           (flags & ASPEN_VM_ACCESS) == ASPEN_VM_EXEC &&
           !(pkeys->given_out >> pkey & 1);
}

/* All areas of the task, and what of them grows; protection keys: those that
 * `before` has, unless NULL, and those of the areas. */
static int
import_all(struct shadow_session *session, struct shadow_space *space,
           struct aspen_mm *mm, pid_t tid, const struct aspen_mm *before)
{
    struct aspen_pkeys pkeys = {1, -1};
    struct smaps_reader reader;
    struct smaps_area area;
    char path[64];
    uint64_t areas = 0;
    int got;
    FILE *smaps;

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)tid);
    smaps = fopen(path, "re");
    if (!smaps)
        return tool_fail(session->error, "cannot read %s: %s", path,
                         strerror(errno));
    if (before)
        aspen_pkeys_read(before, &pkeys);
    smaps_begin(&reader, smaps);
    while ((got = smaps_next(&reader, &area, session->error)) == 1) {
        uint64_t flags = snapshot_flags(area.permissions, area.vm_flags);
        note_stack(space, &area, flags);
        /* A mapping keeps a key that was freed. */
        if (!before || is_own_key(space, &pkeys, flags))
            snapshot_note_pkey(&pkeys, flags);
        areas++;
        if (import_area(session, mm, tid, &area) != 0) {
            got = -1;
            break;
        }
    }
    smaps_end(&reader);
    fclose(smaps);
    tally_add(&session->set_up, "vmas", areas);
    if (got == 0 && aspen_import_pkeys(mm, &pkeys) != 0)
        return tool_fail(session->error, "the machine lacks a protection key");
    return got;
}

static int
fill(struct shadow_session *session, struct shadow_space *space,
     struct aspen_mm *mm, pid_t tid)
{
    struct host_process process;
    int result;

    if (import_all(session, space, mm, tid, NULL) != 0)
        return -1;
    result = host_process_read(tid, &process);
    if (result == 0)
        result = host_process_apply(&process, mm);
    if (result != 0)
        return tool_fail(session->error,
                         "cannot set up the space of process %d: %s", (int)tid,
                         strerror(-result));
    return 0;
}

/* In the old one's place, which the task leaves. */
static int
make_mm(struct shadow_session *session, struct shadow_space *space,
        struct shadow_space *old, pid_t tid)
{
    struct aspen_mm *mm;
    int result = old ? aspen_exec_prepare(old->mm, &mm)
                     : aspen_mm_create(session->aspen, &mm);

    if (result != 0)
        return tool_fail(session->error, "cannot make a space: %s",
                         aspen_error_name(result));
    result = fill(session, space, mm, tid);
    if (result != 0 && guest_is_ending(tid)) /* whatever it was */
        result = 0;
    space->mm = mm;
    if (!old)
        return result;
    if (result == 0)
        aspen_exec_commit(old->mm, mm);
    else
        aspen_exec_abort(mm);
    return result;
}

/* All that the last user takes along. */
static void
free_rest(struct shadow_space *space)
{
    shadow_changed_free(space);
    recorder_space_end(space->recorded);
    space->recorded = NULL;
}

int
shadow_space_exec(struct guest *guest, struct guest_space *space,
                  struct guest_space *old, pid_t tid)
{
    struct shadow_session *session = shadow_session_of(guest);

    tally_add(&session->set_up, "execs", 1);
    if (!space->followed)
        tally_add(&session->not_followed, "32-bit program", 1);
    if (make_mm(session, shadow_space_of(space),
                old ? shadow_space_of(old) : NULL, tid) != 0)
        return -1;
    shadow_space_of(space)->recorded = recorder_space(session->recorder, NULL);
    shadow_space_of(space)->timeline =
        timeline_begin(&session->timelines, tid, shadow_space_of(space)->mm);
    if (!old)
        return 0;
    shadow_space_of(space)->denies_execution =
        shadow_space_of(old)->denies_execution;
    shadow_space_of(space)->unseen =
        shadow_space_of(old)->unseen & SHADOW_BY_KEPT;
    if (old->users == 1)
        free_rest(shadow_space_of(old));
    return 0;
}

int
shadow_space_fork(struct guest *guest, struct guest_space *child,
                  struct guest_space *parent)
{
    struct shadow_space *from = shadow_space_of(parent);
    struct shadow_space *space = shadow_space_of(child);
    int result;

    space->denies_execution = from->denies_execution;
    space->unseen = from->unseen;
    space->grows = from->grows;
    space->stack_end = from->stack_end;
    space->calls = from->calls;
    space->changed.all = true;
    space->changed.heap_end = from->changed.heap_end;
    space->last = from->last;
    space->own_key_open = from->own_key_open;
    space->recorded =
        recorder_space(shadow_session_of(guest)->recorder, from->recorded);
    result = aspen_fork(from->mm, &space->mm);
    if (result == 0)
        return 0;
    return tool_fail(&guest->error, "fork is refused: %s",
                     aspen_error_name(result));
}

void
shadow_space_get(struct guest_space *space)
{
    aspen_mm_get(shadow_space_of(space)->mm);
}

void
shadow_space_put(struct guest_space *space)
{
    if (space->users == 1)
        free_rest(shadow_space_of(space));
    aspen_mm_put(shadow_space_of(space)->mm);
}

/* The layout and what will be locked are no matter of VMAs: they stay, whatever
 * the limits have become since. */
static int
keep_rest(struct shadow_space *space, struct aspen_mm *mm)
{
    uint64_t limits[ASPEN_LIMITS];
    struct aspen_layout layout;
    int result = 0;

    for (unsigned i = 0; i < ASPEN_LIMITS && result == 0; i++) {
        limits[i] = aspen_limit(mm, (enum aspen_limit)i);
        result = aspen_limit_set(mm, (enum aspen_limit)i, UINT64_MAX);
    }
    aspen_layout_read(space->mm, &layout);
    if (result == 0)
        result = aspen_layout_set(mm, &layout);
    if (result == 0 && space->lock_future)
        result = aspen_mlockall(mm, space->lock_future);
    for (unsigned i = 0; i < ASPEN_LIMITS && result == 0; i++)
        result = aspen_limit_set(mm, (enum aspen_limit)i, limits[i]);
    return result;
}

int
shadow_space_again(struct shadow_session *session, struct guest_task *task)
{
    struct shadow_space *space = shadow_space_of(task->space);
    struct aspen_mm *old = space->mm;
    struct aspen_mm *mm;
    int result = aspen_exec_prepare(old, &mm);

    if (result != 0)
        return tool_fail(session->error, "cannot make a space: %s",
                         aspen_error_name(result));
    tally_add(&session->set_up, "taken over again", 1);
    result = import_all(session, space, mm, task->tid, old);
    if (result == 0 && keep_rest(space, mm) != 0)
        result = tool_fail(session->error, "cannot keep the layout");
    if (result != 0) {
        aspen_exec_abort(mm);
        return guest_is_ending(task->tid) ? 0 : -1;
    }
    aspen_exec_commit(old, mm);
    for (unsigned i = 1; i < space->guest.users; i++) {
        aspen_mm_get(mm);
        aspen_mm_put(old);
    }
    space->mm = mm;
    return 0;
}

bool
shadow_space_limits(struct shadow_space *space, pid_t tid)
{
    uint64_t limits[ASPEN_LIMITS];
    bool others = false;

    if (host_limits_read(tid, limits) != 0)
        return false;
    for (unsigned i = 0; i < ASPEN_LIMITS; i++) {
        if (aspen_limit(space->mm, (enum aspen_limit)i) == limits[i])
            continue;
        others = true;
        if (aspen_limit_set(space->mm, (enum aspen_limit)i, limits[i]) != 0)
            return others;
    }
    return others;
}

void
shadow_space_privileges(struct shadow_space *space, pid_t tid)
{
    struct host_process process;

    if (host_process_read(tid, &process) == 0 &&
        aspen_privileges_set(space->mm, process.privileges) != 0)
        return;
}
