/* SPDX-License-Identifier: MIT */
/*
 * frames/check.c - the allocator's validator: what the zone and the CPU
 * caches say is free, against the frame table.
 *
 * It needs no memory of its own: it marks the frames in CPU caches in the frame
 * table (they are all zero, so there is room) and removes the marks before it
 * returns.
 *
 * Called by the machine's validator and by
 * tests/unit/frames/test_frames_check.c, which plants one corruption of each
 * kind.
 */
#include "frames/frames.h"

#include "base/assert.h"
#include "frames/zone.h"

#define CACHED_MARK UINT64_MAX /* in `owner`: no pointer, so nobody's */

/* ---- The zone's lists -------------------------------------------------- */

static uint32_t
chunk_first_frame(uint32_t index)
{
    return index * ASPEN_CHUNK_FRAMES;
}

static const char *
zone_check_part(const struct aspen_frame_chunk *chunk, unsigned list)
{
    return chunk->free == 0 || chunk->free == UINT64_MAX ||
                   aspen_zone_largest_run(chunk->free) != list
               ? "frame.list"
               : NULL;
}

static const char *
zone_check_block(const struct aspen *aspen, uint32_t index, unsigned list)
{
    const struct aspen_zone *zone = &aspen->zone;
    uint32_t size = (uint32_t)1 << (list - ASPEN_CHUNK_ORDER);
    uint32_t buddy = index ^ size;

    if (aspen_chunk_at(zone->banks, index)->free)
        return "frame.list";
    if (index % size ||
        !aspen_frame_exists(aspen,
                            ((uint64_t)index + size) * ASPEN_CHUNK_FRAMES - 1))
        return "frame.alignment";
    if (list < ASPEN_ORDER_MAX && aspen_chunk_exists(zone->banks, buddy) &&
        aspen_chunk_at(zone->banks, buddy)->listed == 1 + list)
        return "frame.unmerged";
    return NULL;
}

static const char *
zone_check_list(const struct aspen *aspen, unsigned list, uint32_t *listed,
                uint64_t *free, uint32_t *where)
{
    const struct aspen_zone *zone = &aspen->zone;
    uint32_t previous = ASPEN_NO_FRAME;
    uint32_t index = zone->lists[list];

    for (; index != ASPEN_NO_FRAME;
         previous = index, index = aspen_chunk_at(zone->banks, index)->next) {
        *where = previous == ASPEN_NO_FRAME ? 0 : chunk_first_frame(previous);
        if (!aspen_chunk_exists(zone->banks, index) ||
            ++*listed > zone->banks->table_frames)
            return "frame.list";

        const struct aspen_frame_chunk *chunk =
            aspen_chunk_at(zone->banks, index);
        *where = chunk_first_frame(index);
        if (chunk->listed != 1 + list || chunk->previous != previous)
            return "frame.list";
        const char *wrong = list < ASPEN_CHUNK_ORDER
                                ? zone_check_part(chunk, list)
                                : zone_check_block(aspen, index, list);
        if (wrong)
            return wrong;
        *free += list < ASPEN_CHUNK_ORDER ? aspen_popcount(chunk->free)
                                          : (uint64_t)1 << list;
    }
    return NULL;
}

/* Each chunk that has to be on a list was found on one. */
static const char *
zone_check_all_listed(const struct aspen *aspen, uint32_t listed,
                      uint32_t *where)
{
    aspen_banks_for_each(bank, aspen)
    {
        for (uint32_t i = 0; i < bank->count; i += ASPEN_CHUNK_FRAMES) {
            const struct aspen_frame_chunk *chunk =
                &bank->chunks[i / ASPEN_CHUNK_FRAMES];
            *where = bank->first + i;
            if (chunk->free && !chunk->listed)
                return "frame.list";
            if (chunk->listed && listed-- == 0)
                return "frame.list";
        }
    }
    return listed ? "frame.list" : NULL;
}

