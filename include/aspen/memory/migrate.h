/* SPDX-License-Identifier: MIT */
/**
 * aspen/memory/migrate.h - pages go to other frames.
 *
 * A program notices it by how long an access takes: who needs the page
 * meanwhile waits, with ASPEN_ACCESS_NOWAIT he hears -ASPEN_EAGAIN. Pages that
 * are pinned or that somebody holds for a moment stay, as do raw frames, page
 * tables, blocks, and what the embedder or the core has for itself.
 * docs/design/migration.md says how it is done.
 */
#ifndef ASPEN_MEMORY_MIGRATE_H
#define ASPEN_MEMORY_MIGRATE_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/**
 * The page in this frame goes to another one: one of anonymous memory, of an
 * object's page cache, or of the swap cache. All that it was it is there: who
 * maps it and what he may do, dirty, accessed, exclusive, its place on its
 * list, its group, its slot. The frame is free then, unless somebody holds it
 * still who came by.
 *
 * Context: may sleep; no lock of the core is held, no hook of an object or a
 *          space is running. Locks of pages are only tried.
 * Returns: 0; -ASPEN_EINVAL (no frame of RAM), -ASPEN_ENOENT (it is free),
 *          -ASPEN_EBUSY (it has to stay, or cannot go now), -ASPEN_ENOMEM,
 *          -ASPEN_EOPNOTSUPP (frames have no memory behind them). On error
 *          nothing has changed.
 * Source:  Linux's move_pages(2).
 */
ASPEN_MUST_USE int aspen_migrate(struct aspen *aspen, uint32_t frame);

#ifdef __cplusplus
}
#endif

#endif
