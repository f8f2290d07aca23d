/* SPDX-License-Identifier: MIT */
/*
 * shrink.c - from a sequence that differs to one of few operations that
 * still does: first without whole stretches, then without single operations,
 * then with plainer arguments. Any unexplained difference will do.
 *
 * Called by command.c. tests/tools/fuzz.sh breaks first.
 */
#include "fuzz/session.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 4000u

/* 1: still differs, 0: not, -1: failed. What comes after the difference is
 * cut off. */
static int
still_differs(struct fuzz_pair *pair, struct fuzz_sequence *sequence)
{
    size_t made;

    switch (fuzz_pair_replay(pair, sequence, &made)) {
    case FUZZ_UNEXPLAINED:
        sequence->count = made;
        return 1;
    case FUZZ_FAILED:
        return -1;
    case FUZZ_GO_ON:
    case FUZZ_STOP:
        break;
    }
    return 0;
}

static bool
copy_without(struct fuzz_sequence *to, const struct fuzz_sequence *from,
             size_t first, size_t count)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        if ((i < first || i >= first + count) &&
            !fuzz_sequence_add(to, &from->ops[i]))
            return false;
    return true;
}

/* Leave out stretches of so many operations. 1: something went. */
static int
shrink_by(struct fuzz_pair *pair, struct fuzz_sequence *sequence, size_t count,
          unsigned *tries)
{
    struct fuzz_sequence part = {0};
    size_t first = sequence->count > count ? sequence->count - count : 0;
    int result, went = 0;

    while (*tries && sequence->count > 1) {
        --*tries;
        if (!copy_without(&part, sequence, first, count)) {
            went = tool_fail(&pair->error, "no memory");
            break;
        }
        result = part.count ? still_differs(pair, &part) : 0;
        if (result < 0) {
            went = result;
            break;
        }
        if (result > 0) {
            struct fuzz_sequence old = *sequence;
            *sequence = part;
            part = old;
            went = 1;
        }
        if (first == 0)
            break;
        first = first > count ? first - count : 0;
        if (first >= sequence->count)
            first = sequence->count - 1;
    }
    fuzz_sequence_free(&part);
    return went;
}

/* One argument as another value: does it still differ? */
static int
try_argument(struct fuzz_pair *pair, struct fuzz_sequence *sequence, size_t op,
             unsigned argument, uint64_t value)
{
    uint64_t *at = &sequence->ops[op].call.arguments[argument];
    uint64_t old = *at;
    size_t count = sequence->count;
    int result;

    if (old == value)
        return 0;
    *at = value;
    result = still_differs(pair, sequence);
    if (result == 0) {
        *at = old;
        sequence->count = count;
    }
    return result;
}

static int
simplify(struct fuzz_pair *pair, struct fuzz_sequence *sequence)
{
    int result = 0;

    for (size_t i = 0; i < sequence->count && result >= 0; i++) {
        const uint64_t *a = sequence->ops[i].call.arguments;

        if (sequence->ops[i].kind != FUZZ_CALL)
            continue;
        for (unsigned j = 0; j < 2 && result >= 0; j++)
            result = try_argument(pair, sequence, i, j,
                                  (a[j] + FUZZ_PAGE - 1) & -FUZZ_PAGE);
        if (i < sequence->count && result >= 0)
            result = try_argument(pair, sequence, i, 3, a[3] & 0x33);
        if (i < sequence->count && result >= 0)
            result = try_argument(pair, sequence, i, 5, 0);
        if (i < sequence->count && result >= 0 && a[1] > FUZZ_PAGE)
            result = try_argument(pair, sequence, i, 1, FUZZ_PAGE);
    }
    return result;
}

int
fuzz_shrink(struct fuzz_pair *pair, struct fuzz_sequence *sequence)
{
    unsigned tries = TRIES;
    int result = still_differs(pair, sequence);

    if (result <= 0)
        return result;
    for (size_t count = sequence->count / 2; count > 0 && result >= 0;
         count /= 2)
        result = shrink_by(pair, sequence, count, &tries);
    if (result >= 0)
        result = simplify(pair, sequence);
    while (result >= 0 && (result = shrink_by(pair, sequence, 1, &tries)) == 1)
        ;
    return result < 0 ? result : still_differs(pair, sequence);
}
