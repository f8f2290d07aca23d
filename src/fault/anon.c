/* SPDX-License-Identifier: MIT */
/*
 * fault/anon.c - pages without an object: the zero page until they are written.
 *
 * I1  A frame is complete (type, owner, contents) before an entry leads to it.
 * I2  A VMA has an anon_vma before it has a private page. The step that makes
 *     one comes last, so that a failing fault leaves none behind (but for
 *     stacks and what lies beyond the end of an object, as on Linux).
 *
 * Called by fault.c, file.c and cow.c. The first test to break is
 * tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "rmap/anon_vma.h"

static int
map_zero_page(struct aspen_fault *fault)
{
    bool done;

    return aspen_fault_map(
        fault,
        aspen_entry_make_leaf(fault->aspen->zero_frame, 0,
                              aspen_fault_bits(fault) | ASPEN_ENTRY_SPECIAL),
        &done);
}

int
aspen_fault_may_own(const struct aspen_fault *fault)
{
    /* A new anon_vma is chosen by looking at the neighbours. */
    if (!aspen_load(&fault->vma->anon_vma) && !fault->mmap_locked)
        return ASPEN_FAULT_MMAP_LOCK;
    return 0;
}

int
aspen_fault_new_page(struct aspen_fault *fault, uint32_t source,
                     uint32_t *frame)
{
    struct aspen *aspen = fault->aspen;

    int error = aspen_frame_alloc_paid(aspen, &fault->direct.payer, frame);
    if (error)
        return error;
    error = source == ASPEN_NO_FRAME ? aspen_frame_zero(aspen, *frame)
                                     : aspen_frame_copy(aspen, *frame, source);
    if (error)
        aspen_frame_put(aspen, *frame);
    return error;
}

int
aspen_fault_own(struct aspen_fault *fault, uint32_t frame)
{
    struct aspen_vma *vma = fault->vma;

    ASPEN_ASSERT_TEST(aspen_load(&vma->anon_vma) ||
                      aspen_lock_order_holds(&fault->mm->mmap_lock));
    int error = aspen_anon_vma_prepare(vma);
    if (error)
        return error;
    aspen_frame_set(aspen_frame_at(fault->aspen, frame), ASPEN_FRAME_ANON,
                    aspen_load_relaxed(&vma->anon_vma),
                    aspen_vma_offset(vma, fault->address), 0);
    fault->made_anon = true; /* counted at the end: nothing fails from here */
    return 0;
}

int
aspen_fault_map_private(struct aspen_fault *fault, uint32_t frame)
{
    unsigned bits = aspen_fault_own_bits(fault);
    struct aspen_slot slot;
    bool done = false;

    /* Tables first: what comes after own() cannot fail. */
    int error = aspen_table_walk_alloc_from(fault->mm, fault->address, 0,
                                            ASPEN_FRAMES_ABOVE_MIN, &slot);
    if (!error)
        error = aspen_fault_own(fault, frame);
    if (!error)
        done = aspen_fault_map_at(fault, &slot, fault->address,
                                  aspen_entry_make_leaf(frame, 0, bits));
    if (!done)
        aspen_frame_put(fault->aspen, frame);
    return error == -ASPEN_EEXIST ? 0 : error;
}

int
aspen_fault_anon(struct aspen_fault *fault)
{
    uint32_t frame;

    if (!aspen_fault_wants_own(fault))
        return map_zero_page(fault);
    int need = aspen_fault_may_own(fault);
    if (need)
        return need;
    int error = aspen_fault_new_page(fault, ASPEN_NO_FRAME, &frame);
    if (error)
        return error;
    return aspen_fault_map_private(fault, frame);
}
