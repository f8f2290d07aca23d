/* SPDX-License-Identifier: MIT */
/*
 * trace/model.h - what a recorded trace says is where: spaces, their
 * mappings, and what each page holds. It is how a trace is checked before
 * anything is done, and what each access has to find.
 *
 * What a page holds is a stamp: 0 is zeroes; each write gives a page the next
 * one; what is in a file at first has stamps of its own. A cell is a page that
 * takes memory: one of a file, or what a space, or several since they forked,
 * have written. Its number is never used again.
 *
 * Nothing here knows of Aspen.
 */
#ifndef ASPEN_TRACE_MODEL_H
#define ASPEN_TRACE_MODEL_H

#include "common/page_map.h"
#include "common/tool.h"

#define MODEL_SPACES 65536u
#define MODEL_FILES  65536u /* 0: none */
/* Below 2^47 bytes, and where files end at the latest. */
#define MODEL_PAGES_END   (UINT64_C(1) << 35)
#define MODEL_OFFSETS_END (UINT64_C(1) << 40)
#define MODEL_NO_CELL     UINT32_MAX

/* ---- The model ---------------------------------------------------------- */

enum model_access {
    MODEL_READ = 1,
    MODEL_WRITE = 2,
    MODEL_EXECUTE = 4,
};

/** Pages from `start` up to, without, `end`. */
struct model_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t offset; /* in the file, in pages */
    uint32_t file;   /* 0: zeroes, private */
    uint8_t access;  /* enum model_access, ORed */
    bool shared;
};

struct model_space;
struct model;

/** NULL: no memory. It has one space, which is number 1, and empty. */
struct model *model_begin(void);
void model_end(struct model *model);

/** NULL: there is none. */
struct model_space *model_space(struct model *model, uint64_t number);
/** NULL, and why: there is one already, no such number, no memory. `from`: what
 * fork makes of it; NULL: an empty one. */
struct model_space *model_space_add(struct model *model, uint64_t number,
                                    const struct model_space *from,
                                    struct tool_error *error);
/** All of it goes. */
void model_space_end(struct model *model, struct model_space *space);
uint32_t model_space_number(const struct model_space *space);

/** In order; until the space is changed. */
const struct model_mapping *model_mappings(const struct model_space *space,
                                           size_t *count);

/* Each: 0, or -1 and why; then the model is of no use any more. */

int model_map(struct model_space *space, const struct model_mapping *mapping,
              struct tool_error *error);
/* What is not mapped as a whole is refused, by the next four, too. */
int model_unmap(struct model *model, struct model_space *space, uint64_t start,
                uint64_t count, struct tool_error *error);
int model_protect(struct model_space *space, uint64_t start, uint64_t count,
                  uint8_t access, struct tool_error *error);
int model_move(struct model_space *space, uint64_t start, uint64_t count,
               uint64_t to, struct tool_error *error);
/* What was written to private pages is given up. */
int model_drop(struct model *model, struct model_space *space, uint64_t start,
               uint64_t count, struct tool_error *error);

/** What an access finds and leaves, as stamps, and in which cell. */
struct model_page {
    uint32_t found;
    uint32_t left;
    uint32_t cell; /* MODEL_NO_CELL: zeroes, of which nothing was written */
};

int model_touch(struct model *model, struct model_space *space, uint64_t page,
                bool write, struct model_page *touched,
                struct tool_error *error);

/** What a page of a file holds before anybody has written to it. */
uint32_t model_file_stamp(uint32_t file, uint64_t offset);

/** How many there ever were. */
uint32_t model_cells(const struct model *model);

/** For all that private pages hold which spaces have and may read. 0, or what
 * `look` answered that is not. */
int model_each_page(const struct model *model,
                    int (*look)(void *context, uint32_t space, uint64_t page,
                                uint32_t stamp),
                    void *context);

#endif
