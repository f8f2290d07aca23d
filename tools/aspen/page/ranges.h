/* SPDX-License-Identifier: MIT */
/*
 * ranges.h - mappings as page.js takes them: [page, count, "rw-p"].
 */
#ifndef ASPEN_PAGE_RANGES_H
#define ASPEN_PAGE_RANGES_H

#include <aspen/flags.h>
#include <jansson.h>
#include <stdint.h>

#define PAGE_RANGE_SHIFT 12u

/** The text that maps has for these flags, ASPEN_VM_*; 5 bytes. */
static inline void
page_range_access(uint64_t flags, char text[5])
{
    text[0] = flags & ASPEN_VM_READ ? 'r' : '-';
    text[1] = flags & ASPEN_VM_WRITE ? 'w' : '-';
    text[2] = flags & ASPEN_VM_EXEC ? 'x' : '-';
    text[3] = flags & ASPEN_VM_MAYSHARE ? 's' : 'p';
    text[4] = '\0';
}

/** A range of bytes; NULL: no memory. */
static inline json_t *
page_range(uint64_t start, uint64_t end, uint64_t flags)
{
    char text[5];

    page_range_access(flags, text);
    return json_pack("[IIs]", (json_int_t)(start >> PAGE_RANGE_SHIFT),
                     (json_int_t)((end - start) >> PAGE_RANGE_SHIFT), text);
}

#endif
