/* SPDX-License-Identifier: MIT */
/*
 * oom.h - no memory is left: somebody is killed, so that others go on.
 */
#ifndef KERNEL_MM_OOM_H
#define KERNEL_MM_OOM_H

#include "lib/lib.h"

struct aspen_mm;

/* Somebody is killed, or gives memory back already, or a swapoff gives up:
 * true, the fault may be tried again. False: there is nobody, or it is the
 * current process. Sleeps. */
bool oom_make_room(void);

/* Aspen's hook `killed`. */
void oom_end_processes(void *context, struct aspen_mm *mm, int64_t badness);

#endif
