/* SPDX-License-Identifier: MIT */
/*
 * life/copy_tables.c - the hot loop of fork: for each page one load, one
 * locked add on its frame and one or two stores.
 *
 * I1  An entry of the child is whole from the moment somebody can see it: the
 *     frame's counts are raised before the entry is stored, both under the
 *     lock of the child's table.
 * I2  The child's counters have everything that was copied, also when the copy
 *     fails: zap subtracts exactly that again.
 * I3  A private page that is pinned, or whose VMA is COPYONFORK, is not shared.
 *     The parent and whoever pinned it go on with it, and the child gets a copy
 *     at once.
 *
 * Called by fork only. The first test to break is tests/unit/life/test_fork.c.
 */
#include "life/copy_tables.h"

#include "frames/pins.h"
#include "frames/policy.h"
#include "machine/payer.h"
#include "machine/swap_map.h"
#include "paging/icache.h"

/* How far ahead of the entry at work its frame is fetched into the cache. */
#define PREFETCH_ENTRIES 12

struct copy {
    struct aspen *aspen;
    struct aspen_mm *child;
    struct aspen_payer *payer;
    const struct aspen_vma *from;
    const struct aspen_vma *to;
    bool cow;       /* private: write-protect in both */
    bool at_once;   /* all private pages: COPYONFORK */
    bool unshared;  /* some pages may be pinned, or at_once: I3 */
    unsigned clear; /* bits that the child starts without */
    uint32_t spare; /* a new block, or ASPEN_NO_FRAME */
    unsigned spare_order;
    uint64_t pages[ASPEN_RSS_KINDS]; /* copied, by kind; not counted yet */
};

/* One leaf, of any level; both tables are locked. In the hot loop a call would
 * cost as much as it does. */
ASPEN_ALWAYS_INLINE void
copy_leaf(struct copy *copy, uint64_t *to, uint64_t *from, uint64_t entry,
          unsigned level)
{
    unsigned bits = aspen_entry_bits(entry);

    if (aspen_likely(!(bits & ASPEN_ENTRY_SPECIAL))) {
        struct aspen_frame *frame =
            aspen_frame_at(copy->aspen, (uint32_t)aspen_entry_frame(entry));
        aspen_frame_share(frame);
        if (!(copy->from->flags & ASPEN_VM_HUGETLB))
            copy->pages[copy->from->object ? aspen_rss_of(frame)
                                           : ASPEN_RSS_ANON] +=
                (uint64_t)1 << (ASPEN_TABLE_SHIFT * level);
    }
    if (copy->cow && bits & ASPEN_ENTRY_WRITE)
        entry = aspen_slot_write_protect(from, entry);
    /* The child has not touched it; a shared page's dirt is the parent's. */
    entry = aspen_entry_clear_bits(entry, copy->clear);
    aspen_store(to, entry);
}

/* Private, and pinned (frames/pins.h) or to be copied at once; the parent's
 * table is locked. */
