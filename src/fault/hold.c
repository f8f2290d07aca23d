/* SPDX-License-Identifier: MIT */
/*
 * fault/hold.c - hold pages on behalf of somebody outside.
 *
 * I1  A page is handed out only after it was taken under the lock of the table
 *     whose entry leads to it, when that entry allowed the access.
 * I2  A private page that is written or pinned is exclusive at that moment: its
 *     entry is writable, or nobody else has the page
 *     (aspen_reach_is_alone()). It stays so until it is given back.
 * I3  A claim ends no later than the page's reference: so a frame that a claim
 *     names cannot have become another page.
 *
 * Called by aspen_read_memory(), aspen_write_memory(), aspen_pin_range(). The
 * first tests to break are tests/unit/calls/test_copy.c and test_pin.c.
 */
#include "fault/hold.h"

#include "frames/pins.h"
#include "space/pkeys.h"

static bool
is_write(const struct aspen_reach *reach)
{
    return reach->fault.access == ASPEN_ACCESS_WRITE;
}

/* ---- What the VMA allows ----------------------------------------------- */

static bool
may_read(const struct aspen_reach *reach, uint64_t flags)
{
    uint64_t enough =
        reach->how & ASPEN_REACH_FORCE ? ASPEN_VM_MAYREAD : ASPEN_VM_READ;
    return flags & (ASPEN_VM_READ | enough);
}

static bool
may_write(const struct aspen_reach *reach, const struct aspen_vma *vma)
{
    return vma->flags & ASPEN_VM_WRITE ||
           (reach->how & ASPEN_REACH_FORCE && aspen_vma_is_cow(vma));
}

/* What is written through a pin comes behind the back of a pager that wants to
 * know what is dirty: refused, as Linux does for long-term pins. */
static bool
may_pin(const struct aspen_reach *reach, const struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    return !(reach->how & ASPEN_REACH_PIN) || !is_write(reach) || !object ||
           !(vma->flags & ASPEN_VM_SHARED) || !aspen_object_tracks_dirt(object);
}

static bool
is_allowed(const struct aspen_reach *reach, const struct aspen_vma *vma)
{
    if (vma->flags & (ASPEN_VM_IO | ASPEN_VM_PFNMAP))
        return false;
    return (is_write(reach) ? may_write(reach, vma)
                            : may_read(reach, vma->flags)) &&
           aspen_rights_allow(reach->rights, aspen_pkey_of(vma->flags),
                              reach->fault.access) &&
           may_pin(reach, vma);
}

/* ---- Claims ------------------------------------------------------------ */

static void
claim(struct aspen_reach *reach, uint32_t frame)
{
    struct aspen_mm *mm = reach->fault.mm;

    if (!reach->claims) {
        aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
        aspen_list_push_back(&mm->claims, &reach->claims_link);
        aspen_spin_unlock(&mm->claims_lock);
        reach->claims = true;
    }
    aspen_store_relaxed(&reach->claimed, frame);
}

/* What was written comes before: whoever sees that it is claimed no more and
 * copies the page copies that, too. */
static void
unclaim(struct aspen_reach *reach)
{
    if (aspen_load_relaxed(&reach->claimed) != ASPEN_NO_FRAME)
        aspen_store(&reach->claimed, ASPEN_NO_FRAME);
}

static void
leave_claims(struct aspen_reach *reach)
{
    struct aspen_mm *mm = reach->fault.mm;

    if (!reach->claims)
        return;
    aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&reach->claims_link);
    aspen_spin_unlock(&mm->claims_lock);
}

static bool
is_claimed(struct aspen_mm *mm, uint32_t frame)
{
    bool found = false;

    aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
    for (struct aspen_list *link = mm->claims.next; link != &mm->claims;
         link = link->next)
        found |= aspen_load(
                     &aspen_container_of(link, struct aspen_reach, claims_link)
                          ->claimed) == frame;
    aspen_spin_unlock(&mm->claims_lock);
    return found;
}

