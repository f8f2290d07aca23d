/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/mmap.h - mappings.
 */
#ifndef ASPEN_MMAP_H
#define ASPEN_MMAP_H

#include <aspen/compiler.h>
#include <aspen/flags.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_object;

/** Where to put it; with none of the first two `address` is a hint. */
#define ASPEN_MAP_FIXED           1u /* there; replaces what is there */
#define ASPEN_MAP_FIXED_NOREPLACE 2u /* there; -ASPEN_EEXIST: not free */
#define ASPEN_MAP_32BIT           4u /* a hint below 2 GiB, else the 2nd GiB */
#define ASPEN_MAP_ABOVE4G         8u /* searches downwards stop there */
/** What else mmap(2) may be told. */
#define ASPEN_MAP_POPULATE 16u /* fault it in; errors of that are ignored */
#define ASPEN_MAP_NONBLOCK 32u /* undoes POPULATE */
/** EXEC alone is not to be execute-only by a key (Linux: other bits beside
 * PROT_EXEC, which mean nothing else). */
#define ASPEN_MAP_PLAIN_EXEC 64u
#define ASPEN_MAP_FLAGS      127u

struct aspen_mmap_args {
    uint64_t address;
    uint64_t length_bytes;
    /* READ WRITE EXEC SHARED GROWSDOWN NORESERVE LOCKED...
     * docs/use/semantics.md lists them. MAYREAD, MAYWRITE, MAYEXEC: as given
     * when one of them is, else all three, but MAYEXEC never with a cache mode.
     * ACCOUNT and MAYSHARE follow from the rest. */
    uint64_t vm_flags;
    unsigned flags;              /* ASPEN_MAP_*, ORed */
    struct aspen_object *object; /* NULL: zero-filled private memory */
    uint64_t offset_bytes;       /* into the object, page aligned */
};

/**
 * Map a range of `args->object` (or zero-filled memory when it is NULL). No
 * page is touched until it faults, unless POPULATE or LOCKED ask for it; errors
 * of that are ignored, as by mmap(2).
 *
 * Units:   bytes; address and length are rounded to pages as mmap(2) does.
 * Owns:    takes one reference on args->object; the caller keeps its own.
 * Context: may sleep. Takes the mmap lock for writing; no lock while pages are
 *          faulted in.
 * Returns: 0 and *address, or, in the order of Linux,
 *          -ASPEN_EINVAL  unknown flag, an object of huge pages or of another
 *                         machine, offset not page-aligned, zero length
 *          -ASPEN_EINTR   a fatal signal is pending
 *          -ASPEN_EINVAL  space not LIVE
 *          -ASPEN_ENOMEM  map count; beyond user space, or no gap
 *          -ASPEN_EINVAL  a fixed address not page-aligned
 *          -ASPEN_EPERM   a fixed address below config.mmap_min_fixed without
 *                         the privilege SYS_RAWIO
 *          -ASPEN_EEXIST  FIXED_NOREPLACE met a mapping
 *          -ASPEN_EPERM   LOCKED where nothing may be locked
 *          -ASPEN_EAGAIN  it would be locked, above the limit MEMLOCK
 *          -ASPEN_EOVERFLOW offset + length beyond 2^63
 *          -ASPEN_EACCES  an access without its MAY flag
 *          -ASPEN_EINVAL  GROWSDOWN or WIPEONFORK with an object or SHARED;
 *                         COPYONFORK with SHARED;
 *                         raw memory that is SHARED without one; a cache mode
 *                         where no raw frames can be, or with EXEC
 *          -ASPEN_EOPNOTSUPP  a cache mode that the processor has not
 *          -ASPEN_EPERM   a sealed mapping in the way
 *          -ASPEN_EPERM   shared and writable, now or later, of an object that
 *                         has no such mappings (aspen_object_deny_writable())
 *          -ASPEN_EOPNOTSUPP, -ASPEN_EINVAL  an edge of what is replaced lies
 *                         inside a huge page, of an object, or inside a special
 *                         mapping
 *          -ASPEN_ENOMEM  limits AS and DATA, charge, memory
 *          or the error of an object's open hook, unchanged.
 *          On error the address space is as it was.
 * Source:  mmap(2); Linux v6.12 do_mmap().
 */
ASPEN_MUST_USE int aspen_mmap(struct aspen_mm *mm,
                              const struct aspen_mmap_args *args,
                              uint64_t *address);

/**
 * Unmap whatever is in the range; an empty range is not an error.
 *
 * Units:   bytes; the length is rounded up to pages.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, zero length, end
 *          beyond the address space; an edge inside a page of a huge-page
 *          object or inside a special mapping), -ASPEN_EPERM (a sealed
 *          mapping), -ASPEN_EOPNOTSUPP (inside another huge page),
 *          -ASPEN_ENOMEM (splitting would exceed the map count, or no memory),
 *          -ASPEN_EINTR, or the error of an object's open hook, which is asked
 *          for the part of a mapping that is split.
 *          On error the address space is as it was.
 * Source:  munmap(2).
 */
ASPEN_MUST_USE int aspen_munmap(struct aspen_mm *mm, uint64_t address,
                                uint64_t length_bytes);

#ifdef __cplusplus
}
#endif

#endif
