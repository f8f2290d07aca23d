/* SPDX-License-Identifier: MIT */
/*
 * fault/populate.h - fault in the pages of a range, as if each were accessed.
 */
#ifndef ASPEN_FAULT_POPULATE_H
#define ASPEN_FAULT_POPULATE_H

#include <aspen/compiler.h>

struct aspen_mm;

/*
 * On whose behalf. `access`: a write where the mapping is private and writable,
 * so that no copy on write is left to do; else a read.
 *
 *              pages        holes, PROT_NONE  raw memory   error of a fault
 *   MMAP       `access`     skipped           skipped      on to the next VMA
 *   MPROTECT   `access`     skipped           skipped      on to the next VMA
 *   LOCK       `access`     ENOMEM            skipped      ENOMEM; EAGAIN when
 *                                                          memory is short
 *   READ       read         ENOMEM, EINVAL    EINVAL       EFAULT, ENOMEM,
 *   WRITE      write        (as READ)         EINVAL         EHWPOISON
 *
 *   MMAP   mmap(POPULATE or LOCKED), mlockall, brk, mremap, remap_file_pages:
 *          errors are ignored; VMAs with LOCKONFAULT are skipped
 *   MPROTECT   as MMAP, and VMAs that are not locked are skipped
 *   LOCK   mlock: with the errors that POSIX wants
 *   READ, WRITE   madvise(POPULATE_*); -EINVAL also when the mapping does not
 *          allow the access
 *
 * -EINTR and -EOPNOTSUPP (swapped out, huge, userfault) pass through; MMAP
 * and MPROTECT answer 0 or -EINTR.
 */
enum aspen_populate_mode {
    ASPEN_POPULATE_MMAP,
    ASPEN_POPULATE_LOCK,
    ASPEN_POPULATE_READ,
    ASPEN_POPULATE_WRITE,
    ASPEN_POPULATE_MPROTECT,
};

/*
 * Progressive: page by page, in order. [start, end) is page aligned and below
 * the address limit. *done, unless NULL, gets the bytes from `start` on that
 * have been dealt with.
 *
 * Context: no lock is held. May sleep, takes the mmap lock for reading and
 *          drops it every so often; a fatal signal ends it between pages.
 */
ASPEN_MUST_USE int aspen_populate_range(struct aspen_mm *mm, uint64_t start,
                                        uint64_t end,
                                        enum aspen_populate_mode mode,
                                        uint64_t *done);

/* Is there nothing left to do in it for mlock()? Context: the mmap lock is
 * held.
 */
bool aspen_populate_is_done(struct aspen_mm *mm, uint64_t start, uint64_t end);

/* The same after a call that has succeeded. Errors are ignored, as by Linux: a
 * page that is missing comes by a fault, or not at all. `mode`: MMAP or
 * MPROTECT.
 */
void aspen_populate_silently(struct aspen_mm *mm, uint64_t start, uint64_t end,
                             enum aspen_populate_mode mode);

#endif
