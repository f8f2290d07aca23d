/* SPDX-License-Identifier: MIT */
/*
 * second.c - the second MMU of mmu.h, which is told by nothing but its hooks
 * (inside.h).
 */
#include "inside.h"

#include <inttypes.h>
#include <stdlib.h>

static struct mmu_cpu *
second(void)
{
    return &mmu.cpus[MMU_SECOND];
}

/* ---- Brackets ------------------------------------------------------------ */

void
mmu_second_start(uint32_t root, uint64_t start, uint64_t end)
{
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
    __atomic_fetch_add(&mmu.started, 1, __ATOMIC_ACQ_REL);
    aspen_port_spin_unlock(&mmu.lock);

    aspen_port_spin_lock(&second()->lock);
    mmu_drop_leaves(second(), root, start, end);
    aspen_port_spin_unlock(&second()->lock);
}

/* How many are open that overlap; mmu.lock is held. */
static unsigned
open_over(uint32_t root, uint64_t start, uint64_t end)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ROOTS; i++) {
        const struct mmu_bracket *at = &mmu.brackets[i];
        count +=
            at->open && at->root == root && at->start < end && start < at->end;
    }
    return count;
}

/* Nobody has begun to change anything since. */
static bool
none_started(const void *started)
{
    return __atomic_load_n(&mmu.started, __ATOMIC_ACQUIRE) ==
           *(const uint64_t *)started;
}

/* While this bracket is the only one of its range what stands in the tables
 * there does not become less. */
static void
check_end(uint32_t root, uint64_t start, uint64_t end)
{
    aspen_port_spin_lock(&mmu.lock);
    uint64_t started = mmu.started;
    bool alone = open_over(root, start, end) == 1;
    aspen_port_spin_unlock(&mmu.lock);
    if (alone)
        mmu_check_flushed(root, start, end, none_started, &started,
                          "a bracket, before its end");
}

void
mmu_second_end(uint32_t root, uint64_t start, uint64_t end)
{
    bool found = false;

    if (!mmu.attached)
        return;
    check_end(root, start, end);
    aspen_port_spin_lock(&mmu.lock);
    for (unsigned i = 0; i < ROOTS && !found; i++) {
        struct mmu_bracket *at = &mmu.brackets[i];
        found = at->open && at->root == root && at->start == start &&
                at->end == end;
        if (found)
            at->open = false;
    }
    aspen_port_spin_unlock(&mmu.lock);
    if (!found)
        mmu_found("a bracket [%#" PRIx64 ", %#" PRIx64
                  ") ends that was not opened",
                  start, end);
    mmu_tell();
}

/* ---- Young --------------------------------------------------------------- */

bool
mmu_second_young(uint32_t root, uint64_t start, uint64_t end, bool clear)
{
    struct mmu_cpu *cpu = second();
    bool young = false;

    if (!mmu.attached)
        return false;
    aspen_port_spin_lock(&cpu->lock);
    for (uint32_t i = 0; i < cpu->top; i++) {
        struct mmu_cached *cached = &cpu->nodes[i].cached;
        if (!cpu->nodes[i].used ||
            !mmu_is_covered(cached, root, start, end, LEVELS, false))
            continue;
        young |= cached->young;
        cached->young &= !clear;
    }
    aspen_port_spin_unlock(&cpu->lock);
    return young;
}

/* ---- Filling ------------------------------------------------------------- */

bool
mmu_second_put(const struct mmu_filling *filling, uint64_t begun,
               const struct mmu_cached *cached)
{
    struct mmu_cpu *cpu = second();
    uint64_t end = cached->address + cached->bytes;

    aspen_port_spin_lock(&cpu->lock);
    bool right = !filling->retry(filling->mm, begun, cached->address, end);
    if (right) {
        /* It may be there with fewer rights. */
        uint32_t *link =
            mmu_find(cpu, filling->root, true, cached->level, cached->address);
        if (link)
            mmu_drop_node(cpu, &cpu->nodes[*link]);
        mmu_insert(cpu, cached);
    }
    aspen_port_spin_unlock(&cpu->lock);
    mmu_tell();
    return right;
}

/* Who is not flushed is kept from reading a table's frame when that is
 * something else, as a walker of the core's is. */
uint64_t
mmu_second_load(const struct mmu_filling *filling, uint64_t start, uint64_t end,
                uint64_t most)
{
    struct mmu_leaves leaves = {calloc(most, sizeof(*leaves.at)), 0};

    if (!mmu.attached || !leaves.at) {
        free(leaves.at);
        return 0;
    }
    aspen_port_rcu_read_lock();
    uint64_t begun = filling->begin(filling->mm);
    uint64_t seen = mmu_find_leaves(filling->root, start, end, most, &leaves);
    aspen_port_rcu_read_unlock();
    for (uint64_t i = 0; i < leaves.count; i++)
        (void)!mmu_second_put(filling, begun, &leaves.at[i]);
    free(leaves.at);
    mmu_tell();
    return seen;
}

/* ---- Access -------------------------------------------------------------- */

bool
mmu_second_hit(uint32_t root, uint64_t address, enum mmu_access access,
               void *bytes, size_t length)
{
    struct mmu_cpu *cpu = second();

    aspen_port_spin_lock(&cpu->lock);
    struct mmu_node *node = mmu_cached_leaf(cpu, root, address);
    bool hit = node && mmu_allows(&node->cached, access) &&
               (access != MMU_WRITE || node->cached.dirty);
    if (hit) {
        node->cached.young = true;
        mmu_reach(&node->cached, address, access, bytes, length, true);
    }
    aspen_port_spin_unlock(&cpu->lock);
    mmu_tell();
    return hit;
}