static inline bool
is_unshared(const struct copy *copy, uint64_t entry)
{
    if (aspen_likely(!copy->unshared) ||
        aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
        return false;
    uint32_t number = (uint32_t)aspen_entry_frame(entry);
    return aspen_frame_type(aspen_frame_at(copy->aspen, number)) ==
               ASPEN_FRAME_ANON &&
           (copy->at_once || aspen_frame_pins(copy->aspen, number) > 0);
}

/* The child's group, which is the parent's, pays for the spare block: 0, or an
 * error and it is free. */
static int
pay(struct copy *copy)
{
    int error = aspen_pay(copy->aspen, copy->payer, copy->spare);

    if (error)
        aspen_frame_put(copy->aspen, copy->spare);
    return error;
}

/* A new block for the next page of `level` that is not shared. */
static int
get_spare(struct copy *copy, unsigned level)
{
    /* One that was got for a page whose pin was given back meanwhile. */
    if (copy->spare != ASPEN_NO_FRAME)
        aspen_frame_put(copy->aspen, copy->spare);
    copy->spare_order = ASPEN_TABLE_SHIFT * level;
    int error = aspen_frame_alloc(copy->aspen, copy->spare_order,
                                  ASPEN_STEP_FRAME, &copy->spare);
    if (!error)
        error = pay(copy);
    if (error)
        copy->spare = ASPEN_NO_FRAME;
    return error;
}

/* Bits of an entry for a page that is the child's alone. */
static unsigned
own_bits(const struct copy *copy, unsigned from)
{
    unsigned bits = aspen_entry_bits_of(copy->aspen, copy->to->flags) |
                    ASPEN_ENTRY_DIRTY |
                    (from & ASPEN_ENTRY_UFFD_WP & ~copy->clear);

    if (copy->to->flags & ASPEN_VM_WRITE && !(bits & ASPEN_ENTRY_UFFD_WP))
        bits |= ASPEN_ENTRY_WRITE;
    return bits;
}

/* Give the child a copy of a page that is not shared: 0, or -ASPEN_EAGAIN:
 * there has to be a spare block first. */
static int
copy_unshared(struct copy *copy, uint64_t *to, uint64_t entry, unsigned level)
{
    struct aspen *aspen = copy->aspen;
    uint32_t source = (uint32_t)aspen_entry_frame(entry);
    uint32_t frame = copy->spare;

    if (frame == ASPEN_NO_FRAME ||
        copy->spare_order != level * ASPEN_TABLE_SHIFT)
        return -ASPEN_EAGAIN;
    copy->spare = ASPEN_NO_FRAME;
    for (uint32_t i = 0; i < (uint32_t)1 << copy->spare_order; i++)
        if (aspen_frames_have_contents(aspen) &&
            aspen_frame_copy(aspen, frame + i, source + i))
            aspen_port_panic("a frame without contents is copied");
    aspen_frame_set_anon(aspen, frame, copy->to->anon_vma,
                         aspen_frame_offset(aspen_frame_at(aspen, source)));
    aspen_frame_map(aspen_frame_at(aspen, frame));
    if (level == 0)
        aspen_policy_map_anon(aspen, frame);
    if (!(copy->from->flags & ASPEN_VM_HUGETLB))
        copy->pages[ASPEN_RSS_ANON] += (uint64_t)1 << copy->spare_order;
    aspen_store(to, aspen_icache_entry(
                        aspen, aspen_entry_make_leaf(
                                   frame, level,
                                   own_bits(copy, aspen_entry_bits(entry)))));
    return 0;
}

/* What the child has of a swap entry or marker: nothing protects it but what
 * the child's own mapping asks for. */
static uint64_t
childs(const struct copy *copy, uint64_t entry)
{
    return copy->clear & ASPEN_ENTRY_UFFD_WP ? aspen_entry_unmark(entry, 0)
                                             : entry;
}

/* 0, or -ASPEN_EAGAIN: the swap slot needs a continuation first. The page that
 * comes back from there is not the parent's alone any more. */
static int
copy_swap(struct copy *copy, uint64_t *to, uint64_t *from, uint64_t entry)
{
    int error = aspen_swap_duplicate(copy->aspen, aspen_entry_swap_type(entry),
                                     aspen_entry_swap_slot(entry));
    if (error)
        return error;
    aspen_mm_swap_list_add(copy->child);
    copy->pages[ASPEN_RSS_SWAP]++;
    entry &= ~ASPEN_ENTRY_SWAP_EXCLUSIVE;
    aspen_store(from, entry);
    aspen_store(to, childs(copy, entry));
    return 0;
}

/* What copy_entries() says -ASPEN_EAGAIN for; no table is locked. */
static int
make_ready(struct copy *copy, uint64_t entry)
{
    if (aspen_entry_is_leaf(entry, 0))
        return get_spare(copy, 0);
    return aspen_swap_continue(copy->aspen, aspen_entry_swap_type(entry),
                               aspen_entry_swap_slot(entry));
}

/* All that is not a plain leaf: 0 or -ASPEN_EAGAIN. */
static int
copy_rare(struct copy *copy, uint64_t *to, uint64_t *from, uint64_t entry)
{
    if (aspen_entry_is_leaf(entry, 0))
        return copy_unshared(copy, to, entry, 0);
    if (aspen_entry_is_swap(entry))
        return copy_swap(copy, to, from, entry);
    aspen_store(to, childs(copy, entry)); /* a marker */
    return 0;
}

/*
 * Copy entries [*index, end) of two last-level tables. 0, or -ASPEN_EAGAIN with
 * *index at an entry that needs something first.
 */
static int
copy_entries(struct copy *copy, uint64_t *to, uint64_t *from, unsigned *index,
             unsigned end)
{
    for (unsigned i = *index; i < end; i++) {
        uint64_t entry = aspen_load_relaxed(&from[i]);
        if (!entry)
            continue;
        unsigned ahead = (i + PREFETCH_ENTRIES) % ASPEN_TABLE_ENTRIES;
        aspen_prefetch_write(
            aspen_frame_ahead(copy->aspen, aspen_entry_frame(from[ahead])));
        if (aspen_likely(aspen_entry_is_leaf(entry, 0) &&
                         !is_unshared(copy, entry))) {
            copy_leaf(copy, &to[i], &from[i], entry, 0);
            continue;
        }
        int error = copy_rare(copy, &to[i], &from[i], entry);
        if (error) {
            *index = i;
            return error;
        }
    }
    return 0;
}

static void
lock_both(struct copy *copy, uint32_t to, uint32_t from)
{
    aspen_table_own(copy->aspen, to);
    aspen_table_own(copy->aspen, from);
    aspen_table_lock(copy->aspen, to, ASPEN_LOCK_TABLE_CHILD);
    aspen_table_lock(copy->aspen, from, ASPEN_LOCK_TABLE_PARENT);
}

/* What was copied is counted before anybody can zap it. */
static void
unlock_both(struct copy *copy, uint32_t to, uint32_t from)
{
    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++) {
        if (copy->pages[kind])
            aspen_mm_rss_add(copy->child, kind, copy->pages[kind]);
        copy->pages[kind] = 0;
    }
    aspen_table_unlock(copy->aspen, from);
    aspen_table_unlock(copy->aspen, to);
}

