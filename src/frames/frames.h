/* SPDX-License-Identifier: MIT */
/*
 * frames/frames.h - the frame table and the buddy allocator.
 *
 * struct aspen_frame is drawn in internal.h. Orders 0 .. ASPEN_ORDER_MAX;
 * order-0 frames go through a cache for each CPU. Below the caches stands
 * frames/zone.c, which knows what is free without looking at the frames.
 */
#ifndef ASPEN_FRAMES_FRAMES_H
#define ASPEN_FRAMES_FRAMES_H

#include "frames/bank.h"
#include "frames/count.h"

/* 0 or -ASPEN_ENOMEM, nothing left. The lowest frame becomes the zero page. */
ASPEN_MUST_USE int aspen_frames_init(struct aspen *aspen);
/* All frames but the zero page are free (asserted). */
void aspen_frames_destroy(struct aspen *aspen);

static inline void *
aspen_frame_pointer(struct aspen *aspen, uint32_t frame)
{
    return aspen_port_frame_pointer(aspen->config.direct_map, frame);
}

static inline enum aspen_frame_type
aspen_frame_type(const struct aspen_frame *frame)
{
    return (enum aspen_frame_type)(aspen_load_relaxed(&frame->index) >>
                                   ASPEN_FRAME_TYPE_SHIFT);
}

/* Page offset (ANON, OBJECT), address >> 12 and level (TABLE). */
static inline uint64_t
aspen_frame_offset(const struct aspen_frame *frame)
{
    return aspen_load_relaxed(&frame->index) &
           (((uint64_t)1 << ASPEN_FRAME_INDEX_BITS) - 1);
}

/* May its contents be dropped instead of saved? */
static inline bool
aspen_frame_is_lazy(const struct aspen_frame *frame)
{
    return aspen_frame_type(frame) == ASPEN_FRAME_ANON &&
           aspen_load_relaxed(&frame->index) & ASPEN_FRAME_LAZY;
}

static inline uint32_t
aspen_frame_references(const struct aspen_frame *frame)
{
    return (uint32_t)aspen_load_relaxed(&frame->counts);
}

static inline uint32_t
aspen_frame_map_count(const struct aspen_frame *frame)
{
    uint64_t counts = aspen_load_relaxed(&frame->counts);
    return (uint32_t)((counts & ~ASPEN_FRAME_EXCLUSIVE) >> 32);
}

/* Is it held by its entries and `holders` others alone? */
static inline bool
aspen_frame_is_held_by(const struct aspen_frame *frame, uint32_t holders)
{
    uint64_t counts = aspen_load(&frame->counts) & ~ASPEN_FRAME_EXCLUSIVE;

    return (uint32_t)counts == (uint32_t)(counts >> 32) + holders;
}

/* The lock of the table whose entry leads to the page is held, and
 * aspen_table_own() came before: is it that entry's alone (internal.h)? */
static inline bool
aspen_frame_is_exclusive(const struct aspen_frame *frame)
{
    return aspen_load(&frame->counts) & ASPEN_FRAME_EXCLUSIVE;
}

/* The first entry is about to lead to a page, whose reference becomes the
 * entry's: a new one, or an object's. */
static inline void
aspen_frame_map(struct aspen_frame *frame)
{
    uint64_t exclusive =
        aspen_frame_type(frame) == ASPEN_FRAME_ANON ? ASPEN_FRAME_EXCLUSIVE : 0;
    aspen_fetch_add_relaxed(&frame->counts, ASPEN_FRAME_MAP + exclusive);
}

/* Another entry is about to lead to the page, with a reference of its own. The
 * lock of a table is held whose entry leads there. */
static inline void
aspen_frame_share(struct aspen_frame *frame)
{
    uint64_t exclusive =
        aspen_load_relaxed(&frame->counts) & ASPEN_FRAME_EXCLUSIVE;
    aspen_fetch_add_relaxed(&frame->counts,
                            ASPEN_FRAME_REF + ASPEN_FRAME_MAP - exclusive);
}

/* All of it zero: free, or inside an allocated block. */
static inline bool
aspen_frame_is_zero(const struct aspen_frame *frame)
{
    /* Who comes by a number may be about to change the counts, and will not. */
    return !(aspen_load_settled_relaxed(&frame->counts) | frame->owner |
             frame->index | frame->next | frame->previous);
}

/* Of a RESERVED frame, its page offset: it went bad (migrate/poison.c). */
#define ASPEN_FRAME_BAD ((uint64_t)1)

