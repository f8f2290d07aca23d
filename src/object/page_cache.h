/* SPDX-License-Identifier: MIT */
/*
 * object/page_cache.h - the page cache of an object: find, make, fill, clean,
 * drop.
 */
#ifndef ASPEN_OBJECT_PAGE_CACHE_H
#define ASPEN_OBJECT_PAGE_CACHE_H

#include "machine/payer.h"
#include "object/object.h"
#include "space/zap.h"

/* How a page is looked for, as the mapping was advised. */
enum aspen_ahead {
    ASPEN_AHEAD_NORMAL, /* read ahead as accesses turn out to be in order */
    ASPEN_AHEAD_RANDOM, /* never */
    ASPEN_AHEAD_MOST,   /* as far as possible */
};

#define ASPEN_AHEAD_MAX 32u /* pages */

/* Has it a page cache? */
static inline bool
aspen_object_has_pages(const struct aspen_object *object)
{
    return object->kind != ASPEN_OBJECT_DEVICE && !object->zeroes;
}

/* Are its pages write-protected while they are clean? */
static inline bool
aspen_object_tracks_dirt(const struct aspen_object *object)
{
    const struct aspen_pager_ops *pager = object->pager;

    return pager && (pager->write || pager->mkwrite) &&
           aspen_object_has_pages(object);
}

/* Could a page that is dropped be read again as it was, if it is clean? */
static inline bool
aspen_object_can_read_again(const struct aspen_object *object)
{
    return object->kind == ASPEN_OBJECT_FILE && object->pager &&
           object->pager->read;
}

/* Do its pages exist in memory alone, so that they may go to swap? */
static inline bool
aspen_object_may_swap(const struct aspen_object *object)
{
    const struct aspen_pager_ops *pager = object->pager;

    return object->kind == ASPEN_OBJECT_SHMEM &&
           !(pager &&
             (pager->read || pager->write || pager->mkwrite || pager->fault));
}

/* Is a page on an LRU list from when it enters the cache on? */
static inline bool
aspen_object_has_list(const struct aspen_object *object)
{
    return aspen_object_can_read_again(object) ||
           (aspen_object_may_swap(object) &&
            aspen_load_relaxed(&object->aspen->banks.slots));
}

/* Does making a page mean to wait for somebody? */
static inline bool
aspen_object_has_to_wait(const struct aspen_object *object)
{
    return object->pager && object->pager->read &&
           !(object->aspen->config.flags & ASPEN_CONFIG_CONTENTS_IGNORED);
}

/* Pages, or entries that lead there, are about to be taken away: what pagers
 * have said before is old. The fence pairs with fault/device.c, I1.
 * Context: the size lock is held for writing. */
static inline void
aspen_object_note_change(struct aspen_object *object)
{
    aspen_fetch_add(&object->change_count, 1);
    aspen_fence();
}

/*
 * The page at `offset`: *frame with one more reference.
 *
 * find: any page that is cached; of a block of pages the block's first frame.
 *       0, or -ASPEN_ENOENT.
 * get:  finds it or makes it, zeroed, then filled by the pager; `ahead` says
 *       how many pages after it may be read with it, NORMAL without; what is
 *       made `payer` pays, who may be NULL (machine/payer.h). 0, or
 *       -ASPEN_EFBIG (beyond the end), -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP (a
 *       block of pages; frames have no memory behind them), -ASPEN_EINVAL
 *       (the object has no page cache), the pager's error; or
 *       ASPEN_OBJECT_IN_SWAP: aspen_swap_get_page() brings it back.
 *
 * Context: get may sleep, no lock inside the mmap and VMA locks is held.
 */
#define ASPEN_OBJECT_IN_SWAP 2 /* positive: no pager's error */

ASPEN_MUST_USE int aspen_object_find_page(struct aspen_object *object,
                                          uint64_t offset, uint32_t *frame);
