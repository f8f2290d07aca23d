/* SPDX-License-Identifier: MIT */
/*
 * swap/out.c - pages go to slots, and their entries become swap entries.
 *
 *     each:      a slot, and the page in its cache, locked
 *                -> each entry becomes a swap entry
 *                -> nobody else has the page
 *     together:  TLBs are flushed; written, neighbours in one transfer
 *     each:      leaves the cache, unless somebody came for it meanwhile
 *
 * I1  Whatever goes wrong leaves the page in the cache as long as a swap entry
 *     leads to its slot. There is nothing to undo: who needs the page maps it
 *     from there, and the last swap entry that goes frees the slot.
 * I2  An entry and its reference of the slot change under the table's lock, as
 *     does what the page counts; whether the page was exclusive stands in the
 *     swap entry from then on.
 * I3  Dirty bits of entries need not be kept: a page that is not in the cache
 *     yet is written always (it becomes DIRTY), and one that is does not change
 *     (I3 of swap.h). It may be dropped no more (LAZY), since nobody could tell
 *     whether it was written since.
 * I4  Who mlocks memory says so (aspen_vma_keeps()) before he looks below the
 *     tables' locks; it is looked at below the same lock before an entry goes.
 * I5  So are pins, which are taken below that lock: of a swap entry fork could
 *     not tell that its page is pinned, and whoever has the pin would be left
 *     alone with it.
 *
 * Called by reclaim. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "swap/swap.h"

#include "frames/lru.h"
#include "frames/pins.h"

#define NO_SLOT ASPEN_SWAP_AREAS /* a type: it goes to nowhere */

struct leaving {
    struct aspen_swap_batch *batch;
    struct aspen *aspen;
    uint32_t frame;
    unsigned type;
    uint32_t slot;
};

/* ---- Entries ----------------------------------------------------------- */

