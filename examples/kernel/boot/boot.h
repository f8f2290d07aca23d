/* SPDX-License-Identifier: MIT */
/*
 * boot.h - from the loader to the first program.
 */
#ifndef KERNEL_BOOT_BOOT_H
#define KERNEL_BOOT_BOOT_H

#include <stdint.h>

/* A stretch of physical memory: [start, end). */
struct stretch {
    uint64_t start, end;
};

#define STRETCHES_MAX 16u

/* RAM, whole pages; how many stretches there are. */
unsigned boot_memory(struct stretch ram[STRETCHES_MAX]);

/* What comes after "name=" in the command line, up to a blank, or NULL. "cmd="
 * goes to the end of the line. */
const char *boot_option(const char *name);

/* The other CPUs begin (boot/smp.c). */
void start_cpus(void);

#endif
