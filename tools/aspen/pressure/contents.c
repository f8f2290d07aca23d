/* SPDX-License-Identifier: MIT */
/*
 * contents.c - see contents.h.
 *
 * Called by run.c. tests/tools/pressure.sh breaks first.
 */
#include "pressure/contents.h"
#include "pressure/machine.h"
#include "trace/trace.h"

#include <string.h>

#define WORDS (PRESSURE_PAGE / sizeof(uint64_t))

static void
noise(uint64_t *words, uint64_t *seed)
{
    uint64_t x = trace_random(seed) | 1;

    for (unsigned i = 0; i < WORDS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        words[i] = x;
    }
}

/* Words of a small vocabulary, as programs' data is: pointers and numbers that
 * are alike. */
static void
text(uint64_t *words, uint64_t *seed)
{
    uint64_t vocabulary[16];

    noise(words, seed);
    memcpy(vocabulary, words, sizeof(vocabulary));
    for (unsigned i = 16; i < WORDS; i++)
        words[i] = words[i] & 7 ? vocabulary[words[i] >> 60] : words[i] >> 40;
}

void
pressure_contents(uint32_t page, uint32_t version, void *bytes)
{
    uint64_t *words = bytes;
    uint64_t seed = (uint64_t)version << 32 | page;
    uint64_t kind = trace_random(&seed) % 8;

    if (version == 0)
        memset(bytes, 0, PRESSURE_PAGE);
    else if (kind == 0)
        for (unsigned i = 0; i < WORDS; i++)
            words[i] = seed;
    else if (kind < 3)
        noise(words, &seed);
    else
        text(words, &seed);
}
