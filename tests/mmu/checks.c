/* SPDX-License-Identifier: MIT */
/*
 * checks.c - what the CPUs of mmu.h have cached against what the tables say
 * (inside.h).
 */
#include "inside.h"

#include <inttypes.h>
#include <stdio.h>

/* In words: "a leaf [0x1000, 0x2000) -> frame 7 (read, write) of CPU 2". */
static const char *
describe(char *text, size_t size, unsigned number,
         const struct mmu_cached *cached)
{
    char name[16] = "the second MMU";

    if (number != MMU_SECOND)
        snprintf(name, sizeof(name), "CPU %u", number);
    snprintf(text, size,
             "%s [%#" PRIx64 ", %#" PRIx64 ") of root %u, to %#" PRIx64
             "%s%s, cached by %s",
             cached->leaf ? "a leaf" : "a table's entry", cached->address,
             cached->address + cached->bytes, cached->root, cached->number,
             cached->write ? ", writable" : "", cached->dirty ? ", dirty" : "",
             name);
    return text;
}

void
mmu_quiet(uint32_t root)
{
    unsigned i = 0;

    aspen_port_spin_lock(&mmu.lock);
    while (i < ROOTS && mmu.quiet[i])
        i++;
    if (i < ROOTS)
        __atomic_store_n(&mmu.quiet[i], root, __ATOMIC_RELAXED);
    else
        mmu_found("more than %d spaces are quiet", ROOTS);
    aspen_port_spin_unlock(&mmu.lock);
}

static bool
is_quiet(uint32_t root)
{
    bool found = false;

    for (unsigned i = 0; i < ROOTS; i++)
        found |= __atomic_load_n(&mmu.quiet[i], __ATOMIC_RELAXED) == root;
    return found;
}

void
mmu_each(mmu_visit *visit, void *context, const char *after)
{
    char text[160];

    for (unsigned i = 0; mmu.attached && i < MMU_ALL; i++) {
        struct mmu_cpu *cpu = &mmu.cpus[i];
        aspen_port_spin_lock(&cpu->lock);
        for (uint32_t n = 0; n < cpu->top; n++) {
            const struct mmu_cached *cached = &cpu->nodes[n].cached;
            const char *what = cpu->nodes[n].used && !mmu_is_put_by(cpu, cached)
                                   ? visit(context, i, cached)
                                   : NULL;
            if (what)
                mmu_found("%s: %s: %s", after, what,
                          describe(text, sizeof(text), i, cached));
        }
        aspen_port_spin_unlock(&cpu->lock);
    }
    mmu_tell();
}

struct frames {
    uint64_t first;
    uint64_t count;
    mmu_still *still;
    void *context;
};

static const char *
leads_to(void *context, unsigned cpu, const struct mmu_cached *cached)
{
    const struct frames *frames = context;
    uint64_t count = cached->leaf ? cached->bytes / PAGE : 1;

    if ((cached->leaf && cached->raw) ||
        !mmu_overlap(frames->first, frames->first + frames->count,
                     cached->number, count))
        return NULL;
    if (cached->leaf && cpu != MMU_SECOND && is_quiet(cached->root))
        return NULL;
    if (frames->still &&
        !frames->still(frames->context, (uint32_t)frames->first))
        return NULL;
    return "what is cached leads there";
}

void
mmu_frames_changed(uint32_t first, uint32_t count, const char *what,
                   mmu_still *still, void *context)
{
    struct frames frames = {first, count, still, context};
    uint32_t leads = 0;

    if (!mmu.attached || first >= mmu.config.frames)
        return;
    for (uint32_t i = 0; i < count && first + i < mmu.config.frames; i++) {
        ASPEN_PORT_ATOMIC_POINT(&mmu.leads[first + i], false);
        leads |= __atomic_load_n(&mmu.leads[first + i], __ATOMIC_ACQUIRE);
    }
    if (!leads && !__atomic_load_n(&mmu.large, __ATOMIC_ACQUIRE))
        return;
    mmu_each(leads_to, &frames, what);
}

