/* SPDX-License-Identifier: MIT */
/*
 * sigframe.h - what a handler finds on its stack.
 */
#ifndef KERNEL_PROC_SIGFRAME_H
#define KERNEL_PROC_SIGFRAME_H

#include "cpu/trap.h"
#include "proc/signal.h"

/* Push it, and let the program go on in the handler. 0 or -EFAULT. */
int sigframe_push(struct frame *frame, int signal,
                  const struct signal_action *action, uint64_t blocked);

#endif
