/* SPDX-License-Identifier: MIT */
/*
 * reclaim/shrink.h - pages leave memory.
 */
#ifndef ASPEN_RECLAIM_SHRINK_H
#define ASPEN_RECLAIM_SHRINK_H

#include "reclaim/policy.h"

/*
 * Take `pages` pages out of memory, after looking at no more than about `looks`
 * of them. Returns how many it took. Only tries locks of pages, and waits for
 * no pager.
 *
 * Context: may sleep; no lock is held: it may be what gives up an object's last
 * reference, which writes back and calls its pager.
 */
uint64_t aspen_shrink(struct aspen *aspen, uint64_t pages, uint64_t looks);

/* The same after as many looks as it can take: four for each page that may
 * leave. */
uint64_t aspen_shrink_some(struct aspen *aspen, uint64_t pages);

/* trim.c: if there are more shadows than frames, some work to forget old ones.
 * Context: as above. */
void aspen_shadows_trim(struct aspen *aspen);

#endif
