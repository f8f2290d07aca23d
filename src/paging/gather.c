/* SPDX-License-Identifier: MIT */
/*
 * paging/gather.c - flush first, then free.
 *
 * I1  No table is given back before the flush, and no frame of a space in
 *     which somebody may run.
 * I2  The range to flush covers every entry cleared since the last flush, and
 *     all that the tables covered which go.
 *
 * I3  Who is done has flushed all that it looked at, or nobody else had begun
 *     to take away there and not flushed yet (paging/table.h, "Pending").
 *
 * Called by whoever takes entries away. The first test to break is
 * tests/unit/paging/test_paging.c.
 */
#include "paging/gather.h"

static void
gather_forget(struct aspen_gather *gather)
{
    gather->start = UINT64_MAX;
    gather->end = 0;
    gather->tables_freed = false;
    gather->before_unlink = false;
}

void
aspen_gather_begin(struct aspen_gather *gather, struct aspen_mm *mm, bool quiet)
{
    gather->mm = mm;
    gather->quiet = quiet;
    gather->tables = 0;
    gather->count = 0;
    gather->looked_start = UINT64_MAX;
    gather->looked_end = 0;
    memset(gather->written, 0, sizeof(gather->written));
    gather_forget(gather);
    if (!quiet)
        aspen_tlb_pending_begin(mm);
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
        uint32_t next = aspen_frame_at(aspen, list)->table_next;
        aspen_table_free(aspen, list);
        list = next;
    }
}

/* Frames that could be written until the flush. */
static void
gather_note_written(struct aspen_gather *gather)
{
    struct aspen *aspen = gather->mm->aspen;

    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(gather->written); i++) {
        for (uint64_t left = gather->written[i]; left; left &= left - 1) {
            uint32_t frame = gather->frames[64 * i + aspen_lowest_bit(left)];
            uint64_t *index = &aspen_frame_at(aspen, frame)->index;
            if (!(aspen_load_relaxed(index) & ASPEN_FRAME_DIRTY))
                aspen_fetch_or(index, ASPEN_FRAME_DIRTY);
        }
        gather->written[i] = 0;
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
    gather_note_written(gather);
    gather->count = 0;
    if (count)
        aspen_frames_release(gather->mm->aspen, gather->frames, count,
                             ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

void
aspen_gather_table(struct aspen_gather *gather, uint32_t table)
{
    struct aspen_frame *frame = aspen_frame_at(gather->mm->aspen, table);
    unsigned level = aspen_frame_offset(frame) % ASPEN_TABLE_ENTRIES;
    uint64_t first = (aspen_frame_offset(frame) - level) << ASPEN_PAGE_SHIFT;

    aspen_gather_range(gather, first, aspen_table_span(level));
    frame->table_next = gather->tables;
    gather->tables = table;
    gather->tables_freed = true;
    aspen_fetch_sub_relaxed(&gather->mm->page_tables, 1);
}

void
aspen_gather_end(struct aspen_gather *gather)
{
    /* What we found gone may be cached until somebody's flush: ours. */
    if (!gather->quiet && gather->looked_start < gather->looked_end &&
        aspen_tlb_pending(gather->mm, 1))
        aspen_gather_range(gather, gather->looked_start,
                           gather->looked_end - gather->looked_start);
    aspen_gather_flush(gather);
    gather_flush_tlb(gather);
    gather_free_tables(gather);
    if (!gather->quiet)
        aspen_tlb_pending_end(gather->mm);
}
