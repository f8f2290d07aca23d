/* SPDX-License-Identifier: MIT */
/*
 * shadow_compare.c - the mappings of a space, the host's and ours.
 *
 * identical: line by line the same: addresses, access, offset, file.
 * equal:     the same once neighbours that only differ in their anon_vma are
 *            joined on either side: the kernel keeps two areas apart when each
 *            had its pages touched before they could merge, and touching is
 *            what nobody sees. What else keeps areas apart (VmFlags) has to be
 *            there on both sides.
 *
 * Called by shadow_call.c and shadow_trace.c. tests/tools/shadow.sh breaks
 * first.
 */
#define _GNU_SOURCE
#include "shadow_session.h"
#include "smaps.h"

#include <aspen/fault.h>
#include <aspen/flags.h>
#include <aspen/inspect.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Flags that say nothing of how a mapping came about: dirty bits; and those
 * of the kernel's own special mappings, which are taken over. */
#define IGNORED ASPEN_VM_SOFTDIRTY

struct area {
    uint64_t start;
    uint64_t end;
    uint64_t flags;
    uint64_t offset;
    uint64_t device;
    uint64_t inode;
    bool memory; /* shared memory without a file */
};

struct areas {
    struct area *list;
    size_t count;
    size_t room;
};

/* ---- Reading ------------------------------------------------------------ */

static int
add_area(struct areas *areas, const struct smaps_area *from)
{
    if (areas->count == areas->room) {
        size_t room = areas->room ? areas->room * 2 : 128;
        struct area *list = realloc(areas->list, room * sizeof(*list));

        if (!list)
            return -1;
        areas->list = list;
        areas->room = room;
    }
    areas->list[areas->count++] = (struct area){
        .start = from->start,
        .end = from->end,
        .flags = snapshot_flags(from->permissions, from->vm_flags) & ~IGNORED,
        .offset = from->offset,
        .device = from->device,
        .inode = from->inode,
        .memory = strcmp(from->path, "/dev/zero (deleted)") == 0,
    };
    return 0;
}

static int
read_areas(struct shadow_session *session, FILE *file, struct areas *areas)
{
    struct smaps_reader reader;
    struct smaps_area area;
    int got;

    if (!file)
        return tool_fail(&session->error, "cannot read maps: %s",
                         strerror(errno));
    smaps_begin(&reader, file);
    while ((got = smaps_next(&reader, &area, &session->error)) == 1)
        if (add_area(areas, &area) != 0) {
            got = tool_fail(&session->error, "no memory");
            break;
        }
    smaps_end(&reader);
    fclose(file);
    return got;
}

static int
read_theirs(struct shadow_session *session, pid_t tid, const char *name,
            struct areas *areas)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
    areas->count = 0;
    return read_areas(session, fopen(path, "re"), areas);
}

static void
take_text(void *context, const char *text, size_t length)
{
    uint8_t *to = tool_buffer_add(context, length);

    if (to)
        memcpy(to, text, length);
}

static int
read_ours(struct shadow_session *session, struct aspen_mm *mm, bool smaps,
          struct areas *areas)
{
    struct tool_buffer buffer = {0};
    int result = 0;

    areas->count = 0;
    (smaps ? aspen_inspect_smaps : aspen_inspect_maps)(mm, take_text, &buffer);
    if (buffer.failed)
        result = tool_fail(&session->error, "no memory");
    else if (buffer.length)
        result = read_areas(session, fmemopen(buffer.bytes, buffer.length, "r"),
                            areas);
    tool_buffer_free(&buffer);
    return result;
}

/* ---- Stacks ------------------------------------------------------------- */

/* Ours grows to where theirs begins, if it is one that grows. */
static bool
grow(struct aspen_mm *mm, const struct area *ours, const struct area *theirs)
{
    if (theirs->end != ours->end || theirs->start >= ours->start)
        return false;
    return aspen_fault(mm, theirs->start,
                       ours->flags & ASPEN_VM_WRITE ? ASPEN_ACCESS_WRITE
                                                    : ASPEN_ACCESS_READ) == 0;
}

static unsigned
grow_all(struct aspen_mm *mm, const struct areas *ours,
         const struct areas *theirs)
{
    unsigned grown = 0;
    size_t j = 0;

    for (size_t i = 0; i < ours->count; i++) {
        while (j < theirs->count && theirs->list[j].end < ours->list[i].end)
            j++;
        if (j < theirs->count && grow(mm, &ours->list[i], &theirs->list[j]))
            grown++;
    }
    return grown;
}

/* Both lists, with stacks grown. */
static int
read_both(struct shadow_session *session, struct shadow_space *space, pid_t tid,
          struct areas *ours, struct areas *theirs)
{
    unsigned grown;

    if (read_theirs(session, tid, "maps", theirs) != 0 ||
        read_ours(session, space->mm, false, ours) != 0)
        return -1;
    grown = grow_all(space->mm, ours, theirs);
    if (grown == 0)
        return 0;
    tally_add(&session->set_up, "stack growth", grown);
    return read_ours(session, space->mm, false, ours);
}

