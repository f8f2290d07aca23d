/* SPDX-License-Identifier: MIT */
/*
 * frames/frames.c - the frame table, allocation, references, the frame lock.
 *
 *     alloc, order 0  <--  CPU cache  <-- chunks of 64 --  zone (zone.c)
 *     alloc, order n  <------------------------------------/   ^
 *     free, a few     -->  CPU cache  -- oldest 64 ------------|
 *     free, in bulk   -----------------------------------------/
 *
 * I1  A frame in the zone, in a CPU cache or inside an allocated block (not
 *     its first) is 32 zero bytes; a frame in use has a type and a reference.
 * I2  The side array of orders, once a bank has one, is 0 but for the first
 *     frames of allocated blocks of more than one frame.
 * I3  A frame is in exactly one place: zone, one cache, one holder's hands.
 *
 * Called by everyone above. The first test to break is
 * tests/unit/frames/test_frames.c.
 */
#include "frames/frames.h"

#include "frames/lru.h"
#include "frames/ram.h"
#include "frames/watermark.h"
#include "frames/zone.h"
#include "group/group.h"

/* Frames fetched ahead while a batch is released: one locked operation takes
 * about as long as a line from the third-level cache, over this many. */
#define RELEASE_AHEAD 12

/* Up to this many freed frames are worth keeping warm for this CPU. */
#define RELEASE_TO_CACHE 16

ASPEN_STATIC_ASSERT(sizeof(struct aspen_frame_cache) % 64 == 0,
                    "CPU caches share no cache line");
ASPEN_STATIC_ASSERT(ASPEN_FRAME_CACHE_SIZE >=
                        ASPEN_ZONE_SINGLES_MAX(ASPEN_FRAME_CACHE_BATCH),
                    "a refill fits an empty CPU cache");

/* ---- Where contents are ------------------------------------------------- */

/* Whole cache lines, as the compiler has to know: copies whose ends it must
 * take care of are a third slower. */
static inline void *
page_of(struct aspen *aspen, uint32_t frame)
{
    return __builtin_assume_aligned(aspen_frame_pointer(aspen, frame),
                                    ASPEN_PAGE_SIZE);
}

/* ---- CPU caches -------------------------------------------------------- */

static struct aspen_frame_cache *
frame_cache_lock(struct aspen *aspen)
{
    unsigned cpu = aspen_port_cpu();
    ASPEN_ASSERT_TEST(cpu < ASPEN_PORT_CPUS);
    struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];
    aspen_spin_lock(&cache->lock, ASPEN_LOCK_CACHE);
    return cache;
}

static void
frame_cache_unlock(struct aspen_frame_cache *cache)
{
    aspen_spin_unlock(&cache->lock);
}

/* May `count` be taken? The zone's lock is held. */
static bool
is_above(const struct aspen_zone *zone, uint64_t count,
         enum aspen_frames_from from)
{
    return from == ASPEN_FRAMES_ALL ||
           zone->free_frames >= aspen_load_relaxed(&zone->min) + count;
}

/* Near the minimum one by one: what is taken for who may have all is his. The
 * zone's lock is held. */
static unsigned
take_singles(struct aspen_zone *zone, uint32_t *frames,
             enum aspen_frames_from from)
{
    const unsigned most = ASPEN_ZONE_SINGLES_MAX(ASPEN_FRAME_CACHE_BATCH);

    if (!aspen_load_relaxed(&zone->min) ||
        is_above(zone, most, ASPEN_FRAMES_ABOVE_MIN))
        return aspen_zone_take_singles_locked(zone, frames,
                                              ASPEN_FRAME_CACHE_BATCH);
    if (!is_above(zone, 1, from))
        return 0;
    *frames = aspen_zone_take_locked(zone, 0);
    return *frames != ASPEN_NO_FRAME;
}

/* True: little is free by now. */
static bool
frame_cache_refill(struct aspen *aspen, struct aspen_frame_cache *cache,
                   enum aspen_frames_from from)
{
    struct aspen_zone *zone = &aspen->zone;

    aspen_spin_lock(&zone->lock, ASPEN_LOCK_DEPOT);
    cache->count = take_singles(zone, cache->frames, from);
    bool low = zone->free_frames < aspen_load_relaxed(&zone->low);
    aspen_spin_unlock(&zone->lock);
    return low;
}

