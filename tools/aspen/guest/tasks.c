/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - who is followed: threads, the processes they belong to, and the
 * spaces they are in.
 *
 * Called by start.c and follow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
make(struct guest *guest, size_t bytes)
{
    void *made = calloc(1, bytes);

    if (!made)
        tool_fail(&guest->error, "no memory");
    return made;
}

/* ---- Tasks -------------------------------------------------------------- */

struct guest_task *
guest_task_find(struct guest *guest, pid_t tid)
{
    struct guest_task *task = guest->tasks;

    while (task && task->tid != tid)
        task = task->next;
    return task;
}

struct guest_task *
guest_task_add(struct guest *guest, pid_t tid)
{
    struct guest_task *task = make(guest, guest->watcher->task_bytes);

    if (!task)
        return NULL;
    task->tid = tid;
    task->next = guest->tasks;
    guest->tasks = task;
    return task;
}

void
guest_task_remove(struct guest *guest, struct guest_task *task)
{
    struct guest_task **link = &guest->tasks;

    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
    free(task);
}

/* ---- Processes ---------------------------------------------------------- */

struct guest_process *
guest_process_of(struct guest *guest, pid_t pid)
{
    struct guest_process **link = &guest->processes;

    while (*link && ((*link)->pid != pid || (*link)->ended))
        link = &(*link)->next;
    if (*link)
        return *link;
    *link = make(guest, guest->watcher->process_bytes);
    if (*link) {
        (*link)->pid = pid;
        guest_process_rename(*link, pid);
    }
    return *link;
}

void
guest_process_rename(struct guest_process *process, pid_t tid)
{
    char path[64];
    FILE *comm;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)tid);
    comm = fopen(path, "re");
    if (!comm)
        return;
    if (fgets(process->name, sizeof(process->name), comm))
        process->name[strcspn(process->name, "\n")] = '\0';
    fclose(comm);
}

void
guest_free(struct guest *guest)
{
    while (guest->processes) {
        struct guest_process *process = guest->processes;

        guest->processes = process->next;
        free(process);
    }
}

/* ---- Spaces ------------------------------------------------------------- */

/* Calls of other sizes of registers are not seen. */
static bool
can_follow(pid_t tid)
{
    unsigned char head[5] = {0};
    char path[64];
    FILE *program;
    bool can;

    snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
    program = fopen(path, "re");
    if (!program)
        return true;
    can = fread(head, 1, sizeof(head), program) != sizeof(head) || head[4] == 2;
    fclose(program);
    return can;
}

static struct guest_space *
make_space(struct guest *guest)
{
    struct guest_space *space = make(guest, guest->watcher->space_bytes);

    if (space)
        space->users = 1;
    return space;
}

struct guest_space *
guest_space_exec(struct guest *guest, struct guest_space *old, pid_t tid)
{
    struct guest_space *space = make_space(guest);

    if (!space)
        return NULL;
    space->followed = can_follow(tid);
    if (guest->watcher->space_exec(guest, space, old, tid) != 0) {
        free(space);
        return NULL;
    }
    if (old && --old->users == 0)
        free(old);
    return space;
}

struct guest_space *
guest_space_fork(struct guest *guest, struct guest_space *parent)
{
    struct guest_space *space = make_space(guest);

    if (!space)
        return NULL;
    space->followed = parent->followed;
    if (guest->watcher->space_fork(guest, space, parent) == 0)
        return space;
    free(space);
    return NULL;
}

void
guest_space_get(struct guest *guest, struct guest_space *space)
{
    space->users++;
    guest->watcher->space_get(space);
}

void
guest_space_put(struct guest *guest, struct guest_space *space)
{
    guest->watcher->space_put(space);
    if (--space->users == 0)
        free(space);
}
