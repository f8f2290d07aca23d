/* SPDX-License-Identifier: MIT */
/*
 * object/leave.c - pages leave the page cache of an object. page_cache.h says
 * how; the invariants are those of page_cache.c.
 *
 * Called by truncation, by who makes a cache smaller, by reclaim, and by the
 * last reference. The first test to break is
 * tests/unit/object/test_truncate.c.
 */
#include "object/page_cache.h"

#include "frames/lru.h"
#include "machine/swap_map.h"
#include "object/cached.h"

/* I4: it cannot be found any more. */
static void
bury(struct aspen_object *object, uint64_t offset)
{
    aspen_pages_lock(object);
    aspen_pages_replace(object, offset, aspen_tombstone(object));
    aspen_pages_unlock(object);
}

/* It is the object's page no more; others may still hold the frame. */
static void
orphan(const struct aspen_object *object, uint32_t number)
{
    struct aspen *aspen = object->aspen;

    aspen_count(aspen, aspen_object_count(object),
                0 - aspen_frame_size(aspen, number));
    aspen_lru_remove(aspen, number);
    aspen_store(&aspen_frame_at(aspen, number)->owner, (uint64_t)0);
}

/* Nobody maps or finds the page from now on. Who has found it waits for its
 * lock; who looks for it now makes another, and waits for the size lock. */
static void
disown(struct aspen_object *object, uint64_t offset, struct aspen_frame *page)
{
    aspen_frame_lock(page);
    if (aspen_frame_map_count(page) > 0)
        aspen_object_unmap_pages(object, offset, offset, ASPEN_ZAP_OBJECT);
    bury(object, offset);
    aspen_fetch_and(&page->index, ~ASPEN_FRAME_DIRTY);
    orphan(object, aspen_frame_number(object->aspen, page));
    aspen_frame_unlock(page);
}

bool
aspen_object_is_page_idle(struct aspen_object *object, uint32_t number)
{
    const struct aspen_frame *page = aspen_frame_at(object->aspen, number);

    return aspen_load(&page->counts) == 2 * ASPEN_FRAME_REF &&
           !(aspen_load(&page->index) & ASPEN_FRAME_DIRTY);
}

bool
aspen_object_drop_page(struct aspen_object *object,
                       struct aspen_tree_reserve *reserve, uint64_t offset,
                       uint32_t number)
{
    struct aspen_frame *page = aspen_frame_at(object->aspen, number);

    aspen_frame_lock(page);
    aspen_pages_lock(object);
    bool idle = aspen_object_is_page_idle(object, number);
    if (idle) {
        aspen_tree_store_reserved(&object->pages, reserve, offset, offset,
                                  NULL);
        orphan(object, number);
    }
    aspen_pages_unlock(object);
    aspen_frame_unlock(page);
    if (idle)
        aspen_frame_put(object->aspen, number); /* the cache's reference */
    return idle;
}

static void
leave_shadow(struct aspen_object *object, uint64_t offset, uint32_t number)
{
    struct aspen *aspen = object->aspen;
    const struct aspen_lru *lru = aspen_lru_of(aspen, number);
    bool referenced =
        aspen_lru_state(aspen_frame_at(aspen, number)) == ASPEN_LRU_REFERENCED;

    aspen_pages_replace(
        object, offset,
        aspen_shadow_at(aspen_lru_tick(aspen, lru), lru->tag, referenced));
    aspen_shadow_count(object);
}

bool
aspen_object_evict_page(struct aspen_object *object, uint64_t offset,
                        uint32_t number)
{
    struct aspen *aspen = object->aspen;

    aspen_pages_lock(object);
    bool idle = aspen_object_is_page_idle(object, number);
    if (idle) {
        leave_shadow(object, offset, number);
        orphan(object, number);
    }
    aspen_pages_unlock(object);
    if (idle)
        aspen_frame_put(aspen, number); /* the cache's reference */
    return idle;
}