/* The oldest go: they are the coldest. */
static void
frame_cache_spill(struct aspen *aspen, struct aspen_frame_cache *cache,
                  unsigned count)
{
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    aspen_zone_give_singles_locked(&aspen->zone, cache->frames, count);
    aspen_spin_unlock(&aspen->zone.lock);
    cache->count -= count;
    memmove(cache->frames, cache->frames + count,
            cache->count * sizeof(cache->frames[0]));
}

static void
frame_cache_push(struct aspen *aspen, const uint32_t *frames, unsigned count)
{
    struct aspen_frame_cache *cache = frame_cache_lock(aspen);
    for (unsigned i = 0; i < count; i++) {
        if (cache->count == ASPEN_FRAME_CACHE_SIZE)
            frame_cache_spill(aspen, cache, ASPEN_FRAME_CACHE_BATCH);
        cache->frames[cache->count++] = frames[i];
    }
    frame_cache_unlock(cache);
}

static uint32_t
frame_cache_pop(struct aspen *aspen, enum aspen_frames_from from)
{
    uint32_t frame = ASPEN_NO_FRAME;
    uint32_t next = ASPEN_NO_FRAME;
    bool low = false;
    struct aspen_frame_cache *cache = frame_cache_lock(aspen);

    if (aspen_unlikely(cache->count == 0))
        low = frame_cache_refill(aspen, cache, from);
    if (aspen_likely(cache->count != 0))
        frame = cache->frames[--cache->count];
    if (cache->count >= 4)
        aspen_prefetch_write(
            aspen_frame_at(aspen, cache->frames[cache->count - 4]));
    if (cache->count)
        next = cache->frames[cache->count - 1];
    frame_cache_unlock(cache);
    if (aspen_unlikely(low))
        aspen_watermark_wake(aspen);
    /*
     * Whoever gets a frame writes all of it, and the next frame of this CPU
     * is known: fetch its lines while this one's are on their way to memory.
     * So a first touch costs less than zeroing cold memory does.
     */
    if (next != ASPEN_NO_FRAME && aspen_frames_have_contents(aspen))
        ASPEN_PREFETCH_PAGE(aspen_prefetch_write, (char *)page_of(aspen, next));
    return frame;
}

void
aspen_frames_drain_here(struct aspen *aspen)
{
    struct aspen_frame_cache *cache = frame_cache_lock(aspen);

    if (cache->count)
        frame_cache_spill(aspen, cache, cache->count);
    frame_cache_unlock(cache);
}

void
aspen_frames_drain(struct aspen *aspen)
{
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];
        aspen_spin_lock(&cache->lock, ASPEN_LOCK_CACHE);
        if (cache->count)
            frame_cache_spill(aspen, cache, cache->count);
        aspen_spin_unlock(&cache->lock);
    }
}

/* ---- Allocation -------------------------------------------------------- */

static uint32_t
zone_take(struct aspen *aspen, unsigned order, enum aspen_frames_from from)
{
    struct aspen_zone *zone = &aspen->zone;
    uint32_t frame = ASPEN_NO_FRAME;

    aspen_spin_lock(&zone->lock, ASPEN_LOCK_DEPOT);
    if (is_above(zone, (uint64_t)1 << order, from))
        frame = aspen_zone_take_locked(zone, order);
    bool low = zone->free_frames < aspen_load_relaxed(&zone->low);
    aspen_spin_unlock(&zone->lock);
    if (aspen_unlikely(low))
        aspen_watermark_wake(aspen);
    return frame;
}

/* What other CPUs hold in their caches counts as free. */
static uint32_t
zone_take_drained(struct aspen *aspen, unsigned order,
                  enum aspen_frames_from from)
{
    aspen_frames_drain(aspen);
    return zone_take(aspen, order, from);
}

/* From whichever CPU has one. */
static uint32_t
frame_cache_steal(struct aspen *aspen)
{
    uint32_t frame = ASPEN_NO_FRAME;

    for (unsigned cpu = 0; frame == ASPEN_NO_FRAME && cpu < ASPEN_PORT_CPUS;
         cpu++) {
        struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];
        aspen_spin_lock(&cache->lock, ASPEN_LOCK_CACHE);
        if (cache->count)
            frame = cache->frames[--cache->count];
        aspen_spin_unlock(&cache->lock);
    }
    return frame;
}

