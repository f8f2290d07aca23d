/* SPDX-License-Identifier: MIT */
/*
 * calls/seal.c - what a seal refuses.
 *
 * Called by mprotect, mremap and madvise. The first test to break is
 * tests/unit/calls/test_mlock.c.
 */
#include "calls/seal.h"

#include "space/pkeys.h"

/* Does it throw contents away? */
static bool
is_discard(enum aspen_advice advice)
{
    switch (advice) {
    case ASPEN_MADV_DONTNEED:
    case ASPEN_MADV_DONTNEED_LOCKED:
    case ASPEN_MADV_FREE:
    case ASPEN_MADV_REMOVE:
    case ASPEN_MADV_DONTFORK:
    case ASPEN_MADV_WIPEONFORK:
    case ASPEN_MADV_GUARD_INSTALL:
        return true;
    default:
        return false;
    }
}

static bool
may_write(const struct aspen_vma *vma)
{
    return vma->flags & ASPEN_VM_WRITE &&
           aspen_rights_allow(aspen_rights(vma->mm), aspen_pkey_of(vma->flags),
                              ASPEN_ACCESS_WRITE);
}

int
aspen_seal_check_advice(const struct aspen_vma *vma, enum aspen_advice advice)
{
    /* Who may write to it can destroy it anyway; of an object there is more. */
    return vma->flags & ASPEN_VM_SEALED && is_discard(advice) &&
                   aspen_vma_is_anonymous(vma) && !may_write(vma)
               ? -ASPEN_EPERM
               : 0;
}
