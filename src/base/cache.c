/* SPDX-License-Identifier: MIT */
/*
 * cache.c - objects of one size, handed out from a magazine of the CPU.
 *
 * A magazine is an array of pointers, so a free object is never written to
 * (type-stable objects keep their contents). It exchanges whole batches of
 * BATCH pointers with the depot, and holds up to two batches, so that a caller
 * that goes up and down by a few objects stays away from the depot's lock.
 *
 * I5  Every chunk brings ceil(objects / BATCH) batches with it, filled with
 *     its objects. The depot's `full` list holds batches of BATCH pointers,
 *     and for each chunk at most one shorter batch. So while an object is
 *     being freed not all batches are in use, and a full magazine always
 *     finds an empty one: no free can fail.
 *
 * Called by every layer. First to break: tests/unit/base/test_cache.c.
 */
#include "base/cache.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/lock.h"
#include "base/memory.h"
#include <aspen/error.h>

#define BATCH       30u /* with its header 256 bytes */
#define MAGAZINE    (2 * BATCH)
#define CHUNK_BYTES 16384u
#define CHUNK_MIN   4u /* objects; bigger chunks for bigger objects */

#ifndef ASPEN_PORT_POISON
#define ASPEN_PORT_POISON(memory, bytes)   ((void)(memory), (void)(bytes))
#define ASPEN_PORT_UNPOISON(memory, bytes) ((void)(memory), (void)(bytes))
#endif

struct aspen_cache_batch {
    struct aspen_cache_batch *next;
    uint64_t count;
    void *objects[BATCH];
};

struct aspen_cache_chunk {
    struct aspen_cache_chunk *next;
    uint64_t unused[7]; /* the batches start on a cache line */
    struct aspen_cache_batch batches[];
};

struct aspen_cache_magazine {
    struct aspen_port_spinlock lock;
    uint32_t count;
    int64_t handed_out; /* by this one, minus what came back to it */
    void *objects[MAGAZINE];
    uint64_t unused[2]; /* nobody shares a line with the next CPU's */
};

ASPEN_STATIC_ASSERT(sizeof(struct aspen_cache_magazine) % ASPEN_CACHE_LINE == 0,
                    "a magazine is whole cache lines");

#define MAGAZINES_BYTES (sizeof(struct aspen_cache_magazine) * ASPEN_PORT_CPUS)

/* ---- Free objects ------------------------------------------------------ */

static void
object_hide(struct aspen_cache *cache, void *object)
{
    if (cache->type_stable)
        return; /* readers may still look */
#ifdef ASPEN_TEST_BUILD
    memset(object, 0xa5, cache->object_bytes);
#endif
    ASPEN_PORT_POISON(object, cache->object_bytes);
}

static void
object_show(struct aspen_cache *cache, void *object)
{
    if (!cache->type_stable)
        ASPEN_PORT_UNPOISON(object, cache->object_bytes);
}

/* ---- Chunks ------------------------------------------------------------ */

static uint32_t
batches_for(uint32_t objects)
{
    return (objects + BATCH - 1) / BATCH;
}

static uint32_t
chunk_header_bytes(uint32_t objects)
{
    return (uint32_t)(sizeof(struct aspen_cache_chunk) +
                      batches_for(objects) * sizeof(struct aspen_cache_batch));
}

/* The most objects that fit, with their batches. */
static uint32_t
chunk_capacity(uint32_t chunk_bytes, uint32_t object_bytes)
{
    uint32_t objects = chunk_bytes / object_bytes;

    while (objects &&
           chunk_header_bytes(objects) + objects * object_bytes > chunk_bytes)
        objects--;
    return objects;
}

/* Filled from the top, so that objects leave in the order of addresses. */
static void
batch_fill(struct aspen_cache *cache, struct aspen_cache_batch *batch,
           char *objects, uint32_t count)
{
    batch->count = count;
    for (uint32_t i = 0; i < count; i++) {
        void *object = objects + (size_t)(count - 1 - i) * cache->object_bytes;
        batch->objects[i] = object;
        object_hide(cache, object);
    }
}

/* Make the chunk's batches a list; `*tail` is the last of them. */
static struct aspen_cache_batch *
chunk_fill(struct aspen_cache *cache, struct aspen_cache_chunk *chunk,
           struct aspen_cache_batch **tail)
{
    uint32_t remaining = cache->chunk_objects;
    uint32_t batches = batches_for(remaining);
    char *objects = (char *)chunk + chunk_header_bytes(remaining);