/* [start, end) lies in one last-level table of each space. */
static int
copy_last_level(struct copy *copy, uint32_t to, uint32_t from, uint64_t start,
                uint64_t end)
{
    uint64_t *to_entries = aspen_table_entries(copy->aspen, to);
    uint64_t *from_entries = aspen_table_entries(copy->aspen, from);
    unsigned index = aspen_table_index(start, 0);
    unsigned last = aspen_table_index(end - 1, 0) + 1;

    for (;;) {
        lock_both(copy, to, from);
        int error = copy_entries(copy, to_entries, from_entries, &index, last);
        uint64_t entry = error ? from_entries[index] : 0;
        unlock_both(copy, to, from);
        if (error != -ASPEN_EAGAIN)
            return error;
        error = make_ready(copy, entry);
        if (error)
            return error;
    }
}

/* The child's table below `slot`, made if it is missing. */
static int
child_table(struct copy *copy, uint32_t table, uint64_t *slot, uint64_t address,
            unsigned level, uint32_t *below)
{
    uint64_t entry = aspen_load_relaxed(slot);
    if (entry) {
        *below = (uint32_t)aspen_entry_frame(entry);
        return 0;
    }

    int error = aspen_table_alloc(copy->child, address, level - 1, below);
    if (error)
        return error;
    aspen_table_own(copy->aspen, table);
    aspen_table_lock(copy->aspen, table, ASPEN_LOCK_TABLE_CHILD);
    aspen_store(slot, aspen_entry_make_table(*below));
    aspen_table_unlock(copy->aspen, table);
    aspen_fetch_add_relaxed(&copy->child->page_tables, 1);
    return 0;
}

