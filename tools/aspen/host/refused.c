/* SPDX-License-Identifier: MIT */
/*
 * refused.c - each call is made once, such that it changes nothing: with
 * nothing to work on, or taken back at once.
 *
 * A filter answers EPERM or ENOSYS, whatever the arguments are; so does a
 * kernel that asks for a capability or does not know the call. To the caller
 * it is all the same.
 *
 * scripts/check/container.sh shows what breaks without it.
 */
#define _GNU_SOURCE
#include "host/refused.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER_MSEAL 462
#define NOBODY       0x7fffffff /* more than any kernel gives out */

/* ---- Each call: 0 or an errno ------------------------------------------- */

static int
errno_of(long answer)
{
    return answer == -1 ? errno : 0;
}

/* Ours becomes what it was, which a filter need not let through: by a child. */
static int
try_personality(unsigned long persona)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(errno_of(personality(persona)));
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return EAGAIN;
    return WEXITSTATUS(status);
}

/* No ranges. Advice that is good for others, too. */
static int
try_process_madvise(pid_t process)
{
    int file = (int)syscall(SYS_pidfd_open, process, 0);
    int error;

    if (file < 0)
        return errno;
    error = errno_of(syscall(SYS_process_madvise, file, NULL, 0, MADV_COLD, 0));
    close(file);
    return error;
}

static int
try_advise_others(void)
{
    pid_t child = fork();
    int error;

    if (child < 0)
        return errno;
    if (child == 0) {
        pause();
        _exit(0);
    }
    error = try_process_madvise(child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return error;
}

static int
try_process_vm(void)
{
    char from = 0, to = 0;
    struct iovec here = {&to, 1}, there = {&from, 1};

    return errno_of(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

/* Of a process that is not there: who gets as far as to say so may trace. */
static int
try_ptrace(void)
{
    int error = errno_of(ptrace(PTRACE_SEIZE, NOBODY, NULL, NULL));

    return error == ESRCH ? 0 : error;
}

static int
try_call(enum host_call call)
{
    switch (call) {
    case HOST_NO_RANDOMIZE:
        return try_personality(ADDR_NO_RANDOMIZE);
    case HOST_COMPAT_LAYOUT:
        return try_personality(ADDR_COMPAT_LAYOUT);
    case HOST_MSEAL:
        return errno_of(syscall(NUMBER_MSEAL, 0, 0, 0));
    case HOST_PROCESS_MADVISE:
        return try_process_madvise(getpid());
    case HOST_ADVISE_OTHERS:
        return try_advise_others();
    case HOST_PROCESS_VM:
        return try_process_vm();
    case HOST_PTRACE:
        return try_ptrace();
    case HOST_CALLS:
        break;
    }
    return ENOSYS;
}

/* ---- Once --------------------------------------------------------------- */

const char *
host_refuses(enum host_call call)
{
    static const char *const names[HOST_CALLS] = {
        [HOST_NO_RANDOMIZE] = "personality(ADDR_NO_RANDOMIZE)",
        [HOST_COMPAT_LAYOUT] = "personality(ADDR_COMPAT_LAYOUT)",
        [HOST_MSEAL] = "mseal",
        [HOST_PROCESS_MADVISE] = "process_madvise",
        [HOST_ADVISE_OTHERS] = "process_madvise for another process",
        [HOST_PROCESS_VM] = "process_vm_readv",
        [HOST_PTRACE] = "ptrace",
    };
    static char said[HOST_CALLS][128];
    static bool asked[HOST_CALLS];

    if (!asked[call]) {
        int error = try_call(call);
        if (error)
            snprintf(said[call], sizeof(said[call]), "the host refuses %s: %s",
                     names[call], strerror(error));
        asked[call] = true;
    }
    return said[call][0] ? said[call] : NULL;
}
