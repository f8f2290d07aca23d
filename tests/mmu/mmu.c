/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - the processor of mmu.h: what it does and is told (inside.h).
 */
#include "inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mmu_state mmu;

/* ---- Breaches ------------------------------------------------------------ */

void
mmu_found(const char *format, ...)
{
    bool seen = __atomic_exchange_n(&mmu.broken, 1, __ATOMIC_ACQ_REL);
    va_list arguments;

    if (seen)
        return;
    va_start(arguments, format);
    vsnprintf(mmu.breach, sizeof(mmu.breach), format, arguments);
    va_end(arguments);
}

void
mmu_tell(void)
{
    if (mmu.config.on_breach && mmu_breach())
        mmu.config.on_breach(mmu.breach);
}

const char *
mmu_breach(void)
{
    return __atomic_load_n(&mmu.broken, __ATOMIC_ACQUIRE) ? mmu.breach : NULL;
}

void
mmu_forgive(void)
{
    __atomic_store_n(&mmu.broken, 0, __ATOMIC_RELEASE);
}

struct mmu_counts
mmu_counts(void)
{
    return mmu.counts;
}

uint64_t
mmu_now(void)
{
    return __atomic_add_fetch(&mmu.clock, 1, __ATOMIC_ACQ_REL);
}

/* ---- Access -------------------------------------------------------------- */

bool
mmu_allows(const struct mmu_cached *cached, enum mmu_access access)
{
    switch (access) {
    case MMU_WRITE:
        return cached->write;
    case MMU_EXEC:
        return cached->exec;
    default:
        return cached->read;
    }
}

/* The leaf that the access goes through; NULL: it faults. What faults stays
 * cached as it is: a processor may go on faulting until it is told. */
static const struct mmu_cached *
translate(struct mmu_cpu *cpu, uint32_t root, uint64_t address,
          enum mmu_access access, bool points)
{
    bool write = access == MMU_WRITE;
    struct mmu_node *node = mmu_cached_leaf(cpu, root, address);

    /* It is written for the first time: the entry has to say so, and is looked
     * at again for that. */
    if (node && write && node->cached.write && !node->cached.dirty &&
        mmu.config.flags == MMU_FLAGS_SET) {
        mmu_drop_node(cpu, node);
        node = NULL;
    }
    if (node) {
        COUNT(hits);
    } else {
        struct mmu_walk walk = {
            .root = root, .address = address, .points = points};
        struct mmu_cached leaf;
        if (!mmu_walk_to(cpu, &walk, write, &leaf))
            return NULL;
        mmu_insert(cpu, &leaf);
        node = mmu_cached_leaf(cpu, root, address);
    }
    if (!mmu_allows(&node->cached, access) || (write && !node->cached.dirty))
        return NULL;
    return &node->cached;
}

/* Others write to the same bytes: programs do that. */
__attribute__((no_sanitize("thread"))) static void
transfer(uint8_t *at, enum mmu_access access, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (access == MMU_WRITE)
            __atomic_store_n(&at[i], bytes[i], __ATOMIC_RELAXED);
        else
            bytes[i] = __atomic_load_n(&at[i], __ATOMIC_RELAXED);
}

void
mmu_reach(const struct mmu_cached *cached, uint64_t address,
          enum mmu_access access, void *bytes, size_t length, bool points)
{
    uint64_t number = cached->number + (address - cached->address) / PAGE;

    if (!bytes || cached->raw)
        return;
    if (number >= mmu.config.frames) {
        mmu_found("%#" PRIx64 " leads to frame %#" PRIx64
                  ", where no memory is",
                  address, number);
        return;
    }
    uint8_t *page =
        aspen_port_frame_pointer(mmu.config.direct_map, (uint32_t)number);
    if (points)
        ASPEN_PORT_ATOMIC_POINT(page, access == MMU_WRITE);
    transfer(page + address % PAGE, access, bytes, length);
}

bool
mmu_access(unsigned number, uint32_t root, uint64_t address,
           enum mmu_access access, void *bytes, size_t length)
{
    struct mmu_cpu *cpu = &mmu.cpus[number];

    aspen_port_spin_lock(&cpu->lock);
    mmu_evict(cpu);
    const struct mmu_cached *cached =
        translate(cpu, root, address, access, true);
    if (cached)
        mmu_reach(cached, address, access, bytes, length, true);
    else
        COUNT(faults);
    aspen_port_spin_unlock(&cpu->lock);
    mmu_tell();
    return cached;
}

/* ---- A CPU that keeps what it has over a switch -------------------------- */

void
mmu_keep(unsigned number, uint32_t root, mmu_generation *generation,
         const struct aspen_mm *mm)
{
    struct mmu_cpu *cpu = &mmu.cpus[number];

    aspen_port_spin_lock(&cpu->lock);
    mmu_drop_root(cpu, root);
    cpu->kept.root = root;
    cpu->kept.paused = false;
    cpu->kept.generation = generation;
    cpu->kept.mm = mm;
    cpu->kept.seen = generation(mm);
    aspen_port_spin_unlock(&cpu->lock);
}

