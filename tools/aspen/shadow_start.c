/* SPDX-License-Identifier: MIT */
/*
 * shadow_start.c - the guest begins: a command that is seized before it makes
 * its first call, or a process that runs already.
 *
 * Called by shadow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow_session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
        execvp(command[0], command);
        error = -errno;
    }
    give_up(starting, error);
}

/* ---- The parent --------------------------------------------------------- */

static int
seize(struct shadow_session *session, pid_t tid, long more)
{
    struct shadow_task *task;

    if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)(OPTIONS | more)) != 0)
        return tool_fail(&session->error, "cannot trace %d: %s", (int)tid,
                         strerror(errno));
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
