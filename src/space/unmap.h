/* SPDX-License-Identifier: MIT */
/*
 * space/unmap.h - taking mappings down: one path for munmap, exit and the
 * recovery of fork, told apart by one descriptor.
 *
 * The order is the same for all: flush caches, zap the pages, unlink the VMAs
 * from the reverse maps, only then free page tables (reverse-map walkers take
 * no mmap lock, so tables may go only when no VMA leads to them), then close
 * and free the VMAs and give back their charge.
 */
#ifndef ASPEN_SPACE_UNMAP_H
#define ASPEN_SPACE_UNMAP_H

#include "paging/gather.h"
#include "space/vma.h"

/*
 * What to take down. Three ranges that are never to be mixed up:
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

/* What of a range is zapped. */
enum aspen_zap {
    ASPEN_ZAP_ALL,
    ASPEN_ZAP_NOT_GUARDS, /* all but guards: the memory stays mapped, or the
                             object gets shorter */
    ASPEN_ZAP_TO_GUARDS,  /* all, and guards take its place; every table of
                             the range is there */
    ASPEN_ZAP_OBJECT,     /* the object's pages and raw frames: private copies
                             and what else is the space's own stays */
};

/*
 * Zap the pages of one VMA's [start, end) into a gather. What an entry knew of
 * writes goes to the frame of an object's page.
 * Context: the mmap lock, the VMA's, or the i_mmap lock of its object.
 */
void aspen_zap_only(struct aspen_gather *gather, struct aspen_vma *vma,
                    uint64_t start, uint64_t end, enum aspen_zap what);

static inline void
aspen_zap_range(struct aspen_gather *gather, struct aspen_vma *vma,
                uint64_t start, uint64_t end)
{
    aspen_zap_only(gather, vma, start, end, ASPEN_ZAP_ALL);
}

/* Free the page tables that lie wholly inside [floor, ceiling) and map only
 * parts of [start, end). */
void aspen_free_page_tables(struct aspen_gather *gather, uint64_t start,
                            uint64_t end, uint64_t floor, uint64_t ceiling);

#endif
