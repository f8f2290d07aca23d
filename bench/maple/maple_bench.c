// SPDX-License-Identifier: GPL-2.0
/*
 * bench/maple/maple_bench.c - Linux's maple tree under
 * bench/tree/tree_measure.h, with the flags that an address space uses. The
 * program build/maple/maple_bench N; apart from Aspen, never linked to it.
 */
#define _GNU_SOURCE
#include "shared.h"
#include <linux/maple_tree.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree_workload.h"

#define FLAGS_PRIVATE (MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN)
#define FLAGS_RCU     (FLAGS_PRIVATE | MT_FLAGS_USE_RCU)

extern unsigned long peer_node_bytes(void);
extern long peer_nodes(void);
extern int mas_store_gfp(struct ma_state *mas, void *entry, gfp_t gfp);
void maple_tree_init(void);

struct subject {
    struct maple_tree tree;
};

static inline void
subject_init(struct subject *subject, bool rcu)
{
    mt_init_flags(&subject->tree, rcu ? FLAGS_RCU : FLAGS_PRIVATE);
}

static inline void
subject_store(struct subject *subject, const struct work_range *range,
              void *entry)
{
    MA_STATE(mas, &subject->tree, range->first, range->last);
    if (mas_store_gfp(&mas, entry, GFP_KERNEL))
        abort();
}

static inline void *
subject_load(struct subject *subject, uint64_t key)
{
    return mtree_load(&subject->tree, key); /* takes the RCU read lock */
}

static inline void *
subject_find(struct subject *subject, uint64_t key)
{
    MA_STATE(mas, &subject->tree, key, key);
    rcu_read_lock();
    void *entry = mas_find(&mas, ULONG_MAX);
    rcu_read_unlock();
    return entry;
}

static inline uint64_t
subject_walk(struct subject *subject)
{
    MA_STATE(mas, &subject->tree, 0, 0);
    uint64_t sum = 0;
    void *entry;
    rcu_read_lock();
    mas_for_each(&mas, entry, ULONG_MAX)
        sum += (uintptr_t)entry;
    rcu_read_unlock();
    return sum;
}

static inline void
subject_duplicate(struct subject *to, struct subject *from)
{
    mt_init_flags(&to->tree, FLAGS_RCU);
    if (__mt_dup(&from->tree, &to->tree, GFP_KERNEL))
        abort();
    mt_clear_in_rcu(&to->tree);
}

static inline void
subject_replace_all(struct subject *subject, void *from, void *to)
{
    MA_STATE(mas, &subject->tree, 0, 0);
    void *entry;
    mas_for_each(&mas, entry, ULONG_MAX)
        mas_store(&mas, (char *)to + ((char *)entry - (char *)from));
}

static inline uint64_t
subject_gap_up(struct subject *subject, uint64_t low, uint64_t high,
               uint64_t length)
{
    MA_STATE(mas, &subject->tree, 0, 0);
    return mas_empty_area(&mas, low, high, length) ? 1 : mas.index;
}

static inline uint64_t
subject_gap_down(struct subject *subject, uint64_t low, uint64_t high,
                 uint64_t length)
{
    MA_STATE(mas, &subject->tree, 0, 0);
    return mas_empty_area_rev(&mas, low, high, length) ? 1 : mas.index;
}

static inline void
subject_destroy(struct subject *subject)
{
    mt_clear_in_rcu(&subject->tree);
    __mt_destroy(&subject->tree);
}

static inline void
subject_settle(void)
{
    rcu_barrier();
}

static inline uint64_t
subject_bytes(void)
{
    return (uint64_t)peer_nodes() * peer_node_bytes();
}

#include "tree_measure.h"

int
main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    rcu_register_thread();
    maple_tree_init();
    measure_tree(strtoull(argv[1], NULL, 0), argc > 2 ? argv[2] : NULL);
    return 0;
}
