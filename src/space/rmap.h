/* SPDX-License-Identifier: MIT */
/*
 * space/rmap.h - from a frame to the entries that map it.
 */
#ifndef ASPEN_SPACE_RMAP_H
#define ASPEN_SPACE_RMAP_H

#include "space/anon_vma.h"
#include "object/object.h"

/* Called for each VMA that may map the frame, with where it would; the root
 * or i_mmap lock is held for reading. false ends the walk. */
typedef bool aspen_rmap_visit(void *context, struct aspen_vma *vma,
                              uint64_t address);

/*
 * Walk all VMAs that may map the frame, parents before their children. The
 * caller holds a reference on the frame.
 */
void aspen_rmap_walk(struct aspen *aspen, uint32_t frame,
                     aspen_rmap_visit *visit, void *context);

/* How many entries lead to the frame, counted by walking: for checks. */
uint64_t aspen_rmap_count(struct aspen *aspen, uint32_t frame);

#endif
