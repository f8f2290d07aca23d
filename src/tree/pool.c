/* SPDX-License-Identifier: MIT */
/*
 * tree/pool.c - where nodes come from, and where dead ones wait.
 *
 * A dead node keeps everything that readers look at; its link lies over `info`,
 * which they never read. Dead nodes gather in `collecting`, one list for each
 * CPU, until they are a batch and the batch before, in `dead`, has had its
 * grace period: there is one deferred callback for each batch.
 *
 * Of each CPU:
 * I1  armed: exactly one callback is pending, and it frees `dead`.
 * I2  not armed: `dead` is empty, `collecting` is less than a batch.
 * I3  `nodes` counts both lists, and the rest of a list that is being freed.
 *     With the lock held it is exact.
 *
 * Breaks first: test_tree.c, pool and concurrent tests.
 */
#include "base/bits.h"
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
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        pool->waiting[cpu].pool = pool;
    return aspen_cache_init(&pool->nodes, "tree_node", NODE_BYTES,
                            ASPEN_STEP_TREE_NODE, false, failpoints);
}

/* With the lock: who has freed the last of them has let go of them then. */
static uint64_t
count_waiting(struct aspen_tree_waiting *waiting)
{
    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    uint64_t nodes = waiting->nodes;
    aspen_spin_unlock(&waiting->lock);
    return nodes;
}

static bool
has_waiting(struct aspen_tree_pool *pool)
{
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        if (count_waiting(&pool->waiting[cpu]))
            return true;
    return false;
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
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        ASPEN_ASSERT(!pool->waiting[cpu].armed);
    aspen_cache_destroy(&pool->nodes);
}

uint64_t
aspen_tree_pool_waiting(const struct aspen_tree_pool *pool)
{
    uint64_t nodes = 0;

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        nodes += aspen_load_relaxed(&pool->waiting[cpu].nodes);
    return nodes;
}

/* With each lock: nobody has given some back, and not yet said so. */
static uint32_t
count_taken(struct aspen_tree_pool *pool)
{
    uint32_t taken = 0;

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        aspen_spin_lock(&pool->waiting[cpu].lock, ASPEN_LOCK_LEAF);
        taken += pool->waiting[cpu].taken;
        aspen_spin_unlock(&pool->waiting[cpu].lock);
    }
    return taken;
}

/* Those that wait are counted first, so that all of them are among those that
 * are allocated. They may go just now, or from one CPU to another: then once
 * more. Who takes some holds a lock from the first to when it has said so. */
uint64_t
aspen_tree_pool_nodes(const struct aspen_tree_pool *constant)
{
    /* Only the locks are written. */
    struct aspen_tree_pool *pool = (struct aspen_tree_pool *)constant;
    uint64_t waiting, allocated;
    uint32_t taken;

    do {
        taken = count_taken(pool);
        waiting = 0;
        for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
            waiting += count_waiting(&pool->waiting[cpu]);
        allocated = aspen_cache_allocated(&pool->nodes);
    } while (count_taken(pool) != taken);
    return allocated - waiting;
}

/* A few at a time, so that nobody waits long for the lock. */
static struct node *
free_batch(struct aspen_tree_waiting *waiting, struct node *node)
{
    uint32_t count = 0;
    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    for (; node && count < 16; count++) {
        struct node *next = node->link;
        aspen_cache_free(&waiting->pool->nodes, node);
        node = next;
    }
    aspen_store_relaxed(&waiting->nodes, waiting->nodes - count);
    waiting->taken += count;
    aspen_spin_unlock(&waiting->lock);
    return node;
}

static void
free_list(struct aspen_tree_waiting *waiting, struct node *node)
{
    while (node)
        node = free_batch(waiting, node);
}

/* With the lock held: whether what was collected goes into a grace period. */
static bool
start_batch_locked(struct aspen_tree_waiting *waiting)
{
    waiting->armed = waiting->collecting_nodes >= BATCH_NODES;
    if (!waiting->armed)
        return false;
    waiting->dead = waiting->collecting;
    waiting->collecting = NULL;
    waiting->collecting_nodes = 0;
    return true;
}

static void
grace_period_over(struct aspen_port_rcu_head *head)
{
    struct aspen_tree_waiting *waiting =
        aspen_container_of(head, struct aspen_tree_waiting, head);
    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    struct node *done = waiting->dead;
    waiting->dead = NULL;
    bool again = start_batch_locked(waiting);
    aspen_spin_unlock(&waiting->lock);
    if (again)
        aspen_port_rcu_defer(head, grace_period_over);
    free_list(waiting, done);
}

static void
collect(struct aspen_tree_waiting *waiting, const struct node_chain *chain)
{
    if (!waiting->collecting)
        waiting->last = chain->last;
    chain->last->link = waiting->collecting;
    waiting->collecting = chain->first;
    waiting->collecting_nodes += chain->count;
    aspen_store_relaxed(&waiting->nodes, waiting->nodes + chain->count);
}

void
aspen_tree_pool_retire(struct aspen_tree_pool *pool, struct node_chain *chain)
{
    struct aspen_tree_waiting *waiting = &pool->waiting[aspen_port_cpu()];

    if (!chain->first)
        return;
    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    collect(waiting, chain);
    bool arm = !waiting->armed && start_batch_locked(waiting);
    aspen_spin_unlock(&waiting->lock);
    if (arm)
        aspen_port_rcu_defer(&waiting->head, grace_period_over);
}

/* What a CPU has collected joins the chain, and is counted there no more. */
static void
take_collected(struct aspen_tree_waiting *waiting, struct node_chain *chain)
{
    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    if (waiting->collecting) {
        ((struct node *)waiting->last)->link = chain->first;
        chain->first = waiting->collecting;
        chain->count += waiting->collecting_nodes;
        aspen_store_relaxed(&waiting->nodes,
                            waiting->nodes - waiting->collecting_nodes);
        waiting->taken += waiting->collecting_nodes;
        waiting->collecting = NULL;
        waiting->collecting_nodes = 0;
    }
    aspen_spin_unlock(&waiting->lock);
}

/* One grace period is enough for what all CPUs have collected. */
void
aspen_tree_pool_wait(struct aspen_tree_pool *pool)
{
    struct aspen_tree_waiting *own = &pool->waiting[aspen_port_cpu()];
    struct node_chain chain = {0};

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        take_collected(&pool->waiting[cpu], &chain);
    if (!chain.first)
        return;
    aspen_spin_lock(&own->lock, ASPEN_LOCK_LEAF);
    aspen_store_relaxed(&own->nodes, own->nodes + chain.count);
    aspen_spin_unlock(&own->lock);
    aspen_port_rcu_synchronise();
    free_list(own, chain.first);
}
