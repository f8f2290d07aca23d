/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/pin.h - pages that stay where they are while somebody outside
 * uses them: a device that does DMA, a host that reads guest memory.
 */
#ifndef ASPEN_PIN_H
#define ASPEN_PIN_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

#define ASPEN_PIN_WRITE 1u /* whoever uses the pages writes to them */
/** Refuse when the space would have more pages pinned than ASPEN_LIMIT_MEMLOCK
 * allows (unless it has ASPEN_PRIVILEGE_IPC_LOCK). */
#define ASPEN_PIN_LIMITED 2u
/** For a program that is not the calling thread's: keys do not bind. */
#define ASPEN_PIN_REMOTE 4u

/**
 * Pin the pages of a range, as a driver on Linux does with
 * pin_user_pages(FOLL_LONGTERM). Each is faulted in as by an access. If a
 * private mapping could be written, its page is first made the mapping's own,
 * even if it is pinned only to be read. From then on, until it is unpinned:
 *
 *   - the program and whoever uses the frames see each other's writes;
 *   - the page is not replaced, taken away or merged, and fork copies it for
 *     the child at once;
 *   - the frame outlives munmap, exec and exit. What the program maps there
 *     afterwards is another page.
 *
 * A page may be pinned many times. While any page of `mm` is pinned the
 * structure stays valid for aspen_unpin(), and the machine cannot be
 * destroyed.
 *
 * All or nothing: on error nothing is pinned (pages that were faulted in
 * stay, as after any access).
 *
 * Units:   `address` and length are page aligned; `frames` gets a number for
 *          each page. Read-only zeroes of a mapping that can never be written
 *          may be one frame that the whole machine shares.
 * Context: may sleep. Takes the mmap lock for reading.
 * Returns: 0, -ASPEN_EINVAL (not aligned, no length, unknown flags),
 *          -ASPEN_EFAULT (nothing mapped there, not allowed, raw memory,
 *          beyond the end of an object; or a write to a shared mapping whose
 *          pager wants to know what is dirty), -ASPEN_EINTR,
 *          -ASPEN_ENOMEM (no memory; LIMITED; a page that has 2^30 pins
 *          already), -ASPEN_EOPNOTSUPP, any error of a pager.
 * Source:  Documentation/core-api/pin_user_pages.rst of Linux v6.12.
 */
ASPEN_MUST_USE int aspen_pin_range(struct aspen_mm *mm, uint64_t address,
                                   uint64_t length_bytes, unsigned flags,
                                   uint32_t *frames);

/** Whoever used the pages wrote to them. */
#define ASPEN_UNPIN_DIRTY 1u

/**
 * Give back `pages` pins of `frames`, in any order and portion, also after
 * exit. `mm` is the space that they were taken in; the caller sees to it that
 * the structure is there, as it is while pins of it are. No pages: nothing
 * happens.
 *
 * Context: no lock is held.
 * Returns: 0: so it is for whoever gives back what he has taken. Or
 *          -ASPEN_EINVAL with nothing given back: an unknown flag, a number
 *          that is no frame, a frame that has fewer pins (in whichever space
 *          they were taken), or a space that has fewer.
 */
ASPEN_MUST_USE int aspen_unpin(struct aspen_mm *mm, const uint32_t *frames,
                               uint64_t pages, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
