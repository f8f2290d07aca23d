/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_map.c - how often each swap slot is referenced.
 *
 *     references of a slot = counts[slot] + 64 * its continuation counter
 *
 * I1  Without a continuation a byte is at most ASPEN_SWAP_COUNT_MAX; with one
 *     at most ASPEN_SWAP_CONTINUED - 1.
 * I2  continued[block] is the number of the block's slots with more than
 *     ASPEN_SWAP_COUNT_MAX references. The first reference that is given back
 *     while that number is 0 frees the continuation, so that a fork that
 *     failed leaves nothing.
 * I3  slots_used counts slots with references, `references` adds these up.
 * I4  `free` has the slots without references; `clusters` those clusters, 64
 *     slots in a row, of which all are free.
 *
 * Each CPU takes its slots from a cluster of its own, one after the other, so
 * that what one CPU swaps out together stands together. When that is used up it
 * goes on to the next cluster that is all free, or, if there is none, to the
 * next slot that is.
 *
 * Memory is taken and given back outside the area's lock. Called by import,
 * fork and unmap. The first test to break is
 * tests/unit/machine/test_swap_map.c.
 */
#include "machine/swap_map.h"

#define BLOCK_BYTES   (ASPEN_SWAP_BLOCK_SLOTS * sizeof(uint32_t))
#define CLUSTER_SLOTS 64u
#define NEXT_BYTES    (ASPEN_PORT_CPUS * sizeof(uint32_t))

static void
lock_area(struct aspen_swap_area *area)
{
    aspen_spin_lock(&area->lock, ASPEN_LOCK_SWAP_MAP);
}

static void
unlock_area(struct aspen_swap_area *area)
{
    aspen_spin_unlock(&area->lock);
}

static struct aspen_swap_area *
area_of(struct aspen *aspen, unsigned type, uint32_t slot)
{
    if (type >= ASPEN_SWAP_AREAS ||
        slot >= aspen_load(&aspen->swap[type].slots))
        return NULL;
    return &aspen->swap[type];
}

static uint32_t
blocks_of(uint32_t slots)
{
    return slots / ASPEN_SWAP_BLOCK_SLOTS +
           (slots % ASPEN_SWAP_BLOCK_SLOTS != 0);
}

/* ---- One slot; the area's lock is held --------------------------------- */

/* The slot's counter, or NULL when its block has no continuation. */
static uint32_t *
counter_of(const struct aspen_swap_area *area, uint32_t slot)
{
    uint32_t *counters = area->continuations[slot / ASPEN_SWAP_BLOCK_SLOTS];
    return counters ? &counters[slot % ASPEN_SWAP_BLOCK_SLOTS] : NULL;
}

static uint64_t
references_of(const struct aspen_swap_area *area, uint32_t slot)
{
    const uint32_t *counter = counter_of(area, slot);
    uint64_t continued = counter ? *counter : 0;
    return area->counts[slot] + continued * ASPEN_SWAP_CONTINUED;
}

static void
set_references(struct aspen_swap_area *area, uint32_t slot, uint64_t references)
{
    uint32_t *counter = counter_of(area, slot);

    area->counts[slot] = (uint8_t)(references % ASPEN_SWAP_CONTINUED);
    if (counter)
        *counter = (uint32_t)(references / ASPEN_SWAP_CONTINUED);
}

/* I4 */
static void
take_slot(struct aspen_swap_area *area, uint32_t slot)
{
    aspen_bit_tree_clear(&area->free, slot);
    aspen_bit_tree_clear(&area->clusters, slot / CLUSTER_SLOTS);
    aspen_store_relaxed(&area->slots_used, area->slots_used + 1);
}

static void
give_slot(struct aspen_swap_area *area, uint32_t slot)
{
    aspen_bit_tree_set(&area->free, slot);
    if (area->free.words[slot / CLUSTER_SLOTS] == UINT64_MAX)
        aspen_bit_tree_set(&area->clusters, slot / CLUSTER_SLOTS);
    aspen_store_relaxed(&area->slots_used, area->slots_used - 1);
}

