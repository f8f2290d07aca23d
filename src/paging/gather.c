/* SPDX-License-Identifier: MIT */
/*
 * paging/gather.c - flush first, then free.
 *
 * I1  No table is given back before the flush, and no frame of a space in
 *     which somebody may run.
 * I2  The range to flush covers every entry cleared since the last flush.
 *
 * Called by space/unmap.c. The first test to break is
 * tests/unit/paging/test_paging.c.
 */
#include "paging/gather.h"

/* When this many tables (4 MiB) wait for a grace period, wait for them. */
#define TABLES_WAITING_MAX 1024

static void
gather_forget(struct aspen_gather *gather)
{
    gather->start = UINT64_MAX;
    gather->end = 0;
    gather->tables_freed = false;
}

void
aspen_gather_begin(struct aspen_gather *gather, struct aspen_mm *mm, bool quiet)
{
    gather->mm = mm;
    gather->quiet = quiet;
    gather->tables = 0;
    gather->count = 0;
    gather_forget(gather);
}

static void
gather_flush_tlb(struct aspen_gather *gather)
{
    if (gather->start < gather->end || gather->tables_freed)
        aspen_tlb_flush(gather->mm, gather->start, gather->end,
                        gather->tables_freed);
    gather_forget(gather);
}

static void
gather_free_tables(struct aspen_gather *gather)
{
    struct aspen *aspen = gather->mm->aspen;
    uint32_t list = gather->tables;

    gather->tables = 0;
    if (!gather->quiet) {
        aspen_table_free_waiting(aspen, list);
        return;
    }
    while (list) {
        uint32_t next = aspen->frames[list].table_next;
        aspen_table_free(aspen, list);
        list = next;
    }
}

void
aspen_gather_flush(struct aspen_gather *gather)
{
    unsigned count = gather->count;

    /* Nobody runs in a quiet space, so nobody looks at frames that its TLB
     * entries still lead to; but a CPU that was the last to run in it may
     * walk its tables on its own. One flush at the end, then the tables. */
    if (!gather->quiet) {
        gather_flush_tlb(gather);
        gather_free_tables(gather);
    }
    gather->count = 0;
    if (count)
        aspen_frames_release(gather->mm->aspen, gather->frames, count,
                             ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

void
aspen_gather_table(struct aspen_gather *gather, uint32_t table)
{
    gather->mm->aspen->frames[table].table_next = gather->tables;
    gather->tables = table;
    gather->tables_freed = true;
    aspen_fetch_sub_relaxed(&gather->mm->page_tables, 1);
}

void
aspen_gather_end(struct aspen_gather *gather)
{
    struct aspen *aspen = gather->mm->aspen;

    aspen_gather_flush(gather);
    gather_flush_tlb(gather);
    gather_free_tables(gather);
    if (!gather->quiet && aspen_tables_waiting(aspen) > TABLES_WAITING_MAX)
        aspen_port_rcu_barrier();
}
