/* SPDX-License-Identifier: MIT */
/* What tests/mmu asks for, on a machine without a C library: libc.c has it. */
#ifndef BARE_STDIO_H
#define BARE_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/* %s %c %d %u %x with l, #: as C has them, and no more. */
int vsnprintf(char *to, size_t bytes, const char *format, va_list list);

#endif
