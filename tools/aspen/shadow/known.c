/* SPDX-License-Identifier: MIT */
/*
 * known.c - answers that differ in a way that docs/use/semantics.md lists, or
 * that has a cause which nobody sees: counted by a name, and settled.
 *
 * Called by call.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/session.h"

#include <aspen/calls/advise.h>
#include <aspen/import.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

bool
shadow_needs_pages(const struct linux_call *call)
{
    const uint64_t advice = call->arguments[2];

    return call->number == SYS_mlock || call->number == SYS_mlock2 ||
           (call->number == SYS_madvise &&
            (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE));
}

/* ---- Protection keys ----------------------------------------------------- */
void
shadow_known_remember(struct guest_task *task)
{
    if (linux_is_error(task->call.answer) &&
        linux_call_is_execute_only(&task->call.call))
        shadow_space_of(task->space)->own_key_open = true;
}

/*
 * The kernel has given the key behind the one that Aspen gave, which is its own
 * key, then: it took that for a call that it refused. Ours takes it, too.
 */
static bool
settle_own_key(struct guest_task *task, int64_t answer)
{
    struct shadow_space *space = shadow_space_of(task->space);
    struct aspen_pkeys pkeys;
    int next;

    if (task->call.call.number != SYS_pkey_alloc || !space->own_key_open ||
        linux_is_error(answer))
        return false;
    aspen_pkeys_read(space->mm, &pkeys);
    if (pkeys.execute_only_key != -1)
        return false;
    next = linux_next_pkey(&pkeys);
    if (task->call.answer != (next ? next : -ENOSPC))
        return false;
    pkeys.execute_only_key = (int)answer;
    if (next)
        pkeys.given_out |= UINT32_C(1) << next;
    return aspen_import_pkeys(space->mm, &pkeys) == 0;
}

/*
 * Both have made memory for execution alone, and the kernel's has the key that
 * it took for a call that it refused. Ours takes that instead.
 */
int
shadow_known_own_key(struct shadow_session *session, struct guest_task *task,
                     uint64_t address)
{
    struct shadow_space *space = shadow_space_of(task->space);
    struct areas theirs = {0};
    struct aspen_pkeys pkeys;
    struct tool_error error;
    const struct area *area = NULL;
    int own = 0;

    if (!space->own_key_open || !linux_call_is_execute_only(&task->call.call))
        return 0;
    aspen_pkeys_read(space->mm, &pkeys);
    if (areas_of_host(&theirs, AREAS_SMAPS, task->tid, &error) == 0)
        area = areas_at(&theirs, address);
    if (area && (area->flags & ASPEN_VM_ACCESS) == ASPEN_VM_EXEC)
        own = (int)((area->flags & ASPEN_VM_PKEY) >> ASPEN_VM_PKEY_SHIFT);
    areas_free(&theirs);
    if (own <= 0 || pkeys.execute_only_key < 0 || pkeys.execute_only_key == own)
        return 0;
    pkeys.given_out &= ~(UINT32_C(1) << pkeys.execute_only_key);
    pkeys.given_out |= UINT32_C(1) << own;
    pkeys.execute_only_key = own;
    space->own_key_open = false;
    if (aspen_import_pkeys(space->mm, &pkeys) != 0)
        return 0;
    tally_add(&session->deviations, "own key of a refused call", 1);
    return shadow_space_again(session, task);
}

/* The kernel frees key 0, and gives it to whoever allocates one next: then ours
 * has given another, which goes again. */
static const char *
settle_key_0(struct guest_task *task, int64_t answer)
{
    const struct guest_call *call = &task->call;
    struct aspen_mm *mm = shadow_space_of(task->space)->mm;

    if (call->answer != 0)
        return NULL;
    if (call->call.number == SYS_pkey_free && call->call.arguments[0] == 0)
        return "key 0 freed";
    return call->call.number == SYS_pkey_alloc && answer > 0 &&
                   aspen_pkey_free(mm, (int)answer) == 0
               ? "key 0 freed"
               : NULL;
}

/* Without keys the kernel gives key 0 out once, and then finds that it cannot
 * be used; from there on none is free. */