/* The entry has gone; its table's lock is held. */
static void
count_gone(const struct leaving *leaving)
{
    aspen_frames_release(leaving->aspen, &(uint32_t){leaving->frame}, 1,
                         ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

/* Has anything come up since the page was looked at? The table's lock is held.
 */
static bool
has_to_stay(const struct leaving *leaving, const struct aspen_vma *vma)
{
    const struct aspen_frame *page =
        aspen_frame_at(leaving->aspen, leaving->frame);

    return aspen_vma_keeps(vma, page) ||                         /* I4 */
           aspen_frame_pins(leaving->aspen, leaving->frame) > 0; /* I5 */
}

/* I2 */
static int
to_swap_entry(void *context, struct aspen_vma *vma,
              const struct aspen_slot *slot)
{
    const struct leaving *leaving = context;
    struct aspen *aspen = leaving->aspen;
    uint64_t swap = aspen_entry_make_swap(leaving->type, leaving->slot);

    if (has_to_stay(leaving, vma))
        return -ASPEN_EBUSY;
    int error = aspen_swap_duplicate(aspen, leaving->type, leaving->slot);
    if (error)
        return error;
    if (aspen_frame_is_exclusive(aspen_frame_at(aspen, leaving->frame)))
        swap |= ASPEN_ENTRY_SWAP_EXCLUSIVE;
    if (aspen_entry_is_marked(aspen_load_relaxed(slot->entry), slot->level))
        swap = aspen_entry_mark(swap, 0);
    aspen_mm_swap_list_add(vma->mm);
    aspen_mm_rss_add(vma->mm, ASPEN_RSS_SWAP, 1);
    /* The processor may still set bits: they go with the entry (I3). */
    (void)aspen_exchange(slot->entry, swap);
    count_gone(leaving);
    return 1;
}

/* All of them, or as many as go: 0 or an error. */
static int
replace_all(struct leaving *leaving)
{
    int error;

    do {
        error = aspen_take_page(&leaving->batch->take, leaving->aspen, NULL,
                                leaving->frame, to_swap_entry, leaving);
        if (error != -ASPEN_EAGAIN)
            return error;
        /* The slot's count needs memory, which no one gets below i_mmap. */
        error =
            aspen_swap_continue(leaving->aspen, leaving->type, leaving->slot);
    } while (!error);
    return error;
}

/* ---- One page, which is locked ------------------------------------------ */

/* The caller holds it once. */
static bool
can_go(struct aspen *aspen, uint32_t frame, bool cached)
{
    const struct aspen_frame *page = aspen_frame_at(aspen, frame);
    uint64_t index = aspen_load(&page->index);

    return index >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_ANON &&
           !(index & ASPEN_FRAME_HEAD) && aspen_frame_pins(aspen, frame) == 0 &&
           aspen_frame_is_held_by(page, cached ? 2 : 1) &&
           (cached || aspen_frame_map_count(page) > 0);
}

/* The slot that the page has, held once more. */
static int
hold_its_slot(struct leaving *leaving)
{
    struct aspen *aspen = leaving->aspen;
    int error = aspen_swap_hold(aspen, leaving->type, leaving->slot);

    if (error)
        return error == -ASPEN_EINVAL ? -ASPEN_EBUSY : error;
    /* Its last reference may have gone before we had ours. */
    if (aspen_swap_cache_has(aspen, leaving->type, leaving->slot,
                             leaving->frame))
        return 0;
    aspen_swap_free(aspen, leaving->type, leaving->slot);
    return -ASPEN_EBUSY;
}

/* It is in the cache, and we hold its slot. */
static int
leave_by_slot(struct leaving *leaving)
{
    struct aspen_frame *page = aspen_frame_at(leaving->aspen, leaving->frame);

    aspen_fetch_and(&page->index, ~ASPEN_FRAME_LAZY); /* I3 */
    int error = replace_all(leaving);
    /* Who came by an entry before it went may still read or write. */
    if (!error &&
        (aspen_frame_map_count(page) > 0 || !aspen_frame_is_held_by(page, 2)))
        error = -ASPEN_EBUSY;
    return error;
}

static int
leave_for_swap(struct leaving *leaving)
{
    struct aspen *aspen = leaving->aspen;
    bool cached = aspen_swap_slot_of(aspen, leaving->frame, &leaving->type,
                                     &leaving->slot);

    if (!can_go(aspen, leaving->frame, cached))
        return -ASPEN_EBUSY;
    int error = cached ? hold_its_slot(leaving)
                       : aspen_swap_alloc(aspen, leaving->frame, &leaving->type,
                                          &leaving->slot); /* I3 */
    if (error)
        return error;
    error = leave_by_slot(leaving);
    if (error) {
        aspen_take_flush(&leaving->batch->take); /* it is unlocked now */
        /* If no entry leads to the slot, the page leaves the cache by this. */
        aspen_swap_free(aspen, leaving->type, leaving->slot);
    }
    return error;
}

/* ---- What need not be written ------------------------------------------- */

/* The one entry goes, if the processor has not written by it. */
static int
to_nothing(void *context, struct aspen_vma *vma, const struct aspen_slot *slot)
{
    const struct leaving *leaving = context;
    const struct aspen_frame *page =
        aspen_frame_at(leaving->aspen, leaving->frame);
    uint64_t entry = aspen_load_relaxed(slot->entry);

    /* Nobody can come who would hold it; who did says that he wrote before he
     * lets go (calls/madvise/pages.c, I2). */
    if (has_to_stay(leaving, vma) || aspen_frame_map_count(page) != 1 ||
        !aspen_frame_is_held_by(page, 1) ||
        aspen_load(&page->index) & ASPEN_FRAME_DIRTY ||
        aspen_entry_bits(entry) & ASPEN_ENTRY_DIRTY ||
        !aspen_compare_exchange(slot->entry, &entry, (uint64_t)0))
        return 0;
    count_gone(leaving);
    return 1;
}

/* It may be dropped (LAZY), and was not written since: nobody maps it any more.
 */
static bool
leave_for_nothing(struct leaving *leaving)
{
    struct aspen *aspen = leaving->aspen;
    const struct aspen_frame *page = aspen_frame_at(aspen, leaving->frame);
    uint64_t index = aspen_load(&page->index);

    if (!(index & ASPEN_FRAME_LAZY) || index & ASPEN_FRAME_HEAD ||
        aspen_swap_slot_of(aspen, leaving->frame, &leaving->type,
                           &leaving->slot))
        return false;
    leaving->type = NO_SLOT;
    return !aspen_take_page(&leaving->batch->take, aspen, NULL, leaving->frame,
                            to_nothing, leaving) &&
           aspen_frame_map_count(page) == 0;
}

int
aspen_swap_out(struct aspen_swap_batch *batch, uint32_t frame)
{
    struct leaving leaving = {
        .batch = batch, .aspen = batch->aspen, .frame = frame};
    int error = 0;

    if (batch->count == ASPEN_SWAP_IO_PAGES)
        return -ASPEN_ENOSPC;
    if (!leave_for_nothing(&leaving))
        error = leave_for_swap(&leaving);
    if (!error)
        batch->pages[batch->count++] = (struct aspen_swap_leaving){
            .frame = frame, .type = leaving.type, .slot = leaving.slot};
    return error;
}

/* ---- Together ---------------------------------------------------------- */

static bool
has_slot(const struct aspen_swap_batch *batch, unsigned i)
{
    return batch->pages[i].type != NO_SLOT;
}

static bool
is_written(const struct aspen_swap_batch *batch, unsigned i)
{
    const struct aspen_frame *page =
        aspen_frame_at(batch->aspen, batch->pages[i].frame);

    return !has_slot(batch, i) ||
           !(aspen_load(&page->index) & ASPEN_FRAME_DIRTY);
}

/* Pages from `first` on that stand in a row, there as here. */
static unsigned
run_from(const struct aspen_swap_batch *batch, unsigned first)
{
    const struct aspen_swap_leaving *pages = batch->pages;
    unsigned i = first + 1;

    while (i < batch->count && !is_written(batch, i) &&
           pages[i].type == pages[first].type &&
           pages[i].slot == pages[first].slot + (i - first))
        i++;
    return i - first;
}

static int
write_run(struct aspen_swap_batch *batch, unsigned first, unsigned count)
{
    struct aspen_swap_leaving *pages = &batch->pages[first];
    struct aspen *aspen = batch->aspen;
    uint32_t frames[ASPEN_SWAP_IO_PAGES] = {pages->frame};

    for (unsigned i = 1; i < count; i++)
        frames[i] = pages[i].frame;
    int error = aspen_swap_transfer(aspen, pages->type, pages->slot, frames,
                                    count, true);
    for (unsigned i = 0; !error && i < count; i++)
        aspen_fetch_and(&aspen_frame_at(aspen, frames[i])->index,
                        ~ASPEN_FRAME_DIRTY);
    return error;
}

/* A slot that cannot be written is not to spoil its neighbours. */
static void
write_each(struct aspen_swap_batch *batch, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        if (write_run(batch, i, 1))
            aspen_swap_spoil(batch->aspen, batch->pages[i].type,
                             batch->pages[i].slot);
}

static void
write_all(struct aspen_swap_batch *batch)
{
    unsigned count;

    for (unsigned i = 0; i < batch->count; i += count) {
        count = 1;
        if (is_written(batch, i))
            continue;
        count = run_from(batch, i);
        if (count == 1 || write_run(batch, i, count))
            write_each(batch, i, count);
    }
}

/* It was written, or could not be. Does it leave? */
static bool
give_up_slot(struct aspen_swap_batch *batch, unsigned i)
{
    const struct aspen_swap_leaving *page = &batch->pages[i];
    struct aspen *aspen = batch->aspen;
    bool written = is_written(batch, i);

    bool gone = written && aspen_swap_cache_remove(aspen, page->type,
                                                   page->slot, page->frame);
    aspen_swap_free(aspen, page->type, page->slot);
    if (!written) /* not again at once */
        aspen_lru_move(aspen, page->frame, ASPEN_LRU_UNEVICTABLE);
    return gone;
}

static bool
finish(struct aspen_swap_batch *batch, unsigned i)
{
    uint32_t frame = batch->pages[i].frame;
    struct aspen_frame *page = aspen_frame_at(batch->aspen, frame);
    bool gone = has_slot(batch, i) ? give_up_slot(batch, i)
                                   : aspen_frame_is_held_by(page, 1);

    aspen_frame_unlock(page);
    aspen_frame_put(batch->aspen, frame);
    return gone;
}

unsigned
aspen_swap_out_end(struct aspen_swap_batch *batch)
{
    unsigned gone = 0;

    aspen_take_flush(&batch->take);
    write_all(batch);
    for (unsigned i = 0; i < batch->count; i++)
        gone += finish(batch, i);
    batch->count = 0;
    return gone;
}
