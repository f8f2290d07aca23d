/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap/mremap.h - one mremap under way, shared by the files that carry
 * it out.
 */
#ifndef ASPEN_CALLS_MREMAP_H
#define ASPEN_CALLS_MREMAP_H

#include "space/vma.h"
#include <aspen/calls/remap.h>

struct aspen_remap {
    struct aspen_mm *mm;
    struct aspen_vma *vma;
    uint64_t old;
    uint64_t old_bytes;
    uint64_t new_bytes;
    unsigned flags;
    bool resizes;  /* the sizes differ, as DONTUNMAP's may not */
    uint64_t new;  /* wanted; then where it is */
    uint64_t fill; /* what has to be faulted in, at its end */
    struct {
        uint64_t pages;
        uint64_t data;
        uint64_t locked;
    } removed; /* of other mappings, before this one's growth is looked at */
};

static inline bool
aspen_remap_has_target(const struct aspen_remap *remap)
{
    return remap->flags & (ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP);
}

/* Is there room for so many VMAs in the map count? */
static inline bool
aspen_remap_has_maps(const struct aspen_mm *mm, uint64_t maps)
{
    return mm->map_count + maps < mm->aspen->config.map_count_max;
}

/* So many have to be left for a call that names a place. */
#define ASPEN_REMAP_MAPS_TO_PLACE 5

/*
 * ---- check.c: each is 0, or Linux's error ------------------------------
 *
 * The arguments are checked before the lock is taken; for all other checks the
 * mmap lock is held for writing.
 */

ASPEN_MUST_USE int aspen_remap_check_arguments(const struct aspen_remap *remap);

/* The mapping, and whether it may be of the new size. May round sizes. */
ASPEN_MUST_USE int aspen_remap_check_mapping(struct aspen_remap *remap);

/* Before 6.15: what 6.18 asks later, in the order of then. */
ASPEN_MUST_USE int aspen_remap_check_in_old_order(struct aspen_remap *remap);

/* What is too much of the old range: munmap would refuse it beyond the top. */
ASPEN_MUST_USE int aspen_remap_check_excess(const struct aspen_remap *remap);

/* That it goes elsewhere, before there is a place. */
ASPEN_MUST_USE int aspen_remap_check_move(struct aspen_remap *remap);

/* ---- resize.c: atomic -------------------------------------------------- */

ASPEN_MUST_USE int aspen_remap_shrink(struct aspen_remap *remap);

/* Can it grow where it is? */
bool aspen_remap_has_room(const struct aspen_remap *remap);
ASPEN_MUST_USE int aspen_remap_grow(struct aspen_remap *remap);

/* ---- relocate.c: atomic ------------------------------------------------ */

ASPEN_MUST_USE int aspen_remap_relocate(struct aspen_remap *remap);

/* `count` mappings, whatever of `all` each has. */
ASPEN_MUST_USE int aspen_remap_together(const struct aspen_remap *all,
                                        uint64_t count);

/* What of `all` lies in the first mapping at or above `from`; its vma is NULL
 * if there is none. */
struct aspen_remap aspen_remap_next(const struct aspen_remap *all,
                                    uint64_t from);

/* Mappings whose faults somebody else handles move alone. */
bool aspen_remap_moves_with_others(const struct aspen_vma *vma);

#endif
