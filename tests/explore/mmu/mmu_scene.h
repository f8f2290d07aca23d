/* SPDX-License-Identifier: MIT */
/*
 * mmu_scene.h - one page of a space, a processor and a second MMU beside it,
 * and calls that take the page away or change it: what the tests here have in
 * common.
 */
#ifndef MMU_SCENE_H
#define MMU_SCENE_H

#include "explore.h"
#include "told.h"
#include "space/mm.h"

#define MMU_SCENE_FRAMES 128u
#define CPU              0u
#define CHILD            1u /* the CPU of what is forked */

/* What one run works on; the machine is made anew for each. */
extern struct mmu_scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child;      /* or NULL */
    struct aspen_object *object; /* or NULL */
    char disk[PAGE];             /* what its pager has */
} mmu_scene;

/* A machine of `config`, with a space, and a processor that nobody runs on yet.
 * Without hooks of a second MMU, which may be empty ones, there is one. Without
 * a hook of the architecture all CPUs leave a space that ends. */
void mmu_scene_begin(const struct aspen_config *config);

/* It is valid, and nothing of it is left. */
void mmu_scene_end(void);

/* The page, of zeroes or of a file that is made for it. */
void mmu_scene_map(bool file, bool shared);

/* Make the child, which is active on CHILD. */
void mmu_scene_fork(void);

/* An access that goes through, and its byte. */
char access_byte(unsigned cpu, struct aspen_mm *mm, uint64_t address,
                 enum mmu_access access, char byte);

/* A write of the page by the processor on CPU. Whether it went through: it ends
 * in any case. */
bool write_byte(char byte);

/* What was cached of the page before the call is gone now that it has
 * returned. */
void check_gone(uint64_t since, enum mmu_gone what, const char *call);

/* ---- Rows --------------------------------------------------------------- */

/* How it begins, what runs side by side, and what holds afterwards. */
struct mmu_row {
    const char *name;
    unsigned start; /* the test's own names */
    void (*tasks[3])(void *context);
    void (*check)(void *context);
};

/* Each of them as explore_holds(); *start is the row's when `setup` runs. */
void mmu_rows(void (*setup)(void *context), unsigned *start, unsigned most,
              const struct mmu_row *rows, size_t count);

/* Of a test with `setup`, `scene.start` and MOST. */
#define ROWS(rows)                                                             \
    mmu_rows(setup, &scene.start, MOST, rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- Calls ------------------------------------------------------------- */

void munmap_task(void *unused);
void protect_task(void *unused); /* read only */
void discard_task(void *unused); /* DONTNEED */
void free_task(void *unused);    /* FREE */
void page_out_task(void *unused);
void page_out_rest_task(void *unused); /* the mapping may be gone */
void child_page_out_task(void *unused);
void sync_task(void *unused);
void resize_task(void *unused); /* to nothing */

#endif
