/* SPDX-License-Identifier: MIT */
/*
 * space/userfault.c - how long userfault contexts live.
 *
 * Called by whoever makes, copies and frees VMAs, and by calls/userfault. The
 * first test to break is tests/unit/track/test_userfault.c.
 */
#include "space/userfault.h"

struct aspen_userfault *
aspen_userfault_alloc(struct aspen_mm *mm, unsigned features)
{
    struct aspen *aspen = mm->aspen;
    struct aspen_userfault *userfault =
        aspen_cache_alloc(&aspen->userfault_cache);

    if (!userfault)
        return NULL;
    *userfault = (struct aspen_userfault){
        .aspen = aspen, .mm = mm, .references = 1, .features = features};
    aspen_mm_hold(mm);
    return userfault;
}

void
aspen_userfault_put(struct aspen_userfault *userfault)
{
    if (aspen_fetch_sub(&userfault->references, 1) == 1)
        aspen_cache_free(&userfault->aspen->userfault_cache, userfault);
}

void
aspen_vma_set_userfault(struct aspen_vma *vma, void *userfault)
{
    struct aspen_userfault *old = aspen_userfault_of(vma);

    if (vma->userfault == userfault)
        return;
    vma->userfault = userfault;
    if (aspen_userfault_of(vma))
        aspen_fetch_add_relaxed(&aspen_userfault_of(vma)->references, 1);
    if (old)
        aspen_userfault_put(old);
}
