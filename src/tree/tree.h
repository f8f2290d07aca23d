/* SPDX-License-Identifier: MIT */
/*
 * tree/tree.h - the range tree: non-overlapping closed ranges [first, last]
 * over [0, UINT64_MAX], each with a pointer that is not NULL.
 *
 * Used for VMAs by address and for the page cache by page offset. The tree
 * never looks into entries and never frees them. Neighbouring ranges with the
 * same pointer stay two ranges only if they were stored as two whole ranges
 * with different pointers. Storing over a part of a range leaves the rest of it
 * with its old pointer (a split).
 *
 * Writers are serialised by the owner's lock. In RCU mode readers need only
 * the RCU read lock (or the owner's lock): writers build new nodes and publish
 * them with one store, old nodes are freed after a grace period. Outside RCU
 * mode (a tree private to its builder) nodes are changed in place and freed at
 * once.
 */
#ifndef ASPEN_TREE_TREE_H
#define ASPEN_TREE_TREE_H

#include "base/atomic.h"
#include "base/cache.h"

/* Dead nodes of one CPU, which wait for a grace period: details in pool.c. All
 * under the lock. */
struct aspen_tree_waiting {
    _Alignas(ASPEN_CACHE_LINE) struct aspen_tree_pool *pool; /* immutable */
    struct aspen_port_spinlock lock;
    bool armed;
    struct aspen_port_rcu_head head;
    void *dead;       /* they are in the grace period under way */
    void *collecting; /* they wait for the next one */
    void *last;       /* of these */
    uint32_t collecting_nodes;
    uint32_t nodes; /* both, and what is being freed; atomic */
    uint32_t taken; /* off those, so far */
};

/* Where the nodes of many trees come from: one for each machine. */
struct aspen_tree_pool {
    struct aspen_cache nodes;
    uint64_t waiting_max; /* immutable: with more a writer waits */
    struct aspen_tree_waiting waiting[ASPEN_PORT_CPUS];
};

struct aspen_tree {
    struct aspen_tree_pool *pool; /* immutable */
    void *root;                   /* NULL: empty. Readers: RCU */
    bool rcu;                     /* owner's lock */
    bool alone;                   /* nobody reads: dead nodes go at once */
    uint64_t count;               /* ranges; owner's lock; last: each store
                                     writes it, see struct aspen_mm */
};

/* More levels than any tree can have: 5^15 leaves at the least. */
#define ASPEN_TREE_HEIGHT_MAX 15

/* The nodes from the root to a leaf, and the slot taken in each. */
struct aspen_tree_step {
    uintptr_t node; /* with its form in the low bits */
    unsigned slot;
};

struct aspen_tree_path {
    unsigned height;
    struct aspen_tree_step at[ASPEN_TREE_HEIGHT_MAX]; /* [0]: the leaf */
};

/*
 * A position, on the caller's stack. Any store or erase but its own replace
 * makes it invalid. Read first, last and entry only.
 */
struct aspen_tree_cursor {
    struct aspen_tree *tree;
    uint64_t first; /* of the current entry, closed */
    uint64_t last;
    void *entry;  /* the current entry; NULL until there is one */
    uint64_t key; /* where to begin, while there is none */
    struct aspen_tree_path path;
};

/* Nodes put aside so that later stores cannot fail. */
struct aspen_tree_reserve {
    void *nodes;
    unsigned count;
    unsigned wanted; /* so many were put aside */
    bool counts; /* a rehearsal's: nodes come from the pool, `count` of them */
    /* Not NULL: the stores change one leaf alone, and this leads there. */
    struct aspen_tree_path *path;
};

/* Stores that are tried on a copy of the tree: how many nodes they take. */
struct aspen_tree_rehearsal {
    struct aspen_tree copy;
    struct aspen_tree_reserve taken;
};

/* `waiting_max`: of dead nodes, a batch of 512 at least. 0 or -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_tree_pool_init(struct aspen_tree_pool *pool,
                                        struct aspen_failpoints *failpoints,
                                        uint64_t waiting_max);
/* Every tree is destroyed, every grace period over (aspen_port_rcu_barrier). */
void aspen_tree_pool_destroy(struct aspen_tree_pool *pool);
/* Nodes in use by trees and reserves, without those that wait to be freed. */
uint64_t aspen_tree_pool_nodes(const struct aspen_tree_pool *pool);

/*
 * Bound the number of dead nodes. A store never sleeps, so whoever stores calls
 * this when its locks are dropped. Grace periods follow one another without it;
 * only where they take so long that more than waiting_max nodes are dead it
 * waits for one and frees what is dead.
 *
 * Context: may sleep; outside RCU read sections, no spin lock is held.
 */
void aspen_tree_pool_wait(struct aspen_tree_pool *pool);

