/* SPDX-License-Identifier: MIT */
/*
 * rmap/take.c - takes pages away from all spaces, and flushes many at once.
 *
 *     page's lock    i_mmap, anon_vma     table
 *     A  ----------  walk  -----------  entry goes
 *     B  ----------  walk  -----------  entry goes      pending
 *     C  ----------  walk  -----------  entry goes
 *                                            flush of each space, once
 *     A, B, C: what is done with them
 *
 * I1  A space is counted as pending before its first entry is looked at, and
 *     until it is flushed: whoever finds an entry gone, also when the VMA has
 *     left the reverse maps meanwhile, flushes what he looked at.
 * I2  A space that ends before the flush has a reference: its structure stays.
 *     Its exit has flushed what it found gone.
 * I3  Pages are locked until the flush. So nobody maps one again, writes it
 *     back or drops it while a processor may still write to it.
 *
 * Called by reclaim and swap. The first test to break is
 * tests/unit/reclaim/test_take.c.
 */
#include "rmap/take.h"

#include "machine/notify.h"
#include "rmap/rmap.h"

struct walk {
    struct aspen_take *take;
    uint32_t frame;
    aspen_take_entry *entry;
    void *context;
    int error;
};

/* ---- Spaces ------------------------------------------------------------- */

static struct aspen_take_space *
find_space(struct aspen_take *take, const struct aspen_mm *mm)
{
    for (unsigned i = take->count; i-- > 0;)
        if (take->spaces[i].mm == mm)
            return &take->spaces[i];
    return NULL;
}

/* I1, I2. It is linked in a reverse map, whose lock is held. */
static struct aspen_take_space *
add_space(struct aspen_take *take, struct aspen_mm *mm)
{
    if (take->count == ASPEN_TAKE_SPACES)
        aspen_take_flush(take);
    struct aspen_take_space *space = &take->spaces[take->count++];
    *space = (struct aspen_take_space){.mm = mm, .start = UINT64_MAX};
    aspen_mm_note_resident(mm);
    aspen_mm_hold(mm);
    space->part = aspen_tlb_pending_begin(mm);
    return space;
}

static void
flush_space(const struct aspen_take_space *space)
{
    struct aspen_mm *mm = space->mm;

    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
        if (space->gone[kind])
            aspen_mm_rss_sub(mm, (enum aspen_rss)kind, space->gone[kind]);
    /* What others have taken, and we have found gone: they may not have
     * flushed yet. */
    if (space->changed || aspen_tlb_pending(mm, 1))
        aspen_tlb_flush(mm, space->start, space->end, 1u, false);
    aspen_tlb_pending_end(mm, space->part);
    aspen_mm_drop(mm);
}

void
aspen_take_flush(struct aspen_take *take)
{
    for (unsigned i = 0; i < take->count; i++)
        flush_space(&take->spaces[i]);
    take->count = 0;
}

/* ---- One entry ---------------------------------------------------------- */

static bool
leads_to(uint64_t entry, const struct aspen_slot *slot, uint32_t frame)
{
    return aspen_entry_is_leaf(entry, slot->level) &&
           !(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL) &&
           aspen_entry_frame(entry) == frame;
}

/* As `entry` answered; 0 for an error. */
static int
take_entry(struct walk *walk, struct aspen_vma *vma,
           const struct aspen_slot *slot, unsigned part)
{
    struct aspen *aspen = vma->mm->aspen;
    int answer = 0;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    if (leads_to(aspen_load_relaxed(slot->entry), slot, walk->frame))
        answer = walk->entry(walk->context, vma, slot);
    if (answer > 0)
        aspen_table_note_taken(aspen, slot->table, part);
    aspen_table_unlock(aspen, slot->table);
    if (answer < 0)
        walk->error = answer;
    return answer > 0 ? answer : 0;
}

static void
take_in(struct walk *walk, struct aspen_take_space *space,
        struct aspen_vma *vma, uint64_t address, const struct aspen_slot *slot)
{
    if (!space)
        space = add_space(walk->take, vma->mm);
    space->start = aspen_min_u64(space->start, address);
    space->end = aspen_max_u64(space->end, address + ASPEN_PAGE_SIZE);
    int answer = take_entry(walk, vma, slot, space->part);
    if (answer)
        space->changed = true;
    if (answer == 1)
        space
            ->gone[aspen_rss_of(aspen_frame_at(vma->mm->aspen, walk->frame))]++;
}

static bool
take_from(void *context, struct aspen_vma *vma, uint64_t address)
{
    struct walk *walk = context;
    struct aspen_mm *mm = vma->mm;
    struct aspen_take_space *space = find_space(walk->take, mm);
    struct aspen_slot slot;

    if (!aspen_table_walk(mm, address, &slot) &&
        !aspen_tlb_pending(mm, space ? 1 : 0))
        return true;
    if (!aspen_notify_has_brackets(mm)) {
        take_in(walk, space, vma, address, &slot);
        return !walk->error;
    }
    aspen_notify_open(mm, address, address + ASPEN_PAGE_SIZE);
    take_in(walk, space, vma, address, &slot);
    aspen_take_flush(walk->take);
    aspen_notify_close(mm, address, address + ASPEN_PAGE_SIZE);
    return !walk->error;
}

int
aspen_take_page(struct aspen_take *take, struct aspen *aspen,
                struct aspen_object *object, uint32_t frame,
                aspen_take_entry *entry, void *context)
{
    struct walk walk = {
        .take = take, .frame = frame, .entry = entry, .context = context};

    if (object) {
        uint64_t offset = aspen_frame_offset(aspen_frame_at(aspen, frame));
        aspen_i_mmap_walk(object, offset, offset, take_from, &walk);
    } else {
        aspen_rmap_walk(aspen, frame, take_from, &walk);
    }
    return walk.error;
}
