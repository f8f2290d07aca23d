/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.h - pages of files leave memory.
 */
#ifndef ASPEN_RECLAIM_RECLAIM_H
#define ASPEN_RECLAIM_RECLAIM_H

#include "internal.h"
#include <aspen/calls/reclaim.h>

/* As aspen_reclaim(), and counted as who asks for it. */
uint64_t aspen_reclaim_by(struct aspen *aspen, uint64_t pages,
                          enum aspen_reclaimer who);

#endif
