/* SPDX-License-Identifier: MIT */
/**
 * aspen/memory/compact.h - free frames in a row, where they are scattered.
 */
#ifndef ASPEN_MEMORY_COMPACT_H
#define ASPEN_MEMORY_COMPACT_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/**
 * See that 2^order frames in a row, aligned to their size, are free: where
 * there are none the pages of some such block go elsewhere
 * (aspen/memory/migrate.h), of one with few pages if there is a choice. Pages
 * that are pinned or held, raw frames, tables, and what the embedder has stay,
 * and so does their block. Who asks for a block next, whoever it is, gets it.
 *
 * Units:   `order` from 1 to ASPEN_FRAMES_ORDER_MAX.
 * Context: as aspen_migrate(). Each frame is looked at once at the most.
 * Returns: 0; -ASPEN_EINVAL (the order), -ASPEN_EBUSY (there is no block that
 *          all pages could leave, or too little is free), -ASPEN_ENOMEM (no
 *          frame for a page to go to), -ASPEN_EOPNOTSUPP (frames have no memory
 *          behind them). After an error pages may have gone to other frames.
 * Source:  Linux's vm.compact_memory.
 */
ASPEN_MUST_USE int aspen_compact(struct aspen *aspen, unsigned order);

/**
 * The same, as far as it goes with a look at 32,768 frames (or one block) and
 * 128 pages (or half a block) that move: for a thread of the embedder's, which
 * calls it again and again until it answers false.
 *
 * Context: as aspen_migrate().
 * Returns: whether there is more to do. false: a block is free, or all has been
 *          looked at, or the order makes no sense.
 */
ASPEN_MUST_USE bool aspen_compact_tick(struct aspen *aspen, unsigned order);

#ifdef __cplusplus
}
#endif

#endif
