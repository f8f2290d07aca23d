/* SPDX-License-Identifier: MIT */
/*
 * object/truncate.c - objects that change their size, and holes.
 *
 *   check    the range, that no block of pages is in the way
 *   reserve  charge, a place in the cache's tree; the pager's hook comes last
 *   commit   the new size first; unmap; drop pages; unmap once more
 *
 * Of pages that are zeroed in part none is in swap when check is over: whoever
 * calls brings it back first (fault/object_size.c). Those that are in memory
 * are held from then on, so that none goes there before it is zeroed.
 *
 * I1  A fault maps a page under the page's lock, after it looked there at the
 *     size and the owner. So a fault that came before is met when its page is
 *     dropped, and one that comes after finds the new size, or no page.
 * I2  A fault makes a private copy under the lock of the page that it copies.
 *     The second unmapping removes copies that were made meanwhile.
 *
 * Called by fault/object_size.c. The first test to break is
 * tests/unit/object/test_truncate.c.
 */
#include "object/page_cache.h"
#include "machine/charge.h"
#include "machine/release.h"
#include "paging/icache.h"

/* Beyond any page's offset. */
#define PAGES_MAX ((uint64_t)1 << ASPEN_FRAME_INDEX_BITS)

struct truncate {
    struct aspen_object *object;
    uint64_t first; /* pages that go, whole: [first, end) */
    uint64_t end;   /* may be below `first`: none */
    uint64_t charge_pages;
    struct aspen_tree_reserve reserve;
    uint32_t edges[2]; /* pages that are zeroed in part, as far as they are in
                          memory: held */
    unsigned edge_count;
};

/* ---- Check ------------------------------------------------------------- */

static int
check_object(const struct aspen_object *object)
{
    if (object->kind == ASPEN_OBJECT_HUGETLB)
        return -ASPEN_EOPNOTSUPP;
    if (!aspen_object_has_pages(object))
        return -ASPEN_EINVAL;
    return aspen_frames_refuse_contents(object->aspen) ? -ASPEN_EOPNOTSUPP : 0;
}

/* Blocks of pages are imported, and stay as they are. */
static int
check_blocks(struct aspen_object *object, uint64_t first, uint64_t last)
{
    uint64_t pages;
    uint32_t frame;

    while (!aspen_object_next_page(object, &first, last, &pages, &frame)) {
        aspen_frame_put(object->aspen, frame);
        if (pages > 1)
            return -ASPEN_EOPNOTSUPP;
        first += pages;
    }
    return 0;
}

/* A page that is zeroed in part, [start, end) of it: if it is in memory it
 * stays there, else it reads as zeroes anyway, or *edge says that it is in
 * swap. */
static int
check_edge(struct truncate *truncate, uint64_t start, uint64_t end,
           uint64_t *edge)
{
    struct aspen_object *object = truncate->object;
    uint64_t offset = start >> ASPEN_PAGE_SHIFT;
    unsigned type;
    uint32_t slot;

    if (start >= end)
        return 0;
    if (!aspen_object_find_page(object, offset,
                                &truncate->edges[truncate->edge_count])) {
        truncate->edge_count++;
        return 0;
    }
    /* It comes back under the size lock alone, so it is there or nowhere. */
    if (!aspen_object_find_swapped(object, offset, &type, &slot))
        return 0;
    *edge = offset;
    return ASPEN_OBJECT_IN_SWAP;
}

static void
drop_edges(struct truncate *truncate)
{
    while (truncate->edge_count)
        aspen_frame_put(truncate->object->aspen,
                        truncate->edges[--truncate->edge_count]);
}

/* ---- Reserve ----------------------------------------------------------- */

static int
reserve(struct truncate *truncate, uint64_t charge_pages)
{
    struct aspen_object *object = truncate->object;

    int error = aspen_charge(object->aspen, charge_pages);
    if (error)
        return error;
    truncate->charge_pages = charge_pages;
    error = aspen_tree_reserve(&object->pages, &truncate->reserve, 2);
    if (error)
        aspen_uncharge(object->aspen, charge_pages);
    return error;
}

static void
reserve_abort(struct truncate *truncate)
{
    aspen_tree_reserve_release(&truncate->object->pages, &truncate->reserve);
    aspen_uncharge(truncate->object->aspen, truncate->charge_pages);
}

/* ---- Commit ------------------------------------------------------------ */

static void
drop_pages(struct truncate *truncate, bool copies)
{
    struct aspen_object *object = truncate->object;
    uint64_t first = truncate->first;
    uint64_t last = truncate->end - 1;

    aspen_object_note_change(object);
    if (first < truncate->end) {
        aspen_object_unmap_pages(object, first, last,
                                 copies ? ASPEN_ZAP_NOT_GUARDS
                                        : ASPEN_ZAP_OBJECT);
        aspen_object_remove_pages(object, &truncate->reserve, first, last);
        if (copies) /* I2 */
            aspen_object_unmap_pages(object, first, last, ASPEN_ZAP_NOT_GUARDS);
    }
    aspen_tree_reserve_release(&object->pages, &truncate->reserve);
}

