/* SPDX-License-Identifier: MIT */
/*
 * fault/need.c - what a fault needs of an object, from when a handler says so
 * until somebody meets it without locks.
 *
 * Called by file.c and device.c. The first test to break is
 * tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

static enum aspen_ahead
ahead_of(uint64_t vm_flags)
{
    if (vm_flags & ASPEN_VM_RAND_READ)
        return ASPEN_AHEAD_RANDOM;
    return vm_flags & ASPEN_VM_SEQ_READ ? ASPEN_AHEAD_MOST : ASPEN_AHEAD_NORMAL;
}

int
aspen_fault_need_object(struct aspen_fault *fault, int what)
{
    struct aspen_object *object = fault->vma->object;

    ASPEN_ASSERT(!fault->wanted);
    aspen_object_get(object);
    fault->wanted = object;
    fault->ahead = ahead_of(fault->vma->flags);
    return what;
}

void
aspen_fault_pin_wanted(struct aspen_fault *fault)
{
    if (fault->pinned)
        aspen_object_put(fault->pinned);
    fault->pinned = fault->wanted;
    fault->wanted = NULL;
}