    for (uint32_t i = 0; i < batches; i++) {
        uint32_t count = remaining < BATCH ? remaining : BATCH;
        batch_fill(cache, &chunk->batches[i], objects, count);
        chunk->batches[i].next = &chunk->batches[i + 1];
        objects += (size_t)count * cache->object_bytes;
        remaining -= count;
    }
    *tail = &chunk->batches[batches - 1];
    return chunk->batches;
}

/* No lock of the cache is held: the port may take its time. */
static bool
depot_grow(struct aspen_cache *cache)
{
    struct aspen_cache_chunk *chunk =
        aspen_port_memory_alloc(cache->chunk_bytes);
    struct aspen_cache_batch *head, *tail;

    if (!chunk)
        return false;
    head = chunk_fill(cache, chunk, &tail);
    aspen_spin_lock(&cache->depot_lock, ASPEN_LOCK_DEPOT);
    chunk->next = cache->chunks;
    cache->chunks = chunk;
    aspen_store_relaxed(&cache->chunk_count, cache->chunk_count + 1);
    tail->next = cache->full;
    cache->full = head;
    aspen_spin_unlock(&cache->depot_lock);
    return true;
}

/* ---- Magazines --------------------------------------------------------- */

static void
copy_pointers(void **to, void *const *from, uint64_t count)
{
    memcpy(to, from, (size_t)count * sizeof(*to));
}

/* Into an empty magazine, from the depot. */
static bool
magazine_refill_locked(struct aspen_cache *cache,
                       struct aspen_cache_magazine *magazine)
{
    struct aspen_cache_batch *batch;

    aspen_spin_lock(&cache->depot_lock, ASPEN_LOCK_DEPOT);
    batch = cache->full;
    if (batch) {
        cache->full = batch->next;
        copy_pointers(magazine->objects, batch->objects, batch->count);
        magazine->count = (uint32_t)batch->count;
        batch->next = cache->empty;
        cache->empty = batch;
    }
    aspen_spin_unlock(&cache->depot_lock);
    return batch != NULL;
}

/* From a full magazine: its older half, which is the colder one. */
static void
magazine_spill_locked(struct aspen_cache *cache,
                      struct aspen_cache_magazine *magazine)
{
    struct aspen_cache_batch *batch;

    aspen_spin_lock(&cache->depot_lock, ASPEN_LOCK_DEPOT);
    batch = cache->empty;
    ASPEN_ASSERT(batch); /* I5 */
    cache->empty = batch->next;
    copy_pointers(batch->objects, magazine->objects, BATCH);
    batch->count = BATCH;
    batch->next = cache->full;
    cache->full = batch;
    aspen_spin_unlock(&cache->depot_lock);
    copy_pointers(magazine->objects, magazine->objects + BATCH,
                  MAGAZINE - BATCH);
    magazine->count = MAGAZINE - BATCH;
}

static uint32_t
magazine_pop_some(struct aspen_cache *cache,
                  struct aspen_cache_magazine *magazine, void **objects,
                  uint32_t count)
{
    uint32_t got = 0;

    aspen_spin_lock(&magazine->lock, ASPEN_LOCK_CACHE);
    while (got < count && (aspen_likely(magazine->count) ||
                           magazine_refill_locked(cache, magazine)))
        objects[got++] = magazine->objects[--magazine->count];
    magazine->handed_out += got;
    aspen_spin_unlock(&magazine->lock);
    return got;
}

static void *
magazine_pop(struct aspen_cache *cache, struct aspen_cache_magazine *magazine)
{
    void *object;

    return magazine_pop_some(cache, magazine, &object, 1) ? object : NULL;
}

/* The port has no memory: what other CPUs put aside is better than nothing. */
static void *
take_from_others(struct aspen_cache *cache)
{
    void *object = NULL;

    for (unsigned cpu = 0; !object && cpu < ASPEN_PORT_CPUS; cpu++)
        object = magazine_pop(cache, &cache->magazines[cpu]);
    return object;
}

static void *
alloc_slow(struct aspen_cache *cache)
{
    void *object = NULL;

    while (!object && depot_grow(cache))
        object = magazine_pop(cache, &cache->magazines[aspen_port_cpu()]);
    return object ? object : take_from_others(cache);
}

