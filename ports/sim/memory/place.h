/* SPDX-License-Identifier: MIT */
/*
 * place.h - where in the program something was done, in 4 bytes, and what a
 * person calls it.
 */
#ifndef ASPEN_SIM_PLACE_H
#define ASPEN_SIM_PLACE_H

#include <stddef.h>
#include <stdint.h>

/* Of a return address. */
uint32_t place_of(const void *address);

/* "function file.c:12", by addr2line of binutils; without it "+0x1234". */
void place_name(uint32_t place, char *name, size_t size);

#endif
