/* SPDX-License-Identifier: MIT */
/*
 * paging/gather.h - collects the frames and tables of an unmapping, which may
 * be freed only once no TLB leads to them.
 *
 *     struct aspen_gather gather;
 *     aspen_gather_begin(&gather, mm, false);
 *     ... clear entries; aspen_gather_frame(), aspen_gather_table() ...
 *     aspen_gather_end(&gather);
 *
 * It cannot fail. When it has no room for more frames it takes a batch, and
 * another one; when there is no memory for one, or as many frames wait as may,
 * it flushes and frees what it has:
 *
 *     own[128]      batch -> batch -> ...
 *     full          full     filling
 *
 * What waits is at most a quarter of the machine's frames, and never more than
 * 61,568 (240 MiB), so that a gigabyte goes with five flushes. That is of one
 * gather; several calls have one each. A huge page counts as one frame, so all
 * huge pages of a machine may wait.
 *
 * `quiet` says that nobody runs in the space and no walker can reach its tables
 * (exit, recovery). Then frames are freed as they come, and tables after the
 * one flush at the end. Otherwise frames wait for a flush, and tables for a
 * flush and a grace period.
 *
 * Who only takes rights off entries gathers no frames: just the range.
 */
#ifndef ASPEN_PAGING_GATHER_H
#define ASPEN_PAGING_GATHER_H

#include "paging/table.h"

#define ASPEN_GATHER_FRAMES 128

/* A batch has room for what a table maps: so many frames, in 3,968 bytes. */
#define ASPEN_GATHER_BATCH_FRAMES 960
#define ASPEN_GATHER_BATCHES_MAX  64
/* A batch for so many frames of the machine: what waits is a quarter of them.
 */
#define ASPEN_GATHER_BATCH_PER_FRAMES (4 * ASPEN_GATHER_BATCH_FRAMES)

struct aspen_gather_batch {
    struct aspen_gather_batch *next; /* the one before */
    uint64_t written[ASPEN_GATHER_BATCH_FRAMES / 64];
    uint32_t frames[ASPEN_GATHER_BATCH_FRAMES];
};

struct aspen_gather {
    struct aspen_mm *mm;
    bool quiet;         /* if not: counted as pending */
    unsigned part;      /* ... in that part of the space */
    bool tables_freed;  /* since the last flush, as the next */
    bool before_unlink; /* flush before a VMA leaves the reverse maps */
    unsigned levels;    /* of the leaves that have to be flushed */
    uint64_t start;     /* what has to be; start >= end: nothing */
    uint64_t end;
    uint64_t looked_start; /* what was looked at, from the begin on */
    uint64_t looked_end;
    uint32_t tables; /* list through table_next */

    /* Where frames go now: `own`, or the last of the batches. */
    uint32_t *frames;
    uint64_t *written; /* bit i: frames[i] could be written until the flush */
    unsigned count;
    unsigned capacity;
    struct aspen_gather_batch *batches; /* the last one first; all others are
                                           full, and so is `own` */
    unsigned batch_count;
    uint64_t own_written[ASPEN_GATHER_FRAMES / 64];
    uint32_t own[ASPEN_GATHER_FRAMES];
};

void aspen_gather_begin(struct aspen_gather *gather, struct aspen_mm *mm,
                        bool quiet);

/* Leaves of [address, address + bytes) go, or lose rights, of `levels` as in
 * aspen/tlb.h: widen what has to be flushed. */
static inline void
aspen_gather_range(struct aspen_gather *gather, uint64_t address,
                   uint64_t bytes, unsigned levels)
{
    gather->levels |= levels;
    if (address < gather->start)
        gather->start = address;
    if (address + bytes > gather->end)
        gather->end = address + bytes;
}

/* The same of one leaf. */
static inline void
aspen_gather_leaf(struct aspen_gather *gather, uint64_t address, unsigned level)
{
    aspen_gather_range(gather, address, aspen_entry_span(level), 1u << level);
}

/* [start, end) is looked at, whatever is found there. Comes first. */
static inline void
aspen_gather_looks(struct aspen_gather *gather, uint64_t start, uint64_t end)
{
    if (start < gather->looked_start)
        gather->looked_start = start;
    if (end > gather->looked_end)
        gather->looked_end = end;
}

/* Flush and release what has been gathered. Context: as the next. */
void aspen_gather_flush(struct aspen_gather *gather);

/* The same before the VMAs leave the reverse maps, if somebody goes by those
 * (rmap/unmap.c, I3). */
void aspen_gather_before_unlink(struct aspen_gather *gather);

/* Is there no room for another frame? */
static inline bool
aspen_gather_is_full(const struct aspen_gather *gather)
{
    return aspen_unlikely(gather->count == gather->capacity);
}

/* It is full: a batch, or a flush. Context: no spin lock is held. */
void aspen_gather_continue(struct aspen_gather *gather);

/*
 * Room for another frame, before each entry that may lead to one. The table's
 * lock is held. True: it was given back meanwhile, so the entry is looked at
 * again.
 */
static inline bool
aspen_gather_make_room(struct aspen_gather *gather, uint32_t table)
{
    if (!aspen_gather_is_full(gather))
        return false;
    aspen_table_unlock(gather->mm->aspen, table);
    aspen_gather_continue(gather);
    aspen_table_lock(gather->mm->aspen, table, ASPEN_LOCK_TABLE);
    return true;
}

/*
 * One mapping of `frame` is gone: after the flush it loses one reference and
 * one map count. There is room. Context: a table lock may be held.
 */
static inline void
aspen_gather_frame(struct aspen_gather *gather, uint32_t frame)
{
    ASPEN_ASSERT_TEST(gather->count < gather->capacity);
    gather->frames[gather->count++] = frame;
}

/*
 * The same for a page that others may find, write back and so clean, and that
 * the entry allowed to write to: until the flush the processor may do so, so
 * that it is dirty after the flush whatever came before. So a page may be dirty
 * that nobody wrote, without its pager's mkwrite: it is written once too often.
 * Where nobody runs nobody writes: nothing of this in a quiet gather.
 */
static inline void
aspen_gather_written(struct aspen_gather *gather, uint32_t frame)
{
    aspen_gather_frame(gather, frame);
    if (gather->quiet)
        return;
    gather->written[(gather->count - 1) / 64] |= (uint64_t)1
                                                 << (gather->count - 1) % 64;
    gather->before_unlink = true;
}

/* A table that no entry leads to any more; mm->page_tables goes down by one.
 * Context: as aspen_gather_frame(). */
void aspen_gather_table(struct aspen_gather *gather, uint32_t table);

/* Flush, release, and no more. Who frees tables calls aspen_tables_settle()
 * when its locks are dropped. */
void aspen_gather_end(struct aspen_gather *gather);

#endif
