/* SPDX-License-Identifier: MIT */
/*
 * fault/hold.c - hold pages on behalf of somebody outside.
 *
 * I1  A page is handed out only after it was taken under the lock of the table
 *     whose entry leads to it, when that entry allowed the access.
 * I2  A private page that is written or pinned is exclusive at that moment. It
 *     stays so until it is given back, or is unmapped: no fork comes while the
 *     mmap lock is held, and it copies what is pinned.
 * I4  A page may be protected by userfault while it is held for a write, which
 *     then comes later: afterwards it is protected no more, and whoever looks
 *     from then on is told. (Not so of what is written by a pin.)
 *
 * Called by memory.c, futex.c and pin.c of calls/. The first tests to break are
 * tests/unit/calls/test_copy.c and test_pin.c.
 */
#include "fault/hold.h"

#include "frames/pins.h"
#include "space/pkeys.h"

static bool
is_write(const struct aspen_hold *hold)
{
    return hold->fault.access == ASPEN_ACCESS_WRITE;
}

/* ---- What the VMA allows ----------------------------------------------- */

static bool
may_read(const struct aspen_hold *hold, uint64_t flags)
{
    uint64_t enough =
        hold->how & ASPEN_HOLD_FORCE ? ASPEN_VM_MAYREAD : ASPEN_VM_READ;
    return flags & (ASPEN_VM_READ | enough);
}

static bool
may_write(const struct aspen_hold *hold, const struct aspen_vma *vma)
{
    return vma->flags & ASPEN_VM_WRITE ||
           (hold->how & ASPEN_HOLD_FORCE && aspen_vma_is_cow(vma));
}

/* What is written through a pin comes behind the back of a pager that wants to
 * know what is dirty: refused, as Linux does for long-term pins. */
static bool
may_pin(const struct aspen_hold *hold, const struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    return !(hold->how & ASPEN_HOLD_PIN) || !is_write(hold) || !object ||
           !(vma->flags & ASPEN_VM_SHARED) || !aspen_object_tracks_dirt(object);
}

static bool
is_allowed(const struct aspen_hold *hold, const struct aspen_vma *vma)
{
    if (vma->flags & (ASPEN_VM_IO | ASPEN_VM_PFNMAP))
        return false;
    return (is_write(hold) ? may_write(hold, vma)
                           : may_read(hold, vma->flags)) &&
           aspen_rights_allow(hold->rights, aspen_pkey_of(vma->flags),
                              hold->fault.access) &&
           may_pin(hold, vma);
}

/* ---- What the entry allows --------------------------------------------- */

/* Has the page to be the VMA's own? `type`: of what is there; FREE: nothing. */
static bool
has_to_own(const struct aspen_hold *hold, enum aspen_frame_type type)
{
    const struct aspen_vma *vma = hold->vma;

    if (vma->flags & ASPEN_VM_SHARED)
        return false;
    /* What nobody can write stays what it is, but for anonymous pages: those
     * that are pinned have one entry (I2 of frames/pins.h). */
    return is_write(hold) ||
           (hold->how & ASPEN_HOLD_PIN &&
            (aspen_vma_is_cow(vma) || type == ASPEN_FRAME_ANON));
}

/* The entry, a leaf, leads to the block `head`, and its table's lock is held:
 * is it a page that can be had as it is? 1, 0: a fault has to come first, or
 * -ASPEN_EFAULT. */
static int
is_enough(const struct aspen_hold *hold, uint64_t entry, uint32_t head)
{
    unsigned bits = aspen_entry_bits(entry);
    bool special = bits & ASPEN_ENTRY_SPECIAL;

    if (special && aspen_entry_frame(entry) != hold->fault.aspen->zero_frame)
        return -ASPEN_EFAULT;
    if (bits & ASPEN_ENTRY_WRITE)
        return 1;
    if (is_write(hold) && bits & ASPEN_ENTRY_UFFD_WP)
        return 0;
    if (hold->fault.own)
        return !special && aspen_frame_is_exclusive(
                               aspen_frame_at(hold->fault.aspen, head));
    return !is_write(hold) &&
           (bits & ASPEN_ENTRY_READ || hold->how & ASPEN_HOLD_FORCE);
}

