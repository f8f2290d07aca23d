/* SPDX-License-Identifier: MIT */
/*
 * frames/zone.c - which frames are free: a buddy allocator in two storeys.
 *
 * Up to 32 frames, buddies are bits of one 64-bit word, a chunk; they split
 * and merge by arithmetic. From 64 frames on, buddies are runs of whole
 * chunks, and only the first chunk of a run is ever written.
 *
 *     chunk     0         1         2         3         4 .. 7
 *     free      1101..    0110..    0         0         0
 *     list      4         1         7 (128 frames)      8 (256 frames)
 *
 * So freeing 262,144 frames in any order touches 96 KiB here, and the lists
 * change at most seven times for 64 frames.
 *
 * I1  A chunk with free bits is on the list of its largest aligned run; a
 *     chunk whose bits are all set is a block, and its word is 0 again.
 * I2  Two free blocks that are buddies have merged.
 * I3  free_frames is the sum of both storeys.
 *
 * Called by frames.c and bank.c. The first test to break is
 * tests/unit/frames/test_frames.c.
 */
#include "frames/zone.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "frames/bank.h"

#define WHOLE_CHUNK UINT64_MAX

/* Who does not hold the lock reads it, too. */
static void
count_free(struct aspen_zone *zone, uint64_t more)
{
    aspen_store(&zone->free_frames, zone->free_frames + more);
}

/* ---- Lists ------------------------------------------------------------- */

static void
chunk_list_add(struct aspen_zone *zone, uint32_t index, unsigned list)
{
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);
    uint32_t first = zone->lists[list];

    chunk->next = first;
    chunk->previous = ASPEN_NO_FRAME;
    chunk->listed = 1 + list;
    if (first != ASPEN_NO_FRAME)
        aspen_chunk_at(zone->banks, first)->previous = index;
    zone->lists[list] = index;
    zone->lists_used |= (uint32_t)1 << list;
}

static void
chunk_list_remove(struct aspen_zone *zone, uint32_t index)
{
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);
    unsigned list = chunk->listed - 1;

    if (chunk->next != ASPEN_NO_FRAME)
        aspen_chunk_at(zone->banks, chunk->next)->previous = chunk->previous;
    if (chunk->previous != ASPEN_NO_FRAME)
        aspen_chunk_at(zone->banks, chunk->previous)->next = chunk->next;
    else
        zone->lists[list] = chunk->next;
    if (zone->lists[list] == ASPEN_NO_FRAME)
        zone->lists_used &= ~((uint32_t)1 << list);
    chunk->listed = 0;
}

/* The lowest list that can serve `order`, or > ASPEN_ORDER_MAX. */
static unsigned
chunk_list_for(const struct aspen_zone *zone, unsigned order)
{
    uint32_t lists = zone->lists_used >> order << order;
    return lists ? aspen_lowest_bit(lists) : ASPEN_ORDER_MAX + 1;
}

/* ---- Runs of bits in a chunk ------------------------------------------- */

/* The set bits that begin an aligned run of 2^order set bits. */
static uint64_t
chunk_runs(uint64_t free, unsigned order)
{
    static const uint64_t begins[ASPEN_CHUNK_ORDER] = {
        0xffffffffffffffffu, 0x5555555555555555u, 0x1111111111111111u,
        0x0101010101010101u, 0x0001000100010001u, 0x0000000100000001u,
    };
    for (unsigned i = 0; i < order; i++)
        free &= free >> (1u << i) & begins[i + 1];
    return free;
}

/* Without branches: the answer varies from free to free. */
unsigned
aspen_zone_largest_run(uint64_t free)
{
    uint64_t run2 = free & free >> 1 & 0x5555555555555555u;
    uint64_t run4 = run2 & run2 >> 2 & 0x1111111111111111u;
    uint64_t run8 = run4 & run4 >> 4 & 0x0101010101010101u;
    uint64_t run16 = run8 & run8 >> 8 & 0x0001000100010001u;
    uint64_t run32 = run16 & run16 >> 16 & 0x0000000100000001u;

    return (unsigned)(run2 != 0) + (unsigned)(run4 != 0) +
           (unsigned)(run8 != 0) + (unsigned)(run16 != 0) +
           (unsigned)(run32 != 0);
}

static uint64_t
chunk_mask(uint32_t frame, unsigned order)
{
    uint64_t run = ((uint64_t)1 << (1u << order)) - 1;
    return run << frame % ASPEN_CHUNK_FRAMES;
}

/* ---- Whole chunks ------------------------------------------------------ */

/* A run of 2^order frames of whole chunks is free: merge it upwards. */
static void
blocks_give(struct aspen_zone *zone, uint32_t index, unsigned order)
{
    for (; order < ASPEN_ORDER_MAX; order++) {
        uint32_t size = (uint32_t)1 << (order - ASPEN_CHUNK_ORDER);
        uint32_t buddy = index ^ size;
        if (!aspen_chunk_exists(zone->banks, buddy) ||
            aspen_chunk_at(zone->banks, buddy)->listed != 1 + order)
            break;
        chunk_list_remove(zone, buddy);
        index &= ~size;
    }
    chunk_list_add(zone, index, order);
}

