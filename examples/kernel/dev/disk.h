/* SPDX-License-Identifier: MIT */
/*
 * disk.h - disks, by their place on the bus. The archive is on the first.
 */
#ifndef KERNEL_DEV_DISK_H
#define KERNEL_DEV_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISKS_MAX 4u

struct disk;

/* 0, or -ENODEV: there is none. */
int disk_init(void);
void disk_interrupt(void);
/* NULL: there are fewer. */
struct disk *disk_get(unsigned number);
uint64_t disk_bytes(const struct disk *disk);

/* Whole pages of the direct map from or to one place of the disk, which begins
 * with a sector. May sleep. 0 or -EIO. */
int disk_pages(struct disk *disk, bool write, uint64_t offset_bytes,
               void *const pages[], unsigned count);
/* The same with any bytes: slower. */
int disk_some(struct disk *disk, bool write, uint64_t offset_bytes,
              void *memory, size_t bytes);

#endif
