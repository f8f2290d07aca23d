/* SPDX-License-Identifier: MIT */
/*
 * machine/charge.h - commit charge, as Linux's overcommit modes have it.
 */
#ifndef ASPEN_MACHINE_CHARGE_H
#define ASPEN_MACHINE_CHARGE_H

#include "internal.h"

/*
 * 0, or -ASPEN_ENOMEM with nothing charged (ASPEN_STEP_CHARGE). 0 pages are
 * always granted, without a crossing. Charge is for a space, whose size and
 * privileges count, or for the machine, which may use all reserves.
 */
ASPEN_MUST_USE int aspen_charge_mm(const struct aspen_mm *mm, uint64_t pages);
ASPEN_MUST_USE int aspen_charge(struct aspen *aspen, uint64_t pages);
/* For several mappings of a space in one step, of which none has more than
 * `most` of the pages: refused where one of them would be, or the sum. */
ASPEN_MUST_USE int aspen_charge_mappings(const struct aspen_mm *mm,
                                         uint64_t pages, uint64_t most);
/* Would what is charged stay below a limit that is lower by so many pages? 0,
 * or -ASPEN_ENOMEM. Where nothing is limited nobody asks: no crossing. */
ASPEN_MUST_USE int aspen_charge_check_less(struct aspen *aspen, uint64_t pages);
void aspen_uncharge(struct aspen *aspen, uint64_t pages);
/* The sum: exact when nothing is charged. */
uint64_t aspen_charged(const struct aspen *aspen);
uint64_t aspen_charge_limit(const struct aspen *aspen);

#endif