static bool
is_key_0_of_none(const struct guest_task *task, int64_t answer)
{
    const struct guest_call *call = &task->call;
    struct aspen_pkeys pkeys;

    if (call->call.number != SYS_pkey_alloc || call->answer != -EINVAL ||
        answer != -ENOSPC)
        return false;
    aspen_pkeys_read(shadow_space_of(task->space)->mm, &pkeys);
    return pkeys.given_out >> 1 == 0;
}

/* Answers that differ by themselves, and leave the same mappings. */
static const char *
known_answer(struct guest_task *task, int64_t answer)
{
    const uint64_t last_page = UINT64_MAX - 4095;
    const struct guest_call *call = &task->call;
    const uint64_t *a = call->call.arguments;

    if (call->call.number == SYS_madvise && answer == -EINVAL) {
        if (a[2] == ASPEN_MADV_COLLAPSE)
            return "no huge page by COLLAPSE";
        if (a[2] == ASPEN_MADV_HWPOISON || a[2] == ASPEN_MADV_SOFT_OFFLINE)
            return "frames do not go bad";
    }
    if (call->call.number == SYS_mmap &&
        a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE) && a[0] > last_page &&
        linux_is_error(answer))
        return "address taken for an error";
    if (is_key_0_of_none(task, answer))
        return "key 0 where there are none";
    return settle_key_0(task, answer);
}

/*
 * The kernel has more mappings, which ours has joined, and so it has reached
 * the limit first.
 */
static bool
is_at_map_limit(struct shadow_session *session, struct guest_task *task,
                int64_t answer)
{
    struct areas theirs = {0};
    struct aspen_mm_counters counters;
    struct tool_error error;
    bool is;

    if (task->call.answer != -ENOMEM || answer == -ENOMEM)
        return false;
    aspen_mm_counters_read(shadow_space_of(task->space)->mm, &counters);
    is = areas_of_host(&theirs, AREAS_MAPS, task->tid, &error) == 0 &&
         theirs.count >= session->map_count_max - 1 &&
         theirs.count >= counters.vmas;
    areas_free(&theirs);
    return is;
}

/* mremap looks at one mapping, or several; which of them are one may not be the
 * same. */
static bool
is_over_joined(struct shadow_session *session, struct guest_task *task)
{
    const uint64_t *a = task->call.call.arguments;

    return task->call.call.number == SYS_mremap &&
           shadow_compare_joins(session, task, a[0], a[1]);
}

/* What is mapped from a device, its driver may refuse to split, move, sync. */
static bool
is_drivers(const struct guest_task *task)
{
    const struct linux_call *call = &task->call.call;
    const uint64_t *a = call->arguments;

    switch (call->number) {
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_msync:
        return linux_is_error(task->call.answer) &&
               shadow_files_are_drivers(task->tid, a[0], a[1]);
    case SYS_mmap:
        return linux_is_error(task->call.answer) && a[3] & MAP_FIXED &&
               shadow_files_are_drivers(task->tid, a[0], a[1]);
    default:
        return false;
    }
}

/* ---- All ---------------------------------------------------------------- */

/* What it is called, where the mappings are taken over again; or NULL. */
static const char *
known_again(struct shadow_session *session, struct guest_task *task,
            int64_t answer)
{
    if (is_at_map_limit(session, task, answer))
        return "map count of what is joined";
    if (answer == -EOPNOTSUPP && shadow_needs_pages(&task->call.call))
        return "pages that are not made";
    return NULL;
}

int
shadow_known_settle(struct shadow_session *session, struct guest_task *task,
                    int64_t answer, bool *known)
{
    const char *name = known_again(session, task, answer);

    *known = true;
    if (!name && settle_own_key(task, answer)) {
        tally_add(&session->deviations, "own key of a refused call", 1);
        return 0;
    }
    const char *answered = name ? NULL : known_answer(task, answer);
    if (answered) {
        tally_add(&session->deviations, answered, 1);
        return 0;
    }
    if (!name && is_over_joined(session, task))
        name = "mremap of what is joined";
    if (name)
        tally_add(&session->deviations, name, 1);
    else if (is_drivers(task))
        tally_add(&session->unmodelled, "memory of a driver", 1);
    else if (shadow_space_of(task->space)->unseen)
        shadow_count_unseen(session, shadow_space_of(task->space));
    else
        *known = false;
    return *known ? shadow_space_again(session, task) : 0;
}