int
shadow_compare_stacks(struct shadow_session *session,
                      struct shadow_space *space, pid_t tid)
{
    struct areas ours = {0};
    struct areas theirs = {0};
    int result = read_both(session, space, tid, &ours, &theirs);

    free(ours.list);
    free(theirs.list);
    return result;
}

/* ---- Comparing ---------------------------------------------------------- */

static bool
same_area(struct shadow_session *session, const struct area *ours,
          const struct area *theirs)
{
    const uint64_t shown = ASPEN_VM_ACCESS | ASPEN_VM_MAYSHARE;

    if (ours->start != theirs->start || ours->end != theirs->end ||
        ((ours->flags ^ theirs->flags) & shown) != 0 ||
        ours->offset != theirs->offset)
        return false;
    if (ours->memory && theirs->memory)
        return shadow_files_same_memory(session, ours->inode, theirs->inode);
    return ours->device == theirs->device && ours->inode == theirs->inode;
}

/* Which area of ours is the first that differs; SIZE_MAX: none. */
static size_t
first_difference(struct shadow_session *session, const struct areas *ours,
                 const struct areas *theirs)
{
    size_t i = 0;

    while (i < ours->count && i < theirs->count) {
        if (!same_area(session, &ours->list[i], &theirs->list[i]))
            return i;
        i++;
    }
    return ours->count == theirs->count ? SIZE_MAX : i;
}

static bool
can_join(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->flags == b->flags &&
           a->device == b->device && a->inode == b->inode &&
           (a->inode == 0 || a->offset + (a->end - a->start) == b->offset);
}

static void
join(struct areas *areas)
{
    size_t kept = 0;

    for (size_t i = 1; i < areas->count; i++)
        if (can_join(&areas->list[kept], &areas->list[i]))
            areas->list[kept].end = areas->list[i].end;
        else
            areas->list[++kept] = areas->list[i];
    if (areas->count)
        areas->count = kept + 1;
}

static void
put_area(const struct areas *areas, size_t i, char *text, size_t size)
{
    const struct area *area = &areas->list[i];

    if (i >= areas->count) {
        snprintf(text, size, "nothing more");
        return;
    }
    snprintf(text, size,
             "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 " %" PRIx64 ":%" PRIx64
             " %" PRIu64,
             area->start, area->end, area->flags & ASPEN_VM_READ ? 'r' : '-',
             area->flags & ASPEN_VM_WRITE ? 'w' : '-',
             area->flags & ASPEN_VM_EXEC ? 'x' : '-',
             area->flags & ASPEN_VM_MAYSHARE ? 's' : 'p', area->offset,
             area->device >> 32, area->device & UINT32_MAX, area->inode);
}

static void
tell_difference(struct shadow_session *session, const struct shadow_task *task,
                const char *when, const struct areas *ours,
                const struct areas *theirs, size_t at)
{
    char here[160];
    char there[160];
    char call[256];

    put_area(ours, at, here, sizeof(here));
    put_area(theirs, at, there, sizeof(there));
    shadow_call_text(&task->space->last, call, sizeof(call));
    shadow_tell(session, "process %d, %s: kernel %s, Aspen %s, after %s",
                (int)task->process->pid, when, there, here, call);
}

/* Lines differ: is it only where neighbours are one? 1: yes, 0: no. */
static int
compare_joined(struct shadow_session *session, struct shadow_task *task,
               const char *when, struct areas *ours, struct areas *theirs)
{
    size_t at;

    if (read_theirs(session, task->tid, "smaps", theirs) != 0 ||
        read_ours(session, task->space->mm, true, ours) != 0)
        return -1;
    join(ours);
    join(theirs);
    at = first_difference(session, ours, theirs);
    if (at == SIZE_MAX)
        return 1;
    tell_difference(session, task, when, ours, theirs, at);
    return 0;
}

static int
compare(struct shadow_session *session, struct shadow_task *task,
        const char *when, struct areas *ours, struct areas *theirs)
{
    struct shadow_counts *counts = &task->process->counts;
    int result;

    if (read_both(session, task->space, task->tid, ours, theirs) != 0)
        return -1;
    counts->maps_compared++;
    if (first_difference(session, ours, theirs) == SIZE_MAX) {
        counts->identical++;
        return 0;
    }
    result = compare_joined(session, task, when, ours, theirs);
    if (result < 0)
        return -1;
    if (result > 0) {
        counts->equal++;
        return 0;
    }
    counts->different++;
    return shadow_space_again(session, task->space, task->tid);
}

int
shadow_compare(struct shadow_session *session, struct shadow_task *task,
               const char *when)
{
    struct areas ours = {0};
    struct areas theirs = {0};
    int result = compare(session, task, when, &ours, &theirs);

    free(ours.list);
    free(theirs.list);
    return result;
}