/* Take the first chunks of the block at `index`, which is on list `list`:
 * 2^order frames of them. */
static void
blocks_take(struct aspen_zone *zone, uint32_t index, unsigned list,
            unsigned order)
{
    chunk_list_remove(zone, index);
    while (list > order) {
        list--;
        chunk_list_add(
            zone, index + ((uint32_t)1 << (list - ASPEN_CHUNK_ORDER)), list);
    }
}

/* ---- Parts of a chunk -------------------------------------------------- */

/* The free bits of a chunk that is no block become `free`. */
static void
chunk_set_free(struct aspen_zone *zone, uint32_t index, uint64_t free)
{
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);

    if (aspen_unlikely(free == 0 || free == WHOLE_CHUNK)) {
        chunk->free = 0;
        if (chunk->listed)
            chunk_list_remove(zone, index);
        if (free)
            blocks_give(zone, index, ASPEN_CHUNK_ORDER);
        return;
    }
    unsigned list = aspen_zone_largest_run(free);
    chunk->free = free;
    if (chunk->listed == 1 + list)
        return;
    if (chunk->listed)
        chunk_list_remove(zone, index);
    chunk_list_add(zone, index, list);
}

/* A frame that is given must not be free: each bit once. */
static void
chunk_give(struct aspen_zone *zone, uint32_t index, uint64_t mask)
{
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);

    ASPEN_ASSERT(!(chunk->free & mask) && chunk->listed <= ASPEN_CHUNK_ORDER);
    chunk_set_free(zone, index, chunk->free | mask);
}

/* The lowest run of 2^order frames of what is listed there. */
static uint32_t
first_run(const struct aspen_zone *zone, uint32_t index, unsigned list,
          unsigned order)
{
    uint32_t frame = index * ASPEN_CHUNK_FRAMES;

    return list >= ASPEN_CHUNK_ORDER
               ? frame
               : frame + aspen_lowest_bit(chunk_runs(
                             aspen_chunk_at(zone->banks, index)->free, order));
}

/* Take that run. */
static uint32_t
run_take(struct aspen_zone *zone, uint32_t index, unsigned list, unsigned order)
{
    uint32_t frame = first_run(zone, index, list, order);
    uint64_t free = WHOLE_CHUNK;

    count_free(zone, 0 - ((uint64_t)1 << order));
    if (order >= ASPEN_CHUNK_ORDER) {
        blocks_take(zone, index, list, order);
        return frame;
    }
    if (list >= ASPEN_CHUNK_ORDER)
        blocks_take(zone, index, list, ASPEN_CHUNK_ORDER);
    else
        free = aspen_chunk_at(zone->banks, index)->free;
    chunk_set_free(zone, index, free & ~chunk_mask(frame, order));
    return frame;
}

/* ---- What frames.c calls ----------------------------------------------- */

uint32_t
aspen_zone_take_locked(struct aspen_zone *zone, unsigned order)
{
    unsigned list = chunk_list_for(zone, order);

    return list > ASPEN_ORDER_MAX
               ? ASPEN_NO_FRAME
               : run_take(zone, zone->lists[list], list, order);
}

uint32_t
aspen_zone_take_below_locked(struct aspen_zone *zone, unsigned order,
                             uint64_t end)
{
    for (unsigned list = order; list <= ASPEN_ORDER_MAX; list++) {
        uint32_t index = zone->lists[list];
        while (index != ASPEN_NO_FRAME) {
            if (first_run(zone, index, list, order) + ((uint64_t)1 << order) <=
                end)
                return run_take(zone, index, list, order);
            index = aspen_chunk_at(zone->banks, index)->next;
        }
    }
    return ASPEN_NO_FRAME;
}

/* If the chunk is inside of a free block, it alone is taken out of that. */
static bool
take_out_of_block(struct aspen_zone *zone, uint32_t index)
{
    unsigned order = ASPEN_CHUNK_ORDER;
    uint32_t size = 1, head = index;

    while (order <= ASPEN_ORDER_MAX &&
           !(aspen_chunk_exists(zone->banks, head) &&
             aspen_chunk_at(zone->banks, head)->listed == 1 + order)) {
        order++;
        size *= 2;
        head = index & ~(size - 1);
    }
    if (order > ASPEN_ORDER_MAX)
        return false;
    chunk_list_remove(zone, head);
    while (order-- > ASPEN_CHUNK_ORDER) {
        size /= 2;
        bool above = index & size;
        chunk_list_add(zone, above ? head : head + size, order);
        head += above ? size : 0;
    }
    return true;
}