/* ---- Interface --------------------------------------------------------- */

int
aspen_cache_init(struct aspen_cache *cache, const char *name,
                 size_t object_bytes, enum aspen_step step, bool type_stable,
                 struct aspen_failpoints *failpoints)
{
    *cache = (struct aspen_cache){
        .name = name,
        .failpoints = failpoints,
        .step = step,
        .object_bytes = (uint32_t)aspen_align_up(object_bytes, 16),
        .chunk_bytes = CHUNK_BYTES,
        .type_stable = type_stable,
    };
    while (chunk_capacity(cache->chunk_bytes, cache->object_bytes) < CHUNK_MIN)
        cache->chunk_bytes *= 2;
    cache->chunk_objects =
        chunk_capacity(cache->chunk_bytes, cache->object_bytes);
    cache->magazines = aspen_port_memory_alloc(MAGAZINES_BYTES);
    return cache->magazines ? 0 : -ASPEN_ENOMEM;
}

void
aspen_cache_destroy(struct aspen_cache *cache)
{
    struct aspen_cache_chunk *chunk = cache->chunks;

    ASPEN_ASSERT(aspen_cache_allocated(cache) == 0);
    while (chunk) {
        struct aspen_cache_chunk *next = chunk->next;
        ASPEN_PORT_UNPOISON(chunk, cache->chunk_bytes);
        aspen_port_memory_free(chunk, cache->chunk_bytes);
        chunk = next;
    }
    aspen_port_memory_free(cache->magazines, MAGAZINES_BYTES);
    cache->magazines = NULL;
    cache->chunks = NULL;
}

void *
aspen_cache_alloc(struct aspen_cache *cache)
{
    void *object;

    if (aspen_failpoint(cache->failpoints, cache->step))
        return NULL;
    object = magazine_pop(cache, &cache->magazines[aspen_port_cpu()]);
    if (aspen_unlikely(!object))
        object = alloc_slow(cache);
    if (aspen_likely(object))
        object_show(cache, object);
    else
        aspen_fetch_add_relaxed(&cache->refused, 1);
    return object;
}

uint32_t
aspen_cache_alloc_some(struct aspen_cache *cache, void **objects,
                       uint32_t count)
{
    uint32_t wanted = 0, got;

    while (wanted < count && !aspen_failpoint(cache->failpoints, cache->step))
        wanted++;
    got = magazine_pop_some(cache, &cache->magazines[aspen_port_cpu()], objects,
                            wanted);
    while (got < wanted && (objects[got] = alloc_slow(cache)) != NULL)
        got++;
    if (aspen_unlikely(got < wanted))
        aspen_fetch_add_relaxed(&cache->refused, 1);
    for (uint32_t i = 0; i < got; i++)
        object_show(cache, objects[i]);
    return got;
}

void
aspen_cache_free_some(struct aspen_cache *cache, void *const *objects,
                      uint32_t count)
{
    struct aspen_cache_magazine *magazine;

    for (uint32_t i = 0; i < count; i++)
        object_hide(cache, objects[i]);
    magazine = &cache->magazines[aspen_port_cpu()];
    aspen_spin_lock(&magazine->lock, ASPEN_LOCK_CACHE);
    for (uint32_t i = 0; i < count; i++) {
        if (aspen_unlikely(magazine->count == MAGAZINE))
            magazine_spill_locked(cache, magazine);
        magazine->objects[magazine->count++] = objects[i];
    }
    magazine->handed_out -= count;
    aspen_spin_unlock(&magazine->lock);
}

void
aspen_cache_free(struct aspen_cache *cache, void *object)
{
    if (object)
        aspen_cache_free_some(cache, &object, 1);
}

uint64_t
aspen_cache_allocated(const struct aspen_cache *cache)
{
    int64_t total = 0;

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        struct aspen_cache_magazine *magazine = &cache->magazines[cpu];
        aspen_spin_lock(&magazine->lock, ASPEN_LOCK_CACHE);
        total += magazine->handed_out;
        aspen_spin_unlock(&magazine->lock);
    }
    return (uint64_t)total;
}

uint64_t
aspen_cache_bytes(const struct aspen_cache *cache)
{
    return aspen_load_relaxed(&cache->chunk_count) * cache->chunk_bytes +
           MAGAZINES_BYTES;
}
