/* SPDX-License-Identifier: MIT */
/*
 * migrate/moving.h - to wait for a page that is just being moved.
 *
 *     who moves it    entry MOVING ... the entry leads to the page ... ended++
 *     who needs it         ended?  the entry is MOVING   wait while it is that
 *
 * I1  `ended` is read before the entry: so where the entry is MOVING the move
 *     has not said yet that it has ended, and will.
 * I2  Nobody holds the page while he waits: a page that others hold does not
 *     move.
 */
#ifndef ASPEN_MIGRATE_MOVING_H
#define ASPEN_MIGRATE_MOVING_H

#include "paging/table.h"

static inline uint32_t
aspen_moves_ended(const struct aspen *aspen)
{
    return aspen_load(&aspen->moves.ended);
}

/* Until another move has ended than had then. Context: may sleep; no lock is
 * held. */
void aspen_moves_wait(struct aspen *aspen, uint32_t ended);

#endif