ASPEN_MUST_USE int aspen_object_get_page(struct aspen_object *object,
                                         uint64_t offset,
                                         struct aspen_payer *payer,
                                         uint32_t *frame);
ASPEN_MUST_USE int aspen_object_get_page_ahead(struct aspen_object *object,
                                               uint64_t offset,
                                               enum aspen_ahead ahead,
                                               struct aspen_payer *payer,
                                               uint32_t *frame);

/* The first page at or after *offset, up to `last`: *offset is where it starts,
 * *pages how many it has, *frame with one more reference its first. 0 or
 * -ASPEN_ENOENT. */
ASPEN_MUST_USE int aspen_object_next_page(struct aspen_object *object,
                                          uint64_t *offset, uint64_t last,
                                          uint64_t *pages, uint32_t *frame);

/* With the page's lock held: is it still page `offset` of the object, and
 * inside its size? */
static inline bool
aspen_object_owns(const struct aspen_object *object,
                  const struct aspen_frame *frame, uint64_t offset)
{
    return aspen_frame_type(frame) == ASPEN_FRAME_OBJECT &&
           aspen_load(&frame->owner) == (uint64_t)(uintptr_t)object &&
           offset < aspen_object_pages(object);
}

/*
 * Enter a block of 2^order frames (type KERNEL, the caller's alone) as the
 * pages from `offset` on, which is aligned to it: its type becomes OBJECT, the
 * cache takes one reference. 0, -ASPEN_EEXIST (one of the pages is there),
 * -ASPEN_ENOMEM; then the block is as it was.
 */
ASPEN_MUST_USE int aspen_object_add_page(struct aspen_object *object,
                                         uint64_t offset, unsigned order,
                                         uint32_t frame);

/*
 * Drop the pages [first, last] from the cache; entries that still lead to them
 * go as well. `reserve` is for two stores. No more than so many pages go below
 * one hold of the cache's spin lock.
 * Context: the size lock is held for writing.
 */
#ifndef ASPEN_OBJECT_DROP_MAX
#define ASPEN_OBJECT_DROP_MAX 256
#endif

void aspen_object_remove_pages(struct aspen_object *object,
                               struct aspen_tree_reserve *reserve,
                               uint64_t first, uint64_t last);

/*
 * The caller holds a page of the cache. idle: it is clean, and nobody else maps
 * or holds it: a look. drop: if so it leaves the cache, and the answer is true;
 * the caller's reference stays. `reserve` has room for one store.
 * Context: the size lock is held for writing.
 */
bool aspen_object_is_page_idle(struct aspen_object *object, uint32_t frame);
bool aspen_object_drop_page(struct aspen_object *object,
                            struct aspen_tree_reserve *reserve, uint64_t offset,
                            uint32_t frame);

/*
 * The caller holds a page of the cache, which is locked and mapped nowhere. If
 * it is clean, and nobody else holds it, it leaves the cache for a shadow
 * (object/shadow.h) and the answer is true; the caller's reference stays. Takes
 * no memory.
 */
bool aspen_object_evict_page(struct aspen_object *object, uint64_t offset,
                             uint32_t frame);

/*
 * The page of the cache, which is locked, makes place for another, which nobody
 * else knows and which has all that it is but its contents: they are copied,
 * and the cache's reference of the one becomes one of the other. False: it is
 * in the cache no more, or held by others than its entries, the cache and the
 * caller. Takes no memory.
 */
ASPEN_MUST_USE bool aspen_object_replace_page(struct aspen_object *object,
                                              uint64_t offset, uint32_t old,
                                              uint32_t new);

/* ---- swapped.c: pages in swap ------------------------------------------- */

/* Its slot, if the page at `offset` is in swap. It may come back, or go, at any
 * time. */
ASPEN_MUST_USE bool aspen_object_find_swapped(struct aspen_object *object,
                                              uint64_t offset, unsigned *type,
                                              uint32_t *slot);

/* The first page from *offset on, up to `last`, that is in swap: true and
 * *offset, which is clobbered if there is none. */
