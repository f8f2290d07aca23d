/* SPDX-License-Identifier: MIT */
/*
 * process.c - what /proc says of a process that is to be stopped, and why it
 * cannot be.
 *
 * Called by start.c, stop.c and snapshot/capture.c. tests/tools/usage.sh breaks
 * first.
 */
#define _GNU_SOURCE
#include "guest/process.h"
#include "host/refused.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY_BYTES 64

/* A kernel thread, among the flags in /proc/P/stat: on every release, where
 * status has a line of its own (Kthread) from 6.10 on. */
#define PF_KTHREAD 0x00200000ul
/* On its way out: its memory may be gone already. */
#define PF_EXITING 0x00000004ul

static void
take_status_line(struct guest_status *status, const char *line)
{
    size_t length = strcspn(line, " \t");
    const char *value = line + length + strspn(line + length, " \t");

    if (strncmp(line, "Name:", length) == 0)
        snprintf(status->name, sizeof(status->name), "%.*s",
                 (int)strcspn(value, "\n"), value);
    else if (strncmp(line, "State:", length) == 0)
        status->state = *value;
    else if (strncmp(line, "Tgid:", length) == 0)
        status->group = (pid_t)strtol(value, NULL, 10);
    else if (strncmp(line, "PPid:", length) == 0)
        status->parent = (pid_t)strtol(value, NULL, 10);
    else if (strncmp(line, "TracerPid:", length) == 0)
        status->tracer = (pid_t)strtol(value, NULL, 10);
    else if (strncmp(line, "SigPnd:", length) == 0)
        status->pending = strtoull(value, NULL, 16);
}

/* Of "P (name) S parent group session terminal foreground flags ...": a name
 * may have parentheses, too. */
static bool
read_flags(const char *directory, unsigned long *flags)
{
    char path[DIRECTORY_BYTES + 16];
    char line[512] = "";
    const char *behind;
    FILE *file;

    snprintf(path, sizeof(path), "%s/stat", directory);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    behind = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return behind != NULL &&
           sscanf(behind, ") %*c %*d %*d %*d %*d %*d %lu", flags) == 1;
}

static bool
is_kernel_thread(const char *directory)
{
    unsigned long flags;

    return read_flags(directory, &flags) && (flags & PF_KTHREAD) != 0;
}

bool
guest_is_ending(pid_t thread)
{
    char directory[DIRECTORY_BYTES];
    unsigned long flags;

    snprintf(directory, sizeof(directory), "/proc/%d", (int)thread);
    return !read_flags(directory, &flags) || (flags & PF_EXITING) != 0;
}

int
guest_status_read(struct guest_status *status, const char *directory)
{
    char path[DIRECTORY_BYTES + 16];
    char line[512];
    FILE *file;

    memset(status, 0, sizeof(*status));
    snprintf(path, sizeof(path), "%s/status", directory);
    file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    while (fgets(line, sizeof(line), file) != NULL)
        take_status_line(status, line);
    fclose(file);
    status->kernel_thread = is_kernel_thread(directory);
    return status->state == '\0' ? -ESRCH : 0;
}

bool
guest_status_ended(const struct guest_status *status)
{
    return status->state == 'Z' || status->state == 'X';
}

bool
guest_has_fatal_signal(pid_t thread)
{
    const uint64_t one = 1;
    const uint64_t fatal = one << (SIGSEGV - 1) | one << (SIGKILL - 1);
    char directory[DIRECTORY_BYTES];
    struct guest_status status;

    snprintf(directory, sizeof(directory), "/proc/%d", (int)thread);
    return guest_status_read(&status, directory) == 0 &&
           (status.pending & fatal) != 0;
}

int
guest_look(pid_t *process, struct guest_status *status,
           struct tool_error *error)
{
    char directory[DIRECTORY_BYTES];
    int result;

    snprintf(directory, sizeof(directory), "/proc/%d", (int)*process);
    result = guest_status_read(status, directory);
    if (result == -ENOENT || result == -ESRCH)
        return tool_fail(error, "no process %d", (int)*process);
    if (result != 0)
        return tool_fail(error, "cannot read %s/status: %s", directory,
                         strerror(-result));
    if (status->group > 0 && status->group != *process) {
        *process = status->group; /* a thread of it was named */
        return guest_look(process, status, error);
    }
    if (*process == getpid())
        return tool_fail(error, "process %d is this one", (int)*process);
    if (status->tracer > 0)
        return tool_fail(error, "process %d is traced already, by process %d",
                         (int)*process, (int)status->tracer);
    if (status->kernel_thread)
        return tool_fail(error,
                         "process %d (%s) is a kernel thread: it has no "
                         "address space",
                         (int)*process, status->name);
    return 0;
}

int
guest_cannot_stop(pid_t process, pid_t thread, int reason,
                  struct tool_error *error)
{
    char directory[DIRECTORY_BYTES];
    struct guest_status status;

    snprintf(directory, sizeof(directory), "/proc/%d/task/%d", (int)process,
             (int)thread);
    if (reason == ESRCH)
        return tool_fail(error, "process %d has ended", (int)process);
    if (guest_status_read(&status, directory) == 0 && status.tracer > 0)
        return tool_fail(error, "process %d is traced already, by process %d",
                         (int)process, (int)status.tracer);
    if (host_refuses(HOST_PTRACE))
        return tool_fail(error, "cannot stop process %d: %s", (int)process,
                         host_refuses(HOST_PTRACE));
    if (reason == EPERM)
        return tool_fail(error,
                         "no permission to stop process %d (it takes its "
                         "owner, or CAP_SYS_PTRACE; see ptrace(2) on Yama)",
                         (int)process);
    return tool_fail(error, "cannot stop process %d: %s", (int)process,
                     strerror(reason));
}

/* A dead leader of living threads answers EPERM. */
bool
guest_has_ended(pid_t process, pid_t thread, int reason)
{
    char directory[DIRECTORY_BYTES];
    struct guest_status status;

    if (reason == ESRCH)
        return true;
    if (reason != EPERM && !host_refuses(HOST_PTRACE))
        return false;
    snprintf(directory, sizeof(directory), "/proc/%d/task/%d", (int)process,
             (int)thread);
    return guest_status_read(&status, directory) != 0 ||
           guest_status_ended(&status);
}
