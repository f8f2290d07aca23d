/* SPDX-License-Identifier: MIT */
/*
 * start.c - the guest begins: a command that is seized before it makes its
 * first call, or a process that runs already.
 *
 * Called by the watcher. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"
#include "guest/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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
    int said[2]; /* struct guest_said: no exec; closed by exec */
    int output;  /* its standard output; -1: as ours */
};

/* ---- The child ---------------------------------------------------------- */

static void
give_up(const struct starting *starting, struct guest_said said)
{
    if (write(starting->said[1], &said, sizeof(said)) < 0)
        _exit(126);
    _exit(127);
}

static void
run_child(const struct guest *guest, const struct starting *starting,
          char **command)
{
    char byte;
    int error = 0;

    close(starting->go[1]);
    if (read(starting->go[0], &byte, 1) != 1)
        _exit(127);
    if (starting->output >= 0 && dup2(starting->output, STDOUT_FILENO) < 0)
        error = -errno;
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    if (error == 0)
        error = guest_filter_install(guest);
    if (error != 0)
        give_up(starting, (struct guest_said){error, true});
    give_up(starting, (struct guest_said){tool_exec(command), false});
}

/* ---- The parent --------------------------------------------------------- */

static int
seize(struct guest *guest, pid_t tid, long more)
{
    struct guest_task *task;

    if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(OPTIONS | more)) != 0)
        return guest_cannot_stop(guest->first, tid, errno, &guest->error);
    task = guest_task_add(guest, tid);
    if (!task)
        return -1;
    task->process = guest_process_of(guest, guest->first);
    return task->process ? 0 : -1;
}

/* Before anything else is done, so that a name which cannot be is refused. */
static int
open_output(struct guest *guest, const char *output)
{
    int file;

    if (!output)
        return -1;
    file = strcmp(output, "-") == 0
               ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
               : open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        tool_fail(&guest->error, "cannot write %s: %s", output,
                  strerror(errno));
    return file;
}

static int
start(struct guest *guest, char **command, struct starting *starting)
{
    pid_t child;
    int result;

    if (pipe2(starting->go, O_CLOEXEC) != 0 ||
        pipe2(starting->said, O_CLOEXEC) != 0)
        return tool_fail(&guest->error, "no pipe: %s", strerror(errno));
    fflush(NULL);
    child = fork();
    if (child < 0)
        return tool_fail(&guest->error, "cannot fork: %s", strerror(errno));
    if (child == 0)
        run_child(guest, starting, command);
    /* From now on the terminal's signals are the guest's matter. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    guest_signals_begin();
    guest->first = child;
    guest->command = command[0];
    result = seize(guest, child, PTRACE_O_EXITKILL);
    if (result == 0 && write(starting->go[1], "", 1) != 1)
        result = tool_fail(&guest->error, "cannot start %s", command[0]);
    close(starting->go[0]);
    close(starting->go[1]);
    close(starting->said[1]);
    guest->said = starting->said[0];
    return result;
}

int
guest_start(struct guest *guest, char **command, const char *output)
{
    struct starting starting = {.output = open_output(guest, output)};
    int result;

    if (output && starting.output < 0)
        return -1;
    result = start(guest, command, &starting);
    if (starting.output >= 0)
        close(starting.output);
    return result;
}

/* ---- A process that runs already ---------------------------------------- */

/* Options come when all are stopped: until then nobody follows a clone, and new
 * threads are found in /proc. 1: seized, 0: it is gone. */
static int
seize_thread(struct guest *guest, pid_t tid)
{
    struct guest_task *task;
    int status;

    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
        int reason = errno;

        return guest_has_ended(guest->first, tid, reason)
                   ? 0
                   : guest_cannot_stop(guest->first, tid, reason,
                                       &guest->error);
    }
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0 ||
        waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
        return 0;
    task = guest_task_add(guest, tid);
    if (!task)
        return -1;
    task->state = GUEST_EARLY;
    task->early_status = status;
    task->process = guest_process_of(guest, guest->first);
    return task->process ? 1 : -1;
}

/* Those that were not there before. 1: some, 0: none. */
static int
seize_threads(struct guest *guest)
{
    char path[64];
    struct dirent *entry;
    int result = 0, found = 0;
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)guest->first);
    threads = opendir(path);
    if (!threads)
        return tool_fail(&guest->error, "process %d has ended",
                         (int)guest->first);
    while (result >= 0 && (entry = readdir(threads)) != NULL) {
        pid_t tid = atoi(entry->d_name);
        if (tid <= 0 || guest_task_find(guest, tid))
            continue;
        result = seize_thread(guest, tid);
        found |= result > 0;
    }
    closedir(threads);
    return result < 0 ? result : found;
}

int
guest_attach(struct guest *guest, pid_t pid)
{
    struct guest_status status;
    struct guest_space *space;
    int result;

    if (guest_look(&pid, &status, &guest->error) != 0)
        return -1;
    guest->attached = true;
    guest->all_syscalls = true;
    guest->first = pid;
    do
        result = seize_threads(guest);
    while (result > 0);
    if (result < 0)
        return -1;
    if (!guest->tasks)
        return tool_fail(&guest->error, "process %d (%s) has ended%s", (int)pid,
                         status.name,
                         guest_status_ended(&status) ? " (a zombie)" : "");
    space = guest_space_exec(guest, NULL, guest->tasks->tid);
    if (!space)
        return -1;
    for (struct guest_task *task = guest->tasks; task; task = task->next) {
        if (task != guest->tasks)
            guest_space_get(guest, space);
        task->space = space;
        (void)ptrace(PTRACE_SETOPTIONS, task->tid, NULL, (void *)OPTIONS);
    }
    return 0;
}
