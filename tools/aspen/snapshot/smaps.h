/* SPDX-License-Identifier: MIT */
/*
 * smaps.h - the text of /proc/P/smaps, area by area.
 */
#ifndef ASPEN_SMAPS_H
#define ASPEN_SMAPS_H

#include "snapshot/snapshot.h"

#include <stdio.h>

/** One area. Texts stand until the next one is read. */
struct smaps_area {
    uint64_t start;
    uint64_t end;
    uint32_t permissions; /* SNAPSHOT_PERM_*, the key among them */
    uint64_t offset;      /* bytes */
    uint64_t device;      /* major << 32 | minor */
    uint64_t inode;
    const char *path;     /* "" when there is none */
    const char *vm_flags; /* "" when the kernel wrote none */
    uint64_t rss_kb;
    uint64_t swap_kb;
    uint64_t anonymous_kb;
    uint64_t anon_huge_kb;
    uint64_t file_huge_kb; /* of files and of shared memory */
    uint64_t hugetlb_kb;   /* shared and private */
    uint64_t page_kb;      /* KernelPageSize; 4 when the kernel wrote none */
    uint64_t pkey;         /* 0 when the kernel wrote none */
};

struct smaps_reader {
    FILE *file;
    char *line; /* read ahead: the next area's first line */
    size_t line_size;
    char *next_line;
    size_t next_size;
    bool has_next;
    char *path;
    char vm_flags[512];
};

/** Read from a file that the caller opened and closes. */
void smaps_begin(struct smaps_reader *reader, FILE *file);
void smaps_end(struct smaps_reader *reader);

/**
 * The next area. 1: filled; 0: there is no more; -1 and a reason: a line that
 * is neither the first of an area nor a field of one, or a read error.
 * [vsyscall] is no mapping of the process and is not reported: it lies in the
 * kernel's half of the addresses.
 */
int smaps_next(struct smaps_reader *reader, struct smaps_area *area,
               struct tool_error *error);

/** What an area maps; SNAPSHOT_NO_OBJECT in `*object` for none. -1: memory. */
int smaps_object(struct snapshot *snapshot, const struct smaps_area *area,
                 uint32_t *object);

#endif