bool
mmu_keeps(unsigned number, uint32_t root)
{
    return mmu.cpus[number].kept.root == root;
}

void
mmu_pause(unsigned number)
{
    struct mmu_cpu *cpu = &mmu.cpus[number];

    aspen_port_spin_lock(&cpu->lock);
    cpu->kept.paused = true;
    aspen_port_spin_unlock(&cpu->lock);
}

void
mmu_resume(unsigned number)
{
    struct mmu_cpu *cpu = &mmu.cpus[number];

    aspen_port_spin_lock(&cpu->lock);
    uint64_t generation = cpu->kept.generation(cpu->kept.mm);
    if (cpu->kept.seen != generation)
        mmu_drop_root(cpu, cpu->kept.root);
    cpu->kept.seen = generation;
    cpu->kept.paused = false;
    aspen_port_spin_unlock(&cpu->lock);
}

/* A CPU of the mask. What it has missed, or done already, its generation says.
 */
static void
flush_kept(struct mmu_cpu *cpu, const struct aspen_tlb_flush *flush)
{
    if (cpu->kept.paused || flush->generation <= cpu->kept.seen)
        return;
    if (flush->generation == cpu->kept.seen + 1)
        mmu_drop_flushed(cpu, flush);
    else
        mmu_drop_root(cpu, flush->root);
    cpu->kept.seen = flush->generation;
}

/* ---- Flush --------------------------------------------------------------- */

void
mmu_flush(const struct aspen_tlb_flush *flush)
{
    bool any = false;

    if (!mmu.attached)
        return;
    COUNT(flushes);
    if (flush->start >= flush->end || !(flush->levels || flush->tables))
        mmu_found("a flush of [%#" PRIx64 ", %#" PRIx64 "), which is nothing",
                  flush->start, flush->end);
    for (unsigned i = 0; i < MMU_CPUS; i++) {
        struct mmu_cpu *cpu = &mmu.cpus[i];
        if (!(flush->cpus[i / 64] >> i % 64 & 1))
            continue;
        any = true;
        aspen_port_spin_lock(&cpu->lock);
        if (cpu->kept.root == flush->root)
            flush_kept(cpu, flush);
        else
            mmu_drop_flushed(cpu, flush);
        aspen_port_spin_unlock(&cpu->lock);
    }
    if (!any)
        mmu_found("a flush for no CPU");
    mmu_tell();
}

void
mmu_leave(unsigned number, uint32_t root)
{
    struct mmu_cpu *cpu = &mmu.cpus[number];

    if (!mmu.attached)
        return;
    aspen_port_spin_lock(&cpu->lock);
    mmu_drop_root(cpu, root);
    if (cpu->kept.root == root)
        memset(&cpu->kept, 0, sizeof(cpu->kept));
    aspen_port_spin_unlock(&cpu->lock);
}

void
mmu_forget(uint32_t root)
{
    for (unsigned i = 0; i < MMU_ALL; i++)
        mmu_leave(i, root);
    aspen_port_spin_lock(&mmu.lock);
    for (unsigned i = 0; i < ROOTS; i++)
        if (mmu.quiet[i] == root)
            __atomic_store_n(&mmu.quiet[i], 0, __ATOMIC_RELAXED);
    aspen_port_spin_unlock(&mmu.lock);
}

/* ---- Attach -------------------------------------------------------------- */

void
mmu_attach(const struct mmu_config *config)
{
    free(mmu.leads);
    mmu.config = *config;
    mmu.leads = calloc(config->frames, sizeof(*mmu.leads));
    if (!mmu.leads)
        abort();
    mmu.large = 0;
    for (unsigned i = 0; i < MMU_ALL; i++) {
        struct mmu_cpu *cpu = &mmu.cpus[i];
        memset(&cpu->lock, 0, sizeof(cpu->lock));
        memset(&cpu->kept, 0, sizeof(cpu->kept));
        cpu->top = 0;
        mmu_empty(cpu);
        cpu->random = config->evict_seed + i;
    }
    memset(&mmu.lock, 0, sizeof(mmu.lock));
    memset(mmu.quiet, 0, sizeof(mmu.quiet));
    memset(mmu.brackets, 0, sizeof(mmu.brackets));
    mmu_forgive();
    mmu.attached = true;
}

void
mmu_detach(void)
{
    mmu.attached = false;
    for (unsigned i = 0; i < MMU_ALL; i++) {
        free(mmu.cpus[i].nodes);
        mmu.cpus[i].nodes = NULL;
        mmu.cpus[i].room = mmu.cpus[i].top = 0;
    }
    free(mmu.leads);
    mmu.leads = NULL;
}

bool
mmu_attached(void)
{
    return mmu.attached;
}
