/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_map.c - how often each swap slot is referenced.
 *
 *     references of a slot = counts[slot] + 64 * its continuation counter
 *
 * Beside the count, the byte says whether a write to the slot has failed. Such
 * a slot is not handed out again.
 *
 * I1  Without a continuation a byte is at most ASPEN_SWAP_COUNT_MAX; with one
 *     at most ASPEN_SWAP_CONTINUED - 1.
 * I2  continued[block] is the number of the block's slots with more than
 *     ASPEN_SWAP_COUNT_MAX references. The first reference that is given back
 *     while that number is 0 frees the continuation, so that a fork that
 *     failed leaves nothing.
 * I3  slots_used counts slots with references, `references` adds these up.
 * I4  `free` has the slots without references that are not spoilt; `clusters`
 *     those clusters, 64 slots in a row, of which all are free.
 *
 * Each CPU takes its slots from a cluster of its own, one after the other, so
 * that what one CPU swaps out together stands together. When that is used up it
 * goes on to the next cluster that is all free, or, if there is none, to the
 * next slot that is.
 *
 * Memory is taken and given back outside the area's lock. Called by import,
 * fork, unmap and swap. The first test to break is
 * tests/unit/machine/test_swap_map.c.
 */
#include "machine/swap_area.h"

#include "group/group.h"

static void
set_references(struct aspen_swap_area *area, uint32_t slot, uint64_t references)
{
    uint32_t *counter = aspen_swap_counter(area, slot);

    area->counts[slot] = (uint8_t)(references % ASPEN_SWAP_CONTINUED) |
                         (area->counts[slot] & ASPEN_SWAP_SPOILT);
    if (counter)
        *counter = (uint32_t)(references / ASPEN_SWAP_CONTINUED);
}

/* I4 */
static void
take_slot(struct aspen_swap_area *area, uint32_t slot)
{
    aspen_store_relaxed(&area->slots_used, area->slots_used + 1);
    if (aspen_swap_is_spoilt(area, slot))
        return; /* claimed: it was not among the free ones */
    aspen_bit_tree_clear(&area->free, slot);
    aspen_bit_tree_clear(&area->clusters, slot / ASPEN_SWAP_CLUSTER_SLOTS);
    aspen_store_relaxed(&area->room, area->room - 1);
}

static void
give_slot(struct aspen_swap_area *area, uint32_t slot)
{
    aspen_store_relaxed(&area->slots_used, area->slots_used - 1);
    if (aspen_swap_is_spoilt(area, slot))
        return;
    aspen_store_relaxed(&area->room, area->room + 1);
    aspen_bit_tree_set(&area->free, slot);
    if (area->free.words[slot / ASPEN_SWAP_CLUSTER_SLOTS] == UINT64_MAX)
        aspen_bit_tree_set(&area->clusters, slot / ASPEN_SWAP_CLUSTER_SLOTS);
}

/* One more; the first one takes the slot. */
int
aspen_swap_add_reference(struct aspen_swap_area *area, uint32_t slot)
{
    uint64_t references = aspen_swap_references_in(area, slot);

    if (references == ASPEN_SWAP_COUNT_MAX) {
        if (!aspen_swap_counter(area, slot))
            return -ASPEN_EAGAIN;
        area->continued[slot / ASPEN_SWAP_BLOCK_SLOTS]++;
    }
    set_references(area, slot, references + 1);
    aspen_store_relaxed(&area->references, area->references + 1);
    if (references == 0)
        take_slot(area, slot);
    return 0;
}

/* Take the block's continuation away if none of its slots needs it. */
static uint32_t *
detach_continuation(struct aspen_swap_area *area, uint32_t slot)
{
    uint32_t block = slot / ASPEN_SWAP_BLOCK_SLOTS;
    uint32_t *counters = area->continuations[block];

    if (aspen_likely(!counters) || area->continued[block])
        return NULL;
    area->continuations[block] = NULL;
    aspen_store_relaxed(&area->continuation_count,
                        area->continuation_count - 1);
    return counters;
}

/* ---- References -------------------------------------------------------- */

/* The next member, around the end; there is one. */
static uint64_t
next_around(const struct aspen_bit_tree *tree, uint64_t from)
{
    uint64_t bit = aspen_bit_tree_next(tree, from);

    return bit == ASPEN_BIT_NONE ? aspen_bit_tree_next(tree, 0) : bit;
}

