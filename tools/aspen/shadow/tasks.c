/* SPDX-License-Identifier: MIT */
/*
 * shadow_tasks.c - who is followed: threads, and the processes they belong to.
 *
 * Called by shadow_trace.c and shadow_start.c. tests/tools/shadow.sh breaks
 * first.
 */
#define _GNU_SOURCE
#include "shadow/session.h"

#include <stdlib.h>
#include <string.h>

struct shadow_task *
shadow_task_find(struct shadow_session *session, pid_t tid)
{
    struct shadow_task *task = session->tasks;

    while (task && task->tid != tid)
        task = task->next;
    return task;
}

struct shadow_task *
shadow_task_add(struct shadow_session *session, pid_t tid)
{
    struct shadow_task *task = calloc(1, sizeof(*task));

    if (!task) {
        tool_fail(&session->error, "no memory");
        return NULL;
    }
    task->tid = tid;
    task->next = session->tasks;
    session->tasks = task;
    return task;
}

void
shadow_task_remove(struct shadow_session *session, struct shadow_task *task)
{
    struct shadow_task **link = &session->tasks;

    while (*link != task)
        link = &(*link)->next;
    *link = task->next;
    free(task);
}

struct shadow_process *
shadow_process_of(struct shadow_session *session, pid_t pid)
{
    struct shadow_process **link = &session->processes;

    while (*link && ((*link)->pid != pid || (*link)->ended))
        link = &(*link)->next;
    if (*link)
        return *link;
    *link = calloc(1, sizeof(**link));
    if (*link) {
        (*link)->pid = pid;
        shadow_process_rename(*link, pid);
    } else
        tool_fail(&session->error, "no memory");
    return *link;
}

void
shadow_process_rename(struct shadow_process *process, pid_t tid)
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
