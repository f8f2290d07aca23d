/* SPDX-License-Identifier: MIT */
/*
 * serial.h - the first serial port, which is the console.
 */
#ifndef KERNEL_DEV_SERIAL_H
#define KERNEL_DEV_SERIAL_H

#include <stddef.h>

void serial_init(void);
void serial_write(const char *bytes, size_t length);
/* The next byte that came in, or -1. */
int serial_read(void);

#endif
