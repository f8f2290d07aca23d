/* SPDX-License-Identifier: MIT */
/*
 * migrate/migrate.h - pages go to other frames, and nobody notices but by how
 * long it takes.
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

/* ---- move.c ------------------------------------------------------------ */

/*
 * The page goes to another frame. The caller holds it once, and holds the old
 * frame still when this returns: nothing is in that any more.
 *
 * Context: may sleep; no lock is held.
 * Returns: as aspen_migrate(), and nothing has changed.
 */
ASPEN_MUST_USE int aspen_move_page(struct aspen *aspen, uint32_t frame);

#endif