static const char *
zone_check(const struct aspen *aspen, uint32_t *where)
{
    const struct aspen_zone *zone = &aspen->zone;
    uint32_t listed = 0;
    uint64_t free = 0;

    for (unsigned list = 0; list <= ASPEN_ORDER_MAX; list++) {
        const char *wrong = zone_check_list(aspen, list, &listed, &free, where);
        if (wrong)
            return wrong;
        if ((zone->lists_used >> list & 1) !=
            (zone->lists[list] != ASPEN_NO_FRAME))
            return "frame.list";
    }
    const char *wrong = zone_check_all_listed(aspen, listed, where);
    if (wrong)
        return wrong;
    *where = 0;
    return free == zone->free_frames ? NULL : "frame.free_count";
}

/* ---- CPU caches -------------------------------------------------------- */

static const char *
frame_cache_mark(struct aspen *aspen, const struct aspen_frame_cache *cache,
                 uint32_t *where)
{
    *where = 0;
    if (cache->count > ASPEN_FRAME_CACHE_SIZE)
        return "frame.cache";
    for (uint32_t i = 0; i < cache->count; i++) {
        *where = cache->frames[i];
        if (*where == aspen->zero_frame || !aspen_frame_exists(aspen, *where))
            return "frame.cache";
        struct aspen_frame *frame = aspen_frame_at(aspen, *where);
        if (frame->owner == CACHED_MARK)
            return "frame.overlap";
        if (!aspen_frame_is_zero(frame))
            return "frame.not_zero";
        frame->owner = CACHED_MARK;
    }
    return NULL;
}

static const char *
frame_caches_mark(struct aspen *aspen, uint32_t *where)
{
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        const char *wrong =
            frame_cache_mark(aspen, &aspen->frame_caches[cpu], where);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* Also after marking stopped half-way. */
static void
frame_caches_unmark(struct aspen *aspen)
{
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        const struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];
        for (uint32_t i = 0; i < cache->count && i < ASPEN_FRAME_CACHE_SIZE;
             i++)
            if (aspen_frame_exists(aspen, cache->frames[i]) &&
                aspen_frame_at(aspen, cache->frames[i])->owner == CACHED_MARK)
                aspen_frame_at(aspen, cache->frames[i])->owner = 0;
    }
}

/* ---- The frame table --------------------------------------------------- */

struct frame_sweep {
    const struct aspen *aspen;
    const struct aspen_bank *bank;
    uint64_t free_end;  /* end of the free block that we are in */
    uint64_t block_end; /* the same of an allocated block */
};

static const struct aspen_frame_chunk *
chunk_of(const struct frame_sweep *sweep, uint32_t number)
{
    return &sweep->bank
                ->chunks[(number - sweep->bank->first) / ASPEN_CHUNK_FRAMES];
}

static const struct aspen_frame *
frame_of(const struct frame_sweep *sweep, uint32_t number)
{
    return &sweep->bank->frames[number - sweep->bank->first];
}

static unsigned
order_of(const struct frame_sweep *sweep, uint32_t number)
{
    const uint8_t *orders = sweep->bank->orders;

    if (aspen_frame_type(frame_of(sweep, number)) == ASPEN_FRAME_EMBEDDER)
        return aspen_frame_embedder_order(frame_of(sweep, number));
    return orders ? orders[number - sweep->bank->first] : 0;
}

static bool
zone_says_free(struct frame_sweep *sweep, uint32_t number)
{
    const struct aspen_frame_chunk *chunk = chunk_of(sweep, number);

    if (number % ASPEN_CHUNK_FRAMES == 0 && chunk->listed > ASPEN_CHUNK_ORDER)
        sweep->free_end = number + ((uint64_t)1 << (chunk->listed - 1));
    return number < sweep->free_end ||
           (chunk->free >> number % ASPEN_CHUNK_FRAMES & 1);
}

/* A free block begins or part of a chunk is free inside a free block: either
 * would be listed, as the lists have shown. */
static bool
zone_says_twice(const struct frame_sweep *sweep, uint32_t number)
{
    return number % ASPEN_CHUNK_FRAMES == 0 && number < sweep->free_end &&
           chunk_of(sweep, number)->listed;
}

