/* SPDX-License-Identifier: MIT */
/*
 * tree/pool.c - where nodes come from, and where dead ones wait.
 *
 * A dead node keeps everything that readers look at; its link lies over `info`,
 * which they never read. Dead nodes gather in `collecting` until they are a
 * batch and the batch before, in `waiting`, has had its grace period: there is
 * one deferred callback for each batch.
 *
 * I1  armed: exactly one callback is pending, and it frees `waiting`.
 * I2  not armed: `waiting` is empty, `collecting` is less than a batch.
 * I3  waiting_nodes counts both lists, and the rest of a list that is being
 *     freed. With the lock held it is exact.
 *
 * Breaks first: test_tree.c, pool and concurrent tests.
 */
#include "base/lock.h"
#include "tree/pool.h"

/* So many dead nodes are worth a grace period. */
#define BATCH_NODES 512

int
aspen_tree_pool_init(struct aspen_tree_pool *pool,
                     struct aspen_failpoints *failpoints, uint64_t waiting_max)
{
    memset(pool, 0, sizeof(*pool));
    pool->waiting_max = aspen_max_u64(waiting_max, BATCH_NODES);
    return aspen_cache_init(&pool->nodes, "tree_node", NODE_BYTES,
                            ASPEN_STEP_TREE_NODE, false, failpoints);
}

/* With the lock: who has freed the last of them has let go of the pool then. */
static bool
has_waiting(struct aspen_tree_pool *pool)
{
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    bool any = pool->waiting_nodes != 0;
    aspen_spin_unlock(&pool->waiting_lock);
    return any;
}

void
aspen_tree_pool_destroy(struct aspen_tree_pool *pool)
{
    /* A callback that finds a batch to wait for defers itself again, and a
     * barrier need not wait for what was deferred since it began. */
    while (has_waiting(pool)) {
        aspen_port_rcu_barrier();
        aspen_tree_pool_wait(pool);
    }
    ASPEN_ASSERT(!pool->waiting_armed);
    aspen_cache_destroy(&pool->nodes);
}

uint64_t
aspen_tree_pool_nodes(const struct aspen_tree_pool *constant)
{
    /* Only the lock is written. */
    struct aspen_tree_pool *pool = (struct aspen_tree_pool *)constant;
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    uint64_t nodes = aspen_cache_allocated(&pool->nodes) - pool->waiting_nodes;
    aspen_spin_unlock(&pool->waiting_lock);
    return nodes;
}

/* A few at a time, so that nobody waits long for the lock. */
static struct node *
free_batch(struct aspen_tree_pool *pool, struct node *node)
{
    uint64_t count = 0;
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    for (; node && count < 16; count++) {
        struct node *next = node->link;
        aspen_cache_free(&pool->nodes, node);
        node = next;
    }
    aspen_store_relaxed(&pool->waiting_nodes, pool->waiting_nodes - count);
    aspen_spin_unlock(&pool->waiting_lock);
    return node;
}

static void
free_list(struct aspen_tree_pool *pool, struct node *node)
{
    while (node)
        node = free_batch(pool, node);
}

/* With the lock held: whether what was collected goes into a grace period. */
static bool
start_batch_locked(struct aspen_tree_pool *pool)
{
    pool->waiting_armed = pool->collecting_nodes >= BATCH_NODES;
    if (!pool->waiting_armed)
        return false;
    pool->waiting = pool->collecting;
    pool->collecting = NULL;
    pool->collecting_nodes = 0;
    return true;
}

static void
grace_period_over(struct aspen_port_rcu_head *head)
{
    struct aspen_tree_pool *pool =
        aspen_container_of(head, struct aspen_tree_pool, waiting_head);
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    struct node *done = pool->waiting;
    pool->waiting = NULL;
    bool again = start_batch_locked(pool);
    aspen_spin_unlock(&pool->waiting_lock);
    if (again)
        aspen_port_rcu_defer(head, grace_period_over);
    free_list(pool, done);
}

void
aspen_tree_pool_retire(struct aspen_tree_pool *pool, struct node_chain *chain)
{
    if (!chain->first)
        return;
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    aspen_store_relaxed(&pool->waiting_nodes,
                        pool->waiting_nodes + chain->count);
    chain->last->link = pool->collecting;
    pool->collecting = chain->first;
    pool->collecting_nodes += chain->count;
    bool arm = !pool->waiting_armed && start_batch_locked(pool);
    aspen_spin_unlock(&pool->waiting_lock);
    if (arm)
        aspen_port_rcu_defer(&pool->waiting_head, grace_period_over);
}

void
aspen_tree_pool_wait(struct aspen_tree_pool *pool)
{
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    struct node *mine = pool->collecting;
    pool->collecting = NULL;
    pool->collecting_nodes = 0;
    aspen_spin_unlock(&pool->waiting_lock);
    if (!mine)
        return;
    aspen_port_rcu_synchronise();
    free_list(pool, mine);
}
