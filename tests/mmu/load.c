/* SPDX-License-Identifier: MIT */
/*
 * load.c - a CPU of mmu.h caches ahead; the brackets of the second one, which
 * is told by nothing else (inside.h).
 */
#include "inside.h"

#include <inttypes.h>

/* ---- The second MMU's brackets ------------------------------------------- */

static uint64_t
brackets_ended(void)
{
    aspen_port_spin_lock(&mmu.lock);
    uint64_t ended = mmu.ended;
    aspen_port_spin_unlock(&mmu.lock);
    return ended;
}

/* Is a change of the range under way, or was one since `ended`, from when on
 * entries were read? */
static bool
is_bracketed(const struct mmu_cached *cached, uint64_t ended)
{
    aspen_port_spin_lock(&mmu.lock);
    bool found = mmu.ended != ended;
    for (unsigned i = 0; i < ROOTS; i++) {
        const struct mmu_bracket *at = &mmu.brackets[i];
        found |=
            at->open && at->root == cached->root &&
            mmu_overlap(at->start, at->end, cached->address, cached->bytes);
    }
    aspen_port_spin_unlock(&mmu.lock);
    return found;
}

void
mmu_second_start(uint32_t root, uint64_t start, uint64_t end)
{
    struct mmu_cpu *cpu = &mmu.cpus[MMU_SECOND];
    unsigned free = 0;

    if (!mmu.attached)
        return;
    aspen_port_spin_lock(&mmu.lock);
    while (free < ROOTS && mmu.brackets[free].open)
        free++;
    if (free < ROOTS)
        mmu.brackets[free] = (struct mmu_bracket){root, start, end, true};
    else
        mmu_found("more than %d brackets are open", ROOTS);
    aspen_port_spin_unlock(&mmu.lock);

    aspen_port_spin_lock(&cpu->lock);
    mmu_drop_leaves(cpu, root, start, end);
    aspen_port_spin_unlock(&cpu->lock);
}

void
mmu_second_end(uint32_t root, uint64_t start, uint64_t end)
{
    bool found = false;

    if (!mmu.attached)
        return;
    aspen_port_spin_lock(&mmu.lock);
    for (unsigned i = 0; i < ROOTS && !found; i++) {
        struct mmu_bracket *at = &mmu.brackets[i];
        found = at->open && at->root == root && at->start == start &&
                at->end == end;
        if (found)
            at->open = false;
    }
    mmu.ended++;
    aspen_port_spin_unlock(&mmu.lock);
    if (!found)
        mmu_found("a bracket [%#" PRIx64 ", %#" PRIx64
                  ") ends that was not opened",
                  start, end);
    mmu_tell();
}

/* ---- Load ---------------------------------------------------------------- */

struct load {
    struct mmu_cpu *cpu;
    bool second;
    bool sets;
    uint64_t start; /* where to look */
    uint64_t end;
    uint64_t left;
    uint64_t seen;
    uint64_t ended; /* brackets, when it began */
};

static void
load_leaf(struct load *load, const struct mmu_cached *cached, bool accessed)
{
    load->seen++;
    load->left--;
    if (mmu.config.flags == MMU_FLAGS_FAULT && !accessed)
        return;
    if (load->second && is_bracketed(cached, load->ended))
        return;
    if (!mmu_find(load->cpu, cached->root, true, cached->level,
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
        if (!load->second &&
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
        .start = start,
        .end = end,
        .cpu = &mmu.cpus[number],
        .second = number == MMU_SECOND,
        .sets = number != MMU_SECOND && mmu.config.flags == MMU_FLAGS_SET,
        .left = most,
    };
    struct mmu_walk walk = {.root = root, .points = load.second};

    if (!mmu.attached)
        return 0;
    /* Who is not flushed is kept from reading a table's frame when that is
     * something else, as a walker of the core's is. */
    if (load.second)
        aspen_port_rcu_read_lock();
    aspen_port_spin_lock(&load.cpu->lock);
    if (load.second)
        load.ended = brackets_ended();
    mmu_walk_from_root(&walk);
    load_below(&load, &walk);
    aspen_port_spin_unlock(&load.cpu->lock);
    if (load.second)
        aspen_port_rcu_read_unlock();
    mmu_tell();
    return load.seen;
}
