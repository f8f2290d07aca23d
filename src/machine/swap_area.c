/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_area.c - swap areas come, are checked, and go.
 *
 * I1  An area is seen when all of it is there: its number of slots comes last.
 * I2  It goes when no slot has references: nobody has anything of it then but
 *     what he looks up, under its lock, by a slot.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/machine/test_swap_map.c.
 */
#include "machine/swap_area.h"

#include "frames/bank.h"
#include "frames/policy.h"

#include <aspen/calls/swap.h>

#define FLAGS       (ASPEN_SWAP_CHECKSUM | ASPEN_SWAP_ROTATING)
#define NEXT_BYTES  (ASPEN_PORT_CPUS * sizeof(uint32_t))
#define READS_BYTES (ASPEN_SWAP_READS * sizeof(struct aspen_swap_read))

/* ---- Areas ------------------------------------------------------------- */

/* The last one may be short, and is never all free then. */
static uint64_t
clusters_bytes(uint32_t slots)
{
    return aspen_bit_tree_bytes((slots - 1) / ASPEN_SWAP_CLUSTER_SLOTS + 1);
}

/* All slots are free. */
static void
fill_trees(struct aspen_swap_area *area, uint32_t slots)
{
    area->free.bits = slots;
    aspen_bit_tree_fill(&area->free);
    area->clusters.bits = (slots - 1) / ASPEN_SWAP_CLUSTER_SLOTS + 1;
    aspen_bit_tree_fill(&area->clusters);
    if (slots % ASPEN_SWAP_CLUSTER_SLOTS)
        aspen_bit_tree_clear(&area->clusters, slots / ASPEN_SWAP_CLUSTER_SLOTS);
}

static void
area_free(struct aspen_swap_area *area, uint32_t slots)
{
    uint32_t blocks = aspen_swap_blocks(slots);

    if (area->pages)
        aspen_port_memory_free(area->pages, slots * sizeof(*area->pages));
    if (area->cached.words)
        aspen_port_memory_free(area->cached.words, aspen_bit_tree_bytes(slots));
    if (area->groups)
        aspen_port_memory_free(area->groups, slots * sizeof(*area->groups));
    if (area->sums)
        aspen_port_memory_free(area->sums, slots * sizeof(*area->sums));
    if (area->reads)
        aspen_port_memory_free(area->reads, READS_BYTES);
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
area_alloc(struct aspen *aspen, struct aspen_swap_area *area,
           const struct aspen_swap_args *args)
{
    const uint32_t slots = args->pages;
    uint32_t blocks = aspen_swap_blocks(slots);
    uint64_t *refused = &aspen->refused_metadata;
    bool all = true;

    memset(area, 0, sizeof(*area));
    if (args->ops) {
        area->pages = aspen_memory_alloc(slots * sizeof(*area->pages), refused);
        area->cached.words =
            aspen_memory_alloc(aspen_bit_tree_bytes(slots), refused);
        area->cached.bits = slots;
        all = area->pages && area->cached.words;
    }
    if (args->ops && args->ops->submit) {
        area->reads = aspen_memory_alloc(READS_BYTES, refused);
        all = all && area->reads;
    }
    if (args->flags & ASPEN_SWAP_CHECKSUM) {
        area->sums = aspen_memory_alloc(slots * sizeof(*area->sums), refused);
        all = all && area->sums;
    }
    if (aspen_has_groups(aspen)) {
        area->groups =
            aspen_memory_alloc(slots * sizeof(*area->groups), refused);
        all = all && area->groups;
    }
    area->counts = aspen_memory_alloc(slots, refused);
    area->continuations =
        aspen_memory_alloc(blocks * sizeof(*area->continuations), refused);
    area->continued =
        aspen_memory_alloc(blocks * sizeof(*area->continued), refused);
    area->free.words = aspen_memory_alloc(aspen_bit_tree_bytes(slots), refused);
    area->clusters.words = aspen_memory_alloc(clusters_bytes(slots), refused);
    area->next = aspen_memory_alloc(NEXT_BYTES, refused);
    if (!all || !area->counts || !area->continuations || !area->continued ||
        !area->free.words || !area->clusters.words || !area->next) {
        area_free(area, slots);
        return -ASPEN_ENOMEM;
    }
    fill_trees(area, slots);
    area->room = slots;
    area->priority = args->priority;
    area->by_slot = args->flags & ASPEN_SWAP_ROTATING;
    area->ops = args->ops;
    area->context = args->context;
    return 0;
}

/* All that is set once. */
static void
move_area(struct aspen_swap_area *to, const struct aspen_swap_area *from)
{
    to->counts = from->counts;
    to->continuations = from->continuations;
    to->continued = from->continued;
    to->free = from->free;
    to->clusters = from->clusters;
    to->next = from->next;
    aspen_store_relaxed(&to->priority, from->priority);
    aspen_store_relaxed(&to->by_slot, from->by_slot);
    aspen_store_relaxed(&to->ops, from->ops);
    to->context = from->context;
    to->pages = from->pages;
    to->cached = from->cached;
    to->sums = from->sums;
    to->reads = from->reads;
    to->groups = from->groups;
}

/* Make it visible as the first area that is not in use: its slots last. 0,
 * -ASPEN_ENOSPC, or -ASPEN_EAGAIN: there are groups now, which it knows nothing
 * of. */
static int
area_publish(struct aspen *aspen, const struct aspen_swap_area *area,
             uint32_t slots, unsigned *type)
{
    int error = -ASPEN_ENOSPC;

    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    if (aspen_has_groups(aspen) && !area->groups)
        error = -ASPEN_EAGAIN;
    for (unsigned i = 0; error == -ASPEN_ENOSPC && i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_swap_area *to = &aspen->swap[i];
        if (aspen_load(&to->slots)) /* I2: who ended one is done with it */
            continue;
        move_area(to, area);
        aspen_store_relaxed(&to->room, area->room);
        aspen_store(&to->slots, slots);
        aspen_store_relaxed(&aspen->swap_areas,
                            (unsigned)aspen_max_u64(aspen->swap_areas, i + 1));
        *type = i;
        error = 0;
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
    return error;
}

static int
area_add(struct aspen *aspen, const struct aspen_swap_args *args,
         unsigned *type)
{
    struct aspen_swap_area area;

    int error;

    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_SWAP))
        return -ASPEN_ENOMEM;
    do {
        error = area_alloc(aspen, &area, args);
        if (error)
            return error;
        error = area_publish(aspen, &area, args->pages, type);
        if (error)
            area_free(&area, args->pages);
    } while (error == -ASPEN_EAGAIN);
    return error;
}

