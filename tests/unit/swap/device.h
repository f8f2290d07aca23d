/* SPDX-License-Identifier: MIT */
/*
 * device.h - memory as a swap device, which fails when it is told to.
 */
#ifndef ASPEN_TESTS_SWAP_DEVICE_H
#define ASPEN_TESTS_SWAP_DEVICE_H

#include "helper.h"

struct device {
    uint8_t (*slots)[PAGE];
    uint32_t pages;
    uint32_t fails; /* atomic, as the next two: of 1,000 transfers, at
                       random; 0: none */
    uint32_t transfers;
    uint32_t failed;
    bool later; /* it answers from a thread of its own */
    unsigned type;
};

/* Added to the machine. */
void device_add(struct device *device, struct aspen *aspen, uint32_t pages,
                unsigned flags);

/* After the machine. */
void device_free(struct device *device);

#endif