static int
copy_huge(struct copy *copy, uint32_t to, uint64_t *to_slot, uint32_t from,
          uint64_t *from_slot, unsigned level)
{
    for (;;) {
        int error = 0;
        lock_both(copy, to, from);
        uint64_t entry = aspen_load_relaxed(from_slot);
        /* It was raw, perhaps, and its object's owner has taken it back. */
        if (!aspen_entry_is_leaf(entry, level))
            error = 0;
        else if (is_unshared(copy, entry))
            error = copy_unshared(copy, to_slot, entry, level);
        else
            copy_leaf(copy, to_slot, from_slot, entry, level);
        unlock_both(copy, to, from);
        if (error != -ASPEN_EAGAIN)
            return error;
        error = get_spare(copy, level);
        if (error)
            return error;
    }
}

static int
copy_level(struct copy *copy, uint32_t to, uint32_t from, unsigned level,
           uint64_t start, uint64_t end)
{
    if (level == 0)
        return copy_last_level(copy, to, from, start, end);

    uint64_t *to_entries = aspen_table_entries(copy->aspen, to);
    uint64_t *from_entries = aspen_table_entries(copy->aspen, from);
    uint64_t span = aspen_entry_span(level);
    uint64_t stop;
    for (uint64_t address = start; address < end; address = stop) {
        stop = aspen_min_u64(aspen_align_down(address, span) + span, end);
        unsigned i = aspen_table_index(address, level);
        uint64_t entry = aspen_load(&from_entries[i]);
        if (!entry)
            continue;
        uint32_t below = 0;
        bool huge = aspen_entry_is_leaf(entry, level);
        int error = huge ? copy_huge(copy, to, &to_entries[i], from,
                                     &from_entries[i], level)
                         : child_table(copy, to, &to_entries[i], address, level,
                                       &below);
        if (!error && !huge)
            error = copy_level(copy, below, (uint32_t)aspen_entry_frame(entry),
                               level - 1, address, stop);
        if (error)
            return error;
    }
    return 0;
}

bool
aspen_copy_tables_wanted(const struct aspen_vma *to,
                         const struct aspen_vma *from)
{
    return from->anon_vma != NULL || aspen_load_relaxed(&from->guarded) ||
           (to->flags &
            (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_UFFD_WP)) != 0;
}

int
aspen_copy_tables(struct aspen_vma *to, struct aspen_vma *from,
                  struct aspen_payer *payer)
{
    struct aspen_mm *child = to->mm;
    bool at_once = (from->flags & (ASPEN_VM_COPYONFORK | ASPEN_VM_SHARED)) ==
                   ASPEN_VM_COPYONFORK;
    struct copy copy = {
        .aspen = child->aspen,
        .child = child,
        .payer = payer,
        .from = from,
        .to = to,
        .at_once = at_once,
        .unshared = at_once ||
                    (aspen_load_relaxed(&from->mm->flags) & ASPEN_MM_PINNED &&
                     !(from->flags & ASPEN_VM_SHARED)),
        .spare = ASPEN_NO_FRAME,
        .cow = aspen_vma_is_cow(from),
        .clear = ASPEN_ENTRY_YOUNG |
                 (from->flags & ASPEN_VM_SHARED ? ASPEN_ENTRY_DIRTY : 0) |
                 (to->flags & ASPEN_VM_UFFD_WP ? 0 : ASPEN_ENTRY_UFFD_WP),
    };

    int error = copy_level(&copy, child->root, from->mm->root,
                           ASPEN_TABLE_LEVELS - 1, from->start, from->end);
    /* A look at an entry that changed meanwhile may leave one. */
    if (copy.spare != ASPEN_NO_FRAME)
        aspen_frame_put(copy.aspen, copy.spare);
    return error;
}
