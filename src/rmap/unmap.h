/* SPDX-License-Identifier: MIT */
/*
 * rmap/unmap.h - takes mappings down: one path for munmap, exit and the
 * recovery of fork, which differ by a descriptor.
 *
 * The order is the same for all: flush caches, zap the pages, unlink the VMAs
 * from the reverse maps, only then free page tables (reverse-map walkers take
 * no mmap lock, so tables may go only when no VMA leads to them), then close
 * and free the VMAs and give back their charge.
 */
#ifndef ASPEN_RMAP_UNMAP_H
#define ASPEN_RMAP_UNMAP_H

#include "paging/gather.h"
#include "space/vma.h"

/*
 * What to take down. Never mix up these three ranges:
 *
 *              table_floor                      table_ceiling
 *                  |                                  |
 *     what page    [----- tables may be freed --------)
 *     tables
 *                        start            end
 *     what is               [--- zapped ---)
 *     zapped
 *                                               tree_end
 *     how far the     first ------ walked ---------)
 *     tree goes
 *
 * After a fork that failed, the child's tree holds the parent's VMAs from
 * tree_end on: the walk must stop there, while tables may be freed up to the
 * top of user space.
 */
struct aspen_unmap {
    struct aspen_mm *mm;
    struct aspen_vma *first; /* NULL: no VMA */
    uint64_t start;          /* zapped: [start, end) */
    uint64_t end;
    uint64_t table_floor; /* tables in [table_floor, table_ceiling) */
    uint64_t table_ceiling;
    uint64_t tree_end; /* VMAs that start before it; exclusive */
    bool detached;     /* VMAs form a list (vma->detached), not in
                          the tree any more; tree_end does not apply */
    bool quiet;        /* see paging/gather.h */
};

/* Zap, unlink, free tables: everything but the VMAs themselves. */
void aspen_unmap_region(const struct aspen_unmap *unmap);

/* Close hooks, references, memory of the VMAs. Returns the pages of charge
 * that they held; the caller gives them back. *vmas, if not NULL, counts. */
uint64_t aspen_tear_down_vmas(const struct aspen_unmap *unmap, uint64_t *vmas);

/* Free the page tables that lie wholly inside [floor, ceiling) and map only
 * parts of [start, end). */
void aspen_free_page_tables(struct aspen_gather *gather, uint64_t start,
                            uint64_t end, uint64_t floor, uint64_t ceiling);

#endif