/* What the tables say now of what is cached; nothing is written. */
static struct mmu_cached
look_up(const struct mmu_cached *cached, uint64_t address)
{
    struct mmu_walk walk = {.root = cached->root, .address = address};
    struct mmu_cached now = {.root = 0};
    struct format_entry says;

    mmu_walk_from_root(&walk);
    for (;;) {
        uint64_t *entry = mmu_walk_entry(walk.table, walk.level, address);
        if (!entry || !mmu_walk_use(&walk, entry, &says, false, false) ||
            (says.kind != FORMAT_LEAF && says.kind != FORMAT_TABLE))
            return now;
        if (says.kind == FORMAT_LEAF ||
            (!cached->leaf && walk.level == cached->level))
            return mmu_walk_cached(&walk, &says);
        mmu_walk_descend(&walk, &says);
    }
}

static const char *
compare(const struct mmu_cached *cached, uint64_t address)
{
    struct mmu_cached now = look_up(cached, address);

    COUNT(checks);
    if (!now.bytes || now.leaf != cached->leaf)
        return "the tables have nothing like it";
    if (now.number + (address - now.address) / PAGE * now.leaf !=
        cached->number + (address - cached->address) / PAGE * now.leaf)
        return "the tables lead elsewhere";
    if (cached->write && !now.write)
        return "the tables do not allow writing";
    if ((cached->read && !now.read) || (cached->exec && !now.exec))
        return "the tables do not allow as much";
    if (!cached->leaf)
        return NULL;
    if (cached->key != now.key)
        return "the tables have another key";
    if (cached->memory != now.memory)
        return "the tables have another cache mode";
    if (cached->write && cached->dirty && !now.dirty)
        return "the tables have it clean";
    return NULL;
}

struct check {
    uint32_t root;
};

static const char *
check_one(void *context, unsigned cpu, const struct mmu_cached *cached)
{
    const struct check *check = context;

    (void)cpu;
    if (cached->root != check->root)
        return NULL;
    const char *what = compare(cached, cached->address);
    /* A large leaf may have become a table. */
    if (!what && cached->leaf && cached->level)
        what = compare(cached, cached->address + cached->bytes - PAGE);
    return what;
}

void
mmu_check(uint32_t root, const char *after)
{
    struct check check = {root};

    if (mmu.attached && !is_quiet(root))
        mmu_each(check_one, &check, after);
}

struct flushed {
    uint32_t root;
    uint64_t start;
    uint64_t end;
    bool (*still)(const void *context);
    const void *context;
};

static const char *
check_flushed(void *context, unsigned cpu, const struct mmu_cached *cached)
{
    const struct flushed *flushed = context;

    if (cpu == MMU_SECOND ||
        !mmu_is_covered(cached, flushed->root, flushed->start, flushed->end,
                        LEVELS, false))
        return NULL;
    uint64_t at = cached->address;
    const char *what =
        compare(cached, at > flushed->start ? at : flushed->start);
    return what && flushed->still(flushed->context) ? what : NULL;
}

void
mmu_check_flushed(uint32_t root, uint64_t start, uint64_t end,
                  bool (*still)(const void *context), const void *context,
                  const char *after)
{
    struct flushed flushed = {root, start, end, still, context};

    mmu_each(check_flushed, &flushed, after);
}

struct gone {
    uint32_t root;
    uint64_t start;
    uint64_t end;
    uint64_t since;
    enum mmu_gone what;
};

static bool
is_of_kind(const struct mmu_cached *cached, enum mmu_gone what)
{
    return what == MMU_GONE_ALL ||
           (cached->write && (cached->dirty || what == MMU_GONE_WRITABLE));
}

static const char *
check_gone(void *context, unsigned cpu, const struct mmu_cached *cached)
{
    const struct gone *gone = context;

    (void)cpu;
    if (!mmu_is_covered(cached, gone->root, gone->start, gone->end, LEVELS,
                        false) ||
        cached->since > gone->since || !is_of_kind(cached, gone->what))
        return NULL;
    return "it is still there";
}

void
mmu_check_gone(uint32_t root, uint64_t start, uint64_t end, uint64_t since,
               enum mmu_gone what, const char *after)
{
    struct gone gone = {root, start, end, since, what};

    mmu_each(check_gone, &gone, after);
}