/* How many slots the area of that number has, if it has no array; else 0. */
static uint32_t
slots_without_groups(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);

    if (!area)
        return 0;
    uint32_t slots = area->groups ? 0 : area->slots;
    aspen_swap_unlock(area);
    return slots;
}

/* If that is still so it is given one. */
static bool
give_groups(struct aspen *aspen, unsigned type, uint32_t slots,
            struct aspen_group **groups)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);

    if (!area)
        return false;
    bool wanted = area->slots == slots && !area->groups;
    if (wanted)
        area->groups = groups;
    aspen_swap_unlock(area);
    return wanted;
}

int
aspen_swap_make_groups(struct aspen *aspen)
{
    /* An area that comes from now on sees that there are groups, and one that
     * did not see it is there by now. */
    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    aspen_spin_unlock(&aspen->swap_list_lock);
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        uint32_t slots = slots_without_groups(aspen, i);
        size_t bytes = slots * sizeof(struct aspen_group *);
        if (!slots)
            continue;
        struct aspen_group **groups =
            aspen_memory_alloc(bytes, &aspen->refused_metadata);
        if (!groups)
            return -ASPEN_ENOMEM;
        if (!give_groups(aspen, i, slots, groups))
            aspen_port_memory_free(groups, bytes);
    }
    return 0;
}

int
aspen_swap_area_add(struct aspen *aspen, uint32_t slots, unsigned *type)
{
    const struct aspen_swap_args args = {.pages = slots};

    return slots == 0 ? -ASPEN_EINVAL : area_add(aspen, &args, type);
}

/* Could it go to swap, if it were on a list? Then all that its allocator did
 * before it became an anonymous page is seen. */
static bool
could_swap(const struct aspen_frame *frame)
{
    uint64_t index = aspen_load(&frame->index);

    return index >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_ANON &&
           !(index & ASPEN_FRAME_HEAD) && aspen_frame_map_count(frame) > 0;
}

/* It is held, so it stays what it is; only then is `next` its own. Its lock:
 * who takes it from one group's lists to another's has it (swap/regroup.c). */
static void
enter_page(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    if (!could_swap(frame) || aspen_load_relaxed(&frame->next))
        return;
    aspen_frame_lock(frame);
    aspen_policy_enter_anon(aspen, number);
    aspen_frame_unlock(frame);
}

/* Where there was no device no anonymous page is on a list. Who maps one from
 * now on enters it himself. */
static void
enter_pages(struct aspen *aspen)
{
    aspen_banks_for_each(bank, aspen)
    {
        for (uint32_t i = bank->first; i < bank->first + bank->count; i++) {
            struct aspen_frame *frame = aspen_frame_at(aspen, i);
            if (!could_swap(frame) || !aspen_frame_get_mapped(frame))
                continue;
            enter_page(aspen, i);
            aspen_frame_put(aspen, i);
        }
    }
}

