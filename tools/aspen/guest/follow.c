/* SPDX-License-Identifier: MIT */
/*
 * follow.c - every stop of every thread of the guest.
 *
 * A call of interest stops where it is entered and where it is left. In between
 * its thread is inside of its space, and others of the same space that want to
 * enter are held where they stopped. A vfork's parent is outside as soon as its
 * child exists: the child runs in the same space, and the parent waits in the
 * kernel.
 *
 * Called by the watcher. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"
#include "guest/process.h"
#include "host/processor.h"

#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_NS 200000u

/* A thread that was killed meanwhile is gone: no error. */
static void
go_on(const struct guest *guest, const struct guest_task *task,
      int signal_number)
{
    (void)ptrace(guest->all_syscalls ? PTRACE_SYSCALL : PTRACE_CONT, task->tid,
                 NULL, (void *)(intptr_t)signal_number);
}

static void
go_to_exit_of_call(const struct guest_task *task)
{
    (void)ptrace(PTRACE_SYSCALL, task->tid, NULL, NULL);
}

/* ---- Inside of a space -------------------------------------------------- */

static void
enter(struct guest *guest, struct guest_task *task)
{
    task->state = GUEST_RUNS;
    task->space->inside = task;
    task->making = task->call.kind == GUEST_CLONE;
    guest->watcher->call_enter(guest, task);
    go_to_exit_of_call(task);
}

/* The next one that waits may enter. */
static void
outside(struct guest *guest, struct guest_task *task)
{
    struct guest_space *space = task->space;

    if (!space || space->inside != task)
        return;
    space->inside = NULL;
    for (struct guest_task *next = guest->tasks; next; next = next->next)
        if (next->space == space && next->state == GUEST_HELD) {
            enter(guest, next);
            return;
        }
}

static void
leave_space(struct guest *guest, struct guest_task *task)
{
    struct guest_space *space = task->space;

    if (!space)
        return;
    outside(guest, task);
    task->space = NULL;
    guest_space_put(guest, space);
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
take_call(const struct guest *guest, struct guest_task *task,
          const struct __ptrace_syscall_info *info)
{
    struct guest_call *call = &task->call;

    memset(call, 0, sizeof(*call));
    call->call.number = info->entry.nr;
    for (unsigned i = 0; i < 6; i++)
        call->call.arguments[i] = info->entry.args[i];
    call->kind = guest_call_kind(guest, &call->call, &call->name);
    if (call->kind == GUEST_CLONE) {
        call->clone_flags = clone_flags(task->tid, &call->call);
        guest_untraced_clear(task);
    }
    return call->kind != GUEST_IGNORED;
}

static int
on_entry(struct guest *guest, struct guest_task *task,
         const struct __ptrace_syscall_info *info)
{
    if (!take_call(guest, task, info) || !task->space ||
        !task->space->followed) {
        go_on(guest, task, 0);
        return 0;
    }
    if (task->space->inside)
        task->state = GUEST_HELD;
    else
        enter(guest, task);
    return 0;
}

/* It has told of whom it makes, or never will. */
static void
made(struct guest *guest, struct guest_task *task)
{
    guest->orphans |= task->making;
    task->making = false;
}

static int
on_exit_of_call(struct guest *guest, struct guest_task *task,
                const struct __ptrace_syscall_info *info)
{
    int result = 0;

    guest_untraced_restore(task);
    made(guest, task);
    if (task->space && task->space->inside == task) {
        task->call.answer = info->exit.rval;
        result = guest->watcher->call_leave(guest, task);
        outside(guest, task);
    }
    go_on(guest, task, 0);
    return result;
}

static int
on_call(struct guest *guest, struct guest_task *task)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof(info));
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) < 0) {
        go_on(guest, task, 0);
        return 0;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        return on_exit_of_call(guest, task, &info);
    if (info.arch == PROCESSOR_AUDIT)
        return on_entry(guest, task, &info);
    if (task->space && task->space->followed)
        guest->watcher->other_form(guest, task);
    go_on(guest, task, 0);
    return 0;
}

/* ---- Life --------------------------------------------------------------- */

/*
 * What came with the event. 0: it does not tell any more, since it has been
 * killed meanwhile; it may even have stopped once more, at its end, and would
 * tell of that: the signal's number, which is no task of ours.
 */
static pid_t
message(const struct guest_task *task, int event)
{
    unsigned long value = 0;
    siginfo_t info;

    if (ptrace(PTRACE_GETEVENTMSG, task->tid, NULL, &value) != 0 ||
        ptrace(PTRACE_GETSIGINFO, task->tid, NULL, &info) != 0 ||
        info.si_code >> 8 != event)
        return 0;
    return (pid_t)value;
}

