/* SPDX-License-Identifier: MIT */
/*
 * load.c - a CPU of mmu.h caches ahead, or the second MMU finds what it could
 * (inside.h).
 */
#include "inside.h"

struct load {
    struct mmu_cpu *cpu;       /* whose lock is held, or NULL */
    struct mmu_leaves *leaves; /* else where leaves go */
    bool sets;
    uint64_t start; /* where to look */
    uint64_t end;
    uint64_t left;
    uint64_t seen;
};

static void
load_leaf(struct load *load, const struct mmu_cached *cached, bool accessed)
{
    load->seen++;
    load->left--;
    if (mmu.config.flags == MMU_FLAGS_FAULT && !accessed)
        return;
    if (load->leaves)
        load->leaves->at[load->leaves->count++] = *cached;
    else if (!mmu_find(load->cpu, cached->root, true, cached->level,
                       cached->address))
        mmu_insert(load->cpu, cached);
}

static void load_below(struct load *load, const struct mmu_walk *walk);

static void
load_entry(struct load *load, struct mmu_walk *walk, uint64_t *entry)
{
    struct format_entry says;

    while (!mmu_walk_use(walk, entry, &says, false, load->sets))
        ;
    struct mmu_cached cached = mmu_walk_cached(walk, &says);
    if (says.kind == FORMAT_LEAF) {
        load_leaf(load, &cached, says.accessed);
    } else if (says.kind == FORMAT_TABLE) {
        if (load->cpu &&
            !mmu_find(load->cpu, walk->root, false, walk->level, walk->address))
            mmu_insert(load->cpu, &cached);
        mmu_walk_descend(walk, &says);
        load_below(load, walk);
    }
}

/* All below a table. Where others may go on before each look, nothing is
 * looked at but so: what has not come yet depends on them too. */
static void
load_below(struct load *load, const struct mmu_walk *walk)
{
    uint64_t *entries = mmu_walk_entry(walk->table, walk->level, 0);
    uint64_t span = mmu_span_of(walk->level);

    load->seen += 16; /* what it takes */
    for (unsigned i = 0; entries && i < ENTRIES && load->left; i++) {
        struct mmu_walk next = *walk;
        next.address += i * span;
        if (!mmu_overlap(load->start, load->end, next.address, span) ||
            (!walk->points && !__atomic_load_n(&entries[i], __ATOMIC_RELAXED)))
            continue;
        load_entry(load, &next, &entries[i]);
    }
}

uint64_t
mmu_load(unsigned number, uint32_t root, uint64_t start, uint64_t end,
         uint64_t most)
{
    struct load load = {
        .cpu = &mmu.cpus[number],
        .start = start,
        .end = end,
        .sets = mmu.config.flags == MMU_FLAGS_SET,
        .left = most,
    };
    struct mmu_walk walk = {.root = root};

    if (!mmu.attached)
        return 0;
    aspen_port_spin_lock(&load.cpu->lock);
    mmu_walk_from_root(&walk);
    load_below(&load, &walk);
    aspen_port_spin_unlock(&load.cpu->lock);
    mmu_tell();
    return load.seen;
}

uint64_t
mmu_find_leaves(uint32_t root, uint64_t start, uint64_t end, uint64_t most,
                struct mmu_leaves *leaves)
{
    struct load load = {
        .leaves = leaves, .start = start, .end = end, .left = most};
    struct mmu_walk walk = {.root = root, .points = true};

    mmu_walk_from_root(&walk);
    load_below(&load, &walk);
    return load.seen;
}
