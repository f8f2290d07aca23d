/* SPDX-License-Identifier: MIT */
/*
 * file_scene.h - a file of one page, which a space maps shared and private, and
 * what reads, writes and takes away that page: for tests of who takes it out of
 * memory. Its contents are one byte.
 */
#ifndef FILE_SCENE_H
#define FILE_SCENE_H

#include "explore.h"

#define FILE_SCENE_PRIVATE (32 * PAGE) /* the shared mapping is at START */

/* What the page is when the tasks begin. */
enum file_before { NOTHING, CACHED, MAPPED, DIRTY };

/* What one run works on; the machine is made anew for each. */
extern struct file_scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;
    enum file_before before;
    uint64_t fail_at; /* the step that fails; 0: none */
    struct aspen_failpoint_counts counts;
    uint8_t stored;   /* by the pager */
    uint8_t expected; /* what the page reads as */
} file_scene;

extern const struct aspen_pager_ops file_scene_pager;

/* All but the plan of what fails. */
void file_scene_begin(void);

/* The file has what was written last. */
void file_scene_check_read(void);

/* And so has its pager, when space (if it is there still) and file are gone. */
void file_scene_end(void);

/* Every order, one of the first two steps failing or none. */
void file_scene_explore(const char *name, enum file_before before,
                        const struct sim_program *program, uint64_t most);

/* ---- Tasks ------------------------------------------------------------- */

void drop_task(void *unused);
void read_fault_task(void *unused);
void copy_task(void *unused);
void write_task(void *unused); /* through the mapping, as somebody outside */
void write_file_task(void *unused);
void sync_task(void *unused);
void unmap_task(void *unused);
void pin_task(void *unused); /* a pinned page stays the file's */

#endif
