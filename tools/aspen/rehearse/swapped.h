/* SPDX-License-Identifier: MIT */
/*
 * swapped.h - pages that the captured process had swapped, really swapped in
 * the machine: on a device of ours, in memory, with contents that go by the
 * address, so that whoever reads one can tell whether it is the right one.
 *
 * For that the machine's frames need memory. Where there are too many pages, or
 * none is swapped, it has none, and slots are only counted, as are those that
 * the kernel named for several pages.
 */
#ifndef ASPEN_REHEARSE_SWAPPED_H
#define ASPEN_REHEARSE_SWAPPED_H

#include "rehearse/load.h"

/** Pages that were on the device, and were compared. */
struct swapped_counts {
    uint64_t in_parents;
    uint64_t in_children;
};

struct swapped;

/** For the pages of the snapshot. *swapped is NULL if there are none that can
 * be swapped. -1: no memory. */
int swapped_begin(struct swapped **swapped, const struct snapshot *snapshot);
void swapped_end(struct swapped *swapped);

/** How many it is for. */
uint64_t swapped_pages(const struct swapped *swapped);

/** The machine's device. 0 or the core's error. */
int swapped_attach(struct swapped *swapped, struct aspen *aspen);

/** Page `n` of a run of swapped pages is for us. */
bool swapped_takes(const struct swapped *swapped,
                   const struct snapshot_vma *vma,
                   const struct snapshot_run *run, uint64_t n);
/** Make such pages, and swap them out. 0 or the core's error. */
int swapped_put(struct swapped *swapped, struct aspen_mm *mm, uint64_t address,
                uint64_t count);

/**
 * Read some of the pages in a child, which are those whose turn it is. *wrong
 * gets the address of one that is not what it was, or cannot be read, which
 * *error says; then it answers false.
 */
bool swapped_compare_child(struct swapped *swapped, struct aspen_mm *child,
                           uint64_t *wrong, int *error);
/**
 * The same pages in the parent, and it is the turn of the next ones; or `many`
 * (4096). Afterwards they are swapped again, and nothing of them is in memory
 * any more, if the child is gone.
 */
bool swapped_compare_parent(struct swapped *swapped, struct aspen_mm *parent,
                            bool many, uint64_t *wrong, int *error);

void swapped_count(const struct swapped *swapped,
                   struct swapped_counts *counts);

#endif
