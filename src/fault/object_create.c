/* SPDX-License-Identifier: MIT */
/*
 * fault/object_create.c - objects begin: object/object.c, by who may wait for
 * memory.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/object/test_object.c.
 */
#include "object/object.h"

#include "reclaim/attempt.h"

int
aspen_object_create(struct aspen *aspen, const struct aspen_object_args *args,
                    struct aspen_object **object)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_object_make(aspen, args, object);
    return error;
}
