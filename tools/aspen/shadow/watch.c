/* SPDX-License-Identifier: MIT */
/*
 * watch.c - what shadow does at each stop of the guest: which calls it makes,
 * when spaces come and go, and when mappings are compared.
 *
 * Called by guest/. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/record.h"
#include "shadow/session.h"

#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Which calls -------------------------------------------------------- */

#define NUMBER_MSEAL            462u
#define NUMBER_MAP_SHADOW_STACK 453u

#define MODELLED(number)         GUEST_RULE(number, SHADOW_MODELLED, NULL)
#define UNMODELLED(number, name) GUEST_RULE(number, SHADOW_UNMODELLED, name)

static const struct guest_rule rules[] = {
    MODELLED(SYS_mmap),
    MODELLED(SYS_munmap),
    MODELLED(SYS_mprotect),
    MODELLED(SYS_pkey_mprotect),
    MODELLED(SYS_pkey_alloc),
    MODELLED(SYS_pkey_free),
    MODELLED(NUMBER_MSEAL),
    MODELLED(SYS_mremap),
    MODELLED(SYS_remap_file_pages),
    MODELLED(SYS_brk),
    MODELLED(SYS_mlock),
    MODELLED(SYS_mlock2),
    MODELLED(SYS_munlock),
    MODELLED(SYS_mlockall),
    MODELLED(SYS_munlockall),
    MODELLED(SYS_madvise),
    MODELLED(SYS_mincore),
    MODELLED(SYS_msync),
    UNMODELLED(SYS_shmat, "shmat"),
    UNMODELLED(SYS_shmdt, "shmdt"),
    UNMODELLED(SYS_mbind, "mbind"),
    UNMODELLED(SYS_process_madvise, "process_madvise"),
    UNMODELLED(SYS_io_setup, "io_setup"),
    UNMODELLED(SYS_io_destroy, "io_destroy"),
    UNMODELLED(NUMBER_MAP_SHADOW_STACK, "map_shadow_stack"),
    {SYS_prctl, SHADOW_MODELLED, NULL, 0, {PR_SET_VMA, PR_SET_MM}},
    {SYS_prctl,
     SHADOW_UNMODELLED,
     "prctl",
     0,
     {PR_SET_THP_DISABLE, SHADOW_MEMORY_MERGE}},
    {SYS_prctl, SHADOW_MDWE, "prctl", 0, {65 /* MDWE */}},
    GUEST_RULE(SYS_io_uring_setup, SHADOW_RING, "io_uring_setup"),
    GUEST_RULE(SYS_memfd_secret, SHADOW_SECRET, "memfd_secret"),
    GUEST_RULE(SYS_ptrace, SHADOW_PTRACE, "ptrace"),
    GUEST_RULE(SYS_personality, SHADOW_PERSONALITY, "personality"),
    {SYS_seccomp, SHADOW_FILTER, "seccomp", 0, {SECCOMP_SET_MODE_FILTER}},
    {SYS_ioctl,
     SHADOW_UNMODELLED,
     "ioctl",
     1,
     {0xc020aa00u /* UFFDIO_REGISTER */, 0x8010aa01u /* UNREGISTER */}},
};

static struct recorded_space *
recorded_of(const struct guest_task *task)
{
    return shadow_space_of(task->space)->recorded;
}

/* ---- Calls -------------------------------------------------------------- */

static void
on_call_enter(struct guest *guest, struct guest_task *task)
{
    struct shadow_session *session = shadow_session_of(guest);

    recorder_look(recorded_of(task), task->tid);
    shadow_call_enter(session, task);
    if (task->call.kind == GUEST_EXEC)
        (void)shadow_compare(session, task, "before exec");
}

static int
on_call_leave(struct guest *guest, struct guest_task *task)
{
    struct shadow_session *session = shadow_session_of(guest);
    struct shadow_counts sum;

    recorder_call(recorded_of(task), task->tid, &task->call);
    int result = shadow_call_leave(session, task);
    if (session->calls_wanted) {
        shadow_report_sum(session, &sum);
        if (sum.calls >= session->calls_wanted)
            guest->enough = true;
    }
    return result;
}

static void
on_other_form(struct guest *guest, struct guest_task *task)
{
    tally_add(&shadow_session_of(guest)->not_followed, "32-bit call", 1);
    shadow_space_of(task->space)->unseen |= SHADOW_BY_OTHER_FORM;
}

/* ---- Life --------------------------------------------------------------- */

static int
on_forked(struct guest *guest, struct guest_task *parent,
          struct guest_task *child)
{
    struct shadow_session *session = shadow_session_of(guest);

    shadow_space_of(parent->space)->last = parent->call;
    shadow_space_of(child->space)->last = parent->call;
    shadow_space_of(child->space)->timeline = timeline_begin(
        &session->timelines, child->tid, shadow_space_of(child->space)->mm);
    recorder_look(recorded_of(child), child->tid);
    if (shadow_compare(session, child, "the child of a fork") != 0)
        return -1;
    return shadow_compare(session, parent, "the parent of a fork");
}

static int
on_execed(struct guest *guest, struct guest_task *task)
{
    recorder_look(recorded_of(task), task->tid);
    return shadow_compare(shadow_session_of(guest), task, "at exec");
}

static int
on_ends(struct guest *guest, struct guest_task *task)
{
    struct shadow_session *session = shadow_session_of(guest);
    bool alone = task->space->users == 1;

    recorder_look(recorded_of(task), task->tid);
    if (task->space->inside == task) {
        tally_add(&session->set_up, "calls cut short", 1);
        return alone ? 0 : shadow_space_again(session, task);
    }
    return alone ? shadow_compare(session, task, "before exit") : 0;
}

static void
on_met(struct guest *guest, enum guest_event event)
{
    struct shadow_session *session = shadow_session_of(guest);

    if (event == GUEST_FOUND)
        tally_add(&session->set_up, "tasks of a killed maker", 1);
    else
        tally_add(&session->not_followed, "task of a killed maker", 1);
}

static int
on_let_go(struct guest *guest, struct guest_task *task)
{
    struct shadow_session *session = shadow_session_of(guest);

    recorder_look(recorded_of(task), task->tid);
    if (!task->space->inside)
        return shadow_compare(session, task, "at the end");
    tally_add(&session->set_up, "calls cut short", 1);
    return 0;
}

/* Not where a call is under way, which may be the end of the space. */
static void
on_interrupted(struct guest *guest)
{
    for (const struct guest_task *task = guest->tasks; task; task = task->next)
        if (task->space && task->space->followed && !task->space->inside &&
            task->state == GUEST_RUNS)
            recorder_look(recorded_of(task), task->tid);
}

const struct guest_watcher shadow_watcher = {
    .rules = rules,
    .rules_count = COUNT(rules),
    .task_bytes = sizeof(struct shadow_task),
    .process_bytes = sizeof(struct shadow_process),
    .space_bytes = sizeof(struct shadow_space),
    .space_exec = shadow_space_exec,
    .space_fork = shadow_space_fork,
    .space_get = shadow_space_get,
    .space_put = shadow_space_put,
    .call_enter = on_call_enter,
    .call_leave = on_call_leave,
    .other_form = on_other_form,
    .forked = on_forked,
    .execed = on_execed,
    .ends = on_ends,
    .met = on_met,
    .let_go = on_let_go,
    .interrupted = on_interrupted,
};
