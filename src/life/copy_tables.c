/* SPDX-License-Identifier: MIT */
/*
 * life/copy_tables.c - the hot loop of fork: for each page one load, one
 * locked add on its frame and one or two stores.
 *
 * I1  Each entry of the child is whole the moment it can be seen: the frame's
 *     counts are raised before the entry is stored, both under the lock of
 *     the child's table.
 * I2  What has been copied is in the child's counters also when the copy
 *     fails: zap takes exactly that off again.
 *
 * Called by fork only. The first test to break is tests/unit/test_fork.c.
 */
#include "life/copy_tables.h"

#include "space/swap_map.h"

/* How far ahead of the entry at work its frame is fetched into the cache. */
#define PREFETCH_ENTRIES 12

struct copy {
    struct aspen *aspen;
    struct aspen_mm *child;
    const struct aspen_vma *from;
    bool cow;                        /* private: write-protect in both */
    unsigned clear;                  /* bits that the child starts without */
    uint64_t pages[ASPEN_RSS_KINDS]; /* copied, by kind */
};

/* One leaf, of any level; both tables are locked. */
static inline void
copy_leaf(struct copy *copy, uint64_t *to, uint64_t *from, uint64_t entry,
          unsigned level)
{
    unsigned bits = aspen_entry_bits(entry);

    if (aspen_likely(!(bits & ASPEN_ENTRY_SPECIAL))) {
        struct aspen_frame *frame =
            &copy->aspen->frames[(uint32_t)aspen_entry_frame(entry)];
        aspen_fetch_add_relaxed(&frame->counts,
                                ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
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

/* 0, or -ASPEN_EAGAIN: the swap slot needs a continuation first. */
static int
copy_swap(struct copy *copy, uint64_t *to, uint64_t entry)
{
    int error = aspen_swap_duplicate(copy->aspen, aspen_entry_swap_type(entry),
                                     aspen_entry_swap_slot(entry));
    if (error)
        return error;
    aspen_mm_swap_list_add(copy->child);
    copy->pages[ASPEN_RSS_SWAP]++;
    aspen_store(to, entry);
    return 0;
}

/*
 * Entries [*index, end) of two last-level tables. 0, or -ASPEN_EAGAIN with
 * *index at the swap entry that needs a continuation.
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
            &copy->aspen->frames[(uint32_t)aspen_entry_frame(from[ahead])]);
        if (aspen_likely(aspen_entry_is_leaf(entry, 0))) {
            copy_leaf(copy, &to[i], &from[i], entry, 0);
        } else if (aspen_entry_is_swap(entry)) {
            int error = copy_swap(copy, &to[i], entry);
            if (error) {
                *index = i;
                return error;
            }
        } else {
            aspen_store(&to[i], entry); /* a marker */
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

static void
unlock_both(struct copy *copy, uint32_t to, uint32_t from)
{
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
        error = aspen_swap_continue(copy->aspen, aspen_entry_swap_type(entry),
                                    aspen_entry_swap_slot(entry));
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

static void
copy_huge(struct copy *copy, uint32_t to, uint64_t *to_slot, uint32_t from,
          uint64_t *from_slot, unsigned level)
{
    lock_both(copy, to, from);
    copy_leaf(copy, to_slot, from_slot, aspen_load_relaxed(from_slot), level);
    unlock_both(copy, to, from);
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
        if (aspen_entry_is_leaf(entry, level)) {
            copy_huge(copy, to, &to_entries[i], from, &from_entries[i], level);
            continue;
        }
        uint32_t below;
        int error =
            child_table(copy, to, &to_entries[i], address, level, &below);
        if (!error)
            error = copy_level(copy, below, (uint32_t)aspen_entry_frame(entry),
                               level - 1, address, stop);
        if (error)
            return error;
    }
    return 0;
}

bool
aspen_copy_tables_wanted(const struct aspen_vma *from)
{
    return from->anon_vma != NULL ||
           (from->flags &
            (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | ASPEN_VM_UFFD_WP)) != 0;
}

int
aspen_copy_tables(struct aspen_vma *to, struct aspen_vma *from)
{
    struct aspen_mm *child = to->mm;
    struct copy copy = {
        .aspen = child->aspen,
        .child = child,
        .from = from,
        .cow = aspen_vma_is_cow(from),
        .clear = from->flags & ASPEN_VM_SHARED
                     ? ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY
                     : ASPEN_ENTRY_YOUNG,
    };

    int error = copy_level(&copy, child->root, from->mm->root,
                           ASPEN_TABLE_LEVELS - 1, from->start, from->end);
    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
        if (copy.pages[kind])
            aspen_mm_rss_add(child, kind, copy.pages[kind]);
    return error;
}
