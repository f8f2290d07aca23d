/* SPDX-License-Identifier: MIT */
/*
 * clock.h - what time it is: the processor's counter, and the battery's clock.
 */
#ifndef KERNEL_DEV_CLOCK_H
#define KERNEL_DEV_CLOCK_H

void clock_init(void);
/* By the old timer, before there is another one; at most 50. */
void clock_wait_pit(unsigned milliseconds);

#endif
