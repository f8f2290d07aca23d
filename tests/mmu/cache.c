/* SPDX-License-Identifier: MIT */
/*
 * cache.c - what a CPU of mmu.h has cached (inside.h).
 */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
bucket_of(uint32_t root, bool leaf, unsigned level, uint64_t address)
{
    uint64_t key = address / mmu_span_of(level) * 8 + level * 2 + leaf;

    key = (key ^ (uint64_t)root << 40) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(key >> 52);
}

static void
count_leads(const struct mmu_cached *cached, bool more)
{
    uint32_t *count = &mmu.large;

    if (cached->leaf && (cached->raw || cached->number >= mmu.config.frames))
        return;
    if (cached->number < mmu.config.frames &&
        !(cached->leaf && cached->level > 0))
        count = &mmu.leads[cached->number];
    ASPEN_PORT_ATOMIC_POINT(count, true);
    if (more)
        __atomic_fetch_add(count, 1, __ATOMIC_ACQ_REL);
    else
        __atomic_fetch_sub(count, 1, __ATOMIC_ACQ_REL);
}

uint32_t *
mmu_find(struct mmu_cpu *cpu, uint32_t root, bool leaf, unsigned level,
         uint64_t address)
{
    uint32_t *link = &cpu->buckets[bucket_of(root, leaf, level, address)];

    for (; *link != NONE; link = &cpu->nodes[*link].next) {
        const struct mmu_cached *cached = &cpu->nodes[*link].cached;
        if (cached->root == root && cached->leaf == leaf &&
            cached->level == level && address - cached->address < cached->bytes)
            return link;
    }
    return NULL;
}

static void
drop(struct mmu_cpu *cpu, uint32_t *link)
{
    uint32_t index = *link;
    struct mmu_node *node = &cpu->nodes[index];

    *link = node->next;
    count_leads(&node->cached, false);
    node->used = false;
    node->next = cpu->free;
    cpu->free = index;
    cpu->count--;
}

void
mmu_drop_node(struct mmu_cpu *cpu, const struct mmu_node *node)
{
    const struct mmu_cached *cached = &node->cached;

    drop(cpu, mmu_find(cpu, cached->root, cached->leaf, cached->level,
                       cached->address));
}

static uint32_t
get_node(struct mmu_cpu *cpu)
{
    uint32_t index = cpu->free;

    if (index != NONE) {
        cpu->free = cpu->nodes[index].next;
        return index;
    }
    if (cpu->top == cpu->room) {
        cpu->room = cpu->room ? 2 * cpu->room : 64;
        cpu->nodes = realloc(cpu->nodes, cpu->room * sizeof(*cpu->nodes));
        if (!cpu->nodes)
            abort();
    }
    return cpu->top++;
}

void
mmu_insert(struct mmu_cpu *cpu, const struct mmu_cached *cached)
{
    uint32_t *bucket = &cpu->buckets[bucket_of(cached->root, cached->leaf,
                                               cached->level, cached->address)];
    uint32_t index = get_node(cpu);
    struct mmu_node *node = &cpu->nodes[index];

    node->cached = *cached;
    node->cached.since = mmu_now();
    node->next = *bucket;
    node->used = true;
    *bucket = index;
    cpu->count++;
    count_leads(cached, true);
}

void
mmu_empty(struct mmu_cpu *cpu)
{
    for (uint32_t i = 0; i < cpu->top; i++)
        if (cpu->nodes[i].used)
            count_leads(&cpu->nodes[i].cached, false);
    cpu->top = 0;
    cpu->count = 0;
    cpu->free = NONE;
    memset(cpu->buckets, 0xff, sizeof(cpu->buckets));
}

void
mmu_evict(struct mmu_cpu *cpu)
{
    if (!mmu.config.evict_seed || cpu->top == 0)
        return;
    cpu->random = cpu->random * 6364136223846793005u + 1442695040888963407u;
    if (cpu->random >> 61)
        return;
    struct mmu_node *node = &cpu->nodes[(cpu->random >> 33) % cpu->top];
    if (node->used)
        mmu_drop_node(cpu, node);
}

struct mmu_node *
mmu_cached_leaf(struct mmu_cpu *cpu, uint32_t root, uint64_t address)
{
    for (unsigned level = 0; level < TOP; level++) {
        uint32_t *link = mmu_find(cpu, root, true, level, address);
        if (link)
            return &cpu->nodes[*link];
    }
    return NULL;
}

bool
mmu_is_covered(const struct mmu_cached *cached, uint32_t root, uint64_t start,
               uint64_t end, unsigned levels, bool tables)
{
    return cached->root == root &&
           (cached->leaf ? levels >> cached->level & 1 : tables) &&
           mmu_overlap(start, end, cached->address, cached->bytes);
}

static void
drop_pages(struct mmu_cpu *cpu, uint32_t root, uint64_t start, uint64_t end,
           unsigned level)
{
    for (uint64_t at = start; at < end; at += PAGE) {
        uint32_t *link = mmu_find(cpu, root, true, level, at);
        if (!link)
            continue;
        drop(cpu, link);
        COUNT(dropped);
    }
}

static void
drop_range(struct mmu_cpu *cpu, uint32_t root, uint64_t start, uint64_t end,
           unsigned levels, bool tables)
{
    start = start / PAGE * PAGE;
    if (start < end && !tables && (end - start) / PAGE < FEW) {
        for (unsigned level = 0; level < TOP; level++)
            if (levels >> level & 1)
                drop_pages(cpu, root, start, end, level);
        return;
    }
    for (uint32_t i = 0; i < cpu->top; i++) {
        struct mmu_node *node = &cpu->nodes[i];
        if (!node->used ||
            !mmu_is_covered(&node->cached, root, start, end, levels, tables))
            continue;
        mmu_drop_node(cpu, node);
        COUNT(dropped);
    }
}

void
mmu_drop_flushed(struct mmu_cpu *cpu, const struct aspen_tlb_flush *flush)
{
    drop_range(cpu, flush->root, flush->start, flush->end, flush->levels,
               flush->tables);
}

void
mmu_drop_leaves(struct mmu_cpu *cpu, uint32_t root, uint64_t start,
                uint64_t end)
{
    drop_range(cpu, root, start, end, LEVELS, false);
}

void
mmu_drop_root(struct mmu_cpu *cpu, uint32_t root)
{
    drop_range(cpu, root, 0, UINT64_MAX, LEVELS, true);
}
