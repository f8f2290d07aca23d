/* SPDX-License-Identifier: MIT */
/*
 * rmap/rmap.h - from a frame to the entries that map it.
 */
#ifndef ASPEN_RMAP_RMAP_H
#define ASPEN_RMAP_RMAP_H

#include "object/i_mmap.h"
#include "object/object.h"
#include "rmap/anon_vma.h"

/*
 * Walk all VMAs that may map the frame, parents before their children. The
 * caller holds a reference on the frame.
 */
void aspen_rmap_walk(struct aspen *aspen, uint32_t frame,
                     aspen_vma_visit *visit, void *context);

/* How many entries lead to the frame, counted by walking: for checks. */
uint64_t aspen_rmap_count(struct aspen *aspen, uint32_t frame);

#endif
