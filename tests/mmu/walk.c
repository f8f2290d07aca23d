/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the walk of mmu.h through the tables (inside.h, I3).
 */
#include "inside.h"

#include <inttypes.h>

uint64_t *
mmu_walk_entry(uint64_t table, unsigned level, uint64_t address)
{
    if (table >= mmu.config.frames) {
        mmu_found("a walk of %#" PRIx64 " reads a table at %#" PRIx64
                  ", where no memory is",
                  address, table);
        return NULL;
    }
    uint64_t *entries =
        aspen_port_frame_pointer(mmu.config.direct_map, (uint32_t)table);
    return &entries[address / mmu_span_of(level) % ENTRIES];
}

static uint64_t
look(const struct mmu_walk *walk, uint64_t *entry)
{
    if (walk->points)
        ASPEN_PORT_ATOMIC_POINT(entry, false);
    return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

void
mmu_walk_from_root(struct mmu_walk *walk)
{
    walk->table = walk->root;
    walk->level = TOP;
    walk->read = walk->write = walk->exec = true;
}

/* From the lowest table that is cached. */
static void
start(struct mmu_cpu *cpu, struct mmu_walk *walk)
{
    mmu_walk_from_root(walk);
    for (unsigned level = 1; level <= TOP; level++) {
        uint32_t *link = mmu_find(cpu, walk->root, false, level, walk->address);
        if (!link)
            continue;
        const struct mmu_cached *cached = &cpu->nodes[*link].cached;
        walk->table = cached->number;
        walk->level = level - 1;
        walk->read = cached->read;
        walk->write = cached->write;
        walk->exec = cached->exec;
        return;
    }
}

struct mmu_cached
mmu_walk_cached(const struct mmu_walk *walk, const struct format_entry *says)
{
    uint64_t bytes = mmu_span_of(walk->level);

    return (struct mmu_cached){
        .root = walk->root,
        .leaf = says->kind == FORMAT_LEAF,
        .level = walk->level,
        .address = walk->address / bytes * bytes,
        .bytes = bytes,
        .number = says->number,
        .read = walk->read && says->read,
        .write = walk->write && says->write,
        .exec = walk->exec && says->exec,
        .dirty = says->dirty || mmu.config.flags == MMU_FLAGS_NOBODY,
        .raw = says->raw,
        .key = says->key,
        .memory = says->memory,
    };
}

void
mmu_walk_descend(struct mmu_walk *walk, const struct format_entry *says)
{
    walk->read &= says->read;
    walk->write &= says->write;
    walk->exec &= says->exec;
    walk->table = says->number;
    walk->level--;
}

/* What is wrong with an entry, whoever reads it. */
static const char *
wrong_with(uint64_t entry, const struct format_entry *says)
{
    bool leaf = says->kind == FORMAT_LEAF;
    bool ram = says->number < mmu.config.frames;

    if (says->kind == FORMAT_RESERVED)
        return "has bits set that are reserved";
    if (entry && says->kind == FORMAT_NOTHING &&
        says->terminal < mmu.config.frames)
        return "is not present, and names RAM";
    if (leaf && says->global)
        return "is in all address spaces";
    if (leaf && says->shadow_stack)
        return "is a shadow stack";
    if (leaf && ram && !says->raw && says->memory != FORMAT_WRITE_BACK)
        return "has RAM that is not write-back";
    if (leaf && says->memory == FORMAT_OTHER)
        return "has a cache mode that nobody asked for";
    return NULL;
}

bool
mmu_walk_use(const struct mmu_walk *walk, uint64_t *entry,
             struct format_entry *says, bool write, bool sets)
{
    uint64_t now = look(walk, entry);

    *says = format_read(now, walk->level);
    bool leaf = says->kind == FORMAT_LEAF;
    const char *wrong = wrong_with(now, says);
    if (wrong)
        mmu_found("the entry %#" PRIx64 " for %#" PRIx64 " %s", now,
                  walk->address, wrong);
    if ((!leaf && says->kind != FORMAT_TABLE) || !sets)
        return true;
    uint64_t after =
        format_accessed(now, leaf, write && walk->write && says->write);
    if (after == now)
        return true;
    if (walk->points)
        ASPEN_PORT_ATOMIC_POINT(entry, true);
    if (!__atomic_compare_exchange_n(entry, &now, after, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        return false;
    *says = format_read(after, walk->level);
    return true;
}

bool
mmu_walk_to(struct mmu_cpu *cpu, struct mmu_walk *walk, bool write,
            struct mmu_cached *leaf)
{
    bool sets = mmu.config.flags == MMU_FLAGS_SET;
    struct format_entry says;

    COUNT(walks);
    start(cpu, walk);
    for (;;) {
        uint64_t *entry =
            mmu_walk_entry(walk->table, walk->level, walk->address);
        if (!entry)
            return false;
        if (!mmu_walk_use(walk, entry, &says, write, sets))
            continue;
        if (says.kind != FORMAT_LEAF && says.kind != FORMAT_TABLE)
            return false;
        if (mmu.config.flags == MMU_FLAGS_FAULT && says.kind == FORMAT_LEAF &&
            !says.accessed)
            return false;
        *leaf = mmu_walk_cached(walk, &says);
        if (says.kind == FORMAT_LEAF)
            return true;
        mmu_insert(cpu, leaf);
        mmu_walk_descend(walk, &says);
    }
}