bool
aspen_reach_is_alone(struct aspen_mm *mm, uint32_t frame)
{
    const struct aspen_frame *page = &mm->aspen->frames[frame];

    return aspen_frame_is_exclusive(mm->aspen, frame) ||
           (aspen_frame_type(page) == ASPEN_FRAME_ANON &&
            aspen_frame_map_count(page) == 1 && is_claimed(mm, frame));
}

/* ---- What the entry allows --------------------------------------------- */

/* Has the page to be the VMA's own? `type`: of what is there; FREE: nothing. */
static bool
has_to_own(const struct aspen_reach *reach, enum aspen_frame_type type)
{
    const struct aspen_vma *vma = reach->vma;

    if (vma->flags & ASPEN_VM_SHARED)
        return false;
    /* What nobody can write stays what it is, but for anonymous pages: those
     * that are pinned have one entry (I2 of frames/pins.h). */
    return is_write(reach) ||
           (reach->how & ASPEN_REACH_PIN &&
            (aspen_vma_is_cow(vma) || type == ASPEN_FRAME_ANON));
}

/* The entry, a leaf, leads to the block `head`, and its table's lock is held:
 * is it a page that can be had as it is? 1, 0: a fault has to come first, or
 * -ASPEN_EFAULT. */
static int
is_enough(const struct aspen_reach *reach, uint64_t entry, uint32_t head)
{
    unsigned bits = aspen_entry_bits(entry);
    bool special = bits & ASPEN_ENTRY_SPECIAL;

    if (special && aspen_entry_frame(entry) != ASPEN_ZERO_FRAME)
        return -ASPEN_EFAULT;
    if (bits & ASPEN_ENTRY_WRITE)
        return 1;
    if (reach->fault.own)
        return !special && aspen_reach_is_alone(reach->fault.mm, head);
    return !is_write(reach) &&
           (bits & ASPEN_ENTRY_READ || reach->how & ASPEN_REACH_FORCE);
}

/* The table's lock is held; `entry` leads to `frame`. */
static void
hold(struct aspen_reach *reach, uint64_t entry, uint32_t frame)
{
    struct aspen *aspen = reach->fault.aspen;

    if (reach->how & ASPEN_REACH_PIN) {
        aspen_frame_pin(aspen, frame);
        return;
    }
    if (frame == ASPEN_ZERO_FRAME)
        return;
    uint32_t head = aspen_frame_head(aspen, frame);
    aspen_frame_get(&aspen->frames[head]);
    if (reach->fault.own && !(aspen_entry_bits(entry) & ASPEN_ENTRY_WRITE))
        claim(reach, head);
}

/* Look at a leaf, whose table's lock is held. As take(). */
static int
take_leaf(struct aspen_reach *reach, uint64_t entry, unsigned level,
          uint32_t *frame)
{
    struct aspen_fault *fault = &reach->fault;
    uint32_t head = (uint32_t)aspen_entry_frame(entry);
    uint64_t inside = fault->address & (aspen_entry_span(level) - 1);

    fault->own =
        has_to_own(reach, aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL
                              ? ASPEN_FRAME_ZERO
                              : aspen_frame_type(&fault->aspen->frames[head]));
    int result = is_enough(reach, entry, head);
    if (result > 0) {
        *frame = head + (uint32_t)(inside >> ASPEN_PAGE_SHIFT);
        hold(reach, entry, *frame);
    }
    return result;
}

/* What is there: 1 and *frame, held; 0: a fault is needed; or an error. */
static int
take(struct aspen_reach *reach, uint32_t *frame)
{
    struct aspen_fault *fault = &reach->fault;
    struct aspen_slot slot;
    int result = 0;

    fault->own = has_to_own(reach, ASPEN_FRAME_FREE);
    if (!aspen_table_walk(fault->mm, fault->address, &slot))
        return 0;
    aspen_table_lock(fault->aspen, slot.table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot.entry);
    if (aspen_entry_is_leaf(entry, slot.level))
        result = take_leaf(reach, entry, slot.level, frame);
    aspen_table_unlock(fault->aspen, slot.table);
    return result;
}

/* ---- Locks ------------------------------------------------------------- */

static void
unlock(struct aspen_reach *reach)
{
    if (reach->locked)
        aspen_read_unlock(&reach->fault.mm->mmap_lock);
    reach->locked = false;
    reach->vma = NULL;
}

