/* SPDX-License-Identifier: MIT */
/*
 * paging/gather.h - what is unmapped in one go: frames and tables that may be
 * freed only once no TLB leads to them.
 *
 *     struct aspen_gather gather;
 *     aspen_gather_begin(&gather, mm, false);
 *     ... clear entries; aspen_gather_frame(), aspen_gather_table() ...
 *     aspen_gather_end(&gather);
 *
 * Allocates nothing and cannot fail: when its batch is full it flushes and
 * releases what it has. `quiet` says that nobody runs in the space and no
 * walker can reach its tables (exit, recovery): then tables are freed at once,
 * otherwise after a grace period.
 */
#ifndef ASPEN_PAGING_GATHER_H
#define ASPEN_PAGING_GATHER_H

#include "paging/table.h"

#define ASPEN_GATHER_FRAMES 128

struct aspen_gather {
    struct aspen_mm *mm;
    bool quiet;
    bool tables_freed;  /* since the last flush */
    uint64_t start;     /* what has to be flushed; start >= end: nothing */
    uint64_t end;
    uint32_t tables;    /* list through frame->next */
    unsigned count;
    uint32_t frames[ASPEN_GATHER_FRAMES];
};

void aspen_gather_begin(struct aspen_gather *gather, struct aspen_mm *mm,
                        bool quiet);

/* An entry that mapped [address, address + bytes) is cleared: widen the range
 * that has to be flushed. */
static inline void
aspen_gather_range(struct aspen_gather *gather, uint64_t address,
                   uint64_t bytes)
{
    if (address < gather->start)
        gather->start = address;
    if (address + bytes > gather->end)
        gather->end = address + bytes;
}

/* Flush and release what has been gathered. */
void aspen_gather_flush(struct aspen_gather *gather);

/*
 * One mapping of `frame` is gone: after the flush it loses one reference and
 * one map count. Context: a table lock may be held (flushing does not sleep).
 */
static inline void
aspen_gather_frame(struct aspen_gather *gather, uint32_t frame)
{
    if (aspen_unlikely(gather->count == ASPEN_GATHER_FRAMES))
        aspen_gather_flush(gather);
    gather->frames[gather->count++] = frame;
}

/* A table that no entry leads to any more. */
void aspen_gather_table(struct aspen_gather *gather, uint32_t table);

void aspen_gather_end(struct aspen_gather *gather);

#endif
