/* SPDX-License-Identifier: MIT */
/*
 * tree/pool.c - where nodes come from, and where dead ones wait.
 *
 * A node that a reader may still look at keeps all that readers look at; its
 * link lies over `info`, which they never read. Dead nodes gather in
 * `collecting` while the batch in `waiting` is in a grace period: one deferred
 * callback stands for a whole batch.
 *
 * I1  armed: exactly one callback is pending, and it frees `waiting`.
 * I2  not armed: both lists are empty.
 * I3  waiting_nodes counts both lists, and a list that is being freed.
 *
 * Breaks first: test_tree.c, pool and concurrent tests.
 */
#include "base/lock.h"
#include "tree/node.h"

static void grace_period_over(struct aspen_port_rcu_head *head);

int
aspen_tree_pool_init(struct aspen_tree_pool *pool,
                     struct aspen_failpoints *failpoints)
{
    memset(pool, 0, sizeof(*pool));
    return aspen_cache_init(&pool->nodes, "tree_node", NODE_BYTES,
                            ASPEN_STEP_TREE_NODE, false, failpoints);
}

void
aspen_tree_pool_destroy(struct aspen_tree_pool *pool)
{
    /* A callback that finds more to wait for defers itself again. */
    while (aspen_load(&pool->waiting_nodes))
        aspen_port_rcu_barrier();
    ASPEN_ASSERT(!pool->waiting_armed);
    aspen_cache_destroy(&pool->nodes);
}

uint64_t
aspen_tree_pool_nodes(const struct aspen_tree_pool *pool)
{
    return aspen_cache_allocated(&pool->nodes) -
           aspen_load(&pool->waiting_nodes);
}

static void
free_list(struct aspen_tree_pool *pool, struct node *node)
{
    uint64_t count = 0;
    while (node) {
        struct node *next = node->link;
        aspen_cache_free(&pool->nodes, node);
        node = next;
        count++;
    }
    aspen_fetch_sub(&pool->waiting_nodes, count);
}

static void
grace_period_over(struct aspen_port_rcu_head *head)
{
    struct aspen_tree_pool *pool =
        aspen_container_of(head, struct aspen_tree_pool, waiting_head);
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    struct node *done = pool->waiting;
    pool->waiting = pool->collecting;
    pool->collecting = NULL;
    bool again = pool->waiting != NULL;
    pool->waiting_armed = again;
    aspen_spin_unlock(&pool->waiting_lock);

    free_list(pool, done);
    if (again)
        aspen_port_rcu_defer(head, grace_period_over);
}

void
aspen_tree_pool_retire(struct aspen_tree_pool *pool, struct node_chain *chain)
{
    if (!chain->first)
        return;
    aspen_fetch_add(&pool->waiting_nodes, chain->count);
    aspen_spin_lock(&pool->waiting_lock, ASPEN_LOCK_LEAF);
    chain->last->link = pool->collecting;
    pool->collecting = chain->first;
    bool arm = !pool->waiting_armed;
    if (arm) {
        pool->waiting_armed = true;
        pool->waiting = pool->collecting;
        pool->collecting = NULL;
    }
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
    aspen_spin_unlock(&pool->waiting_lock);
    if (!mine)
        return;
    aspen_port_rcu_synchronise();
    free_list(pool, mine);
}