/* A free slot for this CPU, of which there is one; the lock is held. */
static uint32_t
find_free(struct aspen_swap_area *area)
{
    const uint32_t size = ASPEN_SWAP_CLUSTER_SLOTS;
    uint32_t *next = &area->next[aspen_port_cpu()];
    uint64_t from = *next;
    uint64_t at = ASPEN_BIT_NONE;

    if (from % size)
        at = aspen_bit_tree_next(&area->free, from);
    if (at == ASPEN_BIT_NONE || at / size != from / size) {
        uint64_t cluster = next_around(&area->clusters, from / size);
        at = cluster == ASPEN_BIT_NONE ? next_around(&area->free, from)
                                       : cluster * size;
    }
    /* At the end of a cluster: it looks for a new one. */
    *next = (uint32_t)(at + 1 == area->slots ? 0 : at + 1);
    return (uint32_t)at;
}

/* One that holds contents, and takes more of them. */
static bool
is_open(const struct aspen_swap_area *area)
{
    return aspen_load(&area->slots) && aspen_load_relaxed(&area->room) > 0 &&
           !aspen_load_relaxed(&area->leaving) &&
           aspen_load_relaxed(&area->ops);
}

/*
 * The open area that is to be filled next, without those in `passed`; NO_AREA:
 * there is none. Of the same priority each has its turn, for as long as it
 * takes to fill a cluster.
 */
#define NO_AREA ASPEN_SWAP_AREAS

static unsigned
next_area(const struct aspen *aspen, uint32_t passed)
{
    unsigned areas = aspen_load_relaxed(&aspen->swap_areas);
    unsigned turn = aspen_load_relaxed(&aspen->swap_turn);
    unsigned best = NO_AREA;

    for (unsigned n = 0; n < areas; n++) {
        unsigned i = (turn + n) % areas;
        if (!(passed >> i & 1) && is_open(&aspen->swap[i]) &&
            (best == NO_AREA ||
             aspen_load_relaxed(&aspen->swap[i].priority) >
                 aspen_load_relaxed(&aspen->swap[best].priority)))
            best = i;
    }
    return best;
}

bool
aspen_swap_has_room(const struct aspen *aspen, uint32_t frame)
{
    struct aspen_group *group = aspen_frame_group(aspen, frame);

    return next_area(aspen, 0) != NO_AREA &&
           (!group || aspen_group_has_slot(group));
}

/* Nobody finds the slot without its page, which is all there is of it: DIRTY.
 */
static void
lead_to(struct aspen *aspen, struct aspen_swap_area *area, unsigned type,
        uint32_t slot, uint32_t frame)
{
    aspen_fetch_or(&aspen_frame_at(aspen, frame)->index, ASPEN_FRAME_DIRTY);
    aspen_swap_put_page(aspen, area, type, slot, frame);
}

static int
alloc_in(struct aspen *aspen, unsigned type, struct aspen_group *group,
         uint32_t frame, uint32_t *slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);
    int error = -ASPEN_ENOSPC;

    if (!area)
        return error;
    if (is_open(area)) { /* it may be another than the one that was chosen */
        *slot = find_free(area);
        error = aspen_swap_add_reference(area, *slot);
        if (group)
            area->groups[*slot] = group;
        if (frame)
            lead_to(aspen, area, type, *slot, frame);
        if (*slot % ASPEN_SWAP_CLUSTER_SLOTS == ASPEN_SWAP_CLUSTER_SLOTS - 1)
            aspen_store_relaxed(&aspen->swap_turn, type + 1);
    }
    aspen_swap_unlock(area);
    return error;
}

static int
alloc_anywhere(struct aspen *aspen, struct aspen_group *group, uint32_t frame,
               unsigned *type, uint32_t *slot)
{
    uint32_t passed = 0;

    for (;;) {
        *type = next_area(aspen, passed);
        if (*type == NO_AREA)
            return -ASPEN_ENOSPC;
        if (!alloc_in(aspen, *type, group, frame, slot))
            return 0;
        passed |= (uint32_t)1 << *type;
    }
}

int
aspen_swap_alloc(struct aspen *aspen, uint32_t frame, unsigned *type,
                 uint32_t *slot)
{
    struct aspen_group *group = aspen_frame_group(aspen, frame);
    int error = 0;

    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOSPC;
    if (group)
        error = aspen_group_charge_slot(group);
    if (error)
        return error;
    error = alloc_anywhere(aspen, group, frame, type, slot);
    if (error && group)
        aspen_group_uncharge_slot(group);
    return error;
}

struct aspen_group *
aspen_swap_group_of(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area =
        aspen_has_groups(aspen) ? aspen_swap_lock(aspen, type, slot) : NULL;

    if (!area)
        return NULL;
    struct aspen_group *group = aspen_swap_group_in(area, slot);
    if (group)
        (void)!aspen_group_hold(group, 1); /* the slot has one */
    aspen_swap_unlock(area);
    return group;
}

/* The area is locked. Is it `from`'s, and nobody else's but the entry's? */
static bool
is_slot_of(struct aspen_swap_area *area, uint32_t slot, bool alone,
           const struct aspen_group *from)
{
    return aspen_swap_group_in(area, slot) == from &&
           (alone || aspen_swap_references_in(area, slot) == 1);
}

