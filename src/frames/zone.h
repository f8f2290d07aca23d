/* SPDX-License-Identifier: MIT */
/*
 * frames/zone.h - the buddy allocator below the CPU caches: which frames are
 * free. It never touches a frame table entry; struct aspen_zone and its
 * chunks are drawn in internal.h. Only frames.c, check.c and migrate/isolate.c
 * include it.
 *
 * Context: the zone lock is held wherever the name ends in _locked.
 */
#ifndef ASPEN_FRAMES_ZONE_H
#define ASPEN_FRAMES_ZONE_H

#include "internal.h"

/* Most frames that one aspen_zone_take_singles_locked(batch) may return. */
#define ASPEN_ZONE_SINGLES_MAX(batch) ((batch) + ASPEN_CHUNK_FRAMES - 1)

/* No frame is free. */
void aspen_zone_init(struct aspen_zone *zone, const struct aspen_banks *banks);

/* Frames [first, end), which were never given, become free. */
void aspen_zone_give_run_locked(struct aspen_zone *zone, uint64_t first,
                                uint64_t end);

/* 2^order frames, aligned to their size, or ASPEN_NO_FRAME. */
uint32_t aspen_zone_take_locked(struct aspen_zone *zone, unsigned order);

/* The same, all of them below frame `end`. */
uint32_t aspen_zone_take_below_locked(struct aspen_zone *zone, unsigned order,
                                      uint64_t end);

/* Of one chunk, which exists, the frames of `mask` that are free: bits. */
uint64_t aspen_zone_take_mask_locked(struct aspen_zone *zone, uint32_t index,
                                     uint64_t mask);

/*
 * Take single frames, whole chunks at a time, until there are `batch` of them
 * or none is left; within a chunk the highest comes first. Returns how many.
 */
unsigned aspen_zone_take_singles_locked(struct aspen_zone *zone,
                                        uint32_t *frames, unsigned batch);

/* Give back a block / single frames, each now all zero in the frame table. */
void aspen_zone_give_locked(struct aspen_zone *zone, uint32_t frame,
                            unsigned order);
void aspen_zone_give_singles_locked(struct aspen_zone *zone,
                                    const uint32_t *frames, unsigned count);

/* The order of the largest aligned run of set bits; `free` is not 0. */
unsigned aspen_zone_largest_run(uint64_t free);

#endif
