/* SPDX-License-Identifier: MIT */
/*
 * machine/notify_struct.h - what a space keeps for second MMUs: a part of
 * internal.h. machine/notify.h has what is done with it.
 */
#ifndef ASPEN_MACHINE_NOTIFY_STRUCT_H
#define ASPEN_MACHINE_NOTIFY_STRUCT_H

#include <aspen_port.h>

/*
 * What second MMUs go by: brackets that are open, and those that have ended
 * (machine/notify.c). All written under `lock`.
 */
#define ASPEN_NOTIFY_ENDED 8

struct aspen_notify_range {
    uint64_t start;
    uint64_t end;
};

struct aspen_notify {
    struct aspen_port_spinlock lock;
    uint32_t open;                   /* atomic: how many are open */
    uint64_t sequence;               /* atomic: how many have ended */
    struct aspen_notify_range range; /* covers all that are open */
    bool waiting;                    /* somebody waits for an end */
    /* Of the last that have ended; number n at n % ENDED. */
    struct aspen_notify_range ended[ASPEN_NOTIFY_ENDED];
};

#endif