bool
aspen_swap_would_regroup(struct aspen *aspen, unsigned type, uint32_t slot,
                         bool alone, const struct aspen_group *from)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    ASPEN_ASSERT(area);
    bool would = is_slot_of(area, slot, alone, from);
    aspen_swap_unlock(area);
    return would;
}

int
aspen_swap_regroup(struct aspen *aspen, unsigned type, uint32_t slot,
                   bool alone, uint32_t frame, struct aspen_group *from,
                   struct aspen_group *to)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    uint32_t page = frame == ASPEN_NO_FRAME ? 0 : frame;
    int error = 0;

    ASPEN_ASSERT(area && area->groups);
    if (!is_slot_of(area, slot, alone, from))
        error = -ASPEN_EBUSY;
    else if (aspen_swap_page_in(area, slot) != page)
        error = -ASPEN_EAGAIN;
    else
        area->groups[slot] = to;
    aspen_swap_unlock(area);
    return error;
}

int
aspen_swap_duplicate(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    int error = -ASPEN_EINVAL;

    if (!area)
        return error;
    if (aspen_swap_references_in(area, slot))
        error = aspen_swap_add_reference(area, slot);
    aspen_swap_unlock(area);
    return error;
}

int
aspen_swap_continue(struct aspen *aspen, unsigned type, uint32_t slot)
{
    uint32_t block = slot / ASPEN_SWAP_BLOCK_SLOTS;

    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOMEM;
    uint32_t *counters =
        aspen_memory_alloc(ASPEN_SWAP_BLOCK_BYTES, &aspen->refused_metadata);
    if (!counters)
        return -ASPEN_ENOMEM;

    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    /* References may have been given back since it was wanted: if nobody has
     * any more nobody would come by to free it. */
    if (area && !area->continuations[block] &&
        aspen_swap_references_in(area, slot) == ASPEN_SWAP_COUNT_MAX) {
        area->continuations[block] = counters;
        aspen_store_relaxed(&area->continuation_count,
                            area->continuation_count + 1);
        counters = NULL;
    }
    if (area)
        aspen_swap_unlock(area);
    if (counters) /* or somebody else was quicker */
        aspen_port_memory_free(counters, ASPEN_SWAP_BLOCK_BYTES);
    return 0;
}

int
aspen_swap_hold(struct aspen *aspen, unsigned type, uint32_t slot)
{
    int error = aspen_swap_duplicate(aspen, type, slot);

    while (error == -ASPEN_EAGAIN) {
        error = aspen_swap_continue(aspen, type, slot);
        if (!error)
            error = aspen_swap_duplicate(aspen, type, slot);
    }
    return error;
}

int
aspen_swap_claim(struct aspen *aspen, unsigned type, uint32_t slot)
{
    for (;;) {
        struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
        if (!area)
            return -ASPEN_EINVAL;
        int error = area->leaving || area->ops
                        ? -ASPEN_EINVAL
                        : aspen_swap_add_reference(area, slot);
        aspen_swap_unlock(area);
        if (error != -ASPEN_EAGAIN)
            return error;
        error = aspen_swap_continue(aspen, type, slot);
        if (error)
            return error;
    }
}

void
aspen_swap_free(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    struct aspen_group *group = NULL;
    uint32_t page = 0;

    ASPEN_ASSERT(area);
    uint64_t references = aspen_swap_references_in(area, slot);
    ASPEN_ASSERT(references > 0);
    set_references(area, slot, references - 1);
    if (references == ASPEN_SWAP_COUNT_MAX + 1)
        area->continued[slot / ASPEN_SWAP_BLOCK_SLOTS]--;
    aspen_store_relaxed(&area->references, area->references - 1);
    if (references == 1) {
        page = aspen_swap_take_page(aspen, area, slot);
        if (area->ops && area->ops->discard) /* before anybody takes it anew */
            area->ops->discard(area->context, slot);
        give_slot(area, slot);
        group = aspen_swap_group_in(area, slot);
    }
    if (group)
        area->groups[slot] = NULL;
    uint32_t *counters = detach_continuation(area, slot);
    aspen_swap_unlock(area);
    if (page)
        aspen_frame_put(aspen, page);
    if (group)
        aspen_group_uncharge_slot(group);
    if (counters)
        aspen_port_memory_free(counters, ASPEN_SWAP_BLOCK_BYTES);
}

int64_t
aspen_swap_references(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    if (!area)
        return -1;
    uint64_t references = aspen_swap_references_in(area, slot);
    aspen_swap_unlock(area);
    return (int64_t)references;
}

void
aspen_swap_spoil(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    ASPEN_ASSERT(area);
    area->counts[slot] |= ASPEN_SWAP_SPOILT;
    aspen_swap_unlock(area);
}