/* The table's lock is held; an entry leads to `frame`. 0 or -ASPEN_ENOMEM. */
static int
hold_frame(struct aspen_hold *hold, uint32_t frame)
{
    struct aspen *aspen = hold->fault.aspen;

    if (hold->how & ASPEN_HOLD_PIN)
        return aspen_frame_pin(aspen, frame);
    if (frame != aspen->zero_frame)
        aspen_frame_get(aspen_frame_at(aspen, aspen_frame_head(aspen, frame)));
    return 0;
}

/* Look at a leaf, whose table's lock is held. As hold_present(). */
static int
hold_leaf(struct aspen_hold *hold, uint64_t entry, unsigned level,
          uint32_t *frame)
{
    struct aspen_fault *fault = &hold->fault;
    uint32_t head = (uint32_t)aspen_entry_frame(entry);
    if (aspen_entry_bits(entry) & ASPEN_ENTRY_MOVING)
        return 0; /* the fault waits */
    uint64_t inside = fault->address & (aspen_entry_span(level) - 1);

    fault->own = has_to_own(
        hold, aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL
                  ? ASPEN_FRAME_ZERO
                  : aspen_frame_type(aspen_frame_at(fault->aspen, head)));
    int result = is_enough(hold, entry, head);
    if (result <= 0)
        return result;
    *frame = head + (uint32_t)(inside >> ASPEN_PAGE_SHIFT);
    int error = hold_frame(hold, *frame);
    return error ? error : 1;
}

/* What is there: 1 and *frame, held; 0: a fault is needed; or an error. */
static int
hold_present(struct aspen_hold *hold, uint32_t *frame)
{
    struct aspen_fault *fault = &hold->fault;
    struct aspen_slot slot;
    int result = 0;

    fault->own = has_to_own(hold, ASPEN_FRAME_FREE);
    if (!aspen_table_walk(fault->mm, fault->address, &slot))
        return 0;
    aspen_table_own(fault->aspen, slot.table);
    if (is_write(hold))
        aspen_table_lock_settled(fault->mm, slot.table, fault->address,
                                 fault->address + ASPEN_PAGE_SIZE);
    else
        aspen_table_lock(fault->aspen, slot.table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot.entry);
    if (aspen_entry_is_leaf(entry, slot.level))
        result = hold_leaf(hold, entry, slot.level, frame);
    aspen_table_unlock(fault->aspen, slot.table);
    return result;
}

/* ---- Locks ------------------------------------------------------------- */

static void
unlock(struct aspen_hold *hold)
{
    if (hold->locked)
        aspen_read_unlock(&hold->fault.mm->mmap_lock);
    hold->locked = false;
    hold->vma = NULL;
}

static void
lock(struct aspen_hold *hold)
{
    if (hold->locked && hold->pages < ASPEN_HOLD_BATCH)
        return;
    unlock(hold);
    aspen_direct_lower(&hold->fault.direct);
    aspen_read_lock(&hold->fault.mm->mmap_lock, ASPEN_LOCK_MM);
    hold->locked = true;
    hold->pages = 0;
}

/* The VMA at the address, which allows the access: 0, ASPEN_FAULT_STACK or
 * -ASPEN_EFAULT. */
static int
find_vma(struct aspen_hold *hold)
{
    uint64_t address = hold->fault.address;
    struct aspen_vma *vma = hold->vma;

    if (vma && vma->start <= address && address < vma->end)
        return 0;
    hold->vma = NULL;
    vma = aspen_vma_find(hold->fault.mm, address);
    if (!vma)
        return -ASPEN_EFAULT;
    /* A debugger may make a stack grow; a neighbour may not. */
    if (vma->start > address)
        return hold->how & ASPEN_HOLD_FORCE && vma->flags & ASPEN_VM_GROWSDOWN
                   ? ASPEN_FAULT_STACK
                   : -ASPEN_EFAULT;
    if (!is_allowed(hold, vma))
        return -ASPEN_EFAULT;
    hold->vma = vma;
    return 0;
}

