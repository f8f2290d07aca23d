/* SPDX-License-Identifier: MIT */
/*
 * paging/icache.h - pages from which code is fetched, by processors whose
 * instruction caches do not watch what is stored.
 *
 * With ASPEN_PORT_ICACHE_SYNC the port hears of a page before an entry allows
 * code to be fetched from it, once for all entries:
 *
 *   the page is filled or copied   its frame is new: NOT
 *   an entry is made               without EXEC, while the page is not CLEAN
 *   code is fetched: a fault       ASKED, aspen_port_icache_sync(), CLEAN; the
 *                                  entry gets EXEC
 *   the core stores into it later  aspen_port_icache_sync() of that, unless NOT
 *
 * So a page that nobody executes costs nothing, and one that somebody does a
 * fault. Without ASPEN_PORT_ICACHE_SYNC nothing is left of all this.
 *
 * I1  An entry with EXEC leads to a page that is CLEAN, or to what is not the
 *     core's (SPECIAL).
 * I2  Whoever has the port clean a page says ASKED before, and whoever stores
 *     looks after, both with a fence in between: so one of them cleans it.
 *
 * Called by whoever makes entries and stores into pages. The first test to
 * break is tests/unit/fault/test_icache.c.
 */
#ifndef ASPEN_PAGING_ICACHE_H
#define ASPEN_PAGING_ICACHE_H

#include "frames/frames.h"
#include "paging/entry.h"

#ifdef ASPEN_PORT_ICACHE_SYNC

enum aspen_icache {
    ASPEN_ICACHE_NOT, /* since its frame was allocated */
    ASPEN_ICACHE_ASKED,
    ASPEN_ICACHE_CLEAN,
};

/* Has the leaf to wait for a sync of its page before it may have EXEC? */
static inline bool
aspen_icache_waits(const struct aspen *aspen, uint64_t entry)
{
    unsigned bits = aspen_entry_bits(entry);

    return bits & ASPEN_ENTRY_EXEC && !(bits & ASPEN_ENTRY_SPECIAL) &&
           aspen_load(aspen_bank_code(aspen, (uint32_t)aspen_entry_frame(
                                                 entry))) != ASPEN_ICACHE_CLEAN;
}

static inline void
aspen_icache_set(const struct aspen *aspen, uint32_t frame, unsigned level,
                 enum aspen_icache state)
{
    uint32_t count = (uint32_t)1 << ASPEN_TABLE_SHIFT * level;

    for (uint32_t i = 0; i < count; i++)
        aspen_store(aspen_bank_code(aspen, frame + i), (uint8_t)state);
}

/*
 * Of a leaf's page, to which the caller has a reference.
 *
 * Context: no spin lock is held.
 */
static inline void
aspen_icache_sync(struct aspen *aspen, uint32_t frame, unsigned level)
{
    aspen_icache_set(aspen, frame, level, ASPEN_ICACHE_ASKED);
    aspen_fence(); /* I2 */
    if (aspen_frames_have_contents(aspen))
        aspen_port_icache_sync(aspen_frame_pointer(aspen, frame),
                               (size_t)aspen_entry_span(level));
    aspen_icache_set(aspen, frame, level, ASPEN_ICACHE_CLEAN);
}

/* The core has stored `bytes` at `offset` of a page that has contents, and that
 * the caller holds. */
static inline void
aspen_icache_written(struct aspen *aspen, uint32_t frame, uint64_t offset,
                     uint64_t bytes)
{
    aspen_fence(); /* I2 */
    if (aspen_load(aspen_bank_code(aspen, frame)) != ASPEN_ICACHE_NOT)
        aspen_port_icache_sync((const char *)aspen_frame_pointer(aspen, frame) +
                                   offset,
                               (size_t)bytes);
}

#else

static inline bool
aspen_icache_waits(const struct aspen *aspen, uint64_t entry)
{
    (void)aspen, (void)entry;
    return false;
}

static inline void
aspen_icache_sync(struct aspen *aspen, uint32_t frame, unsigned level)
{
    (void)aspen, (void)frame, (void)level;
}

static inline void
aspen_icache_written(struct aspen *aspen, uint32_t frame, uint64_t offset,
                     uint64_t bytes)
{
    (void)aspen, (void)frame, (void)offset, (void)bytes;
}

#endif

/* The leaf as it may be stored now. I1. */
static inline uint64_t
aspen_icache_entry(const struct aspen *aspen, uint64_t entry)
{
    return aspen_icache_waits(aspen, entry)
               ? aspen_entry_clear_bits(entry, ASPEN_ENTRY_EXEC)
               : entry;
}

#endif
