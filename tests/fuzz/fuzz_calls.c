/* SPDX-License-Identifier: MIT */
/*
 * fuzz_calls.c - `aspen fuzz` with libFuzzer's choices instead of a seed's: it
 * looks for bytes that lead to code of the library that no bytes have led to.
 * The host's kernel is beside it all the same.
 *
 * make fuzz runs it.
 */
#include "fuzz/session.h"

#include <stdlib.h>

#define MOST 400u /* operations in a sequence */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static struct fuzz_pair *
begin(void)
{
    struct fuzz_pair *pair = calloc(1, sizeof(*pair));

    if (!pair || fuzz_pair_begin(pair) != 0) {
        fprintf(stderr, "fuzz_calls: %s\n",
                pair ? pair->error.text : "no memory");
        exit(2);
    }
    return pair;
}

static void
check(struct fuzz_pair *pair, const struct fuzz_sequence *sequence,
      enum fuzz_step step)
{
    if (step == FUZZ_FAILED) {
        fprintf(stderr, "fuzz_calls: %s\n", pair->error.text);
        exit(2);
    }
    if (step != FUZZ_UNEXPLAINED)
        return;
    fuzz_text_write(stderr, sequence, "libFuzzer", pair->compare.what);
    abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct fuzz_pair *pair;
    static struct fuzz_sequence sequence;
    struct fuzz_mix mix = {.choices = {.bytes = bytes, .left = length}};
    enum fuzz_step step = FUZZ_GO_ON;
    struct fuzz_op op;
    int64_t answer;

    if (!pair)
        pair = begin();
    sequence.count = 0;
    fuzz_mix_begin(&mix, &pair->abilities, &pair->compare.theirs);
    if (fuzz_pair_fresh(pair) != 0)
        check(pair, &sequence, FUZZ_FAILED);
    while (mix.choices.left && sequence.count < MOST && step == FUZZ_GO_ON) {
        fuzz_mix_next(&mix, &op);
        if (fuzz_op_is_forbidden(&op, mix.processes))
            continue;
        if (!fuzz_sequence_add(&sequence, &op))
            return 0;
        step = fuzz_pair_step(pair, &op, &answer);
        fuzz_mix_answered(&mix, &op, answer);
        check(pair, &sequence, step);
    }
    check(pair, &sequence, fuzz_pair_finish(pair, step));
    return 0;
}