/* ---- One page ---------------------------------------------------------- */

/* One look, and one fault if that is needed: 1 and *frame, 0: look again, or
 * an error. */
static int
try_page(struct aspen_hold *hold, uint32_t *frame)
{
    lock(hold);
    int result = find_vma(hold);
    if (!result) {
        result = hold_present(hold, frame);
        if (result)
            return result;
        result = aspen_fault_try(&hold->fault, hold->vma);
    }
    if (result <= 0)
        return result;
    unlock(hold);
    return aspen_fault_meet(&hold->fault, result);
}

int
aspen_hold_page(struct aspen_hold *hold, uint64_t address, uint32_t *frame)
{
    if (address >= hold->fault.mm->address_limit)
        return -ASPEN_EFAULT;
    aspen_fault_at(&hold->fault, address);
    int result = aspen_poll_fatal(hold->fault.aspen);
    while (!result)
        result = try_page(hold, frame);
    hold->pages++;
    if (result == -ASPEN_EFBIG)
        return -ASPEN_EFAULT;
    return result > 0 ? 0 : result;
}

void
aspen_hold_put(struct aspen_hold *hold, uint32_t frame)
{
    struct aspen *aspen = hold->fault.aspen;

    if (frame != aspen->zero_frame)
        aspen_frame_put(aspen, aspen_frame_head(aspen, frame));
}

void
aspen_hold_written(struct aspen *aspen, uint32_t frame)
{
    struct aspen_frame *page =
        aspen_frame_at(aspen, aspen_frame_head(aspen, frame));

    /* Its entry was writable, and no more: it may have been clean, as import
     * makes it, or become so since, by who writes back or frees lazily. Of an
     * object's page the step itself comes after what was written. */
    if (aspen_frame_type(page) == ASPEN_FRAME_OBJECT ||
        !(aspen_load_relaxed(&page->index) & ASPEN_FRAME_DIRTY))
        aspen_fetch_or(&page->index, ASPEN_FRAME_DIRTY);
}

/* I4 */
static void
unmark(const struct aspen_hold *hold, uint32_t frame)
{
    const struct aspen_fault *fault = &hold->fault;
    struct aspen_slot slot;

    uint64_t entry = aspen_table_walk(fault->mm, fault->address, &slot);
    if (slot.level > 0 || !aspen_entry_is_leaf(entry, 0))
        return;
    aspen_table_own(fault->aspen, slot.table);
    aspen_table_lock(fault->aspen, slot.table, ASPEN_LOCK_TABLE);
    entry = aspen_load_relaxed(slot.entry);
    if (aspen_entry_is_leaf(entry, 0) && aspen_entry_frame(entry) == frame)
        aspen_slot_clear_bits(slot.entry, entry, ASPEN_ENTRY_UFFD_WP);
    aspen_table_unlock(fault->aspen, slot.table);
}

void
aspen_hold_page_written(struct aspen_hold *hold, uint32_t frame)
{
    ASPEN_ASSERT_TEST(hold->locked);
    aspen_hold_written(hold->fault.aspen, frame);
    if (aspen_unlikely(hold->vma->flags & ASPEN_VM_UFFD_WP))
        unmark(hold, frame);
}

void
aspen_hold_begin(struct aspen_hold *hold, struct aspen_mm *mm, unsigned access,
                 unsigned how)
{
    aspen_fault_begin(&hold->fault, mm, access);
    hold->fault.forced = true; /* is_allowed() has the word */
    hold->how = how;
    hold->rights = how & (ASPEN_HOLD_FORCE | ASPEN_HOLD_REMOTE)
                       ? ASPEN_RIGHTS_ALL
                       : aspen_rights(mm);
    hold->locked = false;
    hold->pages = 0;
    hold->vma = NULL;
}

void
aspen_hold_end(struct aspen_hold *hold)
{
    unlock(hold);
    aspen_direct_lower(&hold->fault.direct);
    aspen_fault_end(&hold->fault);
}
