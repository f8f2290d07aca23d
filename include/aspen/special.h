/* SPDX-License-Identifier: MIT */
/**
 * aspen/special.h - special mappings: memory that a kernel puts into every
 * space by itself, as Linux's vdso and vvar.
 */
#ifndef ASPEN_SPECIAL_H
#define ASPEN_SPECIAL_H

#include <aspen/compiler.h>
#include <aspen/flags.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** One kind of special mapping. Lives as long as any mapping of it; `name` and
 * `context` as well. */
struct aspen_special {
    const char *name; /* as maps shows it: "[vdso]" */
    /**
     * The physical page number for the page `offset_bytes` into the mapping,
     * which the core does not count: raw memory. NULL, or a negative errno: the
     * access gets that error (NULL: -ASPEN_EFBIG, a SIGBUS). Context: the lock
     * of the mapping is held; may not call into the space.
     */
    int (*fault)(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
                 uint64_t *raw);
    /**
     * mremap is about to move it. A negative errno refuses, and the call
     * answers it. NULL: moving is allowed. If one of several mappings that
     * move at once refuses, those that have agreed are asked once more, with
     * `from` and `to` exchanged: they stay, whatever they answer.
     * Context: the mmap lock is held for writing.
     */
    int (*mremap)(void *context, struct aspen_mm *mm, uint64_t from,
                  uint64_t to, uint64_t length_bytes);
    /** It goes, in this space. Context: the mmap lock is held for writing. */
    void (*close)(void *context, struct aspen_mm *mm, uint64_t start,
                  uint64_t end);
    void *context; /* handed to all of them */
};

/**
 * Make a special mapping: never merged, expanded or split (munmap and mprotect
 * take all of it or nothing), never locked, not charged unless it is writable.
 *
 * Units:   bytes; `length_bytes` is rounded up to pages.
 *          `flags`: 0 (`address` is a hint) or ASPEN_MAP_FIXED_NOREPLACE.
 *          `vm_flags`: READ WRITE EXEC, MAY*, IO, PFNMAP, MIXEDMAP, DONTCOPY,
 *          DONTDUMP, CACHE_*; DONTEXPAND is added.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0 and *address, or -ASPEN_EINVAL (no `special` or name, another
 *          flag), else as aspen_mmap() for such a mapping. On error the
 *          address space is as it was.
 * Source:  Linux v6.12 _install_special_mapping().
 */
ASPEN_MUST_USE int aspen_map_special(struct aspen_mm *mm, uint64_t at,
                                     uint64_t length_bytes, unsigned flags,
                                     uint64_t vm_flags,
                                     const struct aspen_special *special,
                                     uint64_t *address);

#ifdef __cplusplus
}
#endif

#endif
