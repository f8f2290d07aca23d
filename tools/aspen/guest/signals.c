/* SPDX-License-Identifier: MIT */
/*
 * signals.c - signals that the guest sends to its process group, in which we
 * are as well.
 *
 * They are meant for the guest, and natively nobody else would be there. Who
 * sent one is known: a sender that we trace is of the guest. Others, a person
 * or timeout(1), mean us, too. SIGSTOP cannot be told apart.
 *
 * Called by start.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNALS 65 /* their numbers begin at 1 */

/* "/proc/P/status" without stdio, which a signal handler may not use. */
static void
put_path(char *path, pid_t pid)
{
    char digits[16];
    unsigned count = 0;

    do
        digits[count++] = (char)('0' + pid % 10);
    while ((pid /= 10) > 0);
    path = stpcpy(path, "/proc/");
    while (count > 0)
        *path++ = digits[--count];
    strcpy(path, "/status");
}

/* Nobody waits for it but us, so it is still there. */
static bool
is_traced_by_us(pid_t pid)
{
    static const char name[] = "\nTracerPid:\t";
    char text[1024], path[48];
    const char *found;
    ssize_t length;
    pid_t tracer = 0;
    int file;

    put_path(path, pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    length = read(file, text, sizeof(text) - 1);
    close(file);
    text[length > 0 ? length : 0] = '\0';
    found = strstr(text, name);
    if (!found)
        return false;
    for (found += sizeof(name) - 1; *found >= '0' && *found <= '9'; found++)
        tracer = tracer * 10 + (*found - '0');
    return tracer == getpid();
}

/* What stood there before: the default, or a handler of a sanitizer's. */
static struct sigaction earlier[SIGNALS];

/* As if there were no handler of ours, while that runs: SA_NODEFER. */
static void
on_signal(int number, siginfo_t *info, void *context)
{
    struct sigaction before;
    int error = errno;

    (void)context;
    if (info->si_code > 0 || !is_traced_by_us(info->si_pid)) {
        sigaction(number, &earlier[number], &before);
        if (info->si_code <= 0 || info->si_code == SI_KERNEL)
            raise(number);
        /* A fault of our own comes again, and finds what stood there. */
        if (info->si_code <= 0 || number == SIGTSTP || number == SIGTTIN ||
            number == SIGTTOU)
            sigaction(number, &before, NULL);
    }
    errno = error;
}

void
guest_signals_begin(void)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags =
                                   SA_SIGINFO | SA_RESTART | SA_NODEFER};

    for (int number = 1; number <= SIGRTMAX && number < SIGNALS; number++)
        if (number != SIGCHLD && number != SIGCONT && number != SIGURG &&
            number != SIGWINCH &&
            sigaction(number, NULL, &earlier[number]) == 0 &&
            earlier[number].sa_handler != SIG_IGN)
            (void)sigaction(number, &action, NULL);
}
