/* SPDX-License-Identifier: MIT */
/*
 * compare.c - the mappings of a space, the host's and ours.
 *
 * identical: line by line the same: addresses, access, offset, file, VmFlags.
 * equal:     the same once neighbours that only differ in their anon_vma are
 *            joined on either side: the kernel keeps two areas apart when each
 *            had its pages touched before they could merge, and touching is
 *            what nobody sees. What else keeps areas apart (VmFlags) has to be
 *            there on both sides.
 *
 * Called by call.c and watch.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/process.h"
#include "shadow/session.h"

#include <aspen/fault.h>
#include <aspen/flags.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* ---- Stacks ------------------------------------------------------------- */

/* Ours grows to where theirs begins, if it is one that grows. */
static bool
grow(struct aspen_mm *mm, const struct area *ours, const struct area *theirs)
{
    if (theirs->end != ours->end || theirs->start >= ours->start)
        return false;
    return aspen_fault_with_rights(mm, theirs->start,
                                   ours->flags & ASPEN_VM_WRITE
                                       ? ASPEN_ACCESS_WRITE
                                       : ASPEN_ACCESS_READ,
                                   ASPEN_RIGHTS_ALL) == 0;
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
read_both(struct shadow_session *session, struct shadow_space *space,
          enum areas_text from, pid_t tid, struct areas *ours,
          struct areas *theirs)
{
    unsigned grown;

    if (areas_of_host(theirs, from, tid, session->error) != 0 ||
        areas_of_aspen(ours, from, space->mm, session->error) != 0)
        return -1;
    grown = grow_all(space->mm, ours, theirs);
    if (grown == 0)
        return 0;
    tally_add(&session->set_up, "stack growth", grown);
    return areas_of_aspen(ours, from, space->mm, session->error);
}

int
shadow_compare_stacks(struct shadow_session *session,
                      struct shadow_space *space, pid_t tid)
{
    struct areas ours = {0};
    struct areas theirs = {0};
    int result = read_both(session, space, AREAS_MAPS, tid, &ours, &theirs);

    areas_free(&ours);
    areas_free(&theirs);
    return result;
}

/* ---- Unseen ------------------------------------------------------------- */

void
shadow_count_unseen(struct shadow_session *session,
                    const struct shadow_space *space)
{
    static const char *const names[] = {
        "changes with io_uring",       "changes with userfaultfd",
        "changes with a notification", "changes with READ_IMPLIES_EXEC",
        "changes with MEMORY_MERGE",   "changes with 32-bit calls",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (space->unseen >> i & 1)
            tally_add(&session->not_followed, names[i], 1);
}

/* ---- Comparing ---------------------------------------------------------- */

/* Not ACCOUNT: mprotect takes it away from what nobody has touched. */
static size_t
first_difference(struct shadow_session *session, const struct areas *ours,
                 const struct areas *theirs)
{
    return areas_difference(&session->memories, theirs, ours,
                            ~(uint64_t)ASPEN_VM_ACCOUNT);
}

static void
tell_difference(struct shadow_session *session, const struct guest_task *task,
                const char *when, const struct areas *ours,
                const struct areas *theirs, size_t at)
{
    char here[160];
    char there[160];
    char call[256];

    areas_put(ours, at, true, here, sizeof(here));
    areas_put(theirs, at, true, there, sizeof(there));
    shadow_call_text(&shadow_space_of(task->space)->last, call, sizeof(call));
    session->timelines.now = shadow_space_of(task->space)->timeline;
    shadow_tell(session, "process %d, %s: kernel %s, Aspen %s, after %s",
                (int)task->process->pid, when, there, here, call);
}

/* Private /dev/zero: its offset says whether it had a page when it moved, which
 * is not followed. Made as that of memory that never had one. */
static void
forget_zero_offsets(struct areas *areas)
{
    struct stat zero;

    if (stat("/dev/zero", &zero) != 0)
        return;
    uint64_t device =
        (uint64_t)major(zero.st_dev) << 32 | (uint64_t)minor(zero.st_dev);
    for (size_t i = 0; i < areas->count; i++)
        if (areas->list[i].device == device &&
            areas->list[i].inode == zero.st_ino)
            areas->list[i].offset = areas->list[i].start;
}

/* As above: nor does it keep apart what is one on the other side. */
static void
forget_charge(struct areas *areas)
{
    for (size_t i = 0; i < areas->count; i++)
        areas->list[i].flags &= ~(uint64_t)ASPEN_VM_ACCOUNT;
}

/* Lines differ: is it only where neighbours are one, or by what was touched? */
static bool
is_same_joined(struct shadow_session *session, struct areas *ours,
               struct areas *theirs, size_t *at)
{
    forget_zero_offsets(ours);
    forget_zero_offsets(theirs);
    forget_charge(ours);
    forget_charge(theirs);
    areas_join(ours);
    areas_join(theirs);
    *at = first_difference(session, ours, theirs);
    return *at == SIZE_MAX;
}

static int
compare(struct shadow_session *session, struct guest_task *task,
        const char *when, struct areas *ours, struct areas *theirs)
{
    struct shadow_counts *counts = &shadow_process_of(task->process)->counts;
    struct shadow_space *space = shadow_space_of(task->space);
    bool same;
    size_t at;

    if (read_both(session, space, AREAS_SMAPS, task->tid, ours, theirs) != 0)
        return -1;
    shadow_changed_forget(space, true);
    if (first_difference(session, ours, theirs) == SIZE_MAX) {
        counts->maps_compared++;
        counts->identical++;
        return 0;
    }
    same = is_same_joined(session, ours, theirs, &at);
    if (guest_is_ending(task->tid))
        return 0;
    counts->maps_compared++;
    if (same) {
        counts->equal++;
        return 0;
    }
    if (space->unseen) {
        shadow_count_unseen(session, space);
        return shadow_space_again(session, task);
    }
    counts->different++;
    tell_difference(session, task, when, ours, theirs, at);
    return shadow_space_again(session, task);
}

int
shadow_compare(struct shadow_session *session, struct guest_task *task,
               const char *when)
{
    struct areas ours = {0};
    struct areas theirs = {0};
    int result = compare(session, task, when, &ours, &theirs);

    if (result != 0 && guest_is_ending(task->tid))
        result = 0; /* nobody can tell any more */

    areas_free(&ours);
    areas_free(&theirs);
    return result;
}

int
shadow_compare_changed(struct shadow_session *session, struct guest_task *task)
{
    struct shadow_space *space = shadow_space_of(task->space);
    struct shadow_counts *counts = &shadow_process_of(task->process)->counts;
    int result;

    if (!shadow_changed_is_enough(space))
        return shadow_compare(session, task, "after calls");
    result = shadow_changed_compare(session, space, task->tid);
    if (result < 0)
        return guest_is_ending(task->tid) ? 0 : -1;
    if (result == 0)
        return shadow_compare(session, task, "after calls");
    counts->maps_compared++;
    counts->in_part++;
    counts->identical++;
    shadow_changed_forget(space, false);
    return 0;
}

static bool
has_edge(const struct areas *areas, uint64_t address)
{
    const struct area *area = areas_at(areas, address);

    return area && area->start == address;
}

/* Is something in the range apart that may be one? */
static bool
joins_within(const struct areas *areas, uint64_t start, uint64_t end)
{
    struct areas joined = {0};
    bool joins = false;

    for (size_t i = 0; i < areas->count; i++) {
        struct area *list =
            tool_room(joined.list, joined.count, &joined.room, sizeof(*list));
        if (!list)
            break;
        joined.list = list;
        list[joined.count++] = areas->list[i];
    }
    forget_zero_offsets(&joined);
    forget_charge(&joined);
    areas_join(&joined);
    for (size_t i = 0; i < areas->count && !joins; i++) {
        uint64_t edge = areas->list[i].start;
        joins = edge > start && edge <= end && !has_edge(&joined, edge);
    }
    areas_free(&joined);
    return joins;
}

bool
shadow_compare_joins(struct shadow_session *session, struct guest_task *task,
                     uint64_t start, uint64_t bytes)
{
    struct areas ours = {0}, theirs = {0};
    bool joins = read_both(session, shadow_space_of(task->space), AREAS_SMAPS,
                           task->tid, &ours, &theirs) == 0 &&
                 (joins_within(&theirs, start, start + bytes) ||
                  joins_within(&ours, start, start + bytes));

    areas_free(&ours);
    areas_free(&theirs);
    return joins;
}

int
shadow_compare_refused(struct shadow_session *session, struct guest_task *task)
{
    struct areas ours = {0}, theirs = {0};
    int result = read_both(session, shadow_space_of(task->space), AREAS_SMAPS,
                           task->tid, &ours, &theirs);
    size_t at;

    if (result == 0 && first_difference(session, &ours, &theirs) != SIZE_MAX &&
        !is_same_joined(session, &ours, &theirs, &at)) {
        tally_add(&session->deviations, "refused, half done", 1);
        result = shadow_space_again(session, task);
    }
    areas_free(&ours);
    areas_free(&theirs);
    return result != 0 && guest_is_ending(task->tid) ? 0 : result;
}
