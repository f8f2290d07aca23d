/* SPDX-License-Identifier: MIT */
/*
 * calls/seal.h - what a seal refuses, besides taking the mapping away
 * (ranges/remove.h asks that itself).
 */
#ifndef ASPEN_CALLS_SEAL_H
#define ASPEN_CALLS_SEAL_H

#include "space/vma.h"
#include <aspen/calls/advise.h>

/* May the mapping change, or move? 0 or -ASPEN_EPERM. */
ASPEN_MUST_USE static inline int
aspen_seal_check(const struct aspen_vma *vma)
{
    return vma->flags & ASPEN_VM_SEALED ? -ASPEN_EPERM : 0;
}

/* Would the advice throw away what a seal protects? 0 or -ASPEN_EPERM. */
ASPEN_MUST_USE int aspen_seal_check_advice(const struct aspen_vma *vma,
                                           enum aspen_advice advice);

#endif