uint64_t
aspen_zone_take_mask_locked(struct aspen_zone *zone, uint32_t index,
                            uint64_t mask)
{
    const struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);
    uint64_t free = chunk->free;

    if (!free && take_out_of_block(zone, index))
        free = WHOLE_CHUNK;
    uint64_t taken = free & mask;
    if (!free)
        return 0;
    chunk_set_free(zone, index, free & ~mask);
    for (uint64_t left = taken; left; left &= left - 1)
        count_free(zone, UINT64_MAX);
    return taken;
}

/* Take all of one chunk, the most broken one there is. */
static unsigned
chunk_take_all(struct aspen_zone *zone, unsigned list, uint32_t *frames)
{
    uint32_t index = zone->lists[list];
    uint64_t free = WHOLE_CHUNK;
    unsigned count = 0;

    if (list >= ASPEN_CHUNK_ORDER) {
        blocks_take(zone, index, list, ASPEN_CHUNK_ORDER);
    } else {
        free = aspen_chunk_at(zone->banks, index)->free;
        chunk_set_free(zone, index, 0);
    }
    while (free) {
        unsigned bit = aspen_highest_bit(free);
        free &= ~((uint64_t)1 << bit);
        frames[count++] = index * ASPEN_CHUNK_FRAMES + bit;
    }
    return count;
}

unsigned
aspen_zone_take_singles_locked(struct aspen_zone *zone, uint32_t *frames,
                               unsigned batch)
{
    unsigned count = 0;

    while (count < batch && zone->lists_used)
        count += chunk_take_all(zone, chunk_list_for(zone, 0), frames + count);
    count_free(zone, 0 - (uint64_t)count);
    return count;
}

void
aspen_zone_give_locked(struct aspen_zone *zone, uint32_t frame, unsigned order)
{
    uint32_t index = frame / ASPEN_CHUNK_FRAMES;

    count_free(zone, (uint64_t)1 << order);
    if (order < ASPEN_CHUNK_ORDER) {
        chunk_give(zone, index, chunk_mask(frame, order));
    } else {
        ASPEN_ASSERT(!aspen_chunk_at(zone->banks, index)->free &&
                     !aspen_chunk_at(zone->banks, index)->listed);
        blocks_give(zone, index, order);
    }
}

/* Neighbours in the list that share a chunk are given in one go. */
void
aspen_zone_give_singles_locked(struct aspen_zone *zone, const uint32_t *frames,
                               unsigned count)
{
    unsigned i = 0;

    count_free(zone, count);
    while (i < count) {
        uint32_t index = frames[i] / ASPEN_CHUNK_FRAMES;
        uint64_t mask = 0;
        do {
            uint64_t bit = (uint64_t)1 << frames[i] % ASPEN_CHUNK_FRAMES;
            ASPEN_ASSERT(!(mask & bit));
            mask |= bit;
        } while (++i < count && frames[i] / ASPEN_CHUNK_FRAMES == index);
        chunk_give(zone, index, mask);
    }
}

/* ---- RAM that is new --------------------------------------------------- */

/* The frames of the run's last chunk, of which not all are in the run. Answers
 * what is left of the run. */
static uint64_t
give_part(struct aspen_zone *zone, uint64_t first, uint64_t end)
{
    uint32_t index = (uint32_t)((end - 1) / ASPEN_CHUNK_FRAMES);
    uint64_t begin = (uint64_t)index * ASPEN_CHUNK_FRAMES;
    uint64_t low = aspen_max_u64(first, begin);

    chunk_give(zone, index,
               (WHOLE_CHUNK >> (64 - (end - low))) << (low - begin));
    return low;
}

/* The run's last block of whole chunks. Answers what is left. */
static uint64_t
give_block(struct aspen_zone *zone, uint64_t first, uint64_t end)
{
    uint64_t last = end / ASPEN_CHUNK_FRAMES;
    unsigned order = aspen_lowest_bit(last);

    if (order > ASPEN_ORDER_MAX - ASPEN_CHUNK_ORDER)
        order = ASPEN_ORDER_MAX - ASPEN_CHUNK_ORDER;
    while (last * ASPEN_CHUNK_FRAMES <
           first + ((uint64_t)ASPEN_CHUNK_FRAMES << order))
        order--;
    last -= (uint64_t)1 << order;
    blocks_give(zone, (uint32_t)last, order + ASPEN_CHUNK_ORDER);
    return last * ASPEN_CHUNK_FRAMES;
}

void
aspen_zone_give_run_locked(struct aspen_zone *zone, uint64_t first,
                           uint64_t end)
{
    count_free(zone, end - first);
    while (end > first)
        end = end % ASPEN_CHUNK_FRAMES || end - first < ASPEN_CHUNK_FRAMES
                  ? give_part(zone, first, end)
                  : give_block(zone, first, end);
}

void
aspen_zone_init(struct aspen_zone *zone, const struct aspen_banks *banks)
{
    memset(zone, 0, sizeof(*zone));
    zone->banks = banks;
    for (unsigned list = 0; list <= ASPEN_ORDER_MAX; list++)
        zone->lists[list] = ASPEN_NO_FRAME;
}