/* Dead nodes: exact when nobody stores. */
uint64_t aspen_tree_pool_waiting(const struct aspen_tree_pool *pool);

/* All are asked only by who has his share. */
static inline void
aspen_tree_pool_settle(struct aspen_tree_pool *pool)
{
    const struct aspen_tree_waiting *own = &pool->waiting[aspen_port_cpu()];

    if (aspen_load_relaxed(&own->nodes) > pool->waiting_max / ASPEN_PORT_CPUS &&
        aspen_tree_pool_waiting(pool) > pool->waiting_max)
        aspen_tree_pool_wait(pool);
}

/* An empty tree, not in RCU mode. Cannot fail, takes no memory. */
void aspen_tree_init(struct aspen_tree *tree, struct aspen_tree_pool *pool);

/*
 * Free all nodes; the tree is empty and valid afterwards and keeps its mode.
 * Nodes go at once outside RCU mode, after a grace period inside it.
 * aspen_tree_destroy_quiet(): nobody reads it any more; at once in any mode.
 */
void aspen_tree_destroy(struct aspen_tree *tree);
void aspen_tree_destroy_quiet(struct aspen_tree *tree);

/* Readers may come from now on. */
void aspen_tree_rcu_enter(struct aspen_tree *tree);

static inline bool
aspen_tree_is_empty(const struct aspen_tree *tree)
{
    return tree->root == NULL;
}

/* ---- Readers ----------------------------------------------------------- */

/* The entry at `key`, or NULL. */
void *aspen_tree_load(const struct aspen_tree *tree, uint64_t key);

/*
 * The first entry at or after `key` (its last >= key) whose first <= `bound`,
 * or NULL. `range`, if not NULL, gets its range: range[0] first, range[1] last.
 */
void *aspen_tree_find(const struct aspen_tree *tree, uint64_t key,
                      uint64_t bound, uint64_t range[2]);

/* The last entry at or before `key` (first <= key) whose last >= `bound`. */
void *aspen_tree_find_back(const struct aspen_tree *tree, uint64_t key,
                           uint64_t bound, uint64_t range[2]);

/*
 * Walk: position the cursor so that the next aspen_tree_next() gives the first
 * entry at or after `key`, the next aspen_tree_previous() the last entry at
 * or before it. Both return NULL when the next entry would start after (end
 * before) `bound`; the cursor then stays where it was.
 */
void aspen_tree_cursor_init(struct aspen_tree_cursor *cursor,
                            struct aspen_tree *tree, uint64_t key);
void *aspen_tree_next(struct aspen_tree_cursor *cursor, uint64_t bound);
void *aspen_tree_previous(struct aspen_tree_cursor *cursor, uint64_t bound);
/* The entry before the cursor's current one, and its last key; NULL: there is
 * none. The cursor stays where it is. Owner's lock, nothing stored since. */
void *aspen_tree_cursor_before(const struct aspen_tree_cursor *cursor,
                               uint64_t *last);

/*
 * Owner's lock, shared or exclusive (the notes of gaps change in place).
 *
 * Search for `length` bytes without an entry inside the window [low, high].
 * up: the lowest such place; down: the highest, and in *above the entry that
 * starts right after it, if that is before `high`, else NULL. 0 and *start, or
 * -ASPEN_ENOMEM when there is none, -ASPEN_EINVAL for length 0 or low > high.
 */
ASPEN_MUST_USE int aspen_tree_gap_up(const struct aspen_tree *tree,
                                     uint64_t low, uint64_t high,
                                     uint64_t length, uint64_t *start);
ASPEN_MUST_USE int aspen_tree_gap_down(const struct aspen_tree *tree,
                                       uint64_t low, uint64_t high,
                                       uint64_t length, uint64_t *start,
                                       void **above);
/* The largest gap inside the window: its closed range, lowest one of equals.
 * -ASPEN_ENOMEM when every key of the window has an entry. */
ASPEN_MUST_USE int aspen_tree_gap_largest(const struct aspen_tree *tree,
                                          uint64_t low, uint64_t high,
                                          uint64_t range[2]);

/* ---- Writers: the owner's lock is held --------------------------------- */

/*
 * Store `entry` over [first, last], whatever is there; NULL erases.
 * Returns: 0, or -ASPEN_ENOMEM (nothing changed), -ASPEN_EINVAL (first >
 *          last, or an entry whose low two bits are not 0).
 */
ASPEN_MUST_USE int aspen_tree_store(struct aspen_tree *tree, uint64_t first,
                                    uint64_t last, void *entry);
ASPEN_MUST_USE int aspen_tree_erase(struct aspen_tree *tree, uint64_t first,
                                    uint64_t last);

/*
 * Put aside what `stores` stores of any ranges can need, in the worst case.
 * 0, or -ASPEN_ENOMEM with nothing put aside. The reserve starts zeroed and
 * may be topped up. The stores that use it cannot fail; what is left goes
 * back with aspen_tree_reserve_release() (an empty reserve is allowed).
 */
