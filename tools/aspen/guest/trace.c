/* SPDX-License-Identifier: MIT */
/*
 * shadow_trace.c - follows the guest: every stop of every thread.
 *
 * A call of interest stops twice, where it is entered and where it is left.
 * In between its thread is inside of its space, and others of the same space
 * that want to enter are held where they stopped, so the order of calls is
 * certain. A vfork's parent is outside as soon as its child exists: the child
 * runs in the same space, and the parent waits in the kernel.
 *
 * The guest gets all signals and stops as if nobody were there.
 *
 * Called by shadow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "host/processor.h"
#include "shadow/session.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int handle_stop(struct shadow_session *session, struct shadow_task *task,
                       int status);

/* A thread that was killed meanwhile is gone: no error. */
static void
go_on(const struct shadow_session *session, const struct shadow_task *task,
      int signal_number)
{
    (void)ptrace(session->all_syscalls ? PTRACE_SYSCALL : PTRACE_CONT,
                 task->tid, NULL, (void *)(intptr_t)signal_number);
}

static void
go_to_exit_of_call(const struct shadow_task *task)
{
    (void)ptrace(PTRACE_SYSCALL, task->tid, NULL, NULL);
}

/* ---- Inside of a space -------------------------------------------------- */

static void
enter(struct shadow_session *session, struct shadow_task *task)
{
    task->state = SHADOW_RUNS;
    task->space->inside = task;
    shadow_call_enter(session, task);
    if (task->call.kind == SHADOW_EXEC)
        (void)shadow_compare(session, task, "before exec");
    go_to_exit_of_call(task);
}

/* The next one that waits may enter. */
static void
outside(struct shadow_session *session, struct shadow_task *task)
{
    struct shadow_space *space = task->space;

    if (!space || space->inside != task)
        return;
    space->inside = NULL;
    for (struct shadow_task *next = session->tasks; next; next = next->next)
        if (next->space == space && next->state == SHADOW_HELD) {
            enter(session, next);
            return;
        }
}

static void
leave_space(struct shadow_session *session, struct shadow_task *task)
{
    struct shadow_space *space = task->space;

    if (!space)
        return;
    outside(session, task);
    task->space = NULL;
    shadow_space_put(space);
}

/* ---- Calls -------------------------------------------------------------- */

static uint64_t
clone_flags(pid_t tid, const struct linux_call *call)
{
    long flags;

    if (call->number == PROCESSOR_FORK)
        return 0;
    if (call->number == PROCESSOR_VFORK)
        return CLONE_VM | CLONE_VFORK;
    if (call->number == SYS_clone)
        return call->arguments[0];
    errno = 0;
    flags = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)call->arguments[0],
                   NULL);
    return errno ? 0 : (uint64_t)flags;
}

/* At a seccomp stop, or where a call is entered. False: of no interest. */
static bool
take_call(struct shadow_task *task, const struct __ptrace_syscall_info *info)
{
    struct shadow_call *call = &task->call;

    memset(call, 0, sizeof(*call));
    call->call.number = info->entry.nr;
    for (unsigned i = 0; i < 6; i++)
        call->call.arguments[i] = info->entry.args[i];
    call->kind = shadow_call_kind(&call->call, &call->name);
    if (call->kind == SHADOW_CLONE)
        call->clone_flags = clone_flags(task->tid, &call->call);
    return call->kind != SHADOW_OTHER;
}

static int
on_entry(struct shadow_session *session, struct shadow_task *task,
         const struct __ptrace_syscall_info *info)
{
    if (!take_call(task, info) || !task->space || !task->space->followed) {
        go_on(session, task, 0);
        return 0;
    }
    if (task->space->inside)
        task->state = SHADOW_HELD;
    else
        enter(session, task);
    return 0;
}

static int
on_exit_of_call(struct shadow_session *session, struct shadow_task *task,
                const struct __ptrace_syscall_info *info)
{
    int result = 0;

    if (task->space && task->space->inside == task) {
        task->call.answer = info->exit.rval;
        result = shadow_call_leave(session, task);
        outside(session, task);
    }
    go_on(session, task, 0);
    return result;
}

static int
on_call(struct shadow_session *session, struct shadow_task *task)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof(info));
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) < 0) {
        go_on(session, task, 0);
        return 0;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        return on_exit_of_call(session, task, &info);
    return on_entry(session, task, &info);
}

/* ---- Life --------------------------------------------------------------- */

static pid_t
message(const struct shadow_task *task)
{
    unsigned long value = 0;

    (void)ptrace(PTRACE_GETEVENTMSG, task->tid, NULL, &value);
    return (pid_t)value;
}

