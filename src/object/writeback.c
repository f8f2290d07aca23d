/* SPDX-License-Identifier: MIT */
/*
 * object/writeback.c - dirty pages of an object: how they become dirty, and how
 * they are written back.
 *
 *   dirty page    DIRTY set; entries may be writable
 *      | page's lock: DIRTY cleared, WRITE and DIRTY of all entries cleared
 *      v
 *   clean page    its bytes are handed to the pager; a write faults, and makes
 *                 it dirty again
 *
 * I1  A write that came before its page was cleaned belongs to that round; a
 *     write that comes after makes the page dirty again.
 * I2  Pages that the pager did not take are dirty again.
 * I3  There is one round at a time for an object (sync lock): whoever finds a
 *     page clean knows that it was written, not only that somebody is about to
 *     write it. Truncation waits (size lock).
 *
 * I4  Each round that fails counts once; whoever asks hears of the last error
 *     since he asked before.
 *
 * The first test to break is tests/unit/object/test_writeback.c.
 */
#include "object/i_mmap.h"
#include "object/page_cache.h"
#include "machine/notify.h"
#include "paging/icache.h"

struct round {
    struct aspen_object *object;
    bool mapped;      /* somebody may map pages */
    int error;        /* the first one */
    uint64_t written; /* pages */
    uint64_t first;
    unsigned count; /* pages from `first` on, held and clean */
    uint32_t frames[ASPEN_AHEAD_MAX];
    const void *pages[ASPEN_AHEAD_MAX];
};

/* ---- Make dirty -------------------------------------------------------- */

