/* SPDX-License-Identifier: MIT */
/*
 * shadow_start.c - the guest begins: a command that is seized before it makes
 * its first call, or a process that runs already.
 *
 * Called by shadow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "host/refused.h"
#include "shadow/session.h"
#include "common/tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS                                                                \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |        \
     PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |           \
     PTRACE_O_TRACESECCOMP)

/* Both ends of what parent and child tell each other. */
struct starting {
    int go[2];   /* a byte: you are seized */
    int said[2]; /* an errno: no exec; closed by exec */
};

/* ---- The child ---------------------------------------------------------- */

static void
give_up(const struct starting *starting, int error)
{
    if (write(starting->said[1], &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

static int
redirect(const char *output)
{
    int file;

    if (!output)
        return 0;
    file = strcmp(output, "-") == 0
               ? fcntl(2, F_DUPFD_CLOEXEC, 3)
               : open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 || dup2(file, 1) < 0)
        return -errno;
    close(file);
    return 0;
}

static void
run_child(const struct starting *starting, char **command, const char *output)
{
    char byte;
    int error;

    close(starting->go[1]);
    if (read(starting->go[0], &byte, 1) != 1)
        _exit(127);
    error = redirect(output);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    if (error == 0)
        error = shadow_filter_install();
    if (error == 0) {
        error = tool_exec(command);
    }
    give_up(starting, error);
}

/* ---- The parent --------------------------------------------------------- */

static int
cannot_trace(struct shadow_session *session, pid_t tid)
{
    int error = errno;
    const char *refused = host_refuses(HOST_PTRACE);

    return tool_fail(&session->error, "cannot trace %d: %s", (int)tid,
                     refused ? refused : strerror(error));
}

static int
seize(struct shadow_session *session, pid_t tid, long more)
{
    struct shadow_task *task;

    if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(OPTIONS | more)) != 0)
        return cannot_trace(session, tid);
    task = shadow_task_add(session, tid);
    if (!task)
        return -1;
    task->process = shadow_process_of(session, session->first);
    return task->process ? 0 : -1;
}

int
shadow_start(struct shadow_session *session, char **command, const char *output)
{
    struct starting starting;
    pid_t child;
    int result;

    if (pipe2(starting.go, O_CLOEXEC) != 0 ||
        pipe2(starting.said, O_CLOEXEC) != 0)
        return tool_fail(&session->error, "no pipe: %s", strerror(errno));
    fflush(NULL);
    child = fork();
    if (child < 0)
        return tool_fail(&session->error, "cannot fork: %s", strerror(errno));
    if (child == 0)
        run_child(&starting, command, output);
    /* From now on the terminal's signals are the guest's matter. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    session->first = child;
    result = seize(session, child, PTRACE_O_EXITKILL);
    if (result == 0 && write(starting.go[1], "", 1) != 1)
        result = tool_fail(&session->error, "cannot start");
    close(starting.go[0]);
    close(starting.go[1]);
    close(starting.said[1]);
    session->said = starting.said[0];
    return result;
}

/* ---- A process that runs already ---------------------------------------- */

/* Options come when all are stopped: until then nobody follows a clone, and new
 * threads are found in /proc. 1: seized, 0: it is gone. */
static int
seize_thread(struct shadow_session *session, pid_t tid)
{
    struct shadow_task *task;
    int status;

    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
        if (errno == ESRCH)
            return 0;
        return cannot_trace(session, tid);
    }
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0 ||
        waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
        return 0;
    task = shadow_task_add(session, tid);
    if (!task)
        return -1;
    task->state = SHADOW_EARLY;
    task->early_status = status;
    task->process = shadow_process_of(session, session->first);
    return task->process ? 1 : -1;
}

/* Those that were not there before. 1: some, 0: none. */
static int
seize_threads(struct shadow_session *session)
{
    char path[64];
    struct dirent *entry;
    int result = 0, found = 0;
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)session->first);
    threads = opendir(path);
    if (!threads)
        return tool_fail(&session->error, "no process %d", (int)session->first);
    while (result >= 0 && (entry = readdir(threads)) != NULL) {
        pid_t tid = atoi(entry->d_name);
        if (tid <= 0 || shadow_task_find(session, tid))
            continue;
        result = seize_thread(session, tid);
        found |= result > 0;
    }
    closedir(threads);
    return result < 0 ? result : found;
}

/* A thread's number means its process. */
static pid_t
process_of(pid_t pid)
{
    char path[64], line[256];
    int found = pid;
    FILE *status;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    status = fopen(path, "re");
    while (status && fgets(line, sizeof(line), status))
        (void)sscanf(line, "Tgid: %d", &found);
    if (status)
        fclose(status);
    return found;
}

int
shadow_attach(struct shadow_session *session, pid_t pid)
{
    struct shadow_space *space;
    int result;

    session->attached = true;
    session->all_syscalls = true;
    session->first = process_of(pid);
    do
        result = seize_threads(session);
    while (result > 0);
    if (result < 0)
        return -1;
    if (!session->tasks)
        return tool_fail(&session->error, "process %d is gone", (int)pid);
    space = shadow_space_exec(session, NULL, session->tasks->tid);
    if (!space)
        return -1;
    for (struct shadow_task *task = session->tasks; task; task = task->next) {
        if (task != session->tasks)
            shadow_space_get(space);
        task->space = space;
        (void)ptrace(PTRACE_SETOPTIONS, task->tid, NULL, (void *)OPTIONS);
    }
    return 0;
}
