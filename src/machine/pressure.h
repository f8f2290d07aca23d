/* SPDX-License-Identifier: MIT */
/*
 * machine/pressure.h - time that threads lose for want of memory.
 *
 *     aspen_stall_begin(aspen);
 *     ... take pages out of memory, or wait for one that had left ...
 *     aspen_stall_end(aspen);
 */
#ifndef ASPEN_MACHINE_PRESSURE_H
#define ASPEN_MACHINE_PRESSURE_H

#include "internal.h"
#include <aspen/account/pressure.h>

/* A machine is new. */
void aspen_pressure_init(struct aspen *aspen);

/* This thread stalls from now on, until it ends that. They do not nest.
 * Context: any lock but leaves; asks the clock, which takes none. */
void aspen_stall_begin(struct aspen *aspen);
void aspen_stall_end(struct aspen *aspen);

#endif
