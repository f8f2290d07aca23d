/* SPDX-License-Identifier: MIT */
/*
 * frames/watermark.h - how much is kept free, and who is told when it is less.
 *
 *     free frames, without those in CPU caches
 *       high  ------  the embedder's worker stops
 *        low  ------  it is woken: hooks.memory->wake
 *        min  ------  who could take pages out of memory gets none any more;
 *                     who cannot, below the mmap lock, does, down to none
 */
#ifndef ASPEN_FRAMES_WATERMARK_H
#define ASPEN_FRAMES_WATERMARK_H

#include "frames/frames.h"

/* As config says, for the RAM that there is; again when more RAM has come.
 * Context: any lock but a zone's. */
void aspen_watermarks_set(struct aspen *aspen);

/* Free, as watermarks count it: a snapshot. */
uint64_t aspen_watermark_free(const struct aspen *aspen);

/* It is below low: the worker is woken, unless it is awake. */
void aspen_watermark_wake(struct aspen *aspen);

/* The worker has done what it could. True: it is below low by now all the same,
 * and nobody wakes him for that; he is awake as before. */
bool aspen_watermark_sleep(struct aspen *aspen);

#endif