/*
 * The pop fails when the zone is empty. Emptying the caches into the zone would
 * not help: another CPU may refill its cache with all of that before we come,
 * and we would find no frame although there are many.
 */
static uint32_t
single_alloc(struct aspen *aspen, enum aspen_frames_from from)
{
    uint32_t frame = frame_cache_pop(aspen, from);

    if (aspen_unlikely(frame == ASPEN_NO_FRAME))
        frame = frame_cache_steal(aspen);
    /* What moved while we looked. */
    if (aspen_unlikely(frame == ASPEN_NO_FRAME))
        frame = frame_cache_pop(aspen, from);
    return frame;
}

static uint32_t
take_from(struct aspen *aspen, unsigned order, enum aspen_frames_from from)
{
    if (order == 0)
        return single_alloc(aspen, from);
    uint32_t frame = zone_take(aspen, order, from);
    return frame == ASPEN_NO_FRAME ? zone_take_drained(aspen, order, from)
                                   : frame;
}

uint32_t
aspen_frame_take(struct aspen *aspen, unsigned order)
{
    return take_from(aspen, order, ASPEN_FRAMES_ALL);
}

uint32_t
aspen_frame_take_below(struct aspen *aspen, unsigned order, uint32_t end)
{
    aspen_frames_drain(aspen);
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    uint32_t frame = aspen_zone_take_below_locked(&aspen->zone, order, end);
    aspen_spin_unlock(&aspen->zone.lock);
    return frame;
}

void
aspen_frame_give(struct aspen *aspen, uint32_t frame, unsigned order)
{
    if (order == 0) {
        frame_cache_push(aspen, &frame, 1);
        return;
    }
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    aspen_zone_give_locked(&aspen->zone, frame, order);
    aspen_spin_unlock(&aspen->zone.lock);
}

static uint32_t
block_alloc(struct aspen *aspen, unsigned order, enum aspen_frames_from from)
{
    uint32_t frame = take_from(aspen, order, from);

    if (frame == ASPEN_NO_FRAME)
        return frame;
    uint8_t *orders = aspen_bank_make_orders(aspen, frame);
    if (!orders) {
        aspen_frame_give(aspen, frame, order);
        return ASPEN_NO_FRAME;
    }
    aspen_store_relaxed(orders, (uint8_t)order);
    return frame;
}

/* None is free: is it worth another try? */
static bool
memory_low(struct aspen *aspen, unsigned order, unsigned attempt)
{
    const struct aspen_memory_ops *memory = aspen->config.hooks.memory;

    return memory && memory->low && attempt < ASPEN_MEMORY_ATTEMPTS &&
           memory->low(aspen->config.hooks.context, order, attempt);
}

/* Out of the stores of free ones, or ASPEN_NO_FRAME. */
static uint32_t
find_frame(struct aspen *aspen, unsigned order, enum aspen_frames_from from)
{
    unsigned attempt = 0;
    uint32_t got;

    do
        got =
            order ? block_alloc(aspen, order, from) : single_alloc(aspen, from);
    while (aspen_unlikely(got == ASPEN_NO_FRAME) &&
           memory_low(aspen, order, attempt++));
    if (aspen_unlikely(got == ASPEN_NO_FRAME))
        aspen_fetch_add_relaxed(&aspen->refused_frames, 1);
    return got;
}

int
aspen_frame_alloc_from(struct aspen *aspen, unsigned order,
                       enum aspen_step step, enum aspen_frames_from from,
                       uint32_t *frame)
{
    ASPEN_ASSERT_TEST(order <= ASPEN_ORDER_MAX);
    /* The hook `low` may drop pages. */
    aspen_lock_order_assert_outside(ASPEN_LOCK_OBJECT_SYNC);
    if (aspen_failpoint(&aspen->failpoints, step))
        return -ASPEN_ENOMEM;

    uint32_t got = find_frame(aspen, order, from);
    if (got == ASPEN_NO_FRAME)
        return -ASPEN_ENOMEM;
    struct aspen_frame *first = aspen_frame_at(aspen, got);
    ASPEN_ASSERT_TEST(aspen_frame_is_zero(first));
    aspen_store_relaxed(&first->index,
                        (uint64_t)ASPEN_FRAME_KERNEL << ASPEN_FRAME_TYPE_SHIFT |
                            (order ? ASPEN_FRAME_HEAD : 0));
    aspen_store(&first->counts, ASPEN_FRAME_REF);
    aspen_bank_forget_code(aspen, got, order);
    *frame = got;
    return 0;
}

