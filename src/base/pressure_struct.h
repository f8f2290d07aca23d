/* SPDX-License-Identifier: MIT */
/*
 * base/pressure_struct.h - time that is lost for want of memory: a part of
 * internal.h. machine/pressure.c has what is done with it.
 */
#ifndef ASPEN_BASE_PRESSURE_STRUCT_H
#define ASPEN_BASE_PRESSURE_STRUCT_H

#include <aspen/compiler.h>
#include <aspen_port.h>

#define ASPEN_PRESSURE_SPANS 3 /* 10, 60, 300 seconds */

struct aspen_pressure_sums {
    uint64_t total;  /* microseconds */
    uint64_t period; /* of these, in the period that has not ended */
    uint64_t averages[ASPEN_PRESSURE_SPANS];
};

/* Lock: `lock`. */
struct aspen_pressure_state {
    struct aspen_port_spinlock lock;
    uint32_t stalled;    /* threads that stall now */
    uint32_t threads;    /* that have something to do; 0: nobody says so */
    uint64_t changed;    /* sums are up to this moment, of the clock */
    uint64_t period_end; /* later than that */
    struct aspen_pressure_sums some;
    struct aspen_pressure_sums full;
};

#endif
