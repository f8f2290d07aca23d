/* SPDX-License-Identifier: MIT */
/*
 * inside.h - the processor of mmu.h from the inside.
 *
 *   mmu.c     access, flush; who is attached
 *   cache.c   what a CPU has cached
 *   walk.c    the walk through the tables
 *   load.c    caching ahead
 *   second.c  the second MMU, and its brackets
 *   checks.c  what is cached against what the tables say
 *
 * I1  What a CPU has cached changes under its lock. Who accesses holds it from
 *     the first look to the last byte, so that a flush that has returned left
 *     no walk behind that began before it.
 * I2  `leads` counts, for each frame, what is cached anywhere that leads to
 *     it, tables included; what is larger than a page counts in `large`.
 * I3  Walks read entries as they are in memory, one at a time, and keep each
 *     table that they pass: so an upper table that is stale is walked through,
 *     wherever its frame has gone to.
 *
 * First to break: tests/mmu/test_processor.c.
 */
#ifndef ASPEN_TESTS_MMU_INSIDE_H
#define ASPEN_TESTS_MMU_INSIDE_H

#include "format.h"
#include "mmu.h"

#ifndef ASPEN_PORT_ATOMIC_POINT
#define ASPEN_PORT_ATOMIC_POINT(address, is_write) ((void)0)
#endif

#define TOP     (FORMAT_LEVELS - 1u)
#define LEVELS  ((1u << FORMAT_LEVELS) - 1u) /* a bit for each */
#define ENTRIES 512u
#define PAGE    ((uint64_t)4096)
#define BUCKETS 4096u
#define NONE    UINT32_MAX
#define ROOTS   64 /* spaces that are quiet, brackets that are open */
#define FEW     64 /* pages of a flush that are looked up one by one */

struct mmu_node {
    struct mmu_cached cached;
    uint32_t next; /* of its bucket, or of the free ones */
    bool used;
};

struct mmu_cpu {
    struct aspen_port_spinlock lock;
    struct mmu_node *nodes;
    uint32_t room;
    uint32_t top;  /* nodes from here on were never used */
    uint32_t free; /* list */
    uint32_t count;
    uint32_t buckets[BUCKETS];
    uint64_t random;
    struct {
        uint32_t root; /* of the space; 0: it keeps none */
        bool paused;
        uint64_t seen; /* the generation that it has flushed up to */
        mmu_generation *generation;
        const struct aspen_mm *mm;
    } kept;
};

struct mmu_bracket {
    uint32_t root;
    uint64_t start;
    uint64_t end;
    bool open;
};

struct mmu_state {
    struct mmu_config config;
    bool attached;
    struct mmu_cpu cpus[MMU_ALL];
    uint32_t *leads;
    uint32_t large;                  /* atomic */
    uint64_t clock;                  /* atomic */
    struct aspen_port_spinlock lock; /* for the rest */
    uint32_t quiet[ROOTS];
    struct mmu_bracket brackets[ROOTS];
    uint64_t started; /* atomic: brackets that were opened */
    uint32_t broken;  /* a whole word: not all processors exchange a byte */
    char breach[256];
    struct mmu_counts counts; /* atomic */
};

extern struct mmu_state mmu;

#define COUNT(what) __atomic_fetch_add(&mmu.counts.what, 1, __ATOMIC_RELAXED)

/* Note what is not right, as printf(); unless something was noted before. */
void mmu_found(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Not from under a CPU's lock: who hears of it may never return. */
void mmu_tell(void);

static inline uint64_t
mmu_span_of(unsigned level)
{
    return PAGE << (9 * level);
}

static inline bool
mmu_overlap(uint64_t start, uint64_t end, uint64_t address, uint64_t bytes)
{
    return address < end && start < address + bytes;
}

/* It runs elsewhere, and has this cached for when it comes back. */
static inline bool
mmu_is_put_by(const struct mmu_cpu *cpu, const struct mmu_cached *cached)
{
    return cpu->kept.paused && cpu->kept.root == cached->root;
}

/* ---- cache.c: under the lock of the CPU ---------------------------------- */

/* Where it stands in its bucket; NULL: nowhere. */
uint32_t *mmu_find(struct mmu_cpu *cpu, uint32_t root, bool leaf,
                   unsigned level, uint64_t address);
/* A leaf of any level. */
struct mmu_node *mmu_cached_leaf(struct mmu_cpu *cpu, uint32_t root,
                                 uint64_t address);
void mmu_insert(struct mmu_cpu *cpu, const struct mmu_cached *cached);
void mmu_drop_node(struct mmu_cpu *cpu, const struct mmu_node *node);
/* Leaves of `levels`, a bit for each; and entries that lead to tables. */
bool mmu_is_covered(const struct mmu_cached *cached, uint32_t root,
                    uint64_t start, uint64_t end, unsigned levels, bool tables);
void mmu_drop_flushed(struct mmu_cpu *cpu, const struct aspen_tlb_flush *flush);
void mmu_drop_leaves(struct mmu_cpu *cpu, uint32_t root, uint64_t start,
                     uint64_t end);
/* All of a space. */
void mmu_drop_root(struct mmu_cpu *cpu, uint32_t root);
void mmu_empty(struct mmu_cpu *cpu);
/* One by chance, now and then. */
void mmu_evict(struct mmu_cpu *cpu);

/* ---- mmu.c --------------------------------------------------------------- */

bool mmu_allows(const struct mmu_cached *cached, enum mmu_access access);
/* The bytes of an access, through what is cached. `points`: others may go on
 * before it. */
void mmu_reach(const struct mmu_cached *cached, uint64_t address,
               enum mmu_access access, void *bytes, size_t length, bool points);

/* ---- load.c -------------------------------------------------------------- */

/* Leaves that the second MMU has found. */
struct mmu_leaves {
    struct mmu_cached *at;
    uint64_t count;
};

/* All that is below the root, at most so many, without the CPU's lock; who is
 * not flushed is an RCU reader. Returns a measure of the work. */
uint64_t mmu_find_leaves(uint32_t root, uint64_t start, uint64_t end,
                         uint64_t most, struct mmu_leaves *leaves);

/* ---- walk.c -------------------------------------------------------------- */

/* Where a walk stands: below the tables that were passed. */
struct mmu_walk {
    uint32_t root;
    uint64_t address;
    uint64_t table;
    unsigned level; /* of the table's entries */
    bool read, write, exec;
    bool points; /* other tasks may go on before each look */
};

void mmu_walk_from_root(struct mmu_walk *walk);
/* NULL: no memory is there, which is noted. */
uint64_t *mmu_walk_entry(uint64_t table, unsigned level, uint64_t address);
/* What the entry says, with what the processor writes into it for an access
 * (or for none: `sets` is false). False: it changed meanwhile. */
bool mmu_walk_use(const struct mmu_walk *walk, uint64_t *entry,
                  struct format_entry *says, bool write, bool sets);
/* The walk is at an entry that says so. */
struct mmu_cached mmu_walk_cached(const struct mmu_walk *walk,
                                  const struct format_entry *says);
void mmu_walk_descend(struct mmu_walk *walk, const struct format_entry *says);
/* Walk to the leaf of an address: true and *leaf. What is passed is kept. */
bool mmu_walk_to(struct mmu_cpu *cpu, struct mmu_walk *walk, bool write,
                 struct mmu_cached *leaf);

#endif
