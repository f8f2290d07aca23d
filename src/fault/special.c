/* SPDX-License-Identifier: MIT */
/*
 * fault/special.c - pages of a special mapping: raw memory, which its kind
 * names.
 *
 * Called by fault.c. The first test to break is
 * tests/unit/calls/test_special.c.
 */
#include "fault/fault.h"

int
aspen_fault_special(struct aspen_fault *fault)
{
    const struct aspen_vma *vma = fault->vma;
    const struct aspen_special *special = vma->special;
    uint64_t offset_bytes =
        aspen_align_down(fault->address, ASPEN_PAGE_SIZE) - vma->start;
    uint64_t raw = 0;
    bool done;

    if (!special->fault)
        return -ASPEN_EFBIG;
    if (aspen_failpoint(&fault->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_ENOMEM;
    int error = aspen_answer_of(
        special->fault(special->context, fault->mm, offset_bytes, &raw));
    if (error)
        return error;
    if (!aspen_entry_raw_valid(fault->aspen, raw, 1))
        return -ASPEN_EFBIG;
    return aspen_fault_map(
        fault,
        aspen_entry_make_leaf(
            raw, 0, aspen_fault_bits(fault) | aspen_entry_raw_bits(vma->flags)),
        &done);
}
