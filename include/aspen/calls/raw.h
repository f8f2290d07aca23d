/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/raw.h - a driver puts pages, and raw frames (physical pages that
 * do not belong to the machine), into mappings.
 *
 * A PFNMAP mapping may hold raw frames; a MIXEDMAP mapping may hold raw frames
 * and pages of its object's cache. What a program is to write to is SHARED, so
 * it is a mapping of an object (of kind DEVICE, aspen/object.h): in a private
 * one raw frames are read-only, and a write answers -ASPEN_EOPNOTSUPP: nothing
 * copies them (Linux does). Nothing counts a raw frame; whoever put it
 * there takes it back with aspen_object_unmap(), or when the mapping goes.
 *
 * How processors cache raw frames is the mapping's (ASPEN_VM_CACHE of
 * aspen/flags.h, given to aspen_mmap()), so that all that is put there is
 * cached in one way, by whichever call or hook, and after mprotect, mremap and
 * fork. What one frame is mapped as elsewhere - another mapping, the direct map
 * - has to agree where the processor asks for that; the driver knows.
 */
#ifndef ASPEN_RAW_H
#define ASPEN_RAW_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** A first write does not ask the object's mkwrite hook. */
#define ASPEN_RAW_WRITABLE 1u

/**
 * Put one raw frame where nothing is. Without WRITABLE a first write through
 * a shared mapping asks the object's mkwrite hook.
 *
 * Units:   `number` of the frame, as its format can hold it; not 0.
 * Context: may sleep. Takes the mmap lock for reading: also from the fault hook
 *          of a pager.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, no such number, an
 *          unknown flag, the
 *          mapping is neither PFNMAP nor MIXEDMAP, or private and PFNMAP),
 *          -ASPEN_EFAULT (no mapping), -ASPEN_EBUSY (something is there),
 *          -ASPEN_ENOMEM, -ASPEN_EINTR (a fatal signal, after pages have left
 *          memory for it), -ASPEN_ESRCH (private, and the space was killed and
 *          is reaped: aspen/calls/oom.h). On error nothing has changed.
 * Source:  Linux v6.12 vmf_insert_pfn(), vmf_insert_mixed().
 */
ASPEN_MUST_USE int aspen_insert_raw(struct aspen_mm *mm, uint64_t address,
                                    uint64_t number, unsigned flags);

/**
 * Put raw frames `number`, `number` + 1 ... into a range of one PFNMAP mapping,
 * all or none. A private mapping that could be written takes them only as a
 * whole.
 *
 * Units:   bytes; `length_bytes` is rounded up to pages.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: as aspen_insert_raw(), or -ASPEN_EINVAL (no length, beyond user
 *          space or the end of the mapping, only a part of a private mapping
 *          that could be written), -ASPEN_EINTR. On error nothing has changed.
 * Source:  Linux v6.12 remap_pfn_range().
 */
ASPEN_MUST_USE int aspen_remap_raw(struct aspen_mm *mm, uint64_t address,
                                   uint64_t length_bytes, uint64_t number);

/**
 * Map the page of the object's cache that belongs at the address (it is made if
 * it is not cached), before anybody accesses it.
 *
 * Context: may sleep; no lock is held, so not from a pager's hook.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, the mapping is not
 *          MIXEDMAP or its object has no page cache), -ASPEN_EFAULT (no
 *          mapping), -ASPEN_EBUSY (something is there), or the error of a read
 *          access. On error nothing has changed.
 * Source:  Linux v6.12 vm_insert_page().
 */
ASPEN_MUST_USE int aspen_insert_page(struct aspen_mm *mm, uint64_t address);

#ifdef __cplusplus
}
#endif

#endif
