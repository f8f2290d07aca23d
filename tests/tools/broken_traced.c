/* SPDX-License-Identifier: MIT */
/*
 * broken_traced.c - the part of broken.c for those who are followed:
 *
 *   maker         who forks is killed before it tells whom it has made
 *   maker-ending  the same, and it tells of its end instead
 */
#define _GNU_SOURCE
#include "broken.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <unistd.h>

BREAKABLE(long, ptrace, int request, pid_t task, void *address, void *data);

/* Where it has stopped; 0: it has not. */
static int
event_of(pid_t task)
{
    siginfo_t info;

    return REAL(ptrace)(PTRACE_GETSIGINFO, task, NULL, &info) == 0
               ? info.si_code >> 8
               : 0;
}

static bool
has_forked(pid_t task)
{
    int event = event_of(task);

    return event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
           event == PTRACE_EVENT_CLONE;
}

long
WRAPPED(ptrace)(int request, pid_t task, void *address, void *data)
{
    if (request == PTRACE_GETEVENTMSG && breaks("maker") && has_forked(task)) {
        kill(task, SIGKILL);
        unsigned long unused;
        while (REAL(ptrace)(request, task, NULL, &unused) == 0)
            usleep(1000);
        errno = ESRCH;
        return -1;
    }
    if (request == PTRACE_GETEVENTMSG && breaks("maker-ending") &&
        has_forked(task)) {
        kill(task, SIGKILL);
        while (event_of(task) != PTRACE_EVENT_EXIT)
            usleep(1000);
    }
    return REAL(ptrace)(request, task, address, data);
}