/* The maker knows which space and process a new task belongs to. */
static int
place_new(struct shadow_session *session, const struct shadow_task *maker,
          struct shadow_task *task)
{
    uint64_t flags = maker->call.clone_flags;

    task->process = flags & CLONE_THREAD
                        ? maker->process
                        : shadow_process_of(session, task->tid);
    if (!task->process)
        return -1;
    if (!maker->space)
        return 0;
    if (flags & CLONE_VM) {
        shadow_space_get(maker->space);
        task->space = maker->space;
        return 0;
    }
    task->space = shadow_space_fork(session, maker->space);
    return task->space ? 0 : -1;
}

static int
compare_fork(struct shadow_session *session, struct shadow_task *parent,
             struct shadow_task *child)
{
    if (!parent->space || !parent->space->followed ||
        child->space == parent->space)
        return 0;
    parent->space->last = parent->call;
    child->space->last = parent->call;
    if (shadow_compare(session, child, "the child of a fork") != 0)
        return -1;
    return shadow_compare(session, parent, "the parent of a fork");
}

static int
on_new(struct shadow_session *session, struct shadow_task *maker)
{
    pid_t tid = message(maker);
    struct shadow_task *task = shadow_task_find(session, tid);
    bool early = task != NULL;

    if (!task)
        task = shadow_task_add(session, tid);
    if (!task || place_new(session, maker, task) != 0)
        return -1;
    maker->call.answer = tid;
    if (compare_fork(session, maker, task) != 0)
        return -1;
    task->state = early ? SHADOW_RUNS : SHADOW_EXPECTED;
    outside(session, maker);
    go_on(session, maker, 0);
    return early ? handle_stop(session, task, task->early_status) : 0;
}

/* Another thread than the first has taken its number. */
static struct shadow_task *
take_number(struct shadow_session *session, struct shadow_task *leader)
{
    struct shadow_task *task = shadow_task_find(session, message(leader));

    if (!task || task == leader)
        return leader;
    leave_space(session, leader);
    task->tid = leader->tid;
    shadow_task_remove(session, leader);
    return task;
}

static int
on_exec(struct shadow_session *session, struct shadow_task *leader)
{
    struct shadow_task *task = take_number(session, leader);
    struct shadow_space *old = task->space;

    outside(session, task);
    task->leaving = false;
    task->space = shadow_space_exec(session, old, task->tid);
    if (!task->space)
        return -1;
    task->process->execs++;
    shadow_process_rename(task->process, task->tid);
    if (task->space->followed && shadow_compare(session, task, "at exec") != 0)
        return -1;
    go_on(session, task, 0);
    return 0;
}

/* A call may have been cut short by a fatal signal: nobody knows how far. */
static int
compare_last(struct shadow_session *session, struct shadow_task *task)
{
    struct shadow_space *space = task->space;

    if (space->inside == task) {
        tally_add(&session->set_up, "calls cut short", 1);
        return space->users == 1
                   ? 0
                   : shadow_space_again(session, space, task->tid);
    }
    return space->users == 1 ? shadow_compare(session, task, "before exit") : 0;
}

static int
on_end(struct shadow_session *session, struct shadow_task *task)
{
    int result = 0;

    if (task->space && task->space->followed)
        result = compare_last(session, task);
    task->leaving = true;
    leave_space(session, task);
    go_on(session, task, 0);
    return result;
}

static void
on_gone(struct shadow_session *session, struct shadow_task *task, int status)
{
    if (task->process && task->tid == task->process->pid) {
        task->process->status = status;
        task->process->ended = true;
    }
    leave_space(session, task);
    shadow_task_remove(session, task);
}

/* ---- Stops -------------------------------------------------------------- */

static bool
stops_group(int signal_number)
{
    return signal_number == SIGSTOP || signal_number == SIGTSTP ||
           signal_number == SIGTTIN || signal_number == SIGTTOU;
}

static int
handle_event(struct shadow_session *session, struct shadow_task *task,
             int event, int signal_number)
{
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        return on_call(session, task);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        return on_new(session, task);
    case PTRACE_EVENT_EXEC:
        return on_exec(session, task);
    case PTRACE_EVENT_EXIT:
        return on_end(session, task);
    case PTRACE_EVENT_STOP:
        if (stops_group(signal_number))
            (void)ptrace(PTRACE_LISTEN, task->tid, NULL, NULL);
        else
            go_on(session, task, 0);
        return 0;
    default:
        go_on(session, task, 0);
        return 0;
    }
}

