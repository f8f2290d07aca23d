/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/madvise.h - one advice under way, shared by the files that
 * carry it out.
 */
#ifndef ASPEN_CALLS_MADVISE_H
#define ASPEN_CALLS_MADVISE_H

#include "space/vma.h"
#include <aspen/calls/advise.h>

struct aspen_advise {
    struct aspen_mm *mm;
    enum aspen_advice advice;
    uint64_t start; /* page aligned, below the address limit, not empty */
    uint64_t end;
    uint64_t next; /* where it goes on: behind the part, or before that */
    bool holes;
};

/*
 * Advise the part of one VMA that lies in the range.
 *
 * Context: the VMA's lock or the mmap lock is held for reading. PAGEOUT, and
 * the functions of object.c, drop the mmap lock and take it again: do not use
 * the VMA after them. Who has dropped it before all is done sets `next`.
 */
typedef int aspen_advise_vma(struct aspen_advise *advise, struct aspen_vma *vma,
                             uint64_t start, uint64_t end);

/* ---- flags.c: atomic; takes the mmap lock itself ----------------------- */

ASPEN_MUST_USE int aspen_advise_flags(struct aspen_advise *advise);

/* ---- pages.c ----------------------------------------------------------- */

aspen_advise_vma aspen_advise_dontneed;
aspen_advise_vma aspen_advise_free;
aspen_advise_vma aspen_advise_cold;

/* ---- object.c ---------------------------------------------------------- */

aspen_advise_vma aspen_advise_willneed;
aspen_advise_vma aspen_advise_remove;

/* ---- guard.c ----------------------------------------------------------- */

/* Atomic; takes the locks that it needs itself. */
ASPEN_MUST_USE int aspen_guard_install(struct aspen_advise *advise);
aspen_advise_vma aspen_guard_remove;

#endif
