/* SPDX-License-Identifier: MIT */
/*
 * tty.h - the console as a terminal.
 */
#ifndef KERNEL_FS_TTY_H
#define KERNEL_FS_TTY_H

#include <stdbool.h>

/* Raw: bytes go out as they are, for a run whose output is a file. */
void tty_init(bool raw);
void tty_interrupt(void);

extern const struct file_ops tty_ops;

#endif
