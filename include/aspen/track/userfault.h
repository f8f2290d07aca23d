/* SPDX-License-Identifier: MIT */
/**
 * aspen/track/userfault.h - write protection of pages that somebody keeps an
 * eye on: what a kernel puts behind userfaultfd(2), as far as there is of it.
 *
 * A context belongs to one space. Ranges of that space are registered with it,
 * and pages in them are protected, by aspen_userfault_write_protect() or as
 * they are found by aspen_pagemap_scan() (aspen/track/pagemap.h). The first
 * write to a protected page takes the protection off and goes on: which pages
 * have none any more says what was written, without a trap for anybody.
 *
 * What becomes of the protection of a page:
 *   swapped out and back         stays
 *   mprotect, mlock, MADV_COLD   stays
 *   mremap                       goes, and the new mapping is not registered
 *   fork                         the child has none, and is not registered
 *   munmap, a new mapping there  goes
 *   MADV_DONTNEED, _FREE         goes of private zeroes; of objects the place
 *                                stays protected, as when an object's page
 *                                leaves memory or is truncated
 *   a guard takes its place      goes
 * Writes that do not go by the mapping are not seen: aspen_object_write(),
 * other mappings of the same object, devices that have pages pinned before.
 */
#ifndef ASPEN_USERFAULT_H
#define ASPEN_USERFAULT_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_userfault;

/** Features. A write to what is protected takes that off and goes on; and
 * places can be protected where no page is. Needed today. */
#define ASPEN_USERFAULT_WP_ASYNC 1u

/** Modes: what a range is registered for. Writes to what is protected. */
#define ASPEN_USERFAULT_MODE_WP 1u

/**
 * A context for a space, which has nothing registered.
 *
 * Units:   `features` is ASPEN_USERFAULT_WP_ASYNC.
 * Owns:    the caller, until aspen_userfault_close(). It keeps the structure of
 *          the space, not what is mapped: the space may end before.
 * Context: may sleep; no lock of the core is held.
 * Returns: 0 and *userfault, or -ASPEN_EINVAL (other features; the space is
 *          not LIVE), -ASPEN_ENOMEM, -ASPEN_EINTR (a fatal signal, after pages
 *          have left memory for it), with nothing left.
 */
ASPEN_MUST_USE int aspen_userfault_create(struct aspen_mm *mm,
                                          unsigned features,
                                          struct aspen_userfault **userfault);

/**
 * End it: all that is registered is no more, nothing is protected. Cannot fail;
 * mappings that it kept apart may stay apart if there is no memory to make them
 * one. The caller uses it no more, and no call with it is under way.
 * Context: may sleep; no lock of the core is held.
 */
void aspen_userfault_close(struct aspen_userfault *userfault);

/**
 * Register all mappings in a range, holes are passed over; atomic. What was
 * registered for something else before is registered for `modes` alone, what
 * is so for all of them and more stays. Mappings are split at the ends and
 * merged as by mprotect().
 *
 * Units:   `address` and length are page aligned.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or an error and nothing has changed:
 *   -ASPEN_EINVAL  not aligned, empty, below mmap_min_address, beyond the top;
 *                  `modes` is 0 or not known; nothing is mapped there; raw
 *                  memory, special or huge mappings
 *   -ASPEN_EPERM   a mapping that can never be written (no MAYWRITE)
 *   -ASPEN_EBUSY   a mapping is registered with another context
 *   -ASPEN_ENOMEM  no memory, or too many mappings
 *   -ASPEN_ESRCH   the last user of the space has left
 *   -ASPEN_EINTR   a fatal signal
 * Source:  Linux v6.12 userfaultfd_register(), but ESRCH: ENOMEM there.
 */
ASPEN_MUST_USE int aspen_userfault_register(struct aspen_userfault *userfault,
                                            uint64_t address,
                                            uint64_t length_bytes,
                                            unsigned modes);

/**
 * Undo that for a range; atomic. What is not registered there is passed over.
 * Units, context and errors as before, but -ASPEN_EINVAL for a mapping of
 * another context, or one of a file that is not registered; no EPERM, EBUSY.
 */
ASPEN_MUST_USE int aspen_userfault_unregister(struct aspen_userfault *userfault,
                                              uint64_t address,
                                              uint64_t length_bytes);

/** Flags: protect; else take protection off. */
#define ASPEN_USERFAULT_PROTECT 1u

/**
 * Protect pages from writes, places without a page included, or take that off.
 * All mappings in the range have to be registered for writes, with any context;
 * holes are passed over. Progressive if memory for page tables is short:
 * pages below some address are protected then, the others as before.
 *
 * Units:   `address` and length are page aligned.
 * Context: may sleep. Takes the mmap lock for reading.
 * Returns: 0, -ASPEN_EINVAL (as register, but for mappings; unknown flags),
 *          -ASPEN_ENOENT (a mapping is not registered, or there is none;
 * nothing has changed), -ASPEN_ENOMEM, -ASPEN_EINTR (a fatal signal, after
 *          pages have left memory for it), -ASPEN_ESRCH (as register),
 *          -ASPEN_EOPNOTSUPP (a huge page).
 * Source:  Linux v6.12 mwriteprotect_range().
 */
ASPEN_MUST_USE int
aspen_userfault_write_protect(struct aspen_userfault *userfault,
                              uint64_t address, uint64_t length_bytes,
                              unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