ASPEN_MUST_USE int aspen_tree_reserve(struct aspen_tree *tree,
                                      struct aspen_tree_reserve *reserve,
                                      unsigned stores);
/* One store more, whatever is stored until then. 0, or -ASPEN_ENOMEM with the
 * reserve as it was. */
ASPEN_MUST_USE int aspen_tree_reserve_later(struct aspen_tree *tree,
                                            struct aspen_tree_reserve *reserve);
/*
 * The same when all stores lie in [first, last] (a single one covers it) and
 * their ends and cuts are aligned as its ends are: mostly a node each. Nothing
 * else may be stored between this and the last of them. The reserve is empty
 * before.
 *
 * The cursor says where to look first, if it has an entry and nothing was
 * stored since. The reserve then keeps it for as long as it is in use: the
 * cursor cannot walk any more.
 */
ASPEN_MUST_USE int aspen_tree_reserve_within(struct aspen_tree *tree,
                                             struct aspen_tree_reserve *reserve,
                                             struct aspen_tree_cursor *cursor,
                                             unsigned stores, uint64_t first,
                                             uint64_t last);
/*
 * The same for many stores. The worst case of each is tens of nodes, while
 * most take one or two; so they are rehearsed:
 *
 *     begin     a copy of the tree, which takes memory while this lasts
 *     store     on the copy, each as the commit will make it, in its order
 *     end       the copy is gone
 *     reserve   exactly as many nodes as the stores took
 *
 * No other store comes between begin and the commit. begin, store and reserve
 * answer 0 or -ASPEN_ENOMEM. A begin that fails leaves nothing; end follows
 * one that did not, whatever the stores answer. The entries of the copy are
 * never looked at.
 */
ASPEN_MUST_USE int
aspen_tree_rehearse_begin(struct aspen_tree_rehearsal *rehearsal,
                          const struct aspen_tree *tree);
ASPEN_MUST_USE int
aspen_tree_rehearse_store(struct aspen_tree_rehearsal *rehearsal,
                          uint64_t first, uint64_t last, void *entry);
void aspen_tree_rehearse_end(struct aspen_tree_rehearsal *rehearsal);
ASPEN_MUST_USE int
aspen_tree_reserve_rehearsed(struct aspen_tree *tree,
                             struct aspen_tree_reserve *reserve,
                             const struct aspen_tree_rehearsal *rehearsal);
/* Are there many, and does a copy take less memory than their worst case? */
bool aspen_tree_rehearsal_pays(const struct aspen_tree *tree, uint64_t stores);

void aspen_tree_store_reserved(struct aspen_tree *tree,
                               struct aspen_tree_reserve *reserve,
                               uint64_t first, uint64_t last, void *entry);
/* Is there as much as was put aside? Outside RCU mode the nodes that a store
 * frees go back to its reserve. So who reserves for two stores can erase whole
 * entries one piece after the other, for as long as this is so, and the rest
 * at last. */
static inline bool
aspen_tree_reserve_is_full(const struct aspen_tree_reserve *reserve)
{
    return reserve->count >= reserve->wanted;
}
/*
 * One store of two ranges that touch: `entry` (NULL erases) over [first, cut)
 * and `above` over [cut, last]. Readers see both or none. The tree is not
 * empty. It counts as one store if it is the only one of the reserve, else as
 * two.
 */
void aspen_tree_store_two_reserved(struct aspen_tree *tree,
                                   struct aspen_tree_reserve *reserve,
                                   uint64_t first, uint64_t cut, uint64_t last,
                                   void *entry, void *above);
void aspen_tree_reserve_release(struct aspen_tree *tree,
                                struct aspen_tree_reserve *reserve);

/*
 * Make `to` (empty, not in RCU mode) a copy of `from`, node by node. Entries
 * are the same pointers. The lock of `from` is held. 0, or -ASPEN_ENOMEM
 * with `to` empty and every node freed.
 */
ASPEN_MUST_USE int aspen_tree_duplicate(struct aspen_tree *to,
                                        const struct aspen_tree *from);

/* Replace the cursor's current entry in place: same range, cannot fail. */
void aspen_tree_cursor_replace(struct aspen_tree_cursor *cursor, void *entry);

/* ---- Checking ---------------------------------------------------------- */

/*
 * Check every invariant of the tree's structure (order, fill, heights, gap
 * summaries, counts, modes). NULL if all hold, else a static string that names
 * the first that does not; *where gets the key it was seen at.
 */
const char *aspen_tree_check(const struct aspen_tree *tree, uint64_t *where);

/* Nodes of the tree: for those who account for all of a pool's. */
uint64_t aspen_tree_nodes(const struct aspen_tree *tree);

#endif
