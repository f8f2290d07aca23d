/* SPDX-License-Identifier: MIT */
/*
 * fault/hold.h - hold pages of an address space, for somebody who reads or
 * writes them through the direct map: copies, debuggers, devices.
 *
 *     struct aspen_hold hold;
 *     aspen_hold_begin(&hold, mm, access, how);
 *     for each page:
 *         error = aspen_hold_page(&hold, address, &frame);
 *         if error: break
 *         ... use it; the mmap lock is held for reading ...
 *         aspen_hold_put(&hold, frame);    unless it is pinned
 *     aspen_hold_end(&hold);
 *
 * While the lock is held no fork can make a child share the page that is
 * written. A pinned page may be used after that, too.
 *
 * What is written reaches the program, whatever the program itself writes to
 * the page meanwhile: a private page is exclusive then, so its own write faults
 * do not copy it.
 */
#ifndef ASPEN_FAULT_HOLD_H
#define ASPEN_FAULT_HOLD_H

#include "fault/fault.h"

/* How it differs from an access of the program itself. */
#define ASPEN_HOLD_FORCE  1u /* what mprotect could allow is allowed */
#define ASPEN_HOLD_PIN    2u /* pin, in place of a plain reference */
#define ASPEN_HOLD_REMOTE 4u /* keys bind a program alone; FORCE: the same */

/* Pages after which the mmap lock is dropped, so that writers get their
 * turn. */
#define ASPEN_HOLD_BATCH 256u

struct aspen_hold {
    struct aspen_fault fault;
    unsigned how;
    uint32_t rights;       /* by protection keys, of who asks */
    bool locked;           /* the mmap lock is held for reading */
    unsigned pages;        /* under this hold of the lock */
    struct aspen_vma *vma; /* while locked: the last one, or NULL */
};

void aspen_hold_begin(struct aspen_hold *hold, struct aspen_mm *mm,
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
ASPEN_MUST_USE int aspen_hold_page(struct aspen_hold *hold, uint64_t address,
                                   uint32_t *frame);

/* Give a plain reference back. */
void aspen_hold_put(struct aspen_hold *hold, uint32_t frame);

/* A page that is held, plainly or by a pin, was written through the direct
 * map, of which no entry knows: an object's has to be written back, and who
 * shares an anonymous one keeps it (I2 of calls/madvise/pages.c). */
void aspen_hold_written(struct aspen *aspen, uint32_t frame);

/* The same of the page that was held last, where the mmap lock is held since:
 * userfault has not protected it then (I4 of hold.c). */
void aspen_hold_page_written(struct aspen_hold *hold, uint32_t frame);

/* Drop the mmap lock, if held, and whatever else. */
void aspen_hold_end(struct aspen_hold *hold);

#endif