unsigned
aspen_frame_order(const struct aspen *aspen, uint32_t frame)
{
    if (!(aspen_load_relaxed(&aspen_frame_at(aspen, frame)->index) &
          ASPEN_FRAME_HEAD))
        return 0;
    return aspen_bank_order(aspen, frame);
}

uint32_t
aspen_frame_head(struct aspen *aspen, uint32_t frame)
{
    if (!aspen_load(&aspen->banks.blocks) ||
        aspen_frame_type(aspen_frame_at(aspen, frame)) != ASPEN_FRAME_FREE)
        return frame;
    for (unsigned order = 1; order <= ASPEN_ORDER_MAX; order++) {
        uint32_t head = frame & ~(((uint32_t)1 << order) - 1);
        if (aspen_bank_order(aspen, head) >= order)
            return head;
    }
    return frame;
}

/* ---- References -------------------------------------------------------- */

/* What has to be counted of frames that are free. */
struct freed {
    uint64_t anon; /* anonymous ones */
    uint64_t pages;
    struct aspen_group *group; /* is charged with so many pages of them */
};

static void
uncharge(struct freed *freed)
{
    if (freed->pages)
        aspen_group_uncharge(freed->group, freed->pages);
    freed->pages = 0;
}

static void
note_uncharge(struct aspen *aspen, uint32_t number, struct freed *freed)
{
    struct aspen_group **place = aspen_bank_group(aspen, number);
    struct aspen_group *group = aspen_load_relaxed(place);

    if (!group)
        return;
    if (group != freed->group)
        uncharge(freed);
    freed->group = group;
    freed->pages += aspen_frame_size(aspen, number);
    aspen_store_relaxed(place, NULL);
}

/* They are not in the stores of free ones yet. */
static void
count_freed(struct aspen *aspen, struct freed *freed)
{
    if (freed->anon)
        aspen_count(aspen, ASPEN_COUNT_ANON, 0 - freed->anon);
    uncharge(freed);
}

/* The last reference is gone. Returns whether it was a block's. */
static bool
frame_clear(struct aspen *aspen, uint32_t number, struct freed *freed)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    uint64_t index = aspen_load_relaxed(&frame->index);

    if (index >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_ANON) {
        freed->anon += aspen_frame_size(aspen, number);
        if (aspen_unlikely(aspen_load(&frame->next)))
            aspen_lru_remove(aspen, number);
    }
    if (aspen_has_groups(aspen))
        note_uncharge(aspen, number, freed);
    ASPEN_ASSERT_TEST(aspen_load_relaxed(&frame->counts) == 0);
    ASPEN_ASSERT_TEST(!(index & ASPEN_FRAME_LOCKED));
    aspen_store_relaxed(&frame->owner, 0);
    aspen_store_relaxed(&frame->index, 0);
    frame->next = 0;
    frame->previous = 0;
    return (index & ASPEN_FRAME_HEAD) != 0;
}

static void
block_free(struct aspen *aspen, uint32_t frame)
{
    unsigned order = aspen_bank_order(aspen, frame);

    ASPEN_ASSERT(order > 0 && order <= ASPEN_ORDER_MAX);
    aspen_bank_clear_order(aspen, frame);
    aspen_frame_give(aspen, frame, order);
}

/* What goes with a map: a page that is exclusive loses its only one then, and
 * nobody else changes that bit meanwhile. */
static inline uint64_t
goes_besides(uint64_t remove)
{
    return remove & ASPEN_FRAME_MAP ? ASPEN_FRAME_EXCLUSIVE : 0;
}

/* Whether that was the last reference. `besides`: bits that go if they are
 * set. */
