/* SPDX-License-Identifier: MIT */
/*
 * reclaim/attempt.h - a call that is all or nothing, and made again as long as
 * pages leave memory for it.
 *
 *     struct aspen_attempt attempt;
 *     int error = 0;
 *
 *     aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
 *     while (aspen_attempt_next(&attempt, &error))
 *         error = ... all of it; on error nothing has changed ...
 *     return error;
 *
 * Most calls of the embedder's that need page tables or metadata are this loop
 * around what they do. What is large and only needed inside has a function of
 * its own, since reclaim is called from here.
 */
#ifndef ASPEN_RECLAIM_ATTEMPT_H
#define ASPEN_RECLAIM_ATTEMPT_H

#include "reclaim/direct.h"

enum aspen_attempt_lock {
    ASPEN_ATTEMPT_ALONE,  /* the body takes what it needs, and drops it */
    ASPEN_ATTEMPT_LOCKS,  /* it has the mmap lock for writing, killable */
    ASPEN_ATTEMPT_PATIENT /* the same, and no signal ends it */
};

/* `direct.payer` is for the body: who is charged, and which group is full. */
struct aspen_attempt {
    struct aspen_direct direct;
    struct aspen_mm *mm;
    enum aspen_attempt_lock lock;
    bool begun;
};

/* `mm`: whose lock, and whose group pays and stalls; or NULL. */
void aspen_attempt_begin(struct aspen_attempt *attempt, struct aspen *aspen,
                         struct aspen_mm *mm, enum aspen_attempt_lock lock);

/*
 * Is there to be another attempt? True: with its lock. False: it is over, with
 * no lock held, and *error is its answer: the body's last one, or -ASPEN_EINTR
 * (ASPEN_STEP_INTERRUPT) by a fatal signal, while it waited for the lock or
 * after pages have left.
 *
 * The first is always made. Another one is if a frame was refused, or a charge
 * by a group that is full, and pages could leave (direct.h): for each attempt
 * twice as many, so that a fork of any size comes to an end.
 *
 * Context: may sleep; no lock is held but the attempt's.
 */
ASPEN_MUST_USE bool aspen_attempt_next(struct aspen_attempt *attempt,
                                       int *error);

#endif
