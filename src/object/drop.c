/* SPDX-License-Identifier: MIT */
/*
 * object/drop.c - the page cache of an object made smaller.
 *
 * I1  Only what the pager can read again goes: pages of files, clean, that
 *     nobody maps or holds. Who writes one back holds it.
 * I2  The size lock is held for writing, for a few pages at a time: pages leave
 *     the cache under that lock (internal.h, objects, I4), and nobody makes one
 *     dirty meanwhile.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/object/test_drop.c.
 */
#include "object/page_cache.h"

#define BATCH_PAGES 64u /* looked at under one hold of the size lock */

struct drop {
    struct aspen_object *object;
    uint64_t next; /* page to look at */
    uint64_t end;
    uint64_t dropped;
    struct aspen_tree_reserve reserve; /* for one store */
};

static int
drop_page(struct drop *drop, uint64_t offset, uint32_t frame)
{
    struct aspen_object *object = drop->object;

    if (!aspen_object_is_page_idle(object, frame))
        return 0;
    int error = aspen_tree_reserve(&object->pages, &drop->reserve, 1);
    if (error)
        return error;
    /* Whoever reads a page now may enter it when what he has read is old. Only
     * where one goes: else who drops nothing, again and again, makes him read
     * without end. */
    aspen_object_note_change(object);
    drop->dropped +=
        aspen_object_drop_page(object, &drop->reserve, offset, frame);
    return 0;
}

/* The size lock is held for writing. */
static int
drop_batch(struct drop *drop)
{
    struct aspen_object *object = drop->object;
    uint64_t pages;
    uint32_t frame;
    int error = 0;

    for (unsigned i = 0; !error && i < BATCH_PAGES; i++) {
        if (drop->next >= drop->end ||
            aspen_object_next_page(object, &drop->next, drop->end - 1, &pages,
                                   &frame)) {
            drop->next = drop->end;
            break;
        }
        if (pages == 1)
            error = drop_page(drop, drop->next, frame);
        aspen_frame_put(object->aspen, frame);
        drop->next += pages;
    }
    aspen_tree_reserve_release(&object->pages, &drop->reserve);
    return error;
}

/* Whole pages inside; the last of the object counts as one. */
static struct drop
drop_of(struct aspen_object *object, uint64_t offset_bytes,
        uint64_t length_bytes)
{
    uint64_t size = aspen_load(&object->size_bytes);
    uint64_t end =
        offset_bytes + aspen_min_u64(length_bytes, UINT64_MAX - offset_bytes);

    return (struct drop){
        .object = object,
        .next = aspen_pages_of(offset_bytes),
        .end = end >= size ? aspen_pages_of(size) : end >> ASPEN_PAGE_SHIFT,
    };
}

int
aspen_object_drop(struct aspen_object *object, uint64_t offset_bytes,
                  uint64_t length_bytes, uint64_t *dropped)
{
    int error = 0;

    *dropped = 0;
    if (!aspen_object_has_pages(object))
        return -ASPEN_EINVAL;
    if (!aspen_object_can_read_again(object)) /* I1 */
        return 0;
    struct drop drop = drop_of(object, offset_bytes, length_bytes);
    while (!error && drop.next < drop.end) {
        aspen_write_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
        error = drop_batch(&drop);
        aspen_write_unlock(&object->size_lock);
    }
    aspen_tree_pool_settle(&object->aspen->tree_pool);
    *dropped = drop.dropped;
    return error;
}
