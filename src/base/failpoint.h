/* SPDX-License-Identifier: MIT */
/*
 * base/failpoint.h - the gate that everything fallible passes.
 *
 *     if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_CHARGE))
 *         return -ASPEN_ENOMEM;
 *
 * Crossings are numbered from 1 in the order they happen; a plan
 * (aspen/failpoint.h) says which of them fails. The release build has no
 * gate: the call is the constant false and costs nothing.
 */
#ifndef ASPEN_BASE_FAILPOINT_H
#define ASPEN_BASE_FAILPOINT_H

#include <aspen/error.h>
#include <aspen/failpoint.h>

struct aspen_failpoints {
    struct aspen_failpoint_plan plan;
    bool counting;                        /* a plan is set */
    struct aspen_failpoint_counts counts; /* atomic, relaxed */
};

#ifdef ASPEN_TEST_BUILD
/* Whether this crossing is to fail. `failpoints` may be NULL (never fails). */
bool aspen_failpoint(struct aspen_failpoints *failpoints, enum aspen_step step);
#else
static inline bool
aspen_failpoint(struct aspen_failpoints *failpoints, enum aspen_step step)
{
    (void)failpoints;
    (void)step;
    return false;
}
#endif

/*
 * What a hook has answered that was asked behind the gate: 0, or its negative
 * error unchanged. A positive number is neither, as that of bytes which it has
 * read: it counts as an error, since functions of the core answer with positive
 * numbers, too, and mean something by them.
 */
static inline int
aspen_answer_of(int answer)
{
    return answer > 0 ? -ASPEN_EIO : answer;
}

#endif
