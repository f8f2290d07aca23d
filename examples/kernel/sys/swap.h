/* SPDX-License-Identifier: MIT */
/*
 * swap.h - disks that pages go to.
 */
#ifndef KERNEL_SYS_SWAP_H
#define KERNEL_SYS_SWAP_H

#include "lib/lib.h"

/* Memory is short: whoever brings pages back from a disk that is to go gives
 * up. False: nobody does so. */
bool swap_give_up(void);

/* The text of /proc/swaps. */
void swap_show(struct text *text);

#endif
