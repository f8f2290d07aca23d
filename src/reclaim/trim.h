/* SPDX-License-Identifier: MIT */
/*
 * reclaim/trim.h - shadows of pages that left long ago.
 */
#ifndef ASPEN_RECLAIM_TRIM_H
#define ASPEN_RECLAIM_TRIM_H

#include "internal.h"

/* If there are more shadows than frames, some work to forget old ones. Context:
 * may sleep, no lock is held. */
void aspen_shadows_trim(struct aspen *aspen);

#endif