static inline bool
frame_drop(struct aspen_frame *frame, uint64_t remove, uint64_t besides)
{
    if (besides)
        remove += aspen_load_relaxed(&frame->counts) & besides;
    uint64_t old = aspen_fetch_sub(&frame->counts, remove);

    ASPEN_ASSERT((uint32_t)old >= (uint32_t)remove);
    ASPEN_ASSERT_TEST(old >> 32 >= remove >> 32);
    return (uint32_t)old == (uint32_t)remove;
}

void
aspen_frame_put(struct aspen *aspen, uint32_t frame)
{
    struct freed freed = {.anon = 0};

    if (!frame_drop(aspen_frame_at(aspen, frame), ASPEN_FRAME_REF, 0))
        return;
    bool block = frame_clear(aspen, frame, &freed);
    count_freed(aspen, &freed);
    if (block)
        block_free(aspen, frame);
    else
        frame_cache_push(aspen, &frame, 1);
}

bool
aspen_frame_put_and_take(struct aspen *aspen, uint32_t frame)
{
    struct freed freed = {.anon = 0};

    if (!frame_drop(aspen_frame_at(aspen, frame), ASPEN_FRAME_REF, 0))
        return false;
    bool block = frame_clear(aspen, frame, &freed);
    ASPEN_ASSERT(!block);
    count_freed(aspen, &freed);
    return true;
}

void
aspen_frames_release(struct aspen *aspen, uint32_t *frames, unsigned count,
                     uint64_t remove)
{
    const uint64_t besides = goes_besides(remove);
    struct freed freed = {.anon = 0};
    unsigned singles = 0;

    for (unsigned i = 0; i < count && i < RELEASE_AHEAD; i++)
        aspen_prefetch_write(aspen_frame_at(aspen, frames[i]));
    for (unsigned i = 0; i < count; i++) {
        uint32_t frame = frames[i];
        if (i + RELEASE_AHEAD < count)
            aspen_prefetch_write(
                aspen_frame_at(aspen, frames[i + RELEASE_AHEAD]));
        if (!frame_drop(aspen_frame_at(aspen, frame), remove, besides))
            continue;
        if (aspen_unlikely(frame_clear(aspen, frame, &freed)))
            block_free(aspen, frame);
        else
            frames[singles++] = frame;
    }
    count_freed(aspen, &freed);

    if (singles <= RELEASE_TO_CACHE) {
        if (singles)
            frame_cache_push(aspen, frames, singles);
        return;
    }
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    aspen_zone_give_singles_locked(&aspen->zone, frames, singles);
    aspen_spin_unlock(&aspen->zone.lock);
}

/* ---- Contents ---------------------------------------------------------- */

/* 0 or -ASPEN_EOPNOTSUPP, without contents. */
static int
no_contents(const struct aspen *aspen)
{
    return aspen_frames_refuse_contents(aspen) ? -ASPEN_EOPNOTSUPP : 0;
}

int
aspen_frame_zero(struct aspen *aspen, uint32_t frame)
{
    if (aspen_unlikely(!aspen_frames_have_contents(aspen)))
        return no_contents(aspen);
    aspen_contents_point(page_of(aspen, frame), true);
    memset(page_of(aspen, frame), 0, ASPEN_PAGE_SIZE);
    return 0;
}

int
aspen_frame_copy(struct aspen *aspen, uint32_t to, uint32_t from)
{
    if (aspen_unlikely(!aspen_frames_have_contents(aspen)))
        return no_contents(aspen);
    aspen_contents_point(page_of(aspen, from), false);
    memcpy(page_of(aspen, to), page_of(aspen, from), ASPEN_PAGE_SIZE);
    return 0;
}

/* ---- The frame lock ---------------------------------------------------- */

bool
aspen_frame_trylock(struct aspen_frame *frame)
{
    if (aspen_fetch_or(&frame->index, ASPEN_FRAME_LOCKED) & ASPEN_FRAME_LOCKED)
        return false;
    aspen_lock_order_enter_try(ASPEN_LOCK_FRAME, frame);
    return true;
}

/* Whoever unlocks clears WAITERS, so each look at a lock that is still held
 * has to set it again. */