int
aspen_object_ask_mkwrite(struct aspen_object *object, uint64_t offset)
{
    if (!object->pager || !object->pager->mkwrite)
        return 0;
    if (aspen_failpoint(&object->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    return aspen_answer_of(
        object->pager->mkwrite(object->context, offset << ASPEN_PAGE_SHIFT));
}

int
aspen_object_make_dirty(struct aspen_object *object, uint64_t offset,
                        uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(object->aspen, number);
    int error = 0;

    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    aspen_frame_lock(frame);
    if (aspen_object_owns(object, frame, offset) &&
        !(aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)) {
        error = aspen_object_ask_mkwrite(object, offset);
        if (!error)
            aspen_fetch_or(&frame->index, ASPEN_FRAME_DIRTY);
    }
    aspen_frame_unlock(frame);
    aspen_read_unlock(&object->size_lock);
    return error;
}

/* ---- Clean ------------------------------------------------------------- */

/* True: the entry allowed a write, or was dirty. */
static bool
protect_slot(struct aspen *aspen, const struct aspen_slot *slot, uint32_t frame,
             unsigned part)
{
    bool changed = false;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load(slot->entry);
    unsigned bits = aspen_entry_bits(entry);
    if (aspen_entry_is_leaf(entry, slot->level) &&
        !(bits & ASPEN_ENTRY_SPECIAL) && aspen_entry_frame(entry) == frame &&
        bits & (ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY)) {
        while (!aspen_compare_exchange(
            slot->entry, &entry,
            aspen_entry_clear_bits(aspen_entry_write_protect(entry),
                                   ASPEN_ENTRY_DIRTY)))
            ;
        aspen_table_note_taken(aspen, slot->table, part);
        changed = true;
    }
    aspen_table_unlock(aspen, slot->table);
    return changed;
}

/* I1: the flush comes before the page is read. If there is nothing to do it may
 * have been writable a moment ago, and be so to a processor. */
static bool
protect(void *context, struct aspen_vma *vma, uint64_t address)
{
    const uint32_t *frame = context;
    struct aspen_mm *mm = vma->mm;
    struct aspen_slot slot;

    if (!(aspen_load_settled_relaxed(&vma->flags) & ASPEN_VM_SHARED))
        return true;
    if (!aspen_table_walk(mm, address, &slot) && !aspen_tlb_pending(mm, 0))
        return true;
    aspen_notify_start(mm, address, address + ASPEN_PAGE_SIZE);
    unsigned part = aspen_tlb_pending_begin(mm);
    if (protect_slot(mm->aspen, &slot, *frame, part) ||
        aspen_tlb_pending(mm, 1))
        aspen_tlb_flush(mm, address, address + ASPEN_PAGE_SIZE,
                        ASPEN_LEVELS_ALL, false);
    aspen_tlb_pending_end(mm, part);
    aspen_notify_end(mm, address, address + ASPEN_PAGE_SIZE);
    return true;
}

/* What a mapping wrote beyond the end is no contents. */
static void
zero_tail(struct aspen_object *object, uint64_t offset, uint32_t frame)
{
    uint64_t size = aspen_load(&object->size_bytes);

    if (offset != size >> ASPEN_PAGE_SHIFT ||
        !aspen_frames_have_contents(object->aspen))
        return;
    char *page = aspen_frame_pointer(object->aspen, frame);
    uint64_t from = size % ASPEN_PAGE_SIZE;

    memset(page + from, 0, (size_t)(ASPEN_PAGE_SIZE - from));
    aspen_icache_written(object->aspen, frame, from, ASPEN_PAGE_SIZE - from);
}

/* True: the page was dirty, is clean now, and has to be written. */
static bool
clean_page(struct round *round, uint64_t offset, uint32_t number)
{
    struct aspen_object *object = round->object;
    struct aspen_frame *frame = aspen_frame_at(object->aspen, number);

    aspen_frame_lock(frame);
    bool dirty =
        aspen_fetch_and(&frame->index, ~ASPEN_FRAME_DIRTY) & ASPEN_FRAME_DIRTY;
    if (dirty && round->mapped)
        aspen_i_mmap_walk(object, offset, offset, protect, &number);
    if (dirty)
        zero_tail(object, offset, number);
    aspen_frame_unlock(frame);
    return dirty;
}

/* ---- Write ------------------------------------------------------------- */

static int
write_pages(struct round *round)
{
    struct aspen_object *object = round->object;
    uint64_t start = round->first << ASPEN_PAGE_SHIFT;
    uint64_t bytes = (uint64_t)round->count << ASPEN_PAGE_SHIFT;

    if (aspen_failpoint(&object->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    bytes = aspen_min_u64(bytes, aspen_load(&object->size_bytes) - start);
    aspen_fetch_add_relaxed(&object->aspen->writeback_pages, round->count);
    int error = aspen_answer_of(
        object->pager->write(object->context, start, round->pages, bytes));
    aspen_fetch_sub_relaxed(&object->aspen->writeback_pages, round->count);
    return error;
}

/* Write what has been collected. */
static void
flush(struct round *round)
{
    struct aspen *aspen = round->object->aspen;

    if (round->count == 0)
        return;
    int error = write_pages(round);
    for (unsigned i = 0; i < round->count; i++) {
        if (error) /* I2 */
            aspen_fetch_or(&aspen_frame_at(aspen, round->frames[i])->index,
                           ASPEN_FRAME_DIRTY);
        aspen_frame_put(aspen, round->frames[i]);
    }
    round->written += error ? 0 : round->count;
    if (!round->error)
        round->error = error;
    round->count = 0;
}

/* Takes the reference on the frame, which is clean. */
static void
collect(struct round *round, uint64_t offset, uint32_t frame)
{
    if (round->count == ASPEN_ARRAY_SIZE(round->frames) ||
        round->first + round->count != offset)
        flush(round);
    if (round->count == 0)
        round->first = offset;
    round->frames[round->count] = frame;
    round->pages[round->count] =
        aspen_frame_pointer(round->object->aspen, frame);
    round->count++;
}

/* Pages [first, last]; sync and size lock are held. */
static void
write_range(struct round *round, uint64_t first, uint64_t last)
{
    struct aspen_object *object = round->object;
    uint64_t end = aspen_object_pages(object);
    uint64_t pages;
    uint32_t frame;

    last = end ? aspen_min_u64(last, end - 1) : 0;
    while (end && first <= last &&
           !aspen_object_next_page(object, &first, last, &pages, &frame)) {
        if (pages == 1 && clean_page(round, first, frame))
            collect(round, first, frame);
        else
            aspen_frame_put(object->aspen, frame);
        first += pages;
    }
    flush(round);
}

static bool
is_written_back(const struct aspen_object *object)
{
    return aspen_object_has_pages(object) && object->pager &&
           object->pager->write && aspen_frames_have_contents(object->aspen);
}

/* ---- Rounds ------------------------------------------------------------ */

/* The sync lock is held for writing. An error is kept for who asks: I4. */
static void
write_round(struct round *round, uint64_t first, uint64_t last)
{
    struct aspen_object *object = round->object;

    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    write_range(round, first, last);
    aspen_read_unlock(&object->size_lock);
    if (round->error) {
        object->write_error = round->error;
        object->write_errors++;
    }
}

/* The sync lock is held. 0, or the last error since *seen, which becomes now.
 */
static int
error_since(const struct aspen_object *object, uint32_t *seen)
{
    if (*seen == object->write_errors)
        return 0;
    *seen = object->write_errors;
    return object->write_error;
}

int
aspen_object_sync(struct aspen_object *object, uint64_t offset_bytes,
                  uint64_t length_bytes)
{
    if (length_bytes == 0 || !is_written_back(object))
        return 0;
    struct round round = {.object = object, .mapped = true};
    uint64_t last = offset_bytes +
                    aspen_min_u64(length_bytes - 1, UINT64_MAX - offset_bytes);

    aspen_write_lock(&object->sync_lock, ASPEN_LOCK_OBJECT_SYNC);
    write_round(&round, offset_bytes >> ASPEN_PAGE_SHIFT,
                last >> ASPEN_PAGE_SHIFT);
    int kept = error_since(object, &object->write_errors_told);
    aspen_write_unlock(&object->sync_lock);
    return round.error ? round.error : kept;
}

int
aspen_object_error(struct aspen_object *object, uint32_t *seen)
{
    aspen_read_lock(&object->sync_lock, ASPEN_LOCK_OBJECT_SYNC);
    int error = error_since(object, seen);
    aspen_read_unlock(&object->sync_lock);
    return error;
}

uint64_t
aspen_object_write_cluster(struct aspen_object *object, uint64_t offset)
{
    struct round round = {.object = object, .mapped = true};
    uint64_t first = aspen_align_down(offset, ASPEN_AHEAD_MAX);

    if (!is_written_back(object) ||
        !aspen_write_trylock(&object->sync_lock, ASPEN_LOCK_OBJECT_SYNC))
        return 0;
    write_round(&round, first, first + ASPEN_AHEAD_MAX - 1);
    aspen_write_unlock(&object->sync_lock);
    return round.written;
}

void
aspen_object_write_last(struct aspen_object *object)
{
    struct round round = {.object = object};

    if (!is_written_back(object) || !object->pages.root)
        return;
    aspen_write_lock(&object->sync_lock, ASPEN_LOCK_OBJECT_SYNC);
    write_round(&round, 0, UINT64_MAX);
    aspen_write_unlock(&object->sync_lock);
}