static inline bool
aspen_frame_is_bad(const struct aspen_frame *frame)
{
    return aspen_frame_type(frame) == ASPEN_FRAME_RESERVED &&
           aspen_frame_offset(frame) == ASPEN_FRAME_BAD;
}

/* The order a block was allocated with; `frame` is its first. */
unsigned aspen_frame_order(const struct aspen *aspen, uint32_t frame);

/* How many frames it has. */
static inline uint64_t
aspen_frame_size(const struct aspen *aspen, uint32_t frame)
{
    return (uint64_t)1 << aspen_frame_order(aspen, frame);
}

/*
 * Set type, owner and offset of a frame that only its allocator holds; all
 * flags become `flags` (ASPEN_FRAME_HEAD stays as it is).
 */
static inline void
aspen_frame_set(struct aspen_frame *frame, enum aspen_frame_type type,
                const void *owner, uint64_t offset, uint64_t flags)
{
    uint64_t head = frame->index & ASPEN_FRAME_HEAD;
    /* Who comes by a number reads the type, the owner, the type. */
    aspen_store(&frame->owner, (uint64_t)(uintptr_t)owner);
    aspen_store(&frame->index, (uint64_t)type << ASPEN_FRAME_TYPE_SHIFT |
                                   offset | flags | head);
}

/* The same for an anonymous page, which is counted until it is free. */
static inline void
aspen_frame_set_anon(struct aspen *aspen, uint32_t number, const void *owner,
                     uint64_t offset)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    aspen_frame_set(frame, ASPEN_FRAME_ANON, owner, offset, 0);
    aspen_count(aspen, ASPEN_COUNT_ANON, aspen_frame_size(aspen, number));
}

/* How far down an allocation may go: frames/watermark.h. */
enum aspen_frames_from {
    ASPEN_FRAMES_ABOVE_MIN, /* who fails drops its locks, and then takes pages
                               out of memory, or can do without */
    ASPEN_FRAMES_ALL,       /* who cannot */
};

/*
 * 2^order frames, aligned to their size, type KERNEL, one reference, contents
 * undefined. One crossing of the failpoint `step`. 0 and *frame, or
 * -ASPEN_ENOMEM.
 *
 * Context: may sleep, since the embedder may be asked for memory: no lock of an
 * object or a page, nor one inside those, is held; those of spaces and mappings
 * may be.
 */
ASPEN_MUST_USE int aspen_frame_alloc_from(struct aspen *aspen, unsigned order,
                                          enum aspen_step step,
                                          enum aspen_frames_from from,
                                          uint32_t *frame);

ASPEN_MUST_USE static inline int
aspen_frame_alloc(struct aspen *aspen, unsigned order, enum aspen_step step,
                  uint32_t *frame)
{
    return aspen_frame_alloc_from(aspen, order, step, ASPEN_FRAMES_ALL, frame);
}

/* Those of this CPU's cache go where all find them. */
void aspen_frames_drain_here(struct aspen *aspen);

/* Out of the reserve, too: 2^order frames or ASPEN_NO_FRAME; below frame `end`;
 * and back. They are all zero in the frame table. Context: any lock but a
 * zone's; never sleeps. */
uint32_t aspen_frame_take(struct aspen *aspen, unsigned order);
uint32_t aspen_frame_take_below(struct aspen *aspen, unsigned order,
                                uint32_t end);
void aspen_frame_give(struct aspen *aspen, uint32_t frame, unsigned order);

/* Of type EMBEDDER, the first of its block. */
static inline unsigned
aspen_frame_embedder_order(const struct aspen_frame *frame)
{
    return (unsigned)aspen_frame_offset(frame) & 0xff;
}

/* The first frame of the allocated block that holds `frame`: itself when it
 * was allocated alone. */
uint32_t aspen_frame_head(struct aspen *aspen, uint32_t frame);

/* One more reference / one less; the last one frees the block. */
static inline void
aspen_frame_get(struct aspen_frame *frame)
{
    aspen_fetch_add_relaxed(&frame->counts, ASPEN_FRAME_REF);
}

/* The same if its counts have any bit of `any`. Who holds no lock sees what its
 * allocator did before it gave out the first reference. */
static inline bool
aspen_frame_get_if(struct aspen_frame *frame, uint64_t any)
{
    uint64_t counts = aspen_load(&frame->counts);

    do {
        if (!(counts & any))
            return false;
    } while (!aspen_compare_exchange(&frame->counts, &counts,
                                     counts + ASPEN_FRAME_REF));
    return true;
}

/* Unless it has no reference: then it is about to be free. */
static inline bool
aspen_frame_get_used(struct aspen_frame *frame)
{
    return aspen_frame_get_if(frame, ASPEN_FRAME_MAP - 1);
}

