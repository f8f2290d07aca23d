/* SPDX-License-Identifier: MIT */
/*
 * fault/cow.c - a write to a private page that is read-only.
 *
 *   what is there                          what happens
 *   zero page                              a new page of zeroes
 *   object's page                          a copy
 *   anonymous, exclusive                   never a copy: it becomes writable if
 *                                          the VMA is
 *   anonymous, mapped or held by others    a copy
 *   anonymous, this entry's alone          it becomes exclusive again, and its
 *                                          owner the VMA's own anon_vma
 *
 * I1  No TLB leads to the old page once a write to the new one is possible: the
 *     entry leads to the new page without any right, then the old one is
 *     flushed, then the entry gets its rights. Whoever comes upon it in between
 *     flushes as well before he gives it rights (paging/table.h, "Pending").
 * I2  "Alone" is a page that one entry maps and that has no other reference.
 *     Each reference counts for one that is not exclusive: a reader's, who came
 *     by another entry that is gone by now, was promised to see it as it was.
 * I3  What others write to a page that they hold or have pinned is not lost.
 *     They do so where it is exclusive. Only one that is not is held for a
 *     copy, and while it is held it does not become so.
 *
 * Called by fault.c. The first test to break is tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "frames/policy.h"
#include "paging/icache.h"
#include "rmap/anon_vma.h"
#include "machine/notify.h"

/* I2. Make it exclusive again, unless somebody else has it. */
static bool
take_over(const struct aspen_fault *fault, struct aspen_frame *frame)
{
    uint64_t alone = ASPEN_FRAME_REF + ASPEN_FRAME_MAP;

    ASPEN_ASSERT_TEST(aspen_load(&fault->vma->anon_vma));
    if (!aspen_compare_exchange(&frame->counts, &alone,
                                alone + ASPEN_FRAME_EXCLUSIVE))
        return false;
    aspen_store(&frame->owner,
                (uint64_t)(uintptr_t)aspen_load(&fault->vma->anon_vma));
    return true;
}

/* The table's lock is held; an entry that leads to the frame is in it. 1: it is
 * exclusive; 0: it is not; -1: somebody has locked it, look again. */
static int
make_exclusive(const struct aspen_fault *fault, struct aspen_frame *frame)
{
    if (aspen_frame_type(frame) != ASPEN_FRAME_ANON)
        return 0;
    if (aspen_frame_is_exclusive(frame))
        return 1;
    if (aspen_frame_references(frame) != 1)
        return 0;
    if (!aspen_frame_trylock(frame))
        return -1;
    bool taken = take_over(fault, frame);
    aspen_frame_unlock(frame);
    return taken;
}

/* What leads to a page of the VMA's own, where `entry` was: who only wants to
 * have it to himself leaves it protected. */
static unsigned
own_bits(const struct aspen_fault *fault, uint64_t entry)
{
    unsigned bits = aspen_fault_own_bits(fault);

    return aspen_unlikely(aspen_entry_is_marked(entry, 0))
               ? (bits & ~ASPEN_ENTRY_WRITE) | ASPEN_ENTRY_UFFD_WP
               : bits;
}

/*
 * If the entry has not changed, make it writable if the page is exclusive, else
 * hold the page for the copy. true: no copy is needed.
 */
static bool
reuse_or_hold(struct aspen_fault *fault, const struct aspen_slot *slot,
              uint64_t entry, uint32_t source)
{
    struct aspen *aspen = fault->aspen;
    struct aspen_frame *frame = aspen_frame_at(aspen, source);
    bool ready = true;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock_settled(fault->mm, slot->table, fault->address,
                             fault->address + ASPEN_PAGE_SIZE); /* I1 */
    if (aspen_load_relaxed(slot->entry) == entry) {
        int exclusive = make_exclusive(fault, frame);
        if (exclusive > 0)
            aspen_store(
                slot->entry,
                aspen_icache_entry(aspen, aspen_entry_set_bits(
                                              entry, own_bits(fault, entry))));
        ready = exclusive != 0;
        if (!ready)
            aspen_frame_get(frame);
    }
    aspen_table_unlock(aspen, slot->table);
    return ready;
}

/* As it was counted. An object's page may be truncated by now, and then it
 * does not know its object any more. */
static enum aspen_rss
kind_of(const struct aspen_fault *fault, uint32_t source)
{
    const struct aspen_object *object = aspen_vma_backing(fault->vma);

    if (!object || aspen_frame_type(aspen_frame_at(fault->aspen, source)) ==
                       ASPEN_FRAME_ANON)
        return ASPEN_RSS_ANON;
    return object->kind == ASPEN_OBJECT_SHMEM ? ASPEN_RSS_SHMEM
                                              : ASPEN_RSS_FILE;
}

