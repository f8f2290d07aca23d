/* SPDX-License-Identifier: MIT */
/*
 * object/swapped.c - pages of shared memory that are in swap: the slot stands
 * in the object's tree where the page stood.
 *
 *     tree   [frame][slot][frame][shadow]
 *              |      `---> area, slot ---> page, as long as it is in the swap
 *              v                            cache (machine/swap_map.h)
 *
 * I1  A slot in the tree is a reference of it. It becomes a page again under
 *     the size lock (reading), and goes under it (writing), as pages do.
 * I2  The page is in one of both caches; in both while it is locked and moves
 *     from one to the other. In the swap cache it is an anonymous page that
 *     nobody owns and no entry leads to, so it is written, read, and dropped
 *     while the slot has its contents, as any other.
 *
 * swap/shared.c says when. Called by it, by faults, and by who looks. The first
 * test to break is tests/unit/swap/test_shared.c.
 */
#include "object/page_cache.h"

#include "frames/lru.h"
#include "machine/swap_map.h"
#include "object/cached.h"

/* ---- Look -------------------------------------------------------------- */

bool
aspen_object_find_swapped(struct aspen_object *object, uint64_t offset,
                          unsigned *type, uint32_t *slot)
{
    if (!aspen_load_relaxed(&object->swapped))
        return false;
    aspen_pages_lock(object);
    const void *entry = aspen_tree_load(&object->pages, offset);
    aspen_pages_unlock(object);
    if (!aspen_is_swapped(entry))
        return false;
    *type = aspen_swapped_type(entry);
    *slot = aspen_swapped_slot(entry);
    return true;
}

#define PASS_MAX 256u /* entries, under one hold of the cache's lock */

bool
aspen_object_next_swapped(struct aspen_object *object, uint64_t *offset,
                          uint64_t last)
{
    uint64_t at = *offset;
    uint64_t range[2];
    unsigned passed = 0;
    const void *entry;
    bool found = false;

    if (!aspen_load_relaxed(&object->swapped))
        return false;
    aspen_pages_lock(object);
    while (!found &&
           (entry = aspen_tree_find(&object->pages, at, last, range))) {
        *offset = range[0];
        found = aspen_is_swapped(entry);
        if (range[1] >= last)
            break;
        at = range[1] + 1;
        if (++passed % PASS_MAX == 0 && !found) {
            aspen_pages_unlock(object);
            aspen_pages_lock(object);
        }
    }
    aspen_pages_unlock(object);
    return found;
}

/* The cache's lock is held. How far is it worth reading? As far again as last
 * time if what was read then is used up. */
static unsigned
window_at(struct aspen_object *object, uint64_t offset, enum aspen_ahead ahead)
{
    unsigned most = object->aspen->config.swap_ahead_pages;
    unsigned window = 1;

    if (ahead == ASPEN_AHEAD_MOST)
        return ASPEN_AHEAD_MAX;
    if (ahead == ASPEN_AHEAD_RANDOM || most < 2)
        return 1;
    if (offset == object->ahead_next && object->ahead_pages)
        window = object->ahead_pages * 2;
    return window < most ? window : most;
}

unsigned
aspen_object_find_swapped_run(struct aspen_object *object, uint64_t offset,
                              enum aspen_ahead ahead, unsigned *type,
                              uint32_t slots[ASPEN_AHEAD_MAX])
{
    unsigned count = 0;

    aspen_pages_lock(object);
    unsigned window = window_at(object, offset, ahead);
    while (count < window) {
        const void *entry = aspen_tree_load(&object->pages, offset + count);
        if (!aspen_is_swapped(entry) ||
            (count && aspen_swapped_type(entry) != *type))
            break;
        *type = aspen_swapped_type(entry);
        slots[count++] = aspen_swapped_slot(entry);
    }
    if (count) {
        object->ahead_next = offset + count;
        object->ahead_pages = count;
    }
    aspen_pages_unlock(object);
    return count;
}

/* ---- There and back ---------------------------------------------------- */

/* Only the lock and what a page of any type has stays of its flags. */
static void
retype(struct aspen_frame *page, enum aspen_frame_type type, uint64_t offset)
{
    const uint64_t kept = ASPEN_FRAME_LOCKED | ASPEN_FRAME_WAITERS |
                          ASPEN_FRAME_DIRTY | ASPEN_FRAME_LRU;
    uint64_t old = aspen_load(&page->index);

    while (!aspen_compare_exchange(
        &page->index, &old,
        (old & kept) | (uint64_t)type << ASPEN_FRAME_TYPE_SHIFT | offset))
        ;
}

/* By the page cache, the swap cache and the caller alone? Who finds it in the
 * page cache holds it, under the lock that the caller has. */
static bool
is_ours_alone(const struct aspen_frame *page)
{
    return aspen_load(&page->counts) == 3 * ASPEN_FRAME_REF;
}

bool
aspen_object_page_to_slot(struct aspen_object *object, uint64_t offset,
                          uint32_t number, unsigned type, uint32_t slot)
{
    struct aspen *aspen = object->aspen;
    struct aspen_frame *page = aspen_frame_at(aspen, number);

    aspen_pages_lock(object);
    bool goes = is_ours_alone(page);
    if (goes) {
        aspen_object_count_swapped(object);
        aspen_pages_replace(object, offset, aspen_swapped_at(type, slot));
        enum aspen_lru_state state = aspen_lru_state(page);
        aspen_lru_remove(aspen, number);
        aspen_store(&page->owner, (uint64_t)0);
        retype(page, ASPEN_FRAME_ANON, 0);
        aspen_lru_add(aspen, number, state);
        aspen_count(aspen, ASPEN_COUNT_SHMEM, (uint64_t)-1);
        aspen_count(aspen, ASPEN_COUNT_ANON, 1);
    }
    aspen_pages_unlock(object);
    if (goes)
        aspen_frame_put(aspen, number); /* the page cache's reference */
    return goes;
}

/* Nobody owns it, so nobody looks for an anon_vma: the type comes first. */
static void
make_object_page(struct aspen_object *object, uint64_t offset, uint32_t number)
{
    struct aspen *aspen = object->aspen;
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    enum aspen_lru_state state = aspen_lru_state(page);

    aspen_lru_remove(aspen, number);
    retype(page, ASPEN_FRAME_OBJECT, offset);
    aspen_store(&page->owner, (uint64_t)(uintptr_t)object);
    aspen_frame_get(page);
    aspen_pages_replace(object, offset, page);
    aspen_lru_add(aspen, number, state);
    aspen_count(aspen, ASPEN_COUNT_ANON, (uint64_t)-1);
    aspen_count(aspen, ASPEN_COUNT_SHMEM, 1);
}

bool
aspen_object_page_from_slot(struct aspen_object *object, uint64_t offset,
                            uint32_t number, unsigned type, uint32_t slot)
{
    aspen_pages_lock(object);
    bool comes = aspen_tree_load(&object->pages, offset) ==
                     aspen_swapped_at(type, slot) &&
                 aspen_swap_cache_has(object->aspen, type, slot, number);
    if (comes)
        make_object_page(object, offset, number);
    aspen_pages_unlock(object);
    return comes;
}