bool
aspen_frame_is_busy(struct aspen_frame *frame)
{
    uint64_t index = aspen_load(&frame->index);

    while (index & ASPEN_FRAME_LOCKED)
        if (aspen_compare_exchange(&frame->index, &index,
                                   index | ASPEN_FRAME_WAITERS))
            return true;
    return false;
}

static bool
frame_lock_busy(const void *argument)
{
    return aspen_frame_is_busy((struct aspen_frame *)(uintptr_t)argument);
}

void
aspen_frame_lock(struct aspen_frame *frame)
{
    aspen_lock_order_enter(ASPEN_LOCK_FRAME, frame);
    while (aspen_fetch_or(&frame->index, ASPEN_FRAME_LOCKED) &
           ASPEN_FRAME_LOCKED)
        aspen_port_wait_while(frame, frame_lock_busy, frame);
}

void
aspen_frame_unlock(struct aspen_frame *frame)
{
    aspen_lock_order_leave(frame);
    uint64_t index = aspen_fetch_and(
        &frame->index, ~(ASPEN_FRAME_LOCKED | ASPEN_FRAME_WAITERS));
    ASPEN_ASSERT(index & ASPEN_FRAME_LOCKED);
    if (index & ASPEN_FRAME_WAITERS)
        aspen_port_wake_all(frame);
}

/* ---- The whole --------------------------------------------------------- */

uint64_t
aspen_frames_free_count(const struct aspen *aspen)
{
    struct aspen_zone *zone = (struct aspen_zone *)(uintptr_t)&aspen->zone;
    uint64_t count;

    /* Deferred work frees tables at any time: locks, not just loads. */
    aspen_spin_lock(&zone->lock, ASPEN_LOCK_DEPOT);
    count = zone->free_frames;
    aspen_spin_unlock(&zone->lock);
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];
        aspen_spin_lock(&cache->lock, ASPEN_LOCK_CACHE);
        count += cache->count;
        aspen_spin_unlock(&cache->lock);
    }
    return count;
}

static void
frames_free_memory(struct aspen *aspen)
{
    aspen_banks_destroy(aspen);
    if (aspen->frame_caches)
        aspen_port_memory_free(aspen->frame_caches,
                               ASPEN_PORT_CPUS * sizeof(*aspen->frame_caches));
    aspen->frame_caches = NULL;
}

/* The lowest frame is mapped wherever zeroes are read, and never freed. */
static void
zero_page_init(struct aspen *aspen)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, aspen->zero_frame);

    aspen_frame_set(frame, ASPEN_FRAME_ZERO, NULL, 0, 0);
    frame->counts = ASPEN_FRAME_REF;
    if (aspen_frames_have_contents(aspen))
        memset(aspen_frame_pointer(aspen, aspen->zero_frame), 0,
               ASPEN_PAGE_SIZE);
}

/* From the top, so that the lowest comes first out of each list. */
static void
give_ram(struct aspen *aspen)
{
    const struct aspen_config *config = &aspen->config;
    struct aspen_ram_run run = {.first = ASPEN_NO_FRAME};

    aspen->zero_frame = aspen_ram_lowest(config);
    while (aspen_ram_run_below(config, run.first, &run)) {
        uint64_t first = run.first + (run.first == aspen->zero_frame);
        aspen->banks.ram_frames += run.end - run.first;
        aspen_zone_give_run_locked(&aspen->zone, first, run.end);
    }
}

int
aspen_frames_init(struct aspen *aspen)
{
    int error = aspen_banks_init(aspen);

    aspen->frame_caches =
        aspen_port_memory_alloc(ASPEN_PORT_CPUS * sizeof(*aspen->frame_caches));
    if (error || !aspen->frame_caches) {
        frames_free_memory(aspen);
        return -ASPEN_ENOMEM;
    }
    aspen_zone_init(&aspen->zone, &aspen->banks);
    give_ram(aspen);
    zero_page_init(aspen);
    aspen_watermarks_set(aspen);
    return 0;
}

void
aspen_frames_destroy(struct aspen *aspen)
{
    /* They may be frames themselves: aspen/frames.h. */
    aspen_banks_drop_arrays(aspen);
    ASPEN_ASSERT(aspen_frames_free_count(aspen) == aspen->banks.ram_frames - 1);
    frames_free_memory(aspen);
}