static void
lock(struct aspen_reach *reach)
{
    if (reach->locked && reach->pages < ASPEN_REACH_BATCH)
        return;
    unlock(reach);
    aspen_read_lock(&reach->fault.mm->mmap_lock, ASPEN_LOCK_MM);
    reach->locked = true;
    reach->pages = 0;
}

/* The VMA at the address, which allows the access: 0, ASPEN_FAULT_STACK or
 * -ASPEN_EFAULT. */
static int
find_vma(struct aspen_reach *reach)
{
    uint64_t address = reach->fault.address;
    struct aspen_vma *vma = reach->vma;

    if (vma && vma->start <= address && address < vma->end)
        return 0;
    reach->vma = NULL;
    vma = aspen_vma_find(reach->fault.mm, address);
    if (!vma)
        return -ASPEN_EFAULT;
    /* A debugger may make a stack grow; a neighbour may not. */
    if (vma->start > address)
        return reach->how & ASPEN_REACH_FORCE && vma->flags & ASPEN_VM_GROWSDOWN
                   ? ASPEN_FAULT_STACK
                   : -ASPEN_EFAULT;
    if (!is_allowed(reach, vma))
        return -ASPEN_EFAULT;
    reach->vma = vma;
    return 0;
}

/* ---- One page ---------------------------------------------------------- */

/* One look, and one fault if that is needed: 1 and *frame, 0: look again, or
 * an error. */
static int
try_page(struct aspen_reach *reach, uint32_t *frame)
{
    lock(reach);
    int result = find_vma(reach);
    if (!result) {
        result = take(reach, frame);
        if (result)
            return result;
        result = aspen_fault_try(&reach->fault, reach->vma);
    }
    if (result <= 0)
        return result;
    unlock(reach);
    return aspen_fault_meet(&reach->fault, result);
}

int
aspen_reach_page(struct aspen_reach *reach, uint64_t address, uint32_t *frame)
{
    if (address >= reach->fault.mm->address_limit)
        return -ASPEN_EFAULT;
    aspen_fault_at(&reach->fault, address);
    int result = aspen_poll_fatal(reach->fault.aspen);
    while (!result)
        result = try_page(reach, frame);
    reach->pages++;
    if (result == -ASPEN_EACCES || result == -ASPEN_EFBIG)
        return -ASPEN_EFAULT;
    return result > 0 ? 0 : result;
}

void
aspen_reach_put(struct aspen_reach *reach, uint32_t frame)
{
    struct aspen *aspen = reach->fault.aspen;

    unclaim(reach); /* I3 */
    if (frame != ASPEN_ZERO_FRAME)
        aspen_frame_put(aspen, aspen_frame_head(aspen, frame));
}

void
aspen_reach_written(struct aspen *aspen, uint32_t frame)
{
    struct aspen_frame *page = &aspen->frames[aspen_frame_head(aspen, frame)];

    /* Its entry was writable, so it was dirty then; but it may have been
     * written back since, or freed lazily. */
    if (aspen_frame_type(page) == ASPEN_FRAME_OBJECT ||
        aspen_load_relaxed(&page->index) & ASPEN_FRAME_LAZY)
        aspen_fetch_or(&page->index, ASPEN_FRAME_DIRTY);
}

void
aspen_reach_begin(struct aspen_reach *reach, struct aspen_mm *mm,
                  unsigned access, unsigned how)
{
    aspen_fault_begin(&reach->fault, mm, access);
    reach->fault.forced = true; /* is_allowed() has the word */
    reach->how = how;
    reach->rights = how & (ASPEN_REACH_FORCE | ASPEN_REACH_REMOTE)
                        ? ASPEN_RIGHTS_ALL
                        : aspen_rights(mm);
    reach->locked = false;
    reach->pages = 0;
    reach->vma = NULL;
    reach->claimed = ASPEN_NO_FRAME;
    reach->claims = false;
}

void
aspen_reach_end(struct aspen_reach *reach)
{
    unlock(reach);
    leave_claims(reach);
    aspen_fault_end(&reach->fault);
}
