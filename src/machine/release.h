/* SPDX-License-Identifier: MIT */
/*
 * machine/release.h - what differs between releases of Linux.
 *
 * Each function is one row of the table "Releases" in docs/use/semantics.md,
 * which says the same in words. Nobody else looks at config.semantics. A level
 * stands for Debian's kernel of that release: a change that came between two of
 * them belongs to the next.
 *
 * The first test to break is tests/unit/machine/test_release.c.
 */
#ifndef ASPEN_MACHINE_RELEASE_H
#define ASPEN_MACHINE_RELEASE_H

#include "internal.h"

/* From that level on; up to that level. */
#define ASPEN_RELEASE_ROW(name, level)                                         \
    static inline bool aspen_release_##name(const struct aspen *aspen)         \
    {                                                                          \
        return aspen->config.semantics >= (level);                             \
    }
#define ASPEN_RELEASE_ROW_UP_TO(name, level)                                   \
    static inline bool aspen_release_##name(const struct aspen *aspen)         \
    {                                                                          \
        return aspen->config.semantics <= (level);                             \
    }

/* mmap: MAP_STACK means "no huge pages". */
ASPEN_RELEASE_ROW(stack_is_not_huge, ASPEN_SEMANTICS_6_12)

/* mmap: whole huge pages of anonymous memory go where huge pages fit. */
ASPEN_RELEASE_ROW(places_huge_anonymous, ASPEN_SEMANTICS_6_12)

/* mmap: what is aligned to huge pages top down uses the end of its gap, where
 * that is aligned already. */
ASPEN_RELEASE_ROW(places_huge_at_the_end, ASPEN_SEMANTICS_6_12)

/* mmap: between two neighbours that cannot become one the lower is joined, not
 * the upper; one without an anon_vma can be one with one that has it. */
ASPEN_RELEASE_ROW(mmap_merges_below_first, ASPEN_SEMANTICS_6_12)

/* A mapping whose object is told when mappings close may become one with
 * others, as long as it is not the one that goes. */
ASPEN_RELEASE_ROW(merges_what_closes, ASPEN_SEMANTICS_6_12)

/* mmap: whether an object denies to be written comes before the limits. */
ASPEN_RELEASE_ROW(mmap_asks_seals_first, ASPEN_SEMANTICS_6_18)

/* mprotect: anonymous memory that never had a page gives its charge back when
 * it stops to be writable. */
ASPEN_RELEASE_ROW(read_only_is_not_charged, ASPEN_SEMANTICS_6_12)

/* mprotect, advice: what has an anon_vma may become one with what has none,
 * either way. */
ASPEN_RELEASE_ROW(merges_either_anon_vma, ASPEN_SEMANTICS_6_18)

/* madvise: POPULATE stops at a hole. */
ASPEN_RELEASE_ROW(populate_stops_at_holes, ASPEN_SEMANTICS_6_12)

/* madvise: GUARD_INSTALL, GUARD_REMOVE; smaps: "gu" among VmFlags. */
ASPEN_RELEASE_ROW(has_guards, ASPEN_SEMANTICS_6_18)

/* process_madvise: all advice for one's own space. */
ASPEN_RELEASE_ROW(advises_itself, ASPEN_SEMANTICS_6_18)

/* process_madvise: a single range is cut to the most that a call takes before
 * it is asked whether a program could have it. */
ASPEN_RELEASE_ROW(cuts_a_single_range, ASPEN_SEMANTICS_6_12)

/* prctl: shared memory without a file has names. */
ASPEN_RELEASE_ROW(names_shared_memory, ASPEN_SEMANTICS_6_12)

/* mremap: all arguments are looked at before the mapping is looked up, and the
 * mapping before the target goes. */
ASPEN_RELEASE_ROW(mremap_checks_arguments_first, ASPEN_SEMANTICS_6_18)

/* mremap: several mappings move in one call. */
ASPEN_RELEASE_ROW(mremap_moves_several, ASPEN_SEMANTICS_6_18)

/* mremap, DONTUNMAP that leaves its source apart
 * (ASPEN_CONFIG_DONTUNMAP_APART): memory that never had a page may become one
 * with what is on the target's other side. */
ASPEN_RELEASE_ROW(dontunmap_merges_others, ASPEN_SEMANTICS_6_12)

/* ftruncate, write: a file that grows is zero from its old end on, whatever
 * mappings wrote beyond it (ext4). */
ASPEN_RELEASE_ROW(growth_clears_the_tail, ASPEN_SEMANTICS_6_12)

/* fallocate: a hole writes back first what it touches, and so clears what
 * mappings wrote beyond the end of a file. */
ASPEN_RELEASE_ROW_UP_TO(punch_clears_the_tail, ASPEN_SEMANTICS_6_1)

/* smaps: "lf" among VmFlags. */
ASPEN_RELEASE_ROW(shows_lock_on_fault, ASPEN_SEMANTICS_6_12)

#undef ASPEN_RELEASE_ROW
#undef ASPEN_RELEASE_ROW_UP_TO

#endif