/* If an entry maps it. So of what frames are used for besides none is ever held
 * by who only comes by. */
static inline bool
aspen_frame_get_mapped(struct aspen_frame *frame)
{
    return aspen_frame_get_if(frame, ASPEN_FRAME_EXCLUSIVE - ASPEN_FRAME_MAP);
}

void aspen_frame_put(struct aspen *aspen, uint32_t frame);

/* The same for a frame allocated alone: if it was the last reference the frame
 * is all zero, and the caller's to give (aspen_frame_give()): true. */
ASPEN_MUST_USE bool aspen_frame_put_and_take(struct aspen *aspen,
                                             uint32_t frame);

/*
 * Subtract `remove` (references, each ASPEN_FRAME_REF, with or without one
 * ASPEN_FRAME_MAP; exclusive pages are so no more without it) from each of
 * `count` frames, and free in bulk those blocks that lose their last reference.
 * A frame may appear several times. `frames` is clobbered. A frame that is
 * freed forgets its owner (ANON: nothing to do, anon_vmas outlive their pages'
 * maps by RCU type stability).
 */
void aspen_frames_release(struct aspen *aspen, uint32_t *frames, unsigned count,
                          uint64_t remove);

/*
 * All of a page; `prefetch` is aspen_prefetch or aspen_prefetch_write. It
 * is a macro, since gcc 12 takes a function that only prefetches for one
 * without effect, and leaves it out.
 */
#define ASPEN_PREFETCH_PAGE(prefetch, page)                                    \
    do {                                                                       \
        for (unsigned line = 0; line < ASPEN_PAGE_SIZE;                        \
             line += ASPEN_CACHE_LINE)                                         \
            prefetch((page) + line);                                           \
    } while (0)

/* Is there memory behind frames that hold no page table, for contents? */
static inline bool
aspen_frames_have_contents(const struct aspen *aspen)
{
    return !(aspen->config.flags &
             (ASPEN_CONFIG_TABLES_ONLY | ASPEN_CONFIG_CONTENTS_IGNORED));
}

/* Is it an error to need contents, where there is no memory for them? */
static inline bool
aspen_frames_refuse_contents(const struct aspen *aspen)
{
    return (aspen->config.flags &
            (ASPEN_CONFIG_TABLES_ONLY | ASPEN_CONFIG_CONTENTS_IGNORED)) ==
           ASPEN_CONFIG_TABLES_ONLY;
}

/*
 * Zero one frame / copy one frame. -ASPEN_EOPNOTSUPP for a frame without
 * memory behind it (ASPEN_CONFIG_TABLES_ONLY); nothing at all when contents are
 * ignored (ASPEN_CONFIG_CONTENTS_IGNORED).
 */
ASPEN_MUST_USE int aspen_frame_zero(struct aspen *aspen, uint32_t frame);
ASPEN_MUST_USE int aspen_frame_copy(struct aspen *aspen, uint32_t to,
                                    uint32_t from);

/* The frame lock: a bit; waiters sleep in the port. */
bool aspen_frame_trylock(struct aspen_frame *frame);
void aspen_frame_lock(struct aspen_frame *frame);
void aspen_frame_unlock(struct aspen_frame *frame);

/* Is it locked? Then whoever unlocks it wakes those who wait for its address.
 */
bool aspen_frame_is_busy(struct aspen_frame *frame);

/* Free frames, those in CPU caches included. Exact when nothing runs. */
uint64_t aspen_frames_free_count(const struct aspen *aspen);

/* Move the CPU caches' frames back to the buddy lists. */
void aspen_frames_drain(struct aspen *aspen);

/*
 * Check the allocator against the frame table. NULL or the name of what does
 * not hold; *where gets the frame. Context: no call of the machine is under
 * way.
 *
 *   frame.list        a free list is broken, or holds what belongs elsewhere
 *   frame.alignment   a free block is not aligned, or leaves RAM
 *   frame.overlap     a frame is free twice
 *   frame.unmerged    two buddies are free and did not merge
 *   frame.free_count  the zone's count of free frames is not what is free
 *   frame.cache       a CPU cache holds what is no frame or more than it can
 *   frame.not_zero    a frame that is free or inside a block has contents
 *   frame.zero_page   the lowest frame is not the zero page, or another is
 *   frame.type        a frame in use has no such type
 *   frame.references  a frame in use has no reference, or more map counts
 *                     than references
 *   frame.order       a block's order does not fit its first frame
 *   frame.lost        a frame is neither free nor in use
 */
const char *aspen_frames_check(struct aspen *aspen, uint32_t *where);

#endif
