/* SPDX-License-Identifier: MIT */
/*
 * stop.c - stop all threads of a process for a moment, by ptrace.
 *
 * PTRACE_SEIZE sends no signal, PTRACE_INTERRUPT stops a thread wherever it
 * runs, also in a system call that it takes up again, and a process that was
 * stopped by SIGSTOP before stays so afterwards. A thread may make others
 * until it is stopped itself, so the list of threads is read again until a
 * whole pass finds nobody new.
 *
 * I1  A thread in `threads` is seized; once stop_begin() is done each of them
 *     stands still or has ended.
 *
 * Called by snapshot/capture.c. tests/unit/tools/test_capture_stop.c breaks
 * first.
 */
#define _GNU_SOURCE
#include "guest/stop.h"
#include "guest/process.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define PATIENCE_NS 5000000000u
#define NAP_NS      200000u

/* Where `thread` stands, or would stand. */
static size_t
place_of(const struct stop *stop, pid_t thread)
{
    size_t low = 0;
    size_t high = stop->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (stop->threads[middle].thread < thread)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
knows(const struct stop *stop, pid_t thread)
{
    size_t place = place_of(stop, thread);

    return place < stop->count && stop->threads[place].thread == thread;
}

static int
add_thread(struct stop *stop, pid_t thread)
{
    size_t place = place_of(stop, thread);
    struct stop_thread *threads = tool_room(stop->threads, stop->count,
                                            &stop->capacity, sizeof(*threads));

    if (threads == NULL)
        return -1;
    stop->threads = threads;
    memmove(&stop->threads[place + 1], &stop->threads[place],
            (stop->count - place) * sizeof(*stop->threads));
    stop->threads[place] = (struct stop_thread){thread, 0};
    stop->count++;
    return 0;
}

static void
forget_thread(struct stop *stop, pid_t thread)
{
    size_t place = place_of(stop, thread);

    stop->count--;
    memmove(&stop->threads[place], &stop->threads[place + 1],
            (stop->count - place) * sizeof(*stop->threads));
}

/*
 * Wait until a thread stands still. 1: it does, 0: it has ended, -1: it did
 * not in time. Whatever it stopped for will do; only a signal has to be
 * handed on.
 */
static int
await_stop(struct stop_thread *thread, uint64_t deadline_ns)
{
    for (;;) {
        int status;
        pid_t got = waitpid(thread->thread, &status, __WALL | WNOHANG);

        if (got < 0 && errno != EINTR)
            return 0;
        if (got > 0 && WIFSTOPPED(status)) {
            if (status >> 16 == 0)
                thread->signal = WSTOPSIG(status);
            return 1;
        }
        if (got > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
            return 0;
        if (tool_now_ns() > deadline_ns)
            return -1;
        if (got == 0)
            tool_sleep_until_ns(tool_now_ns() + NAP_NS);
    }
}

/* 1: a new thread stands still, 0: nothing new, -1: refused. */
static int
stop_thread(struct stop *stop, pid_t thread, uint64_t deadline_ns,
            struct tool_error *error)
{
    int stands;

    if (knows(stop, thread))
        return 0;
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0) {
        int reason = errno;

        /* One that has just ended is none of ours. */
        return guest_has_ended(stop->process, thread, reason)
                   ? 0
                   : guest_cannot_stop(stop->process, thread, reason, error);
    }
    if (add_thread(stop, thread) != 0)
        return tool_fail(error, "no memory");
    if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0 && errno != ESRCH)
        return guest_cannot_stop(stop->process, thread, errno, error);
    stands = await_stop(&stop->threads[place_of(stop, thread)], deadline_ns);
    if (stands < 0)
        return tool_fail(error,
                         "thread %d of process %d does not stop: it waits in "
                         "the kernel",
                         (int)thread, (int)stop->process);
    if (stands == 0)
        forget_thread(stop, thread);
    return stands;
}

/* One pass over the threads. 1: somebody was new, 0: nobody, -1: refused. */
static int
stop_pass(struct stop *stop, uint64_t deadline_ns, struct tool_error *error)
{
    char path[64];
    struct dirent *entry;
    int found = 0;
    DIR *directory;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)stop->process);
    directory = opendir(path);
    if (directory == NULL)
        return errno == ENOENT ? tool_fail(error, "process %d has ended",
                                           (int)stop->process)
                               : tool_fail(error, "cannot read %s: %s", path,
                                           strerror(errno));
    while (found >= 0 && (entry = readdir(directory)) != NULL) {
        uint64_t thread;
        int got;

        if (!tool_parse_number(entry->d_name, INT32_MAX, &thread))
            continue;
        got = stop_thread(stop, (pid_t)thread, deadline_ns, error);
        if (got != 0)
            found = got;
    }
    closedir(directory);
    return found;
}

int
stop_begin(struct stop *stop, pid_t process, struct tool_error *error)
{
    uint64_t deadline_ns = tool_now_ns() + PATIENCE_NS;
    int found;

    memset(stop, 0, sizeof(*stop));
    stop->process = process;
    do
        found = stop_pass(stop, deadline_ns, error);
    while (found > 0);
    if (found == 0 && stop->count == 0)
        found = tool_fail(error, "process %d has ended", (int)process);
    if (found < 0)
        stop_end(stop);
    return found;
}

void
stop_end(struct stop *stop)
{
    for (size_t i = 0; i < stop->count; i++)
        (void)ptrace(PTRACE_DETACH, stop->threads[i].thread, NULL,
                     (void *)(intptr_t)stop->threads[i].signal);
    free(stop->threads);
    memset(stop, 0, sizeof(*stop));
}