/* Zero [start, end), inside one page, if it is cached. Mappings see it. */
static void
zero_part(struct aspen_object *object, uint64_t start, uint64_t end)
{
    struct aspen *aspen = object->aspen;
    uint32_t number;

    if (start >= end || !aspen_frames_have_contents(aspen) ||
        aspen_object_find_page(object, start >> ASPEN_PAGE_SHIFT, &number))
        return;
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    aspen_frame_lock(frame);
    char *page = aspen_frame_pointer(aspen, number);
    memset(page + start % ASPEN_PAGE_SIZE, 0, (size_t)(end - start));
    aspen_icache_written(aspen, number, start % ASPEN_PAGE_SIZE, end - start);
    aspen_frame_unlock(frame);
    aspen_frame_put(aspen, number);
}

/* ---- Resize ------------------------------------------------------------ */

static int
ask_resize(struct aspen_object *object, uint64_t size_bytes)
{
    if (!object->pager || !object->pager->resize)
        return 0;
    if (aspen_failpoint(&object->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    return aspen_answer_of(object->pager->resize(object->context, size_bytes));
}

static void
commit_resize(struct truncate *truncate, uint64_t old_bytes,
              uint64_t size_bytes)
{
    struct aspen_object *object = truncate->object;
    uint64_t end = aspen_min_u64(size_bytes, old_bytes);

    aspen_store(&object->size_bytes, size_bytes);
    drop_pages(truncate, true);
    /* What mappings wrote beyond the old end does not become contents; in
     * shared memory it does, as in Linux's. */
    if (size_bytes < old_bytes ||
        (object->kind != ASPEN_OBJECT_SHMEM &&
         aspen_release_growth_clears_the_tail(object->aspen)))
        zero_part(object, end, aspen_align_up(end, ASPEN_PAGE_SIZE));
}

/* The size lock is held for writing. */
static int
resize(struct truncate *truncate, uint64_t size_bytes, uint64_t *edge)
{
    struct aspen_object *object = truncate->object;
    uint64_t old_bytes = aspen_load_relaxed(&object->size_bytes);
    uint64_t charge = object->charged ? truncate->first : 0;
    uint64_t charged = object->charged_pages;

    int error =
        check_blocks(object, size_bytes >> ASPEN_PAGE_SHIFT, PAGES_MAX - 1);
    if (!error && size_bytes < old_bytes)
        error = check_edge(truncate, size_bytes,
                           aspen_align_up(size_bytes, ASPEN_PAGE_SIZE), edge);
    if (!error)
        error = aspen_object_unmap_check(object, truncate->first, PAGES_MAX - 1,
                                         true);
    if (!error)
        error = reserve(truncate, charge > charged ? charge - charged : 0);
    if (error)
        return error;
    error = ask_resize(object, size_bytes);
    if (error) {
        reserve_abort(truncate);
        return error;
    }
    commit_resize(truncate, old_bytes, size_bytes);
    object->charged_pages = charge;
    aspen_uncharge(object->aspen, charged > charge ? charged - charge : 0);
    return 0;
}

int
aspen_object_try_resize(struct aspen_object *object, uint64_t size_bytes,
                        uint64_t *edge)
{
    int error = check_object(object);
    if (error)
        return error;
    if (aspen_pages_of(size_bytes) >= PAGES_MAX)
        return -ASPEN_EFBIG;
    struct truncate truncate = {
        .object = object,
        .first = aspen_pages_of(size_bytes),
        .end = PAGES_MAX,
    };
    aspen_write_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    error = resize(&truncate, size_bytes, edge);
    drop_edges(&truncate);
    aspen_write_unlock(&object->size_lock);
    aspen_tree_pool_settle(&object->aspen->tree_pool);
    return error;
}

uint64_t
aspen_object_size(const struct aspen_object *object)
{
    return aspen_load(&object->size_bytes);
}

/* ---- Punch ------------------------------------------------------------- */

static int
ask_punch(struct aspen_object *object, uint64_t start, uint64_t end)
{
    const struct aspen_pager_ops *pager = object->pager;

    if (!pager || !(pager->punch || pager->read))
        return 0;
    if (!pager->punch)
        return -ASPEN_EOPNOTSUPP;
    if (aspen_failpoint(&object->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    end = aspen_min_u64(end, aspen_load_relaxed(&object->size_bytes));
    return aspen_answer_of(pager->punch(object->context, start, end - start));
}

/* Rounded up, but for the last page of all, whose end is beyond any number. */
static uint64_t
page_end_of(uint64_t bytes)
{
    uint64_t end = aspen_align_up(bytes, ASPEN_PAGE_SIZE);

    return end < bytes ? UINT64_MAX : end;
}

/* Releases that write back what a hole is about to touch: what is written of
 * the last page ends where the object does. */
static void
clear_tail(struct aspen_object *object, uint64_t start, uint64_t end)
{
    uint64_t size = aspen_load_relaxed(&object->size_bytes);
    uint64_t page_end = page_end_of(size);

    if (object->kind == ASPEN_OBJECT_FILE && start < page_end &&
        end > page_end - ASPEN_PAGE_SIZE &&
        aspen_release_punch_clears_the_tail(object->aspen))
        zero_part(object, size, page_end);
}

/* Where what lies before the first whole page ends; where what lies behind the
 * last one begins: both may be empty. */
static uint64_t
head_end_of(uint64_t start, uint64_t end)
{
    return aspen_min_u64(aspen_align_up(start, ASPEN_PAGE_SIZE), end);
}

static uint64_t
tail_of(uint64_t start, uint64_t end)
{
    return aspen_max_u64(aspen_align_down(end, ASPEN_PAGE_SIZE),
                         head_end_of(start, end));
}

static void
commit_punch(struct truncate *truncate, uint64_t start, uint64_t end)
{
    struct aspen_object *object = truncate->object;

    drop_pages(truncate, false);
    zero_part(object, start, head_end_of(start, end));
    zero_part(object, tail_of(start, end), end);
}

static int
check_edges(struct truncate *truncate, uint64_t start, uint64_t end,
            uint64_t *edge)
{
    int error = check_edge(truncate, start, head_end_of(start, end), edge);

    return error ? error : check_edge(truncate, tail_of(start, end), end, edge);
}

/* Where a hole ends: what mappings wrote beyond the object's end, in its last
 * page, goes as well; with files all of it, as on ext4. */
static uint64_t
hole_end(const struct aspen_object *object, uint64_t end)
{
    uint64_t size = aspen_load_relaxed(&object->size_bytes);
    uint64_t page_end = page_end_of(size);

    if (object->kind == ASPEN_OBJECT_FILE && end > size)
        return page_end;
    return aspen_min_u64(end, page_end);
}

/* [start, end) is not empty and starts inside the size; the size lock is held
 * for writing. */
static int
punch_range(struct truncate *truncate, uint64_t start, uint64_t end,
            uint64_t *edge)
{
    struct aspen_object *object = truncate->object;

    int error = check_blocks(object, start >> ASPEN_PAGE_SHIFT,
                             (end - 1) >> ASPEN_PAGE_SHIFT);
    if (!error)
        error = check_edges(truncate, start, end, edge);
    if (!error && truncate->first < truncate->end)
        error = aspen_object_unmap_check(object, truncate->first,
                                         truncate->end - 1, false);
    if (!error)
        error = reserve(truncate, 0);
    if (error)
        return error;
    error = ask_punch(object, start, end);
    if (error) {
        reserve_abort(truncate);
        return error;
    }
    commit_punch(truncate, start, end);
    return 0;
}

static int
punch(struct aspen_object *object, uint64_t start, uint64_t end, uint64_t *edge)
{
    struct truncate truncate = {
        .object = object,
        .first = aspen_align_up(start, ASPEN_PAGE_SIZE) >> ASPEN_PAGE_SHIFT,
        .end = end >> ASPEN_PAGE_SHIFT,
    };
    int error = punch_range(&truncate, start, end, edge);

    drop_edges(&truncate);
    return error;
}

int
aspen_object_try_punch(struct aspen_object *object, uint64_t offset_bytes,
                       uint64_t length_bytes, uint64_t *edge)
{
    int error = check_object(object);
    if (error)
        return error;
    if (length_bytes == 0)
        return -ASPEN_EINVAL;
    if (length_bytes > (PAGES_MAX << (ASPEN_PAGE_SHIFT - 1)) ||
        offset_bytes > (PAGES_MAX << (ASPEN_PAGE_SHIFT - 1)))
        return -ASPEN_EFBIG;

    uint64_t end =
        offset_bytes + aspen_min_u64(length_bytes, UINT64_MAX - offset_bytes);
    aspen_write_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    if (offset_bytes < aspen_load_relaxed(&object->size_bytes))
        error = punch(object, offset_bytes, hole_end(object, end), edge);
    if (!error)
        clear_tail(object, offset_bytes, end);
    aspen_write_unlock(&object->size_lock);
    aspen_tree_pool_settle(&object->aspen->tree_pool);
    return error;
}
