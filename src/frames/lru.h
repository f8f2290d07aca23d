/* SPDX-License-Identifier: MIT */
/*
 * frames/lru.h - lists of pages by how long ago they were last accessed, as far
 * as anybody looked. What stands here moves pages; who decides is reclaim.
 *
 *     first (came last)                              last (comes next)
 *     UNEVICTABLE   [ ] - [ ] - [ ]      locked or pinned: nobody looks
 *     ACTIVE        [ ] - [ ] - [ ]
 *     INACTIVE      [ ] - [ ] - [ ]      REFERENCED ones among them
 *     NEW           [ ] - [ ] - [ ]
 */
#ifndef ASPEN_FRAMES_LRU_H
#define ASPEN_FRAMES_LRU_H

#include "frames/frames.h"

/* How many are looked at at a time. */
#define ASPEN_RECLAIM_BATCH 32u

void aspen_lru_init(struct aspen_lru *lru);

/* What the page is; on no list: INACTIVE. */
static inline enum aspen_lru_state
aspen_lru_state(const struct aspen_frame *frame)
{
    return (enum aspen_lru_state)(
        (aspen_load_relaxed(&frame->index) & ASPEN_FRAME_LRU) >>
        ASPEN_FRAME_LRU_SHIFT);
}

/* The list of pages in that state. */
static inline enum aspen_lru_kind
aspen_lru_kind_of(enum aspen_lru_state state)
{
    static const uint8_t kinds[ASPEN_LRU_STATES] = {
        [ASPEN_LRU_NEW] = ASPEN_LRU_NEW_LIST,
        [ASPEN_LRU_INACTIVE] = ASPEN_LRU_INACTIVE_LIST,
        [ASPEN_LRU_REFERENCED] = ASPEN_LRU_INACTIVE_LIST,
        [ASPEN_LRU_ACTIVE] = ASPEN_LRU_ACTIVE_LIST,
        [ASPEN_LRU_UNEVICTABLE] = ASPEN_LRU_UNEVICTABLE_LIST,
    };
    return (enum aspen_lru_kind)kinds[state];
}

/* It was accessed, not through an entry; asked and forgotten by mark_take. */
static inline void
aspen_lru_mark(struct aspen_frame *frame)
{
    if (!(aspen_load_relaxed(&frame->index) & ASPEN_FRAME_ACCESSED))
        aspen_fetch_or(&frame->index, ASPEN_FRAME_ACCESSED);
}

static inline bool
aspen_lru_mark_take(struct aspen_frame *frame)
{
    return aspen_load_relaxed(&frame->index) & ASPEN_FRAME_ACCESSED &&
           aspen_fetch_and(&frame->index, ~ASPEN_FRAME_ACCESSED) &
               ASPEN_FRAME_ACCESSED;
}

static inline uint64_t
aspen_lru_count(const struct aspen_lru *lru, enum aspen_lru_kind kind)
{
    return aspen_load_relaxed(&lru->lists[kind].count);
}

/* Pages that may leave. */
static inline uint64_t
aspen_lru_evictable(const struct aspen_lru *lru)
{
    return aspen_lru_count(lru, ASPEN_LRU_NEW_LIST) +
           aspen_lru_count(lru, ASPEN_LRU_INACTIVE_LIST) +
           aspen_lru_count(lru, ASPEN_LRU_ACTIVE_LIST);
}

/* Of these, anonymous ones. */
static inline uint64_t
aspen_lru_evictable_anon(const struct aspen_lru *lru)
{
    return aspen_load_relaxed(&lru->lists[ASPEN_LRU_NEW_LIST].anon) +
           aspen_load_relaxed(&lru->lists[ASPEN_LRU_INACTIVE_LIST].anon) +
           aspen_load_relaxed(&lru->lists[ASPEN_LRU_ACTIVE_LIST].anon);
}

/* The lists that a page belongs on: its group's, or the machine's. As
 * aspen_frame_group(). */
static inline struct aspen_lru *
aspen_lru_of(struct aspen *aspen, uint32_t frame)
{
    struct aspen_group *group = aspen_frame_group(aspen, frame);

    return group ? &group->lru : &aspen->lru;
}

/* How many pages have left that were of these lists, or of others with their
 * tag. */
static inline uint64_t
aspen_lru_clock(const struct aspen *aspen, uint32_t tag)
{
    return aspen_load_relaxed(&aspen->leaving.clocks[tag]);
}

/* One more leaves: how many have, before. */
static inline uint64_t
aspen_lru_tick(struct aspen *aspen, const struct aspen_lru *lru)
{
    return aspen_fetch_add_relaxed(&aspen->leaving.clocks[lru->tag], 1);
}

/*
 * Enter a page that is on no list; take one off, if it is on one, which it
 * answers; let one become another state, unless it is on no list: it is the
 * first of its list then. Context: any lock but leaves.
 */
void aspen_lru_add(struct aspen *aspen, uint32_t frame,
                   enum aspen_lru_state state);
bool aspen_lru_remove(struct aspen *aspen, uint32_t frame);
void aspen_lru_move(struct aspen *aspen, uint32_t frame,
                    enum aspen_lru_state state);

/* Enter an anonymous page, which the caller holds, unless it is on a list.
 * Context: any lock but leaves. */
void aspen_lru_enter(struct aspen *aspen, uint32_t frame,
                     enum aspen_lru_state state);

/* The new page, which nobody knows yet, has the place and state of the old one
 * on its list, if that is on one, which is on none then. Both are of one type
 * and one group. Context: any lock but leaves. */
void aspen_lru_replace(struct aspen *aspen, uint32_t old, uint32_t new);

/* A page that the caller has locked, and that nobody else takes on or off a
 * list meanwhile, is another group's from now on (NULL: the machine's), and on
 * its lists if it was on any. Who is charged with it is the caller's affair.
 * Context: any lock but leaves. */
void aspen_lru_regroup(struct aspen *aspen, uint32_t frame,
                       struct aspen_group *group);

/*
 * Up to `most` pages, the last of a list first, each with one more reference.
 * They become the first ones, so that somebody else meets others. Returns how
 * many.
 */
unsigned aspen_lru_take(struct aspen *aspen, struct aspen_lru *lru,
                        enum aspen_lru_kind kind, uint32_t *frames,
                        unsigned most);

#endif