/* One more; the first one takes the slot. */
static int
add_reference(struct aspen_swap_area *area, uint32_t slot)
{
    uint64_t references = references_of(area, slot);

    if (references == ASPEN_SWAP_COUNT_MAX) {
        if (!counter_of(area, slot))
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

/* ---- Areas ------------------------------------------------------------- */

/* The last one may be short, and is never all free then. */
static uint64_t
clusters_bytes(uint32_t slots)
{
    return aspen_bit_tree_bytes((slots - 1) / CLUSTER_SLOTS + 1);
}

/* All slots are free. */
static void
fill_trees(struct aspen_swap_area *area, uint32_t slots)
{
    area->free.bits = slots;
    aspen_bit_tree_fill(&area->free);
    area->clusters.bits = (slots - 1) / CLUSTER_SLOTS + 1;
    aspen_bit_tree_fill(&area->clusters);
    if (slots % CLUSTER_SLOTS)
        aspen_bit_tree_clear(&area->clusters, slots / CLUSTER_SLOTS);
}

static void
area_free(struct aspen_swap_area *area, uint32_t slots)
{
    uint32_t blocks = blocks_of(slots);

    if (area->free.words)
        aspen_port_memory_free(area->free.words, aspen_bit_tree_bytes(slots));
    if (area->clusters.words)
        aspen_port_memory_free(area->clusters.words, clusters_bytes(slots));
    if (area->next)
        aspen_port_memory_free(area->next, NEXT_BYTES);
    if (area->counts)
        aspen_port_memory_free(area->counts, slots);
    if (area->continuations)
        aspen_port_memory_free(area->continuations,
                               blocks * sizeof(*area->continuations));
    if (area->continued)
        aspen_port_memory_free(area->continued,
                               blocks * sizeof(*area->continued));
    memset(area, 0, sizeof(*area));
}

/* Memory for a new area: all of it, or none. */
static int
area_alloc(struct aspen *aspen, struct aspen_swap_area *area, uint32_t slots)
{
    uint32_t blocks = blocks_of(slots);
    uint64_t *refused = &aspen->refused_metadata;

    memset(area, 0, sizeof(*area));
    area->counts = aspen_memory_alloc(slots, refused);
    area->continuations =
        aspen_memory_alloc(blocks * sizeof(*area->continuations), refused);
    area->continued =
        aspen_memory_alloc(blocks * sizeof(*area->continued), refused);
    area->free.words = aspen_memory_alloc(aspen_bit_tree_bytes(slots), refused);
    area->clusters.words = aspen_memory_alloc(clusters_bytes(slots), refused);
    area->next = aspen_memory_alloc(NEXT_BYTES, refused);
    if (!area->counts || !area->continuations || !area->continued ||
        !area->free.words || !area->clusters.words || !area->next) {
        area_free(area, slots);
        return -ASPEN_ENOMEM;
    }
    fill_trees(area, slots);
    return 0;
}

/* Make it visible as the first area that is not in use: its slots last. */
static int
area_publish(struct aspen *aspen, const struct aspen_swap_area *area,
             uint32_t slots, unsigned *type)
{
    int error = -ASPEN_ENOSPC;

    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    for (unsigned i = 0; error && i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_swap_area *to = &aspen->swap[i];
        if (to->slots)
            continue;
        to->counts = area->counts;
        to->continuations = area->continuations;
        to->continued = area->continued;
        to->free = area->free;
        to->clusters = area->clusters;
        to->next = area->next;
        aspen_store(&to->slots, slots);
        *type = i;
        error = 0;
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
    return error;
}

int
aspen_swap_area_add(struct aspen *aspen, uint32_t slots, unsigned *type)
{
    struct aspen_swap_area area;

    if (slots == 0)
        return -ASPEN_EINVAL;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOMEM;
    int error = area_alloc(aspen, &area, slots);
    if (error)
        return error;
    error = area_publish(aspen, &area, slots, type);
    if (error)
        area_free(&area, slots);
    return error;
}

void
aspen_swap_destroy(struct aspen *aspen)
{
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_swap_area *area = &aspen->swap[i];
        if (!area->slots)
            continue;
        for (uint32_t block = 0; block < blocks_of(area->slots); block++)
            if (area->continuations[block])
                aspen_port_memory_free(area->continuations[block], BLOCK_BYTES);
        area_free(area, area->slots);
    }
}

/* ---- References -------------------------------------------------------- */

/* The next member, around the end; there is one. */
static uint64_t
next_around(const struct aspen_bit_tree *tree, uint64_t from)
{
    uint64_t bit = aspen_bit_tree_next(tree, from);

    return bit == ASPEN_BIT_NONE ? aspen_bit_tree_next(tree, 0) : bit;
}

/* A free slot for this CPU; the lock is held. */
static bool
find_free(struct aspen_swap_area *area, uint32_t *slot)
{
    uint32_t *next = &area->next[aspen_port_cpu()];
    uint64_t from = *next;

    if (area->slots_used == area->slots)
        return false;
    uint64_t at = from % CLUSTER_SLOTS ? aspen_bit_tree_next(&area->free, from)
                                       : ASPEN_BIT_NONE;
    if (at == ASPEN_BIT_NONE || at / CLUSTER_SLOTS != from / CLUSTER_SLOTS) {
        uint64_t cluster = next_around(&area->clusters, from / CLUSTER_SLOTS);
        at = cluster == ASPEN_BIT_NONE ? next_around(&area->free, from)
                                       : cluster * CLUSTER_SLOTS;
    }
    *slot = (uint32_t)at;
    /* At the end of a cluster: it looks for a new one. */
    *next = (uint32_t)(at + 1 == area->slots ? 0 : at + 1);
    return true;
}

int
aspen_swap_alloc(struct aspen *aspen, unsigned *type, uint32_t *slot)
{
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOSPC;
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_swap_area *area = area_of(aspen, i, 0);
        if (!area)
            continue;
        lock_area(area);
        bool found = find_free(area, slot);
        int error = found ? add_reference(area, *slot) : -ASPEN_ENOSPC;
        unlock_area(area);
        if (!error) {
            *type = i;
            return 0;
        }
    }
    return -ASPEN_ENOSPC;
}

int
aspen_swap_duplicate(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = area_of(aspen, type, slot);

    if (!area)
        return -ASPEN_EINVAL;
    lock_area(area);
    int error =
        references_of(area, slot) ? add_reference(area, slot) : -ASPEN_EINVAL;
    unlock_area(area);
    return error;
}

int
aspen_swap_continue(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = area_of(aspen, type, slot);
    uint32_t block = slot / ASPEN_SWAP_BLOCK_SLOTS;

    ASPEN_ASSERT(area);
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOMEM;
    uint32_t *counters =
        aspen_memory_alloc(BLOCK_BYTES, &aspen->refused_metadata);
    if (!counters)
        return -ASPEN_ENOMEM;

    lock_area(area);
    /* References may have been given back since it was wanted: if nobody has
     * any more nobody would come by to free it. */
    if (!area->continuations[block] &&
        references_of(area, slot) == ASPEN_SWAP_COUNT_MAX) {
        area->continuations[block] = counters;
        aspen_store_relaxed(&area->continuation_count,
                            area->continuation_count + 1);
        counters = NULL;
    }
    unlock_area(area);
    if (counters) /* or somebody else was quicker */
        aspen_port_memory_free(counters, BLOCK_BYTES);
    return 0;
}

int
aspen_swap_claim(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = area_of(aspen, type, slot);

    if (!area)
        return -ASPEN_EINVAL;
    for (;;) {
        lock_area(area);
        int error = add_reference(area, slot);
        unlock_area(area);
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
    struct aspen_swap_area *area = area_of(aspen, type, slot);

    ASPEN_ASSERT(area);
    lock_area(area);
    uint64_t references = references_of(area, slot);
    ASPEN_ASSERT(references > 0);
    set_references(area, slot, references - 1);
    if (references == ASPEN_SWAP_COUNT_MAX + 1)
        area->continued[slot / ASPEN_SWAP_BLOCK_SLOTS]--;
    aspen_store_relaxed(&area->references, area->references - 1);
    if (references == 1)
        give_slot(area, slot);
    uint32_t *counters = detach_continuation(area, slot);
    unlock_area(area);
    if (counters)
        aspen_port_memory_free(counters, BLOCK_BYTES);
}

int64_t
aspen_swap_references(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = area_of(aspen, type, slot);

    if (!area)
        return -1;
    lock_area(area);
    uint64_t references = references_of(area, slot);
    unlock_area(area);
    return (int64_t)references;
}

/* ---- Checking ---------------------------------------------------------- */

struct sums {
    uint64_t slots_used;
    uint64_t references;
    uint64_t continuations;
};

static const char *
check_block(const struct aspen_swap_area *area, uint32_t block,
            struct sums *sums, uint32_t *slot)
{
    uint64_t first = (uint64_t)block * ASPEN_SWAP_BLOCK_SLOTS;
    uint64_t end = aspen_min_u64(first + ASPEN_SWAP_BLOCK_SLOTS, area->slots);
    bool has_counters = area->continuations[block] != NULL;
    uint32_t continued = 0;

    for (uint64_t i = first; i < end; i++) {
        *slot = (uint32_t)i;
        uint64_t references = references_of(area, *slot);
        if (area->counts[i] >
            (has_counters ? ASPEN_SWAP_CONTINUED - 1 : ASPEN_SWAP_COUNT_MAX))
            return "a slot's byte is beyond its maximum";
        continued += references > ASPEN_SWAP_COUNT_MAX;
        sums->slots_used += references > 0;
        sums->references += references;
    }
    *slot = (uint32_t)first;
    sums->continuations += has_counters;
    if (continued != area->continued[block])
        return "a block's number of continued slots is wrong";
    return NULL;
}

/* I4 */
static const char *
check_trees(const struct aspen_swap_area *area, uint32_t *slot)
{
    for (*slot = 0; *slot < area->slots; ++*slot)
        if (aspen_bit_tree_has(&area->free, *slot) ==
            (references_of(area, *slot) > 0))
            return "a slot is free and in use, or neither";
    for (uint32_t i = 0; i < area->clusters.bits; i++)
        if (aspen_bit_tree_has(&area->clusters, i) !=
            (area->free.words[i] == UINT64_MAX))
            return "a cluster is said to be free and is not, or is";
    return NULL;
}

static const char *
check_area(const struct aspen_swap_area *area, uint32_t *slot)
{
    struct sums sums = {0};

    for (uint32_t block = 0; block < blocks_of(area->slots); block++) {
        const char *broken = check_block(area, block, &sums, slot);
        if (broken)
            return broken;
    }
    const char *broken = check_trees(area, slot);
    if (broken)
        return broken;
    *slot = 0;
    if (sums.slots_used != area->slots_used)
        return "the number of used slots is wrong";
    if (sums.references != area->references)
        return "the sum of references is wrong";
    if (sums.continuations != area->continuation_count)
        return "the number of continuations is wrong";
    return NULL;
}

const char *
aspen_swap_check(struct aspen *aspen, unsigned *type, uint32_t *slot)
{
    for (*type = 0; *type < ASPEN_SWAP_AREAS; ++*type) {
        struct aspen_swap_area *area = area_of(aspen, *type, 0);
        if (!area)
            continue;
        lock_area(area);
        const char *broken = check_area(area, slot);
        unlock_area(area);
        if (broken)
            return broken;
    }
    return NULL;
}