/* The entry leads to an anonymous page now, instead of `source`. */
static void
count_copy(struct aspen_fault *fault, uint32_t source)
{
    struct aspen_mm *mm = fault->mm;
    enum aspen_rss kind = ASPEN_RSS_KINDS;

    if (source != ASPEN_NO_FRAME)
        kind = kind_of(fault, source);
    if (kind == ASPEN_RSS_ANON)
        return;
    if (kind != ASPEN_RSS_KINDS)
        aspen_mm_rss_sub(mm, kind, 1);
    aspen_mm_rss_add(mm, ASPEN_RSS_ANON, 1);
}

/* The entry leads to `frame` from now on, unless it changed; its table's lock
 * is held. I1. */
static bool
replace_locked(struct aspen_fault *fault, const struct aspen_slot *slot,
               uint64_t old, uint32_t source, uint32_t frame, unsigned part)
{
    struct aspen *aspen = fault->aspen;
    unsigned bits = own_bits(fault, old);
    uint64_t closed =
        aspen_entry_make_leaf(frame, 0, bits & ~ASPEN_ENTRY_ACCESS);

    if (!aspen_compare_exchange(slot->entry, &old, closed))
        return false;
    aspen_table_note_taken(aspen, slot->table, part);
    aspen_frame_map(aspen_frame_at(aspen, frame));
    aspen_policy_map_anon(aspen, frame);
    count_copy(fault, source); /* before anybody zaps it */
    aspen_table_settle(fault->mm, slot->table, fault->address,
                       fault->address + ASPEN_PAGE_SIZE);
    /* If it changed, the access looks again. */
    aspen_compare_exchange(
        slot->entry, &closed,
        aspen_icache_entry(aspen, aspen_entry_make_leaf(frame, 0, bits)));
    return true;
}

static bool
replace(struct aspen_fault *fault, const struct aspen_slot *slot, uint64_t old,
        uint32_t source, uint32_t frame)
{
    struct aspen *aspen = fault->aspen;
    uint64_t end = fault->address + ASPEN_PAGE_SIZE;

    aspen_notify_start(fault->mm, fault->address, end);
    unsigned part = aspen_tlb_pending_begin(fault->mm);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    bool done = replace_locked(fault, slot, old, source, frame, part);
    aspen_table_unlock(aspen, slot->table);
    aspen_tlb_pending_end(fault->mm, part);
    aspen_notify_end(fault->mm, fault->address, end);
    return done;
}

/*
 * `source`: NO_FRAME for the zero page, else a frame that we hold. *lost: what
 * the page that was mapped has to give back. 0, or an error and nothing
 * changed.
 */
static int
copy(struct aspen_fault *fault, const struct aspen_slot *slot, uint64_t entry,
     uint32_t source, uint64_t *lost)
{
    uint32_t frame;

    int error = aspen_fault_new_page(fault, source, &frame);
    if (error)
        return error;
    error = aspen_fault_own(fault, frame);
    if (error || !replace(fault, slot, entry, source, frame)) {
        aspen_frame_put(fault->aspen, frame);
        return error;
    }
    *lost = ASPEN_FRAME_REF + ASPEN_FRAME_MAP;
    return 0;
}

int
aspen_fault_copy(struct aspen_fault *fault, const struct aspen_slot *slot,
                 uint64_t entry)
{
    uint32_t source = (uint32_t)aspen_entry_frame(entry);
    uint64_t lost = 0;

    int need = aspen_fault_may_own(fault);
    if (need)
        return need;
    if (aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL) {
        if (aspen_entry_frame(entry) != fault->aspen->zero_frame)
            return -ASPEN_EOPNOTSUPP;
        return copy(fault, slot, entry, ASPEN_NO_FRAME, &lost);
    }
    if (reuse_or_hold(fault, slot, entry, source))
        return 0;
    /* Comes while there is other work to be done. */
    if (aspen_frames_have_contents(fault->aspen))
        ASPEN_PREFETCH_PAGE(aspen_prefetch, (const char *)aspen_frame_pointer(
                                                fault->aspen, source));
    int error = copy(fault, slot, entry, source, &lost);
    /* What the entry held, and what we held for the copy, in one go. */
    aspen_frames_release(fault->aspen, &source, 1, lost + ASPEN_FRAME_REF);
    return error;
}
