/* SPDX-License-Identifier: MIT */
/*
 * migrate/migrate.h - pages go to other frames, and nobody notices but by how
 * long it takes; what that is for: compact.c, poison.c.
 */
#ifndef ASPEN_MIGRATE_MIGRATE_H
#define ASPEN_MIGRATE_MIGRATE_H

#include "migrate/moving.h"

#include <aspen/memory/migrate.h>

/* ---- find.c ------------------------------------------------------------ */

/*
 * The page in a frame, whoever uses it for what: 0, with a reference for the
 * caller, if it is one page of memory or of an object; or -ASPEN_EINVAL (no
 * frame of RAM), -ASPEN_ENOENT (nothing is in it that could be found: it is
 * free, or about to be), -ASPEN_EBUSY (it is used for something else, or a part
 * of a block). No frame of another kind is ever held meanwhile.
 * Context: no spin lock is held.
 */
ASPEN_MUST_USE int aspen_move_find(struct aspen *aspen, uint32_t frame);

/* ---- isolate.c ---------------------------------------------------------- */

/* Frames that are free, and stand where all find them, are `owner`'s from now
 * on, a call's own: how many of these. */
uint32_t aspen_frames_isolate(struct aspen *aspen, const void *owner,
                              uint32_t first, uint32_t pages);
bool aspen_frame_is_isolated(const struct aspen *aspen, const void *owner,
                             uint32_t frame);

/* The caller's reference goes. If it was the last one the frame is isolated. */
ASPEN_MUST_USE bool aspen_frame_isolate_put(struct aspen *aspen,
                                            const void *owner, uint32_t frame);

/* Those of them that are isolated are free again. */
void aspen_frames_unisolate(struct aspen *aspen, const void *owner,
                            uint32_t first, uint32_t pages);

/* If all are isolated they are the caller's, all zero, to give as a block
 * (aspen_frame_give()). */
ASPEN_MUST_USE bool aspen_frames_take_isolated(struct aspen *aspen,
                                               const void *owner,
                                               uint32_t first, uint32_t pages);

/* ---- move.c ------------------------------------------------------------ */

/*
 * The page goes to another frame. The caller holds it once, and holds the old
 * frame still when this returns: nothing is in that any more.
 *
 * Context: may sleep; no lock is held.
 * Returns: as aspen_migrate(), and nothing has changed.
 */
ASPEN_MUST_USE int aspen_move_page(struct aspen *aspen, uint32_t frame);

/*
 * An anonymous page in no swap cache, which the caller holds once, is lost:
 * each entry becomes a marker POISON. 0, or -ASPEN_EBUSY and nothing has
 * changed. Context: as that.
 */
ASPEN_MUST_USE int aspen_move_to_nowhere(struct aspen *aspen, uint32_t frame);

#endif