/* The maker knows which space and process a new task belongs to. */
static int
place_new(struct guest *guest, const struct guest_task *maker,
          struct guest_task *task)
{
    uint64_t flags = maker->call.clone_flags;

    task->process = flags & CLONE_THREAD ? maker->process
                                         : guest_process_of(guest, task->tid);
    if (!task->process)
        return -1;
    if (!maker->space)
        return 0;
    if (flags & CLONE_VM) {
        guest_space_get(guest, maker->space);
        task->space = maker->space;
        return 0;
    }
    task->space = guest_space_fork(guest, maker->space);
    return task->space ? 0 : -1;
}

static int
tell_forked(struct guest *guest, struct guest_task *parent,
            struct guest_task *child)
{
    if (!parent->space || !parent->space->followed ||
        child->space == parent->space)
        return 0;
    return guest->watcher->forked(guest, parent, child);
}

static int
on_new(struct guest *guest, struct guest_task *maker, int event)
{
    pid_t tid = message(maker, event);
    struct guest_task *task = guest_task_find(guest, tid);
    bool known = task && task->process; /* to orphans.c, which was first */
    bool early = task && !known;

    made(guest, maker);
    if (tid == 0) { /* the new one is an orphan */
        go_on(guest, maker, 0);
        return 0;
    }
    if (!task)
        task = guest_task_add(guest, tid);
    if (!task || (!known && place_new(guest, maker, task) != 0))
        return -1;
    maker->call.answer = tid;
    if (!known) {
        task->call = maker->call;
        task->untraced = maker->call.untraced;
    }
    guest_untraced_restore(maker);
    if (tell_forked(guest, maker, task) != 0)
        return -1;
    if (!known)
        task->state = early ? GUEST_RUNS : GUEST_EXPECTED;
    outside(guest, maker);
    go_on(guest, maker, 0);
    return early ? guest_stopped(guest, task, task->early_status) : 0;
}

/* Another thread than the first has taken its number. */
static struct guest_task *
take_number(struct guest *guest, struct guest_task *leader)
{
    struct guest_task *task =
        guest_task_find(guest, message(leader, PTRACE_EVENT_EXEC));

    if (!task || task == leader)
        return leader;
    leave_space(guest, leader);
    task->tid = leader->tid;
    guest_task_remove(guest, leader);
    return task;
}

static int
on_exec(struct guest *guest, struct guest_task *leader)
{
    struct guest_task *task = take_number(guest, leader);
    struct guest_space *old = task->space;

    outside(guest, task);
    task->space = guest_space_exec(guest, old, task->tid);
    if (!task->space)
        return -1;
    task->process->execs++;
    guest_process_rename(task->process, task->tid);
    if (task->space->followed && guest->watcher->execed(guest, task) != 0)
        return -1;
    go_on(guest, task, 0);
    return 0;
}

static int
on_end(struct guest *guest, struct guest_task *task)
{
    int result = 0;

    if (task->space && task->space->followed)
        result = guest->watcher->ends(guest, task);
    made(guest, task);
    leave_space(guest, task);
    go_on(guest, task, 0);
    return result;
}

static void
on_gone(struct guest *guest, struct guest_task *task, int status)
{
    if (task->process && task->tid == task->process->pid) {
        task->process->status = status;
        task->process->ended = true;
    }
    made(guest, task);
    leave_space(guest, task);
    guest_task_remove(guest, task);
}

/* ---- Stops -------------------------------------------------------------- */

static bool
stops_group(int signal_number)
{
    return signal_number == SIGSTOP || signal_number == SIGTSTP ||
           signal_number == SIGTTIN || signal_number == SIGTTOU;
}

static int
on_filter(struct guest *guest, struct guest_task *task)
{
    if (message(task, PTRACE_EVENT_SECCOMP) == GUEST_FILTER_OURS)
        return on_call(guest, task);
    /* The guest's own filter wants a tracer, and there is none. */
    (void)processor_skip_call(task->tid, -ENOSYS);
    go_on(guest, task, 0);
    return 0;
}

static int
handle_event(struct guest *guest, struct guest_task *task, int event,
             int signal_number)
{
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        return on_filter(guest, task);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        return on_new(guest, task, event);
    case PTRACE_EVENT_EXEC:
        return on_exec(guest, task);
    case PTRACE_EVENT_EXIT:
        return on_end(guest, task);
    case PTRACE_EVENT_STOP:
        if (stops_group(signal_number))
            (void)ptrace(PTRACE_LISTEN, task->tid, NULL, NULL);
        else
            go_on(guest, task, 0);
        return 0;
    default:
        go_on(guest, task, 0);
        return 0;
    }
}

int
guest_stopped(struct guest *guest, struct guest_task *task, int status)
{
    int event = status >> 16;
    int signal_number = WSTOPSIG(status);

    guest_untraced_restore_child(task);
    if (event != 0)
        return handle_event(guest, task, event, signal_number);
    if (signal_number == (SIGTRAP | 0x80))
        return on_call(guest, task);
    go_on(guest, task, signal_number);
    return 0;
}

