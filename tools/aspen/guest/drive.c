/* SPDX-License-Identifier: MIT */
/*
 * drive.c - a process that is traced and stopped, and does what is put into its
 * registers.
 *
 * Called by fuzz/kernel.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/drive.h"
#include "host/processor.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

bool
guest_registers(pid_t pid, struct user_regs_struct *registers)
{
    struct iovec area = {registers, sizeof(*registers)};

    return ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &area) == 0;
}

bool
guest_registers_set(pid_t pid, struct user_regs_struct *registers)
{
    struct iovec area = {registers, sizeof(*registers)};

    return ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &area) == 0;
}

int
guest_wait_stop(pid_t pid, int *status)
{
    pid_t got;

    do
        got = waitpid(pid, status, __WALL);
    while (got < 0 && errno == EINTR);
    return got == pid && WIFSTOPPED(*status) ? 0 : -1;
}

int64_t
guest_run(pid_t pid, struct user_regs_struct *registers)
{
    siginfo_t info;
    int status;

    if (!guest_registers_set(pid, registers) ||
        ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
        return GUEST_SIGNAL(0, 0);
    do {
        if (guest_wait_stop(pid, &status) != 0)
            return GUEST_SIGNAL(0, 0);
        /* The child's birth is told in between. */
        if (status >> 16 == PTRACE_EVENT_FORK)
            (void)ptrace(PTRACE_CONT, pid, NULL, NULL);
    } while (status >> 16 != 0);
    if (!guest_registers(pid, registers))
        return GUEST_SIGNAL(0, 0);
    if (WSTOPSIG(status) == SIGTRAP)
        return 0;
    if (ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) != 0)
        return GUEST_SIGNAL(0, 0);
    return GUEST_SIGNAL(WSTOPSIG(status), info.si_code & 15);
}

int64_t
guest_make_call(pid_t pid, uint64_t at, const struct linux_call *call)
{
    struct user_regs_struct registers;
    int64_t met;

    if (!guest_registers(pid, &registers))
        return GUEST_SIGNAL(0, 0);
    processor_set_call(&registers, at, call);
    met = guest_run(pid, &registers);
    return met ? met : processor_answer(&registers);
}

int
guest_run_to_exec(pid_t pid)
{
    int status;

    if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
        return -1;
    do {
        if (guest_wait_stop(pid, &status) != 0)
            return -1;
        if (status >> 16 == PTRACE_EVENT_EXEC)
            break;
        if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
            return -1;
    } while (true);
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0 ||
        ptrace(PTRACE_CONT, pid, NULL, NULL) != 0)
        return -1;
    return guest_wait_stop(pid, &status);
}

bool
guest_put_word(pid_t pid, uint64_t at, const uint8_t *bytes)
{
    long word;

    memcpy(&word, bytes, sizeof(word));
    return ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)at,
                  (void *)(uintptr_t)word) == 0;
}