bool
aspen_object_replace_page(struct aspen_object *object, uint64_t offset,
                          uint32_t old, uint32_t new)
{
    struct aspen *aspen = object->aspen;
    struct aspen_frame *from = aspen_frame_at(aspen, old);
    struct aspen_frame *to = aspen_frame_at(aspen, new);

    aspen_pages_lock(object);
    /* Who finds it in the cache holds it, under this lock. */
    bool goes = aspen_tree_load(&object->pages, offset) == from &&
                aspen_frame_is_held_by(from, 2) &&
                !aspen_frame_copy(aspen, new, old);
    if (goes) {
        aspen_frame_get(to);
        aspen_pages_replace(object, offset, to);
    }
    aspen_pages_unlock(object);
    if (goes)
        aspen_frame_put(aspen, old);
    return goes;
}

/* I4: the tombstones go. */
static void
erase(struct aspen_object *object, struct aspen_tree_reserve *reserve,
      uint64_t first, uint64_t last)
{
    aspen_pages_lock(object);
    aspen_tree_store_reserved(&object->pages, reserve, first, last, NULL);
    aspen_pages_unlock(object);
}

/* The first entry from *offset on, or NULL: a page has one more reference.
 * Tombstones are passed over. */
static void *
next_entry(struct aspen_object *object, uint64_t *offset, uint64_t last,
           uint64_t *pages)
{
    uint64_t at = *offset;
    uint64_t range[2];
    void *entry;

    aspen_pages_lock(object);
    while ((entry = aspen_tree_find(&object->pages, at, last, range)) ==
               aspen_tombstone(object) &&
           range[1] < last)
        at = range[1] + 1;
    struct aspen_frame *page =
        entry ? aspen_page_of_entry(object, entry) : NULL;
    if (page)
        aspen_frame_get(page);
    aspen_pages_unlock(object);
    if (entry == aspen_tombstone(object))
        return NULL;
    *offset = range[0];
    *pages = range[1] - range[0] + 1;
    return entry;
}

/* A page, a slot or a shadow leaves a tombstone. The size lock is held, so what
 * stood there does still, whatever reclaim does. */
static void
remove_entry(struct aspen_object *object, uint64_t offset, void *entry)
{
    struct aspen_frame *page = aspen_page_of_entry(object, entry);

    if (!page) {
        bury(object, offset);
        if (aspen_is_swapped(entry))
            aspen_swap_free(object->aspen, aspen_swapped_type(entry),
                            aspen_swapped_slot(entry));
        return;
    }
    disown(object, offset, page);
    uint32_t frame = aspen_frame_number(object->aspen, page);
    /* The cache's reference and ours. */
    aspen_frames_release(object->aspen, &frame, 1, 2 * ASPEN_FRAME_REF);
}

void
aspen_object_remove_pages(struct aspen_object *object,
                          struct aspen_tree_reserve *reserve, uint64_t first,
                          uint64_t last)
{
    uint64_t offset = first;
    unsigned buried = 0;
    uint64_t pages;
    void *entry;

    while (offset <= last &&
           (entry = next_entry(object, &offset, last, &pages)) != NULL) {
        remove_entry(object, offset, entry);
        offset += pages;
        if (++buried >= ASPEN_OBJECT_DROP_MAX &&
            aspen_tree_reserve_is_full(reserve)) {
            erase(object, reserve, first, offset - 1);
            first = offset;
            buried = 0;
        }
    }
    if (buried)
        erase(object, reserve, first, last);
}

void
aspen_object_drop_pages(struct aspen_object *object)
{
    struct aspen *aspen = object->aspen;
    struct aspen_tree_cursor cursor;
    void *entry;

    aspen_tree_cursor_init(&cursor, &object->pages, 0);
    while ((entry = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        if (aspen_is_shadow(entry))
            continue;
        if (aspen_is_swapped(entry)) {
            aspen_swap_free(aspen, aspen_swapped_type(entry),
                            aspen_swapped_slot(entry));
            continue;
        }
        uint32_t number = aspen_frame_number(aspen, entry);
        orphan(object, number);
        aspen_frame_put(aspen, number);
    }
    aspen_tree_destroy(&object->pages);
    aspen_shadows_forget_all(object);
    aspen_object_forget_swapped(object);
}
