/* SPDX-License-Identifier: MIT */
/*
 * disk.h - the disk that the archive is on.
 */
#ifndef KERNEL_DEV_DISK_H
#define KERNEL_DEV_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or -ENODEV: there is none. */
int disk_init(void);
void disk_interrupt(void);
uint64_t disk_bytes(void);

/* Any bytes into memory of the direct map. May sleep. 0 or -EIO. */
int disk_read(uint64_t offset_bytes, void *to, size_t bytes);
/* Whole pages from one place of the disk; reads sectors alone. */
int disk_read_pages(uint64_t offset_bytes, void *const pages[], unsigned count);

#endif
