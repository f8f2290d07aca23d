/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.h - pages leave memory.
 */
#ifndef ASPEN_RECLAIM_RECLAIM_H
#define ASPEN_RECLAIM_RECLAIM_H

#include "internal.h"
#include <aspen/calls/reclaim.h>

/* As aspen_reclaim(), of the pages of a group and those below it, or, for NULL,
 * of all; counted as who asks for it. */
uint64_t aspen_reclaim_by(struct aspen *aspen, struct aspen_group *group,
                          uint64_t pages, enum aspen_reclaimer who);

/*
 * Take these pages out of memory, accessed or not: those that can leave.
 * Dirty ones of files are written first. At most ASPEN_RECLAIM_BATCH: anonymous
 * ones, and pages of objects that could read them again. Each has a reference,
 * which is put.
 *
 * Context: may sleep, no lock is held.
 */
void aspen_reclaim_pages(struct aspen *aspen, const uint32_t *frames,
                         unsigned count);

#endif
