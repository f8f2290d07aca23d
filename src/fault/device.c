/* SPDX-License-Identifier: MIT */
/*
 * fault/device.c - raw frames, which an object's fault hook names.
 *
 * I1  The hook is asked without locks. Its answer is used only if nothing of
 *     the object was unmapped since: we compare a count of unmappings under the
 *     lock of the table. Whoever unmaps counts first and then comes to that
 *     table, so either we see the count or they meet our entry. That may be a
 *     table that we have just made: so each side has a full fence between what
 *     it stores and what it then looks at (aspen_object_note_change()). An
 *     answer that leads to the object's cache is looked at as well
 *     (map_entry.c), and says nothing about other pages that are there.
 * I2  A hook that names no frame may have put one in by itself, which is gone
 *     again: then the space has been flushed since the hook was asked, and it
 *     is asked once more. Who takes an entry away flushes, or we do it for him
 *     when we lock the table.
 *
 * Called by fault.c. The first test to break is
 * tests/unit/fault/test_device.c.
 */
#include "fault/fault.h"

/* ---- Without locks ----------------------------------------------------- */

static int
ask_mkwrite(struct aspen_fault *fault, struct aspen_object *object)
{
    struct aspen_device_frame *frame = &fault->device;

    if (!aspen_fault_is_write(fault) || frame->flags)
        return 0;
    frame->flags = ASPEN_DEVICE_FRAME_WRITABLE;
    return aspen_object_ask_mkwrite(object, fault->page_offset);
}

int
aspen_fault_ask_device(struct aspen_fault *fault)
{
    int error = 0;

    aspen_fault_pin_wanted(fault);
    struct aspen_object *object = fault->pinned;
    fault->device = (struct aspen_device_frame){.number = 0};
    fault->device_count = aspen_load(&object->change_count);
    fault->device_flushes = aspen_mm_tlb_generation(fault->mm);
    if (aspen_failpoint(&fault->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    if (object->pager && object->pager->fault)
        error = aspen_answer_of(object->pager->fault(
            object->context, fault->page_offset << ASPEN_PAGE_SHIFT,
            fault->access, &fault->device));
    if (!error && fault->device.flags & ~ASPEN_DEVICE_FRAME_FLAGS)
        error = -ASPEN_EINVAL;
    if (!error)
        error = ask_mkwrite(fault, object);
    fault->device_known = !error;
    return error;
}

/* ---- With the answer --------------------------------------------------- */

/* Is there an answer for the fault's page? */
static bool
is_known(const struct aspen_fault *fault)
{
    return fault->device_known && fault->pinned == fault->vma->object &&
           fault->page_object == fault->pinned &&
           fault->page_offset == aspen_vma_offset(fault->vma, fault->address) &&
           aspen_fault_answer_holds(fault);
}

static unsigned
bits_of(const struct aspen_fault *fault)
{
    uint64_t both = ASPEN_VM_SHARED | ASPEN_VM_WRITE;
    unsigned bits =
        aspen_fault_bits(fault) | aspen_entry_raw_bits(fault->vma->flags);

    if (fault->device.flags & ASPEN_DEVICE_FRAME_WRITABLE &&
        (fault->vma->flags & both) == both)
        bits |= ASPEN_ENTRY_WRITE;
    if (aspen_fault_is_write(fault))
        bits |= ASPEN_ENTRY_DIRTY;
    return bits;
}

/* What to do with an entry, whose table is locked and whose object has not
 * changed: it gets more bits, or is made. False: the answer names no frame, and
 * there is none. */
static bool
update_entry(struct aspen_fault *fault, uint64_t *slot)
{
    uint64_t entry = aspen_load_relaxed(slot);

    if (entry == 0) {
        if (fault->device.number == 0)
            return false;
        aspen_store(slot, aspen_entry_make_leaf(fault->device.number, 0,
                                                bits_of(fault)));
    } else if (aspen_entry_is_leaf(entry, 0) &&
               aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL &&
               aspen_entry_frame(entry) != fault->aspen->zero_frame) {
        /* As aspen_fault_set_bits(). */
        aspen_compare_exchange(slot, &entry,
                               aspen_entry_set_bits(entry, bits_of(fault)));
    }
    return true;
}

/* Nothing is there, or a raw frame that gets more bits. */
static int
set_entry(struct aspen_fault *fault)
{
    bool named = true;
    struct aspen *aspen = fault->aspen;
    struct aspen_slot slot;

    int error = aspen_table_walk_alloc_from(fault->mm, fault->address, 0,
                                            ASPEN_FRAMES_ABOVE_MIN, &slot);
    if (error)
        return error == -ASPEN_EEXIST ? -ASPEN_EOPNOTSUPP : error;
    aspen_table_own(aspen, slot.table);
    aspen_table_lock_settled(fault->mm, slot.table, fault->address,
                             fault->address + ASPEN_PAGE_SIZE);
    if (aspen_fault_answer_holds(fault) && /* I1 */
        !aspen_vma_is_reaped(fault->vma))
        named = update_entry(fault, slot.entry);
    aspen_table_unlock(aspen, slot.table);
    if (named)
        return 0;
    if (aspen_mm_tlb_generation(fault->mm) == fault->device_flushes) /* I2 */
        return -ASPEN_EFBIG;
    fault->device_known = false;
    return aspen_fault_need_object(fault, ASPEN_FAULT_DEVICE);
}

int
aspen_fault_device(struct aspen_fault *fault)
{
    struct aspen_vma *vma = fault->vma;

    if (!is_known(fault)) {
        if (fault->nowait)
            return -ASPEN_EAGAIN;
        aspen_fault_drop_page(fault);
        fault->page_object = vma->object;
        fault->page_offset = aspen_vma_offset(vma, fault->address);
        return aspen_fault_need_object(fault, ASPEN_FAULT_DEVICE);
    }
    if (fault->device.flags & ASPEN_DEVICE_FRAME_CACHED)
        return aspen_fault_object(fault);
    if (!(vma->flags & (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP)) ||
        (fault->device.number &&
         !aspen_entry_raw_valid(fault->aspen, fault->device.number, 1)))
        return -ASPEN_EFBIG;
    return aspen_fault_wants_own(fault) ? -ASPEN_EOPNOTSUPP : set_entry(fault);
}
