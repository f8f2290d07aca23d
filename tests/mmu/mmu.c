/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - the processor of mmu.h.
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
#include "mmu.h"

#include "format.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ASPEN_PORT_ATOMIC_POINT
#define ASPEN_PORT_ATOMIC_POINT(address, is_write) ((void)0)
#endif

#define TOP     3u
#define ENTRIES 512u
#define PAGE    ((uint64_t)4096)
#define BUCKETS 4096u
#define NONE    UINT32_MAX
#define ROOTS   64 /* spaces that are quiet, brackets that are open */
#define FEW     64 /* pages of a flush that are looked up one by one */

struct node {
    struct mmu_cached cached;
    uint32_t next; /* of its bucket, or of the free ones */
    bool used;
};

struct cpu {
    struct aspen_port_spinlock lock;
    struct node *nodes;
    uint32_t room;
    uint32_t top;  /* nodes from here on were never used */
    uint32_t free; /* list */
    uint32_t count;
    uint32_t buckets[BUCKETS];
    uint64_t random;
};

struct bracket {
    uint32_t root;
    uint64_t start;
    uint64_t end;
    bool open;
};

static struct {
    struct mmu_config config;
    bool attached;
    struct cpu cpus[MMU_ALL];
    uint32_t *leads;
    uint32_t large;                  /* atomic */
    uint64_t clock;                  /* atomic */
    struct aspen_port_spinlock lock; /* for the rest */
    uint32_t quiet[ROOTS];
    struct bracket brackets[ROOTS];
    uint64_t ended; /* brackets that were closed */
    bool broken;
    char breach[256];
    struct mmu_counts counts; /* atomic */
} mmu;

#define COUNT(what) __atomic_fetch_add(&mmu.counts.what, 1, __ATOMIC_RELAXED)

/* ---- Breaches ---------------------------------------------------------- */

