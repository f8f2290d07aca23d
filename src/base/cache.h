/* SPDX-License-Identifier: MIT */
/*
 * base/cache.h - a cache of equal-sized objects over the port's memory.
 *
 * It stands in base, below the range tree, because the tree takes its nodes
 * from one, and because it needs nothing but the port's memory.
 *
 *   CPU magazines            depot                       chunks
 *   [0] o o o o . . . .      batch -> batch -> ...       16 KiB each: batches,
 *   [1] o . . . . . . .      empty batches               then objects
 *         ^ push, pop          ^ a batch at a time
 *
 * I1  Memory of a cache stays the cache's until aspen_cache_destroy(): a
 *     reader under RCU that still holds a freed object of a type-stable cache
 *     (VMAs, anon_vmas) sees an object of the same type, maybe another one.
 *     Such an object keeps its contents while it is free, and was all zero
 *     when it was handed out for the first time.
 * I2  allocated == objects handed out and not yet freed, whenever no call is
 *     under way. These counts decide whether "nothing is left".
 * I3  Each CPU has a magazine behind a spin lock of its own. Other CPUs take
 *     that lock only to count, or to take objects when memory runs out.
 * I4  A free never needs memory: see cache.c.
 *
 * Objects are aligned to ASPEN_CACHE_LINE when their size is a multiple of
 * it, otherwise to 16 bytes. Contents of a fresh object of a cache that is
 * not type-stable are undefined.
 */
#ifndef ASPEN_BASE_CACHE_H
#define ASPEN_BASE_CACHE_H

#include "base/failpoint.h"
#include <aspen_port.h>

#define ASPEN_CACHE_LINE 64

struct aspen_cache_magazine;
struct aspen_cache_batch;
struct aspen_cache_chunk;

struct aspen_cache {
    /* Immutable after init. */
    const char *name;
    struct aspen_failpoints *failpoints; /* NULL: never fails by plan */
    enum aspen_step step;  /* what a failed allocation counts as */
    uint32_t object_bytes; /* rounded up */
    uint32_t chunk_bytes;
    uint32_t chunk_objects;
    bool type_stable;
    struct aspen_cache_magazine *magazines; /* one for each CPU */
    uint64_t refused; /* atomic: how often there was no memory */

    /* Depot lock. */
    struct aspen_port_spinlock depot_lock;
    struct aspen_cache_batch *full; /* at least one object in each */
    struct aspen_cache_batch *empty;
    struct aspen_cache_chunk *chunks; /* all memory the cache owns */
    uint64_t chunk_count;
};

/*
 * Set up a cache. Takes memory for the magazines, objects later.
 *
 * Returns: 0 or -ASPEN_ENOMEM (the cache must not be used then).
 */
ASPEN_MUST_USE int aspen_cache_init(struct aspen_cache *cache, const char *name,
                                    size_t object_bytes, enum aspen_step step,
                                    bool type_stable,
                                    struct aspen_failpoints *failpoints);

/* Give all memory back. Every object has been freed (asserted). */
void aspen_cache_destroy(struct aspen_cache *cache);

/*
 * One object, or NULL: no memory, or the failpoint said so. One crossing of
 * the gate, whether the object comes from a magazine or from the port.
 *
 * Context: any lock may be held; never sleeps, never reclaims.
 */
ASPEN_MUST_USE void *aspen_cache_alloc(struct aspen_cache *cache);

/*
 * Up to `count` objects, which cost one lock where the magazine has them.
 * Returns how many there are: fewer if one more is not to be had, as
 * aspen_cache_alloc() would say. A crossing of the gate for each, and for the
 * one that is refused.
 */
ASPEN_MUST_USE uint32_t aspen_cache_alloc_some(struct aspen_cache *cache,
                                               void **objects, uint32_t count);

/* Free one object. NULL is allowed. Context: as aspen_cache_alloc(). */
void aspen_cache_free(struct aspen_cache *cache, void *object);

/* The same for several, none of which is NULL. */
void aspen_cache_free_some(struct aspen_cache *cache, void *const *objects,
                           uint32_t count);

/* Objects handed out now. Exact when no call is under way. */
uint64_t aspen_cache_allocated(const struct aspen_cache *cache);

/* Bytes the cache holds from the port, free objects included. */
uint64_t aspen_cache_bytes(const struct aspen_cache *cache);

#endif
