/* SPDX-License-Identifier: MIT */
/* What tests/mmu asks for, on a machine without a C library: libc.c has it. */
#include <stdint.h>
#ifndef PRIx64
#define PRIx64 "lx"
#endif
