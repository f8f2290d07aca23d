/* SPDX-License-Identifier: MIT */
/*
 * drive.h - a process that is traced and stopped, and does what is put into its
 * registers.
 */
#ifndef ASPEN_GUEST_DRIVE_H
#define ASPEN_GUEST_DRIVE_H

#include "host/linux_calls.h"

#include <sys/types.h>
#include <sys/user.h>

/** A signal as an answer: beyond all that calls answer. (0, 0): it is gone. */
#define GUEST_SIGNAL(number, code) (-(4096 + (int64_t)(number)*16 + (code)))

/** Until it stops. 0, or -1: it is gone. */
int guest_wait_stop(pid_t pid, int *status);

/** Until exec is done and the first instruction comes next. 0 or -1. */
int guest_run_to_exec(pid_t pid);

/** False: it is gone. */
bool guest_registers(pid_t pid, struct user_regs_struct *registers);
bool guest_registers_set(pid_t pid, struct user_regs_struct *registers);

/**
 * Set them, run to the next breakpoint, read them. Births of children on the
 * way are passed over. 0, or the signal that it met, as GUEST_SIGNAL.
 */
int64_t guest_run(pid_t pid, struct user_regs_struct *registers);

/** Make a call, by the instruction at `at`, which has a breakpoint behind it.
 * Its answer, or GUEST_SIGNAL. */
int64_t guest_make_call(pid_t pid, uint64_t at, const struct linux_call *call);

/** Eight bytes of its memory, which it may not even be allowed to write. */
bool guest_put_word(pid_t pid, uint64_t at, const uint8_t *bytes);

#endif
