/* SPDX-License-Identifier: MIT */
/**
 * aspen/memory/failure.h - frames that go bad.
 */
#ifndef ASPEN_MEMORY_FAILURE_H
#define ASPEN_MEMORY_FAILURE_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/**
 * What is in this frame cannot be read any more: nobody is given the frame from
 * now on. A clean page of a file whose pager could read it again is dropped, as
 * is what a swap device has, too, and nobody maps. Where anonymous memory was
 * faults answer -ASPEN_EHWPOISON (a kernel's SIGBUS, BUS_MCEERR_AR), until it
 * is unmapped, or given up by DONTNEED or FREE; so does what fork copies of
 * that.
 *
 * Context: as aspen_migrate(), but that locks of pages are waited for.
 * Returns: 0; -ASPEN_EINVAL (no frame of RAM), -ASPEN_EHWPOISON (it was bad
 *          already), -ASPEN_EBUSY (it has to stay: what the core or the
 * embedder has in it, what is pinned or held, pages of shared memory, what a
 *          file or a swap device does not have yet), and nothing has changed;
 *          -ASPEN_EAGAIN: what was in it is gone, and somebody just looks at
 * it: call again. Source:  Linux's CONFIG_MEMORY_FAILURE.
 */
ASPEN_MUST_USE int aspen_memory_failure(struct aspen *aspen, uint32_t frame);

/**
 * The frame is about to go bad: what is in it goes elsewhere, as by
 * aspen_migrate(), and nobody is given the frame from now on.
 *
 * Context: as aspen_migrate().
 * Returns: as aspen_migrate(), and as aspen_memory_failure(); 0 for a frame
 * that was free. Source:  Linux's soft_offline_page of sysfs.
 */
ASPEN_MUST_USE int aspen_memory_offline(struct aspen *aspen, uint32_t frame);

#ifdef __cplusplus
}
#endif

#endif
