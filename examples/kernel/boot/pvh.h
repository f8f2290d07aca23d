/* SPDX-License-Identifier: MIT */
/*
 * pvh.h - what the loader tells, by the PVH start information.
 */
#ifndef KERNEL_BOOT_PVH_H
#define KERNEL_BOOT_PVH_H

#include <stdint.h>

struct pvh_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t modules;
    uint64_t module_list;
    uint64_t command_line;
    uint64_t rsdp; /* the root of ACPI's tables */
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};

#define PVH_MEMORY_RAM 1u

struct pvh_memory {
    uint64_t address;
    uint64_t bytes;
    uint32_t type;
    uint32_t reserved;
};

#define PVH_MAGIC 0x336ec578u

#endif
