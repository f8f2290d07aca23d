/* SPDX-License-Identifier: MIT */
/*
 * record_parts.h - what the parts of the recorder share: record.c writes, and
 * knows mappings; record_pages.c knows which pages were accessed.
 */
#ifndef ASPEN_SHADOW_RECORD_PARTS_H
#define ASPEN_SHADOW_RECORD_PARTS_H

#include "common/page_map.h"
#include "shadow/record.h"
#include "shadow/session.h"
#include "snapshot/smaps.h"
#include "trace/model.h"

#include <stdio.h>

struct recorded_file {
    uint64_t device;
    uint64_t inode;
};

struct recorder {
    FILE *file;
    const char *path;
    struct model *model; /* what the file says is there */
    uint32_t current;    /* the space that it speaks of; 0: none */
    uint64_t next_number;
    bool has_first;
    bool failed; /* nothing is recorded any more: error */
    int write_error;
    struct tool_error error;
    struct recorded_file *files; /* number 1, 2, ... */
    size_t file_count;
    size_t file_room;
    bool tells_writes; /* the kernel does: soft-dirty */
    /* So many pages were looked at last, until then, and it took so long. */
    uint64_t looked_at;
    uint64_t looked_ns;
    uint64_t took_ns;
};

/* Pages of a chunk. */
#define RECORDED_CHUNK 512u

struct recorded_space {
    struct recorder *recorder;
    struct model_space *model;
    struct page_map chunks;          /* page / RECORDED_CHUNK, in `seen` */
    uint8_t (*seen)[RECORDED_CHUNK]; /* what of each page was written down */
    size_t seen_count;
    size_t seen_room;
};

/* ---- record.c ----------------------------------------------------------- */

void record_accesses(struct recorder *recorder, struct recorded_space *space,
                     char letter, uint64_t start, uint64_t end);

/* ---- record_pages.c ----------------------------------------------------- */

/** Does the kernel tell which pages were written again? */
bool record_tells_writes(void);

/** What was accessed since the last look. -1: the recorder's error says why; or
 * nothing, then the task is gone. */
int record_look_at_pages(struct recorder *recorder,
                         struct recorded_space *space, pid_t tid);

/** -1: no memory. */
int record_copy_seen(struct recorded_space *space,
                     const struct recorded_space *from);
int record_move_seen(struct recorded_space *space, uint64_t start,
                     uint64_t count, uint64_t to);
/** As if it had never been accessed. */
void record_forget(struct recorded_space *space, uint64_t start, uint64_t end);
void record_free_seen(struct recorded_space *space);

#endif