int
aspen_swap_try_add(struct aspen *aspen, const struct aspen_swap_args *args,
                   unsigned *type)
{
    const struct aspen_swap_ops *ops = args->ops;

    if (args->pages == 0 || args->flags & ~FLAGS || !ops ||
        !ops->submit == !ops->transfer)
        return -ASPEN_EINVAL;
    if (!aspen_frames_have_contents(aspen))
        return -ASPEN_EOPNOTSUPP;
    int error = aspen_banks_make_slots(aspen);
    if (!error)
        error = area_add(aspen, args, type);
    if (!error)
        enter_pages(aspen);
    return error;
}

uint64_t
aspen_swap_used(const struct aspen *aspen, unsigned type)
{
    return type < ASPEN_SWAP_AREAS
               ? aspen_load_relaxed(&aspen->swap[type].slots_used)
               : 0;
}

int
aspen_swap_leave(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);

    if (!area)
        return -ASPEN_EINVAL;
    bool leaving = area->leaving;
    aspen_store_relaxed(&area->leaving, true);
    aspen_swap_unlock(area);
    return leaving ? -ASPEN_EBUSY : 0;
}

bool
aspen_swap_is_empty(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);

    ASPEN_ASSERT(area);
    bool empty = area->references == 0;
    aspen_swap_unlock(area);
    return empty;
}

void
aspen_swap_stay(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);

    ASPEN_ASSERT(area);
    aspen_store_relaxed(&area->leaving, false);
    aspen_swap_unlock(area);
}

/* I2: who comes later finds no slots. */
void
aspen_swap_end(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, 0);
    struct aspen_swap_area gone;

    ASPEN_ASSERT(area && area->references == 0);
    ASPEN_ASSERT(!aspen_load(&area->reads_used)); /* they hold slots */
    memset(&gone, 0, sizeof(gone));
    move_area(&gone, area);
    gone.slots = area->slots;
    aspen_store_relaxed(&area->slots_used, (uint64_t)0);
    aspen_store_relaxed(&area->leaving, false);
    aspen_store_relaxed(&area->room, (uint64_t)0);
    aspen_store(&area->slots, 0u);
    aspen_swap_unlock(area);
    if (gone.ops && gone.ops->close)
        gone.ops->close(gone.context);
    area_free(&gone, gone.slots);
}

void
aspen_swap_destroy(struct aspen *aspen)
{
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++) {
        struct aspen_swap_area *area = &aspen->swap[i];
        if (!area->slots)
            continue;
        for (uint32_t block = 0; block < aspen_swap_blocks(area->slots);
             block++)
            if (area->continuations[block])
                aspen_port_memory_free(area->continuations[block],
                                       ASPEN_SWAP_BLOCK_BYTES);
        if (area->ops && area->ops->close)
            area->ops->close(area->context);
        area_free(area, area->slots);
    }
}

/* ---- Checking ---------------------------------------------------------- */

struct sums {
    uint64_t slots_used;
    uint64_t references;
    uint64_t continuations;
    uint64_t cached;
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
        uint64_t references = aspen_swap_references_in(area, *slot);
        if (aspen_swap_count(area, *slot) >
            (has_counters ? ASPEN_SWAP_CONTINUED - 1 : ASPEN_SWAP_COUNT_MAX))
            return "a slot's byte is beyond its maximum";
        if (area->pages && area->pages[i] && !references)
            return "a slot that is free leads to a page";
        if (area->pages && aspen_bit_tree_has(&area->cached, i) !=
                               (aspen_swap_page_in(area, *slot) > 0))
            return "a slot leads to a page and is said not to, or does not";
        continued += references > ASPEN_SWAP_COUNT_MAX;
        sums->slots_used += references > 0;
        sums->references += references;
        sums->cached += aspen_swap_page_in(area, (uint32_t)i) != 0;
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
            (aspen_swap_references_in(area, *slot) > 0 ||
             aspen_swap_is_spoilt(area, *slot)))
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

    for (uint32_t block = 0; block < aspen_swap_blocks(area->slots); block++) {
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
    if (sums.cached != area->cached_slots)
        return "the number of slots that lead to a page is wrong";
    return NULL;
}

const char *
aspen_swap_check(struct aspen *aspen, unsigned *type, uint32_t *slot)
{
    for (*type = 0; *type < ASPEN_SWAP_AREAS; ++*type) {
        struct aspen_swap_area *area = aspen_swap_lock(aspen, *type, 0);
        if (!area)
            continue;
        const char *broken = check_area(area, slot);
        aspen_swap_unlock(area);
        if (broken)
            return broken;
    }
    return NULL;
}
