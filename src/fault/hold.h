/* SPDX-License-Identifier: MIT */
/*
 * fault/hold.h - hold pages of an address space, for somebody who reads or
 * writes them through the direct map: copies, debuggers, devices.
 *
 *     struct aspen_reach reach;
 *     aspen_reach_begin(&reach, mm, access, how);
 *     for each page:
 *         error = aspen_reach_page(&reach, address, &frame);
 *         if error: break
 *         ... use it; the mmap lock is held for reading ...
 *         aspen_reach_put(&reach, frame);    unless it is pinned
 *     aspen_reach_end(&reach);
 *
 * While the lock is held no fork can make a child share the page that is
 * written. A pinned page may be used after that, too.
 *
 * What is written reaches the program, whatever the program itself writes to
 * the page meanwhile. A writable entry stays writable while the mmap lock and a
 * reference are held, so no fault comes that could copy the page. A read-only
 * entry - after a fork that left the page to one space, or in a mapping that
 * only FORCE writes to - is different: our reference would make the page look
 * shared, and the program's next write, or another of our copies, would go to a
 * copy of it. So we claim such a page: a list of the mm tells our reference
 * from those of others. A pin is told by its count.
 */
#ifndef ASPEN_FAULT_REACH_H
#define ASPEN_FAULT_REACH_H

#include "fault/fault.h"

/* How it differs from an access of the program itself. */
#define ASPEN_REACH_FORCE  1u /* what mprotect could allow is allowed */
#define ASPEN_REACH_PIN    2u /* pin, in place of a plain reference */
#define ASPEN_REACH_REMOTE 4u /* keys bind a program alone; FORCE: the same */

/* Pages after which the mmap lock is dropped, so that writers get their
 * turn. */
#define ASPEN_REACH_BATCH 256u

struct aspen_reach {
    struct aspen_fault fault;
    unsigned how;
    uint32_t rights;       /* by protection keys, of who asks */
    bool locked;           /* the mmap lock is held for reading */
    unsigned pages;        /* under this hold of the lock */
    struct aspen_vma *vma; /* while locked: the last one, or NULL */
    uint32_t claimed;      /* atomic: a page, the first of its block; set under
                              its table's lock. Or ASPEN_NO_FRAME */
    bool claims;           /* `claims_link` is on mm->claims */
    struct aspen_list claims_link; /* mm->claims_lock */
};

void aspen_reach_begin(struct aspen_reach *reach, struct aspen_mm *mm,
                       unsigned access, unsigned how);

/*
 * The page at `address`, faulted in as an access of READ or WRITE would, and
 * held by one reference (or a pin: aspen_pins_prepare() came before).
 *
 * In a private mapping a page to be written is the program's own, with FORCE,
 * too. So is a page that is pinned only to be read, if the mapping could be
 * written: what the program writes there later has to reach whoever pinned it.
 *
 * 0 and *frame, the mmap lock is held. Or an error, and it may be:
 *   -ASPEN_EFAULT (nothing is mapped there, the mapping does not allow it, is
 *   raw memory, or its object ends before), -ASPEN_EINTR, what a fault says.
 */
ASPEN_MUST_USE int aspen_reach_page(struct aspen_reach *reach, uint64_t address,
                                    uint32_t *frame);

/* Give a plain reference back. */
void aspen_reach_put(struct aspen_reach *reach, uint32_t frame);

/* A page that is held, plainly or by a pin, was written through the direct
 * map: if it is an object's it has to be written back. */
void aspen_reach_written(struct aspen *aspen, uint32_t frame);

/*
 * The table's lock is held: is the frame that an entry of mm leads to an
 * anonymous page, and that entry's alone? Nobody else has an entry or a
 * reference then, pins and claims aside: those were made when the page was
 * alone, and since then nobody else can have come.
 */
ASPEN_MUST_USE bool aspen_reach_is_alone(struct aspen_mm *mm, uint32_t frame);

/* Drop the mmap lock, if held, and whatever else. */
void aspen_reach_end(struct aspen_reach *reach);

#endif
