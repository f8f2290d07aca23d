/* SPDX-License-Identifier: MIT */
/*
 * space/mm.h - the life of a struct aspen_mm outside of fork and exit: making
 * the structure, counting its holders, the registry and the swap list.
 */
#ifndef ASPEN_SPACE_MM_H
#define ASPEN_SPACE_MM_H

#include "paging/table.h"

/*
 * A new mm in state BUILDING with a top table, one user and its one
 * reference; on no list. It has the embedder's pointer by the time that the
 * hook mm_init hears of it. 0, -ASPEN_ENOMEM (ASPEN_STEP_MM,
 * ASPEN_STEP_PAGE_TABLE, ASPEN_STEP_HOOK if there is such a hook) or the hook's
 * error, nothing left.
 */
ASPEN_MUST_USE int aspen_mm_alloc(struct aspen *aspen, void *embedder,
                                  struct aspen_mm **mm);

/* Make it LIVE and enter it into the registry. */
void aspen_mm_publish(struct aspen_mm *mm);

/* Leave the registry, if in it, and be EMPTY: who looks there finds no space
 * that is. */
void aspen_mm_unpublish(struct aspen_mm *mm);

/* Put it on the swap list unless it is there / take it off if it is. Context:
 * any lock but leaves; off: the last user is gone. */
void aspen_mm_swap_list_add(struct aspen_mm *mm);
void aspen_mm_swap_list_remove(struct aspen_mm *mm);

/*
 * One more / one less pointer to the structure. The last one frees it: by
 * then it is EMPTY, its tree has no node and its only table is the top one.
 */
void aspen_mm_hold(struct aspen_mm *mm);
void aspen_mm_drop(struct aspen_mm *mm);

/* The last user's: it is EMPTY, the hook mm_exit hears of it, no CPU is active
 * in it then; drops the users' reference. Context: may sleep, no lock held. */
void aspen_mm_leave(struct aspen_mm *mm);

/*
 * The gate for whoever found an mm through the swap list, or through any index
 * that may hold spaces that are not LIVE. The caller holds a reference and no
 * lock. true: the mmap lock is held for reading and the state is LIVE, or
 * BUILDING by exec, which is whole whenever nobody has the lock for writing.
 * false: nothing is held.
 */
ASPEN_MUST_USE bool aspen_mm_get_live(struct aspen_mm *mm);

/*
 * Lock for writing. The unlock also unlocks every VMA that is locked for
 * writing. killable: polls (ASPEN_STEP_INTERRUPT), and waits until a fatal
 * signal comes: 0, or -ASPEN_EINTR with nothing locked.
 */
ASPEN_MUST_USE int aspen_mm_write_lock_killable(struct aspen_mm *mm,
                                                enum aspen_lock_class c);
void aspen_mm_write_lock(struct aspen_mm *mm, enum aspen_lock_class c);
void aspen_mm_write_unlock(struct aspen_mm *mm);

/* The same, for whoever may have stored in the tree: dead nodes that wait are
 * bounded then. Context: may sleep. */
void aspen_mm_write_end(struct aspen_mm *mm);

/* May it be mapped into? A BUILDING one is what exec fills: the child of a fork
 * under way is nobody's who could ask. */
static inline bool
aspen_mm_accepts_mappings(const struct aspen_mm *mm)
{
    uint32_t state = aspen_load(&mm->state);
    return state == ASPEN_MM_LIVE || state == ASPEN_MM_BUILDING;
}

/* A poll for a fatal signal (ASPEN_STEP_INTERRUPT): 0 or -ASPEN_EINTR. */
ASPEN_MUST_USE int aspen_poll_fatal(struct aspen *aspen);

/* Add to (subtract from) total, data, exec, stack and locked pages by VMA
 * flags. */
void aspen_mm_account_vma(struct aspen_mm *mm, uint64_t vm_flags,
                          uint64_t pages, bool add);

/* `pages` may be the negative of a number: sums wrap. Release: who sees it sees
 * what was counted off before, in whatever part. */
static inline void
aspen_mm_rss_add(struct aspen_mm *mm, enum aspen_rss kind, uint64_t pages)
{
    aspen_fetch_add(&mm->parts[aspen_mm_part()].rss[kind], pages);
}

static inline void
aspen_mm_rss_sub(struct aspen_mm *mm, enum aspen_rss kind, uint64_t pages)
{
    aspen_mm_rss_add(mm, kind, 0 - pages);
}

/* Of all parts: exact when none changes, and never below 0. The sum may be, for
 * a validator to see; while others count it may be more than there ever were.
 */
uint64_t aspen_mm_rss_sum(const struct aspen_mm *mm, enum aspen_rss kind);
uint64_t aspen_mm_rss(const struct aspen_mm *mm, enum aspen_rss kind);

/* Keep the most pages that were ever resident, before some go or somebody
 * asks: returns it. As in Linux it may miss a peak between two looks. */
uint64_t aspen_mm_note_resident(struct aspen_mm *mm);

/* Nothing is placed below it, as Linux's vm.mmap_min_addr. */
static inline uint64_t
aspen_mm_lowest(const struct aspen_mm *mm)
{
    return aspen_max_u64(mm->address_floor, mm->aspen->config.mmap_min_address);
}

/* Above it mappings go by a hint alone: as in Linux, since programs keep things
 * in the upper bits of their pointers. */
static inline uint64_t
aspen_mm_window(const struct aspen_mm *mm)
{
    return aspen_min_u64(mm->address_limit, ASPEN_MAP_WINDOW);
}

/* Where searches upwards begin unless a layout says so, as Linux's
 * TASK_UNMAPPED_BASE. */
static inline uint64_t
aspen_mm_bottom(const struct aspen_mm *mm)
{
    return aspen_align_up(aspen_mm_window(mm) / ASPEN_MMAP_BOTTOM_PART,
                          ASPEN_PAGE_SIZE);
}

/* Kept free below an area that grows down. */
static inline uint64_t
aspen_stack_guard_bytes(const struct aspen *aspen)
{
    return (uint64_t)aspen->config.stack_guard_pages << ASPEN_PAGE_SHIFT;
}

/* Which counter a page with this frame counts in. */
enum aspen_rss aspen_rss_of(const struct aspen_frame *frame);

/* A new space is in the group of another, whose mmap lock is held. */
void aspen_mm_group_inherit(struct aspen_mm *mm, const struct aspen_mm *from);

static inline void
aspen_mm_flags_set(struct aspen_mm *mm, uint32_t flags)
{
    aspen_fetch_or(&mm->flags, flags);
}

/* Faults meet, or may: from now on they keep apart. */
static inline void
aspen_mm_note_crowd(struct aspen_mm *mm)
{
    if (!(aspen_load_relaxed(&mm->flags) & ASPEN_MM_CROWDED))
        aspen_mm_flags_set(mm, ASPEN_MM_CROWDED);
}

/* Around what takes down a whole space: nobody is killed for memory that is on
 * its way back. */
static inline void
aspen_giving_back_begin(struct aspen_mm *mm)
{
    aspen_fetch_add_relaxed(&mm->aspen->giving_back, 1);
    if (mm->group)
        aspen_fetch_add_relaxed(&mm->group->giving_back, 1);
}

static inline void
aspen_giving_back_end(struct aspen_mm *mm)
{
    if (mm->group)
        aspen_fetch_sub_relaxed(&mm->group->giving_back, 1);
    aspen_fetch_sub_relaxed(&mm->aspen->giving_back, 1);
}

#endif
