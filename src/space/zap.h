/* SPDX-License-Identifier: MIT */
/*
 * space/zap.h - taking pages out of a range of one VMA.
 */
#ifndef ASPEN_SPACE_ZAP_H
#define ASPEN_SPACE_ZAP_H

#include "paging/gather.h"
#include "space/vma.h"

/* What of a range is zapped. */
enum aspen_zap {
    ASPEN_ZAP_ALL,
    ASPEN_ZAP_NOT_GUARDS, /* all but guards: the memory stays mapped, or the
                             object gets shorter */
    ASPEN_ZAP_TO_GUARDS,  /* all, and guards take its place; every table of
                             the range is there */
    ASPEN_ZAP_OBJECT,     /* the object's pages and raw frames: private copies
                             and what else is the space's own stays */
};

/*
 * Zap the pages of one VMA's [start, end) into a gather. An object's page is
 * dirty afterwards if its entry was. Context: the mmap lock, the VMA's, or the
 * i_mmap lock of its object.
 */
void aspen_zap_only(struct aspen_gather *gather, struct aspen_vma *vma,
                    uint64_t start, uint64_t end, enum aspen_zap what);

/*
 * Can it be zapped, or would a huge leaf have to be split? 0, -ASPEN_EINVAL
 * (HUGETLB) or -ASPEN_EOPNOTSUPP. Context: as aspen_zap_only().
 */
ASPEN_MUST_USE int aspen_zap_check(struct aspen_vma *vma, uint64_t start,
                                   uint64_t end, enum aspen_zap what);

static inline void
aspen_zap_range(struct aspen_gather *gather, struct aspen_vma *vma,
                uint64_t start, uint64_t end)
{
    aspen_zap_only(gather, vma, start, end, ASPEN_ZAP_ALL);
}

#endif