static const char *
frame_check_in_use(struct frame_sweep *sweep, uint32_t number)
{
    const struct aspen *aspen = sweep->aspen;
    const struct aspen_frame *frame = frame_of(sweep, number);
    unsigned type = (unsigned)(frame->index >> ASPEN_FRAME_TYPE_SHIFT);
    unsigned order = order_of(sweep, number);

    if (number == aspen->zero_frame ? type != ASPEN_FRAME_ZERO
                                    : type == ASPEN_FRAME_ZERO)
        return "frame.zero_page";
    if (type == ASPEN_FRAME_FREE || type >= ASPEN_FRAME_TYPES)
        return "frame.type";
    if (aspen_frame_references(frame) == 0 ||
        aspen_frame_map_count(frame) > aspen_frame_references(frame))
        return "frame.references";
    if (!(frame->index & ASPEN_FRAME_HEAD))
        return order ? "frame.order" : NULL;

    sweep->block_end = number + ((uint64_t)1 << order);
    return order == 0 || order > ASPEN_ORDER_MAX ||
                   !aspen_frame_exists(aspen, sweep->block_end - 1) ||
                   number & (((uint32_t)1 << order) - 1)
               ? "frame.order"
               : NULL;
}

static const char *
frame_check(struct frame_sweep *sweep, uint32_t number)
{
    const struct aspen_frame *frame = frame_of(sweep, number);
    bool cached = frame->owner == CACHED_MARK;
    bool inside = number < sweep->block_end;

    if (zone_says_twice(sweep, number))
        return "frame.overlap";
    bool free = zone_says_free(sweep, number);
    if ((int)free + (int)cached + (int)inside > 1)
        return "frame.overlap";
    if (!free && !cached && !inside)
        return aspen_frame_is_zero(frame) && number != sweep->aspen->zero_frame
                   ? "frame.lost"
                   : frame_check_in_use(sweep, number);
    if (!cached && !aspen_frame_is_zero(frame))
        return "frame.not_zero";
    return order_of(sweep, number) ? "frame.order" : NULL;
}

/* The usual case, quickly: a chunk in a free block, and nothing to be said of
 * its frames. */
static bool
frame_check_free_chunk(const struct frame_sweep *sweep, uint32_t number)
{
    const struct aspen_frame_chunk *chunk = chunk_of(sweep, number);
    uint64_t bits = chunk->free | chunk->listed;

    if (number < sweep->block_end ||
        (uint64_t)number + ASPEN_CHUNK_FRAMES > sweep->free_end)
        return false;
    for (uint32_t i = number; i < number + ASPEN_CHUNK_FRAMES; i++) {
        const struct aspen_frame *frame = frame_of(sweep, i);
        bits |= frame->counts | frame->owner | frame->index | frame->next |
                frame->previous;
        bits |= order_of(sweep, i);
    }
    return bits == 0;
}

static const char *
bank_check(struct frame_sweep *sweep, uint32_t *where)
{
    const struct aspen_bank *bank = sweep->bank;

    for (uint32_t i = 0; i < bank->count; i++) {
        uint32_t number = bank->first + i;
        if (i % ASPEN_CHUNK_FRAMES == 0 &&
            frame_check_free_chunk(sweep, number)) {
            i += ASPEN_CHUNK_FRAMES - 1;
            continue;
        }
        const char *wrong = frame_check(sweep, number);
        if (wrong) {
            *where = number;
            return wrong;
        }
    }
    return NULL;
}

static const char *
frame_table_check(const struct aspen *aspen, uint32_t *where)
{
    const char *wrong = NULL;
    struct frame_sweep sweep = {.aspen = aspen};

    aspen_banks_for_each(bank, aspen)
    {
        sweep.bank = bank;
        wrong = wrong ? wrong : bank_check(&sweep, where);
    }
    return wrong;
}

const char *
aspen_frames_check(struct aspen *aspen, uint32_t *where)
{
    const char *wrong = zone_check(aspen, where);

    if (wrong)
        return wrong;
    wrong = frame_caches_mark(aspen, where);
    if (!wrong)
        wrong = frame_table_check(aspen, where);
    frame_caches_unmark(aspen);
    return wrong;
}
