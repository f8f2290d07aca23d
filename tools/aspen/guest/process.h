/* SPDX-License-Identifier: MIT */
/*
 * process.h - what /proc says of a process that is to be stopped, and why it
 * cannot be.
 */
#ifndef ASPEN_GUEST_PROCESS_H
#define ASPEN_GUEST_PROCESS_H

#include "common/tool.h"

#include <sys/types.h>

struct guest_status {
    char name[64];
    char state; /* as ps(1) has them: R, S, Z, ... */
    pid_t group;
    pid_t parent;
    pid_t tracer;     /* 0: none */
    uint64_t pending; /* signals of the thread's own, by bits from 1 on */
    bool kernel_thread;
};

/** `directory`: /proc/P or /proc/P/task/T. 0 or a negative errno. */
int guest_status_read(struct guest_status *status, const char *directory);

/** Whether it has ended, and only its parent has not asked. */
bool guest_status_ended(const struct guest_status *status);

/** Killed, or it ends by itself: what /proc says of its memory is nothing, or
 * a part of what it was. */
bool guest_is_ending(pid_t thread);

/** Has the kernel forced a signal on it that ends it, as it does when exec
 * fails with the old program gone? */
bool guest_has_fatal_signal(pid_t thread);

/**
 * Refuse early, and with a reason, what can only fail: nobody there, this
 * process, traced already, a kernel thread. *process becomes its process when
 * it is a thread's number. 0, or -1 and the reason.
 */
int guest_look(pid_t *process, struct guest_status *status,
               struct tool_error *error);

/** ptrace answered `reason` for a thread: what that means. Returns -1. */
int guest_cannot_stop(pid_t process, pid_t thread, int reason,
                      struct tool_error *error);

/** It did because the thread is none any more. */
bool guest_has_ended(pid_t process, pid_t thread, int reason);

#endif
