/* SPDX-License-Identifier: MIT */
/*
 * trace/recorded.h - a trace from a file: what a program did to its memory,
 * as `aspen shadow --trace` or anybody else has written it. docs/use/trace.md
 * has the format.
 *
 * Nothing here knows of Aspen.
 */
#ifndef ASPEN_TRACE_RECORDED_H
#define ASPEN_TRACE_RECORDED_H

#include "trace/model.h"
#include "trace/trace.h"

/* Each takes 32 bytes. */
#define RECORDED_ACCESSES_MAX 50000000u

enum recorded_kind {
    RECORDED_READ,
    RECORDED_WRITE,
    /* The rest has a struct recorded_change. */
    RECORDED_MAP,
    RECORDED_UNMAP,
    RECORDED_PROTECT,
    RECORDED_MOVE,
    RECORDED_DROP,
    RECORDED_FORK, /* `to`: the child */
    RECORDED_NEW,  /* `to`: an empty space; that of the step means nothing */
    RECORDED_END,
};

struct recorded_step {
    uint64_t page;  /* of an access; else the number of the change */
    uint32_t found; /* stamps: what the page has to hold, */
    uint32_t left;  /* and what it holds afterwards */
    uint16_t space;
    uint8_t kind; /* enum recorded_kind */
    bool counted; /* it is one of the trace's accesses, */
    bool fresh;   /* and the first to its cell */
};

struct recorded_change {
    struct model_mapping mapping; /* of MAP; start and end of the others */
    uint64_t to;
    uint64_t line;
};

/** Zeroed, it is empty. */
struct recorded {
    struct recorded_step *steps;
    size_t step_count;
    size_t step_room;
    struct recorded_change *changes;
    size_t change_count;
    size_t change_room;
    uint64_t file_pages[MODEL_FILES]; /* 0: no such file */
    struct trace trace;  /* cells, one after the other as they are accessed */
    struct model *model; /* as all is at the end */
};

/** Read and check it. -1, and FILE:LINE and what is wrong there. */
int recorded_read(struct recorded *recorded, const char *path,
                  struct tool_error *error);
void recorded_free(struct recorded *recorded);

#endif
