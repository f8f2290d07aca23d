/* SPDX-License-Identifier: MIT */
/*
 * bench/tree/tree_aspen.c - Aspen's range tree under tree_measure.h;
 * build/aspen-bench-tree N.
 */
#define _GNU_SOURCE
#include "tree/tree.h"
#include <stdlib.h>

static struct aspen_tree_pool pool;

struct subject {
    struct aspen_tree tree;
};

struct thing;
struct work_range;

#include "tree_workload.h"

static inline void
subject_init(struct subject *subject, bool rcu)
{
    aspen_tree_init(&subject->tree, &pool);
    if (rcu)
        aspen_tree_rcu_enter(&subject->tree);
}

static inline void
subject_store(struct subject *subject, const struct work_range *range,
              void *entry)
{
    if (aspen_tree_store(&subject->tree, range->first, range->last, entry))
        abort();
    if (subject->tree.rcu)
        aspen_tree_pool_settle(&pool);
}

static inline void *
subject_load(struct subject *subject, uint64_t key)
{
    aspen_port_rcu_read_lock();
    void *entry = aspen_tree_load(&subject->tree, key);
    aspen_port_rcu_read_unlock();
    return entry;
}

static inline void *
subject_find(struct subject *subject, uint64_t key)
{
    aspen_port_rcu_read_lock();
    void *entry = aspen_tree_find(&subject->tree, key, UINT64_MAX, NULL);
    aspen_port_rcu_read_unlock();
    return entry;
}

static inline uint64_t
subject_walk(struct subject *subject)
{
    struct aspen_tree_cursor cursor;
    uint64_t sum = 0;
    void *entry;
    aspen_port_rcu_read_lock();
    aspen_tree_cursor_init(&cursor, &subject->tree, 0);
    while ((entry = aspen_tree_next(&cursor, UINT64_MAX)) != NULL)
        sum += (uintptr_t)entry;
    aspen_port_rcu_read_unlock();
    return sum;
}

static inline void
subject_duplicate(struct subject *to, struct subject *from)
{
    aspen_tree_init(&to->tree, &pool);
    if (aspen_tree_duplicate(&to->tree, &from->tree))
        abort();
}

static inline void
subject_replace_all(struct subject *subject, void *from, void *to)
{
    struct aspen_tree_cursor cursor;
    void *entry;
    aspen_tree_cursor_init(&cursor, &subject->tree, 0);
    while ((entry = aspen_tree_next(&cursor, UINT64_MAX)) != NULL)
        aspen_tree_cursor_replace(&cursor,
                                  (char *)to + ((char *)entry - (char *)from));
}

static inline uint64_t
subject_gap_up(struct subject *subject, uint64_t low, uint64_t high,
               uint64_t length)
{
    uint64_t start;
    return aspen_tree_gap_up(&subject->tree, low, high, length, &start) ? 1
                                                                        : start;
}

static inline uint64_t
subject_gap_down(struct subject *subject, uint64_t low, uint64_t high,
                 uint64_t length)
{
    uint64_t start;
    void *above;
    return aspen_tree_gap_down(&subject->tree, low, high, length, &start,
                               &above)
               ? 1
               : start;
}

static inline void
subject_destroy(struct subject *subject)
{
    aspen_tree_destroy_quiet(&subject->tree);
}

static inline void
subject_settle(void)
{
    aspen_port_rcu_barrier();
    aspen_tree_pool_wait(&pool);
}

static inline uint64_t
subject_bytes(void)
{
    return aspen_tree_pool_nodes(&pool) * pool.nodes.object_bytes;
}

#include "tree_measure.h"

int
main(int argc, char **argv)
{
    if (argc < 2 || aspen_tree_pool_init(&pool, NULL, 65536))
        return 2;
    measure_tree(strtoull(argv[1], NULL, 0), argc > 2 ? argv[2] : NULL);
    return 0;
}
