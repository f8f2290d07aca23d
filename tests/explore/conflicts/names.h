/* SPDX-License-Identifier: MIT */
/*
 * names.h - which field of which structure an address is: for the conflict
 * matrix.
 */
#ifndef CONFLICTS_NAMES_H
#define CONFLICTS_NAMES_H

#include <aspen/aspen.h>

/* Learn what there is: what is named later has to be known by then. NULL: from
 * here on nothing is known. */
void names_learn(struct aspen *aspen);

/* A space, and its mappings. Takes its mmap lock. */
void names_learn_space(struct aspen_mm *mm);

/* "vma.lock_readers", "frame.counts", "page table", "object_cache, magazines"
 */
void names_of(const void *address, char *name, size_t size);

#endif
