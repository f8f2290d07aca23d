// SPDX-License-Identifier: GPL-2.0
/*
 * bench/maple/maple_slab.c - the kmem_cache calls that the maple tree makes,
 * as fast as we can: free nodes are a list in each thread, exchanged with a
 * shared one by the batch, so that a node costs a few instructions (the shim
 * in the kernel's tools calls malloc() for each).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/gfp.h>
#include <linux/slab.h>

#define BATCH 64

int nr_allocated, preempt_count, test_verbose, kmalloc_verbose;

struct free_node {
    struct free_node *next;       /* in a list */
    struct free_node *next_batch; /* of a list's first, in the shared one */
};

struct kmem_cache {
    pthread_mutex_t mutex;
    struct free_node *batches;
    size_t bytes;
};

static struct kmem_cache only; /* the maple tree has one cache */
static __thread struct free_node *mine;
static __thread unsigned mine_count;
static __thread long *in_use_here;
static long in_use_by_thread[64];
static int threads;

static long *
counter(void)
{
    if (!in_use_here)
        in_use_here = &in_use_by_thread[__sync_fetch_and_add(&threads, 1) % 64];
    return in_use_here;
}

static struct free_node *
new_batch(void)
{
    char *memory = aligned_alloc(4096, BATCH * only.bytes);
    if (!memory)
        abort();
    for (int i = 0; i < BATCH; i++) {
        struct free_node *node = (void *)(memory + i * only.bytes);
        node->next = i + 1 < BATCH ? (void *)((char *)node + only.bytes) : NULL;
    }
    return (struct free_node *)memory;
}

static void
refill(void)
{
    pthread_mutex_lock(&only.mutex);
    mine = only.batches;
    if (mine)
        only.batches = mine->next_batch;
    pthread_mutex_unlock(&only.mutex);
    if (!mine)
        mine = new_batch();
    mine_count = BATCH;
}

static void
spill(void)
{
    struct free_node *batch = mine, *end = batch;
    for (int i = 1; i < BATCH; i++)
        end = end->next;
    mine = end->next;
    mine_count -= BATCH;
    end->next = NULL;
    pthread_mutex_lock(&only.mutex);
    batch->next_batch = only.batches;
    only.batches = batch;
    pthread_mutex_unlock(&only.mutex);
}

static inline void *
take_node(int flags)
{
    if (!mine)
        refill();
    struct free_node *node = mine;
    mine = node->next;
    mine_count--;
    ++*counter();
    if (flags & __GFP_ZERO)
        memset(node, 0, only.bytes);
    return node;
}

void *
kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, int flags)
{
    return take_node(flags);
}

void
kmem_cache_free(struct kmem_cache *cache, void *object)
{
    struct free_node *node = object;
    node->next = mine;
    mine = node;
    --*counter();
    if (++mine_count >= 2 * BATCH)
        spill();
}

void
kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects)
{
    for (size_t i = 0; i < count; i++)
        kmem_cache_free(cache, objects[i]);
}

int
kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t flags, size_t count,
                      void **objects)
{
    for (size_t i = 0; i < count; i++)
        objects[i] = take_node(flags);
    return (int)count;
}

void
kmem_cache_shrink(struct kmem_cache *cache)
{
}

struct kmem_cache *
kmem_cache_create(const char *name, unsigned int bytes, unsigned int align,
                  unsigned int flags, void (*constructor)(void *))
{
    pthread_mutex_init(&only.mutex, NULL);
    only.bytes = bytes;
    return &only;
}

long peer_nodes(void);
long
peer_nodes(void)
{
    long sum = 0;
    for (int i = 0; i < 64; i++)
        sum += in_use_by_thread[i];
    return sum;
}
