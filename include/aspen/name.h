/* SPDX-License-Identifier: MIT */
/**
 * aspen/name.h - names of anonymous memory, as allocators give them.
 */
#ifndef ASPEN_NAME_H
#define ASPEN_NAME_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Bytes of a name, the terminating 0 included. */
#define ASPEN_NAME_BYTES 80

/**
 * Name the anonymous memory of a range, private or shared; maps and smaps show
 * [anon:NAME] or [anon_shmem:NAME]. Mappings split at its edges, and merge
 * with neighbours whose names say the same. Fork, mremap and growth keep a
 * name.
 *
 * Units:   bytes; the length is rounded up to pages, and may be 0. `name` is
 *          printable ASCII without \ ` $ [ ], and is copied; NULL removes the
 *          names.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, -ASPEN_ENOMEM (a hole, after the rest was named; no memory for
 *          the name), -ASPEN_EINVAL (the name; address not page-aligned; the
 *          range wraps; a special mapping is cut; the machine has
 *          VMA_NAMES_ABSENT), -ASPEN_EBADF (not anonymous memory; shared
 *          memory in level 6.1), -ASPEN_EAGAIN (no memory, map count),
 *          -ASPEN_EOPNOTSUPP (an edge inside a huge page), -ASPEN_EINTR.
 *          After any of these but a hole the address space is as it was.
 * Source:  prctl(2), PR_SET_VMA_ANON_NAME; Linux v6.12
 *          madvise_set_anon_name().
 */
ASPEN_MUST_USE int aspen_name_anon(struct aspen_mm *mm, uint64_t address,
                                   uint64_t length_bytes, const char *name);

#ifdef __cplusplus
}
#endif

#endif
