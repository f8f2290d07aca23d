/* SPDX-License-Identifier: MIT */
/*
 * reclaim/attempt.c - a call that is all or nothing, and made again as long as
 * pages leave memory for it.
 *
 * I1  Pages leave when all that the attempt held is given back: it has undone
 *     what it did, and no lock is held.
 *
 * Called by calls and life, and by fault for what is no fault. The first test
 * to break is tests/unit/reclaim/test_attempt.c.
 */
#include "reclaim/attempt.h"

#include "space/mm.h"

void
aspen_attempt_begin(struct aspen_attempt *attempt, struct aspen *aspen,
                    struct aspen_mm *mm, enum aspen_attempt_lock lock)
{
    attempt->direct =
        (struct aspen_direct){.aspen = aspen, .grows = true, .payer.mm = mm};
    attempt->mm = mm;
    attempt->lock = lock;
    attempt->begun = false;
}

static int
take_lock(const struct aspen_attempt *attempt)
{
    if (attempt->lock == ASPEN_ATTEMPT_LOCKS)
        return aspen_mm_write_lock_killable(attempt->mm, ASPEN_LOCK_MM);
    if (attempt->lock == ASPEN_ATTEMPT_PATIENT)
        aspen_mm_write_lock(attempt->mm, ASPEN_LOCK_MM);
    return 0;
}

static bool
begin(struct aspen_attempt *attempt, int *error)
{
    aspen_direct_begin(&attempt->direct);
    *error = take_lock(attempt);
    attempt->begun = !*error;
    return attempt->begun;
}

static bool
is_worth_another(struct aspen_attempt *attempt, int *error)
{
    if (!aspen_direct_again(&attempt->direct, *error))
        return false;
    *error = attempt->lock == ASPEN_ATTEMPT_PATIENT
                 ? 0
                 : aspen_poll_fatal(attempt->direct.aspen);
    return !*error;
}

static void
end(struct aspen_attempt *attempt, int error)
{
    if (!error)
        aspen_direct_lower(&attempt->direct);
    aspen_payer_end(&attempt->direct.payer);
}

bool
aspen_attempt_next(struct aspen_attempt *attempt, int *error)
{
    bool again = true;

    if (attempt->begun) {
        if (attempt->lock != ASPEN_ATTEMPT_ALONE)
            aspen_mm_write_end(attempt->mm);
        again = aspen_unlikely(*error == -ASPEN_ENOMEM) &&
                is_worth_another(attempt, error);
    }
    again = again && begin(attempt, error);
    if (!again)
        end(attempt, *error);
    return again;
}