static int
handle(struct guest *guest, pid_t tid, int status)
{
    struct guest_task *task = guest_task_find(guest, tid);

    if (!WIFSTOPPED(status)) {
        if (task)
            on_gone(guest, task, status);
        return 0;
    }
    if (!task) {
        task = guest_task_add(guest, tid);
        if (!task)
            return -1;
        task->state = GUEST_EARLY;
        task->early_status = status;
        guest->orphans = true;
        return 0;
    }
    if (task->state == GUEST_EXPECTED || task->state == GUEST_HELD)
        task->state = GUEST_RUNS;
    return guest_stopped(guest, task, status);
}

/* Did the command become what was asked for? */
static int
check_start(struct guest *guest)
{
    struct guest_said said;
    ssize_t length = read(guest->said, &said, sizeof(said));

    close(guest->said);
    guest->said = -1;
    if (length != sizeof(said))
        return 0;
    return tool_fail(&guest->error, "cannot %s %s: %s",
                     said.preparing ? "start" : "run", guest->command,
                     strerror(-said.error));
}

/* ---- Let go ------------------------------------------------------------- */

/* A first thread that has ended is there until the last one has, and tells
 * nothing. -1: it does not stop any more. */
static int
await_stop(pid_t tid, int *status)
{
    pid_t got;

    while ((got = waitpid(tid, status, __WALL | WNOHANG)) == 0 ||
           (got < 0 && errno == EINTR)) {
        if (guest_is_ending(tid))
            return -1;
        tool_sleep_until_ns(tool_now_ns() + NAP_NS);
    }
    return got == tid && WIFSTOPPED(*status) ? 0 : -1;
}

/* Wherever it stops: the signal that it has to get then. -1: it is gone. */
static int
stop(struct guest_task *task)
{
    int status = task->early_status;

    if (task->state == GUEST_HELD)
        return 0;
    if (task->state != GUEST_EARLY) {
        (void)ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL);
        if (await_stop(task->tid, &status) != 0)
            return -1;
    }
    return status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80)
               ? 0
               : WSTOPSIG(status);
}

/* Each space once. */
static int
look_last(struct guest *guest, struct guest_task *task)
{
    struct guest_space *space = task->space;

    if (!space || !space->followed)
        return 0;
    space->followed = false;
    return guest->watcher->let_go(guest, task);
}

static int
let_go(struct guest *guest)
{
    int result = 0;

    for (struct guest_task *task = guest->tasks; task; task = task->next)
        task->early_status = stop(task);
    for (struct guest_task *task = guest->tasks; task; task = task->next)
        if (task->early_status >= 0 && result == 0)
            result = look_last(guest, task);
    while (guest->tasks) {
        struct guest_task *task = guest->tasks;

        if (task->early_status >= 0)
            (void)ptrace(PTRACE_DETACH, task->tid, NULL,
                         (void *)(intptr_t)task->early_status);
        if (task->space)
            guest_space_put(guest, task->space);
        guest_task_remove(guest, task);
    }
    return result;
}

/* Those that were stopped when they were attached to. */
static int
begin_attached(struct guest *guest)
{
    int result = 0;

    for (struct guest_task *task = guest->tasks; task && result == 0;
         task = task->next)
        if (task->state == GUEST_EARLY) {
            task->state = GUEST_RUNS;
            result = guest_stopped(guest, task, task->early_status);
        }
    return result;
}

int
guest_follow(struct guest *guest)
{
    int status;
    pid_t tid;

    if (guest->attached && begin_attached(guest) != 0)
        return -1;
    while (guest->tasks && !guest->enough) {
        tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR) {
            guest->watcher->interrupted(guest);
            continue;
        }
        if (tid < 0)
            break;
        if (handle(guest, tid, status) != 0 || guest_orphans(guest) != 0)
            return -1;
    }
    if (guest->attached)
        return let_go(guest);
    return guest->said >= 0 ? check_start(guest) : 0;
}

/* Another may have its number by now: if its end was told before it was known,
 * nobody has taken it from the list. */
static bool
is_ours(pid_t tid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)tid, &info,
                  WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0;
}

void
guest_end(struct guest *guest)
{
    if (guest->attached)
        for (struct guest_task *task = guest->tasks; task; task = task->next)
            if (task->space)
                task->space->followed = false;
    if (guest->attached && let_go(guest) != 0)
        return;
    while (guest->tasks) {
        struct guest_task *task = guest->tasks;

        if (task->space)
            guest_space_put(guest, task->space);
        if (is_ours(task->tid))
            (void)kill(task->tid, SIGKILL);
        guest_task_remove(guest, task);
    }
}
