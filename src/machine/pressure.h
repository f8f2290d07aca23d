/* SPDX-License-Identifier: MIT */
/*
 * machine/pressure.h - time that threads lose for want of memory.
 *
 *     group = aspen_stall_begin(aspen, payer);
 *     ... take pages out of memory, or wait for one that had left ...
 *     aspen_stall_end(aspen, group);
 */
#ifndef ASPEN_MACHINE_PRESSURE_H
#define ASPEN_MACHINE_PRESSURE_H

#include "machine/payer.h"
#include <aspen/account/pressure.h>

/* A machine or a group is new; its lock is not touched. */
void aspen_pressure_init(struct aspen *aspen,
                         struct aspen_pressure_state *state);

/* This thread stalls from now on, until it ends that: in the machine, and in
 * the group of who pays for it, which the answer holds until then (NULL: none).
 * They do not nest. Context: any lock but leaves; asks the clock, which takes
 * none. */
struct aspen_group *aspen_stall_begin(struct aspen *aspen,
                                      const struct aspen_payer *payer);
void aspen_stall_end(struct aspen *aspen, struct aspen_group *group);

#endif