static void breach(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

static void
breach(const char *format, ...)
{
    bool seen = __atomic_exchange_n(&mmu.broken, true, __ATOMIC_ACQ_REL);
    va_list arguments;

    if (seen)
        return;
    va_start(arguments, format);
    vsnprintf(mmu.breach, sizeof(mmu.breach), format, arguments);
    va_end(arguments);
}

/* Not from under a CPU's lock: who hears of it may never return. */
static void
tell(void)
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
    __atomic_store_n(&mmu.broken, false, __ATOMIC_RELEASE);
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

/* ---- What is cached ---------------------------------------------------- */

static uint64_t
span_of(unsigned level)
{
    return PAGE << (9 * level);
}

static uint32_t
bucket_of(uint32_t root, bool leaf, unsigned level, uint64_t address)
{
    uint64_t key = address / span_of(level) * 8 + level * 2 + leaf;

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
    if (more)
        __atomic_fetch_add(count, 1, __ATOMIC_ACQ_REL);
    else
        __atomic_fetch_sub(count, 1, __ATOMIC_ACQ_REL);
}

static uint32_t *
find(struct cpu *cpu, uint32_t root, bool leaf, unsigned level,
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
drop(struct cpu *cpu, uint32_t *link)
{
    uint32_t index = *link;
    struct node *node = &cpu->nodes[index];

    *link = node->next;
    count_leads(&node->cached, false);
    node->used = false;
    node->next = cpu->free;
    cpu->free = index;
    cpu->count--;
}

static void
drop_node(struct cpu *cpu, const struct node *node)
{
    const struct mmu_cached *cached = &node->cached;

    drop(cpu,
         find(cpu, cached->root, cached->leaf, cached->level, cached->address));
}

static uint32_t
get_node(struct cpu *cpu)
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

static void
insert(struct cpu *cpu, const struct mmu_cached *cached)
{
    uint32_t *bucket = &cpu->buckets[bucket_of(cached->root, cached->leaf,
                                               cached->level, cached->address)];
    uint32_t index = get_node(cpu);
    struct node *node = &cpu->nodes[index];

    node->cached = *cached;
    node->cached.since = mmu_now();
    node->next = *bucket;
    node->used = true;
    *bucket = index;
    cpu->count++;
    count_leads(cached, true);
}

static void
empty(struct cpu *cpu)
{
    for (uint32_t i = 0; i < cpu->top; i++)
        if (cpu->nodes[i].used)
            count_leads(&cpu->nodes[i].cached, false);
    cpu->top = 0;
    cpu->count = 0;
    cpu->free = NONE;
    memset(cpu->buckets, 0xff, sizeof(cpu->buckets));
}

/* One by chance, now and then. */
static void
evict(struct cpu *cpu)
{
    if (!mmu.config.evict_seed || cpu->top == 0)
        return;
    cpu->random = cpu->random * 6364136223846793005u + 1442695040888963407u;
    if (cpu->random >> 61)
        return;
    struct node *node = &cpu->nodes[(cpu->random >> 33) % cpu->top];
    if (node->used)
        drop_node(cpu, node);
}

/* ---- Walk -------------------------------------------------------------- */

/* Where a walk stands: below the tables that were passed. */
struct walk {
    uint32_t root;
    uint64_t address;
    uint64_t table;
    unsigned level; /* of the table's entries */
    bool read, write, exec;
    bool points; /* other tasks may go on before each look */
};

static uint64_t *
entry_at(uint64_t table, unsigned level, uint64_t address)
{
    if (table >= mmu.config.frames) {
        breach("a walk of %#" PRIx64 " reads a table at %#" PRIx64
               ", where no memory is",
               address, table);
        return NULL;
    }
    uint64_t *entries =
        aspen_port_frame_pointer(mmu.config.direct_map, (uint32_t)table);
    return &entries[address / span_of(level) % ENTRIES];
}

static uint64_t
look(const struct walk *walk, uint64_t *entry)
{
    if (walk->points)
        ASPEN_PORT_ATOMIC_POINT(entry, false);
    return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static void
start_at_root(struct walk *walk)
{
    walk->table = walk->root;
    walk->level = TOP;
    walk->read = walk->write = walk->exec = true;
}

/* From the lowest table that is cached. */
static void
start(struct cpu *cpu, struct walk *walk)
{
    start_at_root(walk);
    for (unsigned level = 1; level <= TOP; level++) {
        uint32_t *link = find(cpu, walk->root, false, level, walk->address);
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

/* The walk is at an entry that says so. */
static struct mmu_cached
cached_of(const struct walk *walk, const struct format_entry *says)
{
    uint64_t bytes = span_of(walk->level);

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
    };
}

static void
descend(struct walk *walk, const struct format_entry *says)
{
    walk->read &= says->read;
    walk->write &= says->write;
    walk->exec &= says->exec;
    walk->table = says->number;
    walk->level--;
}

/* What the entry says, with what the processor writes into it for an access
 * (or for none: `sets` is false). False: it changed meanwhile. */
static bool
use_entry(const struct walk *walk, uint64_t *entry, struct format_entry *says,
          bool write, bool sets)
{
    uint64_t now = look(walk, entry);

    *says = format_read(now, walk->level);
    bool leaf = says->kind == FORMAT_LEAF;
    if (says->kind == FORMAT_RESERVED)
        breach("the entry %#" PRIx64 " for %#" PRIx64
               " has bits set that are reserved",
               now, walk->address);
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

/* Walk to the leaf of an address: true and *leaf. What is passed is kept. */
static bool
walk_to(struct cpu *cpu, struct walk *walk, bool write, struct mmu_cached *leaf)
{
    bool sets = mmu.config.flags == MMU_FLAGS_SET;
    struct format_entry says;

    COUNT(walks);
    start(cpu, walk);
    for (;;) {
        uint64_t *entry = entry_at(walk->table, walk->level, walk->address);
        if (!entry)
            return false;
        if (!use_entry(walk, entry, &says, write, sets))
            continue;
        if (says.kind != FORMAT_LEAF && says.kind != FORMAT_TABLE)
            return false;
        if (mmu.config.flags == MMU_FLAGS_FAULT && says.kind == FORMAT_LEAF &&
            !says.accessed)
            return false;
        *leaf = cached_of(walk, &says);
        if (says.kind == FORMAT_LEAF)
            return true;
        insert(cpu, leaf);
        descend(walk, &says);
    }
}

/* ---- Access ------------------------------------------------------------ */

static bool
allows(const struct mmu_cached *cached, enum mmu_access access)
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

static struct node *
cached_leaf(struct cpu *cpu, uint32_t root, uint64_t address)
{
    for (unsigned level = 0; level < TOP; level++) {
        uint32_t *link = find(cpu, root, true, level, address);
        if (link)
            return &cpu->nodes[*link];
    }
    return NULL;
}

/* The leaf that the access goes through; NULL: it faults. What faults stays
 * cached as it is: a processor may go on faulting until it is told. */
static const struct mmu_cached *
translate(struct cpu *cpu, uint32_t root, uint64_t address,
          enum mmu_access access, bool points)
{
    bool write = access == MMU_WRITE;
    struct node *node = cached_leaf(cpu, root, address);

    /* It is written for the first time: the entry has to say so, and is looked
     * at again for that. */
    if (node && write && node->cached.write && !node->cached.dirty &&
        mmu.config.flags == MMU_FLAGS_SET) {
        drop_node(cpu, node);
        node = NULL;
    }
    if (node) {
        COUNT(hits);
    } else {
        struct walk walk = {.root = root, .address = address, .points = points};
        struct mmu_cached leaf;
        if (!walk_to(cpu, &walk, write, &leaf))
            return NULL;
        insert(cpu, &leaf);
        node = cached_leaf(cpu, root, address);
    }
    if (!allows(&node->cached, access) || (write && !node->cached.dirty))
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

static void
reach(const struct mmu_cached *cached, uint64_t address, enum mmu_access access,
      void *bytes, size_t length, bool points)
{
    uint64_t number = cached->number + (address - cached->address) / PAGE;

    if (!bytes || cached->raw)
        return;
    if (number >= mmu.config.frames) {
        breach("%#" PRIx64 " leads to frame %#" PRIx64 ", where no memory is",
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
    struct cpu *cpu = &mmu.cpus[number];

    aspen_port_spin_lock(&cpu->lock);
    evict(cpu);
    const struct mmu_cached *cached =
        translate(cpu, root, address, access, true);
    if (cached)
        reach(cached, address, access, bytes, length, true);
    else
        COUNT(faults);
    aspen_port_spin_unlock(&cpu->lock);
    tell();
    return cached;
}

/* ---- The second MMU's brackets ----------------------------------------- */

static bool
meet(uint64_t start, uint64_t end, uint64_t address, uint64_t bytes)
{
    return address < end && start < address + bytes;
}

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
        const struct bracket *at = &mmu.brackets[i];
        found |= at->open && at->root == cached->root &&
                 meet(at->start, at->end, cached->address, cached->bytes);
    }
    aspen_port_spin_unlock(&mmu.lock);
    return found;
}

static void drop_range(struct cpu *cpu, uint32_t root, uint64_t start,
                       uint64_t end, bool tables);

void
mmu_second_start(uint32_t root, uint64_t start, uint64_t end)
{
    struct cpu *cpu = &mmu.cpus[MMU_SECOND];
    unsigned free = 0;

    if (!mmu.attached)
        return;
    aspen_port_spin_lock(&mmu.lock);
    while (free < ROOTS && mmu.brackets[free].open)
        free++;
    if (free < ROOTS)
        mmu.brackets[free] = (struct bracket){root, start, end, true};
    else
        breach("more than %d brackets are open", ROOTS);
    aspen_port_spin_unlock(&mmu.lock);

    aspen_port_spin_lock(&cpu->lock);
    drop_range(cpu, root, start, end, false);
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
        struct bracket *at = &mmu.brackets[i];
        found = at->open && at->root == root && at->start == start &&
                at->end == end;
        if (found)
            at->open = false;
    }
    mmu.ended++;
    aspen_port_spin_unlock(&mmu.lock);
    if (!found)
        breach("a bracket [%#" PRIx64 ", %#" PRIx64
               ") ends that was not opened",
               start, end);
    tell();
}

/* ---- Load -------------------------------------------------------------- */

struct load {
    struct cpu *cpu;
    bool second;
    bool sets;
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
    if (!find(load->cpu, cached->root, true, cached->level, cached->address))
        insert(load->cpu, cached);
}

static void load_below(struct load *load, const struct walk *walk);

static void
load_entry(struct load *load, struct walk *walk, uint64_t *entry)
{
    struct format_entry says;

    while (!use_entry(walk, entry, &says, false, load->sets))
        ;
    struct mmu_cached cached = cached_of(walk, &says);
    if (says.kind == FORMAT_LEAF) {
        load_leaf(load, &cached, says.accessed);
    } else if (says.kind == FORMAT_TABLE) {
        if (!load->second &&
            !find(load->cpu, walk->root, false, walk->level, walk->address))
            insert(load->cpu, &cached);
        descend(walk, &says);
        load_below(load, walk);
    }
}

/* All below a table. */
static void
load_below(struct load *load, const struct walk *walk)
{
    uint64_t *entries = entry_at(walk->table, walk->level, 0);

    load->seen += 16; /* what it takes */
    for (unsigned i = 0; entries && i < ENTRIES && load->left; i++) {
        if (!__atomic_load_n(&entries[i], __ATOMIC_RELAXED))
            continue;
        struct walk next = *walk;
        next.address += i * span_of(walk->level);
        load_entry(load, &next, &entries[i]);
    }
}

uint64_t
mmu_load(unsigned number, uint32_t root, uint64_t most)
{
    struct load load = {
        .cpu = &mmu.cpus[number],
        .second = number == MMU_SECOND,
        .sets = number != MMU_SECOND && mmu.config.flags == MMU_FLAGS_SET,
        .left = most,
    };
    struct walk walk = {.root = root, .points = load.second};

    if (!mmu.attached)
        return 0;
    aspen_port_spin_lock(&load.cpu->lock);
    if (load.second)
        load.ended = brackets_ended();
    start_at_root(&walk);
    load_below(&load, &walk);
    aspen_port_spin_unlock(&load.cpu->lock);
    tell();
    return load.seen;
}

/* ---- Flush ------------------------------------------------------------- */

static bool
is_covered(const struct mmu_cached *cached, uint32_t root, uint64_t start,
           uint64_t end, bool tables)
{
    return cached->root == root && (cached->leaf || tables) &&
           meet(start, end, cached->address, cached->bytes);
}

static void
drop_range(struct cpu *cpu, uint32_t root, uint64_t start, uint64_t end,
           bool tables)
{
    if (start >= end)
        return;
    if (!tables && (end - start) / PAGE < FEW) {
        for (uint64_t at = start / PAGE * PAGE; at < end; at += PAGE) {
            struct node *node;
            while ((node = cached_leaf(cpu, root, at)) != NULL) {
                drop_node(cpu, node);
                COUNT(dropped);
            }
        }
        return;
    }
    for (uint32_t i = 0; i < cpu->top; i++) {
        struct node *node = &cpu->nodes[i];
        if (node->used && is_covered(&node->cached, root, start, end, tables)) {
            drop_node(cpu, node);
            COUNT(dropped);
        }
    }
}

void
mmu_flush(const uint64_t *cpus, uint32_t root, uint64_t start, uint64_t end,
          bool tables)
{
    if (!mmu.attached)
        return;
    COUNT(flushes);
    if (start >= end)
        breach("a flush of [%#" PRIx64 ", %#" PRIx64 "), which is nothing",
               start, end);
    for (unsigned i = 0; i < MMU_CPUS; i++) {
        struct cpu *cpu = &mmu.cpus[i];
        if (!(cpus[i / 64] >> i % 64 & 1))
            continue;
        aspen_port_spin_lock(&cpu->lock);
        drop_range(cpu, root, start, end, tables);
        aspen_port_spin_unlock(&cpu->lock);
    }
    tell();
}

void
mmu_leave(unsigned number, uint32_t root)
{
    struct cpu *cpu = &mmu.cpus[number];

    if (!mmu.attached)
        return;
    aspen_port_spin_lock(&cpu->lock);
    drop_range(cpu, root, 0, UINT64_MAX, true);
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
            mmu.quiet[i] = 0;
    aspen_port_spin_unlock(&mmu.lock);
}

/* ---- Checks ------------------------------------------------------------ */

void
mmu_quiet(uint32_t root)
{
    unsigned i = 0;

    aspen_port_spin_lock(&mmu.lock);
    while (i < ROOTS && mmu.quiet[i])
        i++;
    if (i < ROOTS)
        mmu.quiet[i] = root;
    else
        breach("more than %d spaces are quiet", ROOTS);
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
        struct cpu *cpu = &mmu.cpus[i];
        aspen_port_spin_lock(&cpu->lock);
        for (uint32_t n = 0; n < cpu->top; n++) {
            const struct mmu_cached *cached = &cpu->nodes[n].cached;
            const char *what =
                cpu->nodes[n].used ? visit(context, i, cached) : NULL;
            if (what)
                breach("%s: %s: %s", after, what,
                       describe(text, sizeof(text), i, cached));
        }
        aspen_port_spin_unlock(&cpu->lock);
    }
    tell();
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
        !meet(frames->first, frames->first + frames->count, cached->number,
              count))
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
    for (uint32_t i = 0; i < count && first + i < mmu.config.frames; i++)
        leads |= __atomic_load_n(&mmu.leads[first + i], __ATOMIC_ACQUIRE);
    if (!leads && !__atomic_load_n(&mmu.large, __ATOMIC_ACQUIRE))
        return;
    mmu_each(leads_to, &frames, what);
}

/* What the tables say now of what is cached; nothing is written. */
static struct mmu_cached
look_up(const struct mmu_cached *cached, uint64_t address)
{
    struct walk walk = {.root = cached->root, .address = address};
    struct mmu_cached now = {.root = 0};
    struct format_entry says;

    start_at_root(&walk);
    for (;;) {
        uint64_t *entry = entry_at(walk.table, walk.level, address);
        if (!entry || !use_entry(&walk, entry, &says, false, false) ||
            (says.kind != FORMAT_LEAF && says.kind != FORMAT_TABLE))
            return now;
        if (says.kind == FORMAT_LEAF ||
            (!cached->leaf && walk.level == cached->level))
            return cached_of(&walk, &says);
        descend(&walk, &says);
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

struct gone {
    uint32_t root;
    uint64_t start;
    uint64_t end;
    uint64_t since;
    bool writable;
};

static const char *
check_gone(void *context, unsigned cpu, const struct mmu_cached *cached)
{
    const struct gone *gone = context;

    (void)cpu;
    if (!is_covered(cached, gone->root, gone->start, gone->end, false) ||
        cached->since > gone->since || (gone->writable && !cached->write))
        return NULL;
    return "it is still there";
}

void
mmu_check_gone(uint32_t root, uint64_t start, uint64_t end, uint64_t since,
               bool writable, const char *after)
{
    struct gone gone = {root, start, end, since, writable};

    mmu_each(check_gone, &gone, after);
}

/* ---- Attach ------------------------------------------------------------ */

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
        struct cpu *cpu = &mmu.cpus[i];
        memset(&cpu->lock, 0, sizeof(cpu->lock));
        cpu->top = 0;
        empty(cpu);
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