ASPEN_MUST_USE bool aspen_object_next_swapped(struct aspen_object *object,
                                              uint64_t *offset, uint64_t last);

/* The slots of the page at `offset` and of those behind it that are worth
 * reading as well, of the same area: how many, 0 if that page is not in swap.
 */
ASPEN_MUST_USE unsigned
aspen_object_find_swapped_run(struct aspen_object *object, uint64_t offset,
                              enum aspen_ahead ahead, unsigned *type,
                              uint32_t slots[ASPEN_AHEAD_MAX]);

/*
 * The page, which is in the swap cache of the slot, leaves the page cache: the
 * slot, whose reference is the tree's from now on, takes its place. False:
 * somebody else has it. Takes no memory.
 * Context: the caller holds the page and has locked it; no entry leads there.
 */
bool aspen_object_page_to_slot(struct aspen_object *object, uint64_t offset,
                               uint32_t frame, unsigned type, uint32_t slot);

/*
 * And back, if it stands there still and leads to the page: true, the slot's
 * reference is the caller's to give back, and the page is to leave the swap
 * cache.
 * Context: the caller holds the page and has locked it, and the size lock, for
 *          reading.
 */
bool aspen_object_page_from_slot(struct aspen_object *object, uint64_t offset,
                                 uint32_t frame, unsigned type, uint32_t slot);

/* ---- truncate.c ---------------------------------------------------------- */

/* As aspen_object_resize(), aspen_object_punch(); or ASPEN_OBJECT_IN_SWAP, and
 * nothing has changed: the page *edge has to come back first. */
ASPEN_MUST_USE int aspen_object_try_resize(struct aspen_object *object,
                                           uint64_t size_bytes, uint64_t *edge);
ASPEN_MUST_USE int aspen_object_try_punch(struct aspen_object *object,
                                          uint64_t offset_bytes,
                                          uint64_t length_bytes,
                                          uint64_t *edge);

/* ---- leave.c: the end ---------------------------------------------------- */

/* All pages; nobody maps the object and nobody finds it. */
void aspen_object_drop_pages(struct aspen_object *object);

/* Write what is dirty; nobody maps the object and nobody finds it. Errors are
 * dropped: nobody is left to hear of them. */
void aspen_object_write_last(struct aspen_object *object);

/* Write the dirty pages around `offset` that may go in one piece, up to
 * ASPEN_AHEAD_MAX, unless somebody writes the object already. Returns how many.
 * Context: as aspen_object_sync(). */
uint64_t aspen_object_write_cluster(struct aspen_object *object,
                                    uint64_t offset);

/* Ask the pager, if it wants to be, whether the page at `offset` may be written
 * (ASPEN_STEP_HOOK): 0 or its error. Context: may sleep. */
ASPEN_MUST_USE int aspen_object_ask_mkwrite(struct aspen_object *object,
                                            uint64_t offset);

/*
 * Make the page, which the caller holds, dirty; if it is clean the pager is
 * asked first. 0 (also when the object does not have the page any more), or the
 * pager's error.
 * Context: may sleep; no lock is held.
 */
ASPEN_MUST_USE int aspen_object_make_dirty(struct aspen_object *object,
                                           uint64_t offset, uint32_t frame);

/* Can they be taken out of all mappings, or would a huge leaf have to be split?
 * With `copies` private copies of the pages go as well, as truncation wants it.
 * 0, -ASPEN_EINVAL or -ASPEN_EOPNOTSUPP, as aspen_zap_check(). It stays so
 * while the size lock is held for writing. */
ASPEN_MUST_USE int aspen_object_unmap_check(struct aspen_object *object,
                                            uint64_t first, uint64_t last,
                                            bool copies);

/* Take the pages [first, last] out of all mappings, `what` of them. Context: no
 * lock inside i_mmap's is held. */
void aspen_object_unmap_pages(struct aspen_object *object, uint64_t first,
                              uint64_t last, enum aspen_zap what);

#endif
