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
 *     to take away there and not flushed yet (paging/table.h, "Pending"). So
 *     has an exit: nobody is told of a flush once it is over.
 *
 * Called by whoever takes entries away. The first test to break is
 * tests/unit/paging/test_paging.c, or test_gather.c beside it.
 */
#include "paging/gather.h"

static void
gather_forget(struct aspen_gather *gather)
{
    gather->start = UINT64_MAX;
    gather->end = 0;
    gather->levels = 0;
    gather->tables_freed = false;
    gather->before_unlink = false;
}

/* Frames go into `own` again. */
static void
gather_restart(struct aspen_gather *gather)
{
    gather->frames = gather->own;
    gather->written = gather->own_written;
    gather->count = 0;
    gather->capacity = ASPEN_GATHER_FRAMES;
    gather->batch_count = 0;
    memset(gather->own_written, 0, sizeof(gather->own_written));
}

void
aspen_gather_begin(struct aspen_gather *gather, struct aspen_mm *mm, bool quiet)
{
    gather->mm = mm;
    gather->quiet = quiet;
    gather->tables = 0;
    gather->batches = NULL;
    gather->looked_start = UINT64_MAX;
    gather->looked_end = 0;
    gather_restart(gather);
    gather_forget(gather);
    gather->part = quiet ? 0 : aspen_tlb_pending_begin(mm);
}

static void
gather_flush_tlb(struct aspen_gather *gather)
{
    if (gather->start < gather->end || gather->tables_freed)
        aspen_tlb_flush(gather->mm, gather->start, gather->end, gather->levels,
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

/* Those of the frames that could be written until the flush are dirty. */
static void
note_written(struct aspen *aspen, const uint32_t *frames,
             const uint64_t *written, unsigned count)
{
    for (unsigned i = 0; i < count; i += 64) {
        for (uint64_t left = written[i / 64]; left; left &= left - 1) {
            uint32_t frame = frames[i + aspen_lowest_bit(left)];
            uint64_t *index = &aspen_frame_at(aspen, frame)->index;
            if (!(aspen_load_relaxed(index) & ASPEN_FRAME_DIRTY))
                aspen_fetch_or(index, ASPEN_FRAME_DIRTY);
        }
    }
}

static void
release(struct aspen *aspen, uint32_t *frames, const uint64_t *written,
        unsigned count)
{
    if (!count)
        return;
    note_written(aspen, frames, written, count);
    aspen_frames_release(aspen, frames, count,
                         ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

/* What is in the batches, which are given back. */
static void
release_batches(struct aspen_gather *gather)
{
    struct aspen *aspen = gather->mm->aspen;
    unsigned count = gather->count; /* of the last one */

    while (gather->batches) {
        struct aspen_gather_batch *batch = gather->batches;
        gather->batches = batch->next;
        release(aspen, batch->frames, batch->written, count);
        aspen_cache_free(&aspen->gather_cache, batch);
        count = ASPEN_GATHER_BATCH_FRAMES;
    }
    gather->count = ASPEN_GATHER_FRAMES;
}

void
aspen_gather_flush(struct aspen_gather *gather)
{
    /* Nobody runs in a quiet space, so nobody looks at frames that its TLB
     * entries still lead to; but a CPU that was the last to run in it may
     * walk its tables on its own. One flush at the end, then the tables. */
    if (!gather->quiet) {
        gather_flush_tlb(gather);
        gather_free_tables(gather);
    }
    if (gather->batches)
        release_batches(gather);
    release(gather->mm->aspen, gather->own, gather->own_written, gather->count);
    gather_restart(gather);
}

/* ---- Batches ----------------------------------------------------------- */

/* One more, unless too many frames wait or there is no memory: NULL. */
static struct aspen_gather_batch *
take_batch(struct aspen_gather *gather)
{
    struct aspen *aspen = gather->mm->aspen;
    uint64_t most = aspen_load_relaxed(&aspen->banks.ram_frames) /
                    ASPEN_GATHER_BATCH_PER_FRAMES;

    if (gather->quiet || gather->batch_count >= most ||
        gather->batch_count >= ASPEN_GATHER_BATCHES_MAX)
        return NULL;
    return aspen_cache_alloc(&aspen->gather_cache);
}

void
aspen_gather_continue(struct aspen_gather *gather)
{
    struct aspen_gather_batch *batch = take_batch(gather);

    if (!batch) {
        aspen_gather_flush(gather);
        return;
    }
    batch->next = gather->batches;
    gather->batches = batch;
    gather->batch_count++;
    gather->frames = batch->frames;
    gather->written = batch->written;
    gather->count = 0;
    gather->capacity = ASPEN_GATHER_BATCH_FRAMES;
    memset(batch->written, 0, sizeof(batch->written));
}

/* ---- Tables, and the end ----------------------------------------------- */

void
aspen_gather_table(struct aspen_gather *gather, uint32_t table)
{
    struct aspen_frame *frame = aspen_frame_at(gather->mm->aspen, table);
    unsigned level = aspen_frame_offset(frame) % ASPEN_TABLE_ENTRIES;
    uint64_t first = (aspen_frame_offset(frame) - level) << ASPEN_PAGE_SHIFT;

    aspen_gather_range(gather, first, aspen_table_span(level), 0);
    frame->table_next = gather->tables;
    gather->tables = table;
    gather->tables_freed = true;
    aspen_fetch_sub_relaxed(&gather->mm->page_tables, 1);
}

/* What we found gone may be cached until somebody's flush: ours. Is there any?
 * If not, what was looked at until now need not be asked about again. */
static bool
gather_found_gone(struct aspen_gather *gather)
{
    uint64_t start = gather->looked_start;
    uint64_t end = gather->looked_end;

    if (start >= end)
        return false;
    if (!aspen_tlb_pending(gather->mm, gather->quiet ? 0 : 1)) {
        gather->looked_start = UINT64_MAX;
        gather->looked_end = 0;
        return false;
    }
    aspen_gather_range(gather, start, end - start, ASPEN_LEVELS_ALL);
    return true;
}

void
aspen_gather_before_unlink(struct aspen_gather *gather)
{
    if (!gather->quiet && (gather->before_unlink || gather_found_gone(gather)))
        aspen_gather_flush(gather);
}

void
aspen_gather_end(struct aspen_gather *gather)
{
    (void)gather_found_gone(gather);
    aspen_gather_flush(gather);
    gather_flush_tlb(gather);
    gather_free_tables(gather);
    if (!gather->quiet)
        aspen_tlb_pending_end(gather->mm, gather->part);
}