static int
handle_stop(struct shadow_session *session, struct shadow_task *task,
            int status)
{
    int event = status >> 16;
    int signal_number = WSTOPSIG(status);

    if (event != 0)
        return handle_event(session, task, event, signal_number);
    if (signal_number == (SIGTRAP | 0x80))
        return on_call(session, task);
    go_on(session, task, signal_number);
    return 0;
}

static int
handle(struct shadow_session *session, pid_t tid, int status)
{
    struct shadow_task *task = shadow_task_find(session, tid);

    if (!WIFSTOPPED(status)) {
        if (task)
            on_gone(session, task, status);
        return 0;
    }
    if (!task) {
        task = shadow_task_add(session, tid);
        if (!task)
            return -1;
        task->state = SHADOW_EARLY;
        task->early_status = status;
        return 0;
    }
    if (task->state == SHADOW_EXPECTED || task->state == SHADOW_HELD)
        task->state = SHADOW_RUNS;
    return handle_stop(session, task, status);
}

/* Did the command become what was asked for? */
static int
check_start(struct shadow_session *session)
{
    int error;
    ssize_t length = read(session->said, &error, sizeof(error));

    close(session->said);
    session->said = -1;
    if (length != sizeof(error))
        return 0;
    return tool_fail(&session->error, "cannot run it: %s", strerror(-error));
}

/* ---- Let go ------------------------------------------------------------- */

/* Wherever it stops: the signal that it has to get then. -1: it is gone. */
static int
stop(struct shadow_task *task)
{
    int status = task->early_status;

    if (task->state == SHADOW_HELD)
        return 0;
    if (task->state != SHADOW_EARLY) {
        (void)ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL);
        if (waitpid(task->tid, &status, __WALL) != task->tid ||
            !WIFSTOPPED(status))
            return -1;
    }
    return status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80)
               ? 0
               : WSTOPSIG(status);
}

/* Of a space that nobody is inside of; once. */
static int
compare_at_end(struct shadow_session *session, struct shadow_task *task)
{
    struct shadow_space *space = task->space;

    if (!space || !space->followed)
        return 0;
    space->followed = false;
    if (!space->inside)
        return shadow_compare(session, task, "at the end");
    tally_add(&session->set_up, "calls cut short", 1);
    return 0;
}

static int
let_go(struct shadow_session *session)
{
    int result = 0;

    for (struct shadow_task *task = session->tasks; task; task = task->next)
        task->early_status = stop(task);
    for (struct shadow_task *task = session->tasks; task; task = task->next)
        if (task->early_status >= 0 && result == 0)
            result = compare_at_end(session, task);
    while (session->tasks) {
        struct shadow_task *task = session->tasks;

        if (task->early_status >= 0)
            (void)ptrace(PTRACE_DETACH, task->tid, NULL,
                         (void *)(intptr_t)task->early_status);
        if (task->space)
            shadow_space_put(task->space);
        shadow_task_remove(session, task);
    }
    return result;
}

/* Those that were stopped when they were attached to. */
static int
begin_attached(struct shadow_session *session)
{
    int result = 0;

    for (struct shadow_task *task = session->tasks; task && result == 0;
         task = task->next)
        if (task->state == SHADOW_EARLY) {
            task->state = SHADOW_RUNS;
            result = handle_stop(session, task, task->early_status);
        }
    return result;
}

static bool
is_enough(const struct shadow_session *session)
{
    struct shadow_counts sum;

    if (!session->attached || session->enough)
        return session->enough;
    shadow_report_sum(session, &sum);
    return session->calls_wanted && sum.calls >= session->calls_wanted;
}

int
shadow_trace(struct shadow_session *session)
{
    int status;
    pid_t tid;

    if (session->attached && begin_attached(session) != 0)
        return -1;
    while (session->tasks && !is_enough(session)) {
        tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            break;
        if (handle(session, tid, status) != 0)
            return -1;
    }
    if (session->attached)
        return let_go(session);
    return session->said >= 0 ? check_start(session) : 0;
}

void
shadow_trace_end(struct shadow_session *session)
{
    if (session->attached)
        for (struct shadow_task *task = session->tasks; task; task = task->next)
            if (task->space)
                task->space->followed = false;
    if (session->attached && let_go(session) != 0)
        return;
    while (session->tasks) {
        struct shadow_task *task = session->tasks;

        if (task->space)
            shadow_space_put(task->space);
        (void)kill(task->tid, SIGKILL);
        shadow_task_remove(session, task);
    }
}
