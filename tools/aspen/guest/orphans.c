/* SPDX-License-Identifier: MIT */
/*
 * orphans.c - tasks whose maker has been killed inside of the call that made
 * them.
 *
 * Who stops for the first time waits until its maker tells of it
 * (PTRACE_EVENT_FORK...), since only the call says what it shares. A maker that
 * a fatal signal meets just then never tells. When nobody is left that could,
 * the kernel is asked: /proc for the process, kcmp(2) for the space.
 *
 * Called by follow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"
#include "guest/process.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
read_status(pid_t tid, struct guest_status *status)
{
    char directory[64];

    snprintf(directory, sizeof(directory), "/proc/%d", (int)tid);
    return guest_status_read(status, directory) == 0;
}

static bool
could_have_made(const struct guest_task *maker,
                const struct guest_status *status)
{
    pid_t process = maker->process ? maker->process->pid : 0;

    return maker->making &&
           (process == status->group || process == status->parent ||
            maker->call.clone_flags & CLONE_PARENT);
}

static bool
shares_memory(const struct guest_task *a, const struct guest_task *b)
{
    return a->process == b->process ||
           syscall(SYS_kcmp, a->tid, b->tid, KCMP_VM, 0, 0) == 0;
}

static struct guest_space *
space_of(struct guest *guest, const struct guest_task *task)
{
    for (struct guest_task *other = guest->tasks; other; other = other->next)
        if (other != task && other->space && shares_memory(task, other)) {
            guest_space_get(guest, other->space);
            return other->space;
        }
    return guest_space_exec(guest, NULL, task->tid);
}

static int
place(struct guest *guest, struct guest_task *task, pid_t process)
{
    task->state = GUEST_RUNS;
    task->process = guest_process_of(guest, process);
    if (!task->process)
        return -1;
    task->space = space_of(guest, task);
    guest->watcher->met(guest, task->space ? GUEST_FOUND : GUEST_LOST);
    return guest_stopped(guest, task, task->early_status);
}

/* Until one was placed, which may change the list. 1: again. */
static int
look(struct guest *guest)
{
    struct guest_status status;

    for (struct guest_task *task = guest->tasks; task; task = task->next) {
        const struct guest_task *maker = guest->tasks;
        if (task->state != GUEST_EARLY || task->process)
            continue;
        if (!read_status(task->tid, &status))
            status.group = task->tid;
        while (maker && !could_have_made(maker, &status))
            maker = maker->next;
        if (!maker)
            return place(guest, task, status.group) == 0 ? 1 : -1;
    }
    return 0;
}

int
guest_orphans(struct guest *guest)
{
    int result = 1;

    if (!guest->orphans)
        return 0;
    guest->orphans = false;
    while (result > 0)
        result = look(guest);
    return result;
}
