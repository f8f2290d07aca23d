/* SPDX-License-Identifier: MIT */
/*
 * paging/userfault_struct.h - userfault contexts (space/userfault.h). Included
 * by internal.h.
 */
#ifndef ASPEN_PAGING_USERFAULT_STRUCT_H
#define ASPEN_PAGING_USERFAULT_STRUCT_H

#include "base/atomic.h"

struct aspen;
struct aspen_mm;

/*
 * Who notes what is written in ranges of a space (aspen/track/userfault.h).
 * I1  references: one of the embedder's until it is closed, one for each VMA
 *     that has it. So whoever has a VMA locked may read its context.
 * I2  A VMA has a flag of ASPEN_VM_UFFD if and only if it has a context.
 */
struct aspen_userfault {
    struct aspen *aspen; /* immutable */
    struct aspen_mm *mm; /* immutable; a reference until it is closed */
    uint32_t references; /* atomic */
    unsigned features;   /* immutable: ASPEN_USERFAULT_* */
};

#endif
