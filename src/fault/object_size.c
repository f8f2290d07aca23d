/* SPDX-License-Identifier: MIT */
/*
 * fault/object_size.c - objects that change their size, and holes:
 * object/truncate.c, and the pages that it zeroes in part come back from swap
 * before.
 *
 * I1  A page that came back is held until the call is over, so that it does not
 *     leave again: two at the most, so there is an end to it.
 *
 * Called by the embedder and by madvise. The first test to break is
 * tests/unit/swap/test_shared.c.
 */
#include "object/page_cache.h"

#include "reclaim/attempt.h"
#include "swap/swap.h"

#define EDGES 2u

struct edges {
    struct aspen_object *object;
    uint32_t frames[EDGES]; /* held */
    unsigned count;
};

static void
drop(struct edges *edges)
{
    while (edges->count)
        aspen_frame_put(edges->object->aspen, edges->frames[--edges->count]);
}

/* It is back, unless it has left again. */
static void
keep(struct edges *edges, uint64_t offset)
{
    if (edges->count == EDGES) /* the end has moved meanwhile */
        drop(edges);
    if (!aspen_object_find_page(edges->object, offset,
                                &edges->frames[edges->count]))
        edges->count++;
}

/* 0: try again; or an error. */
static int
hold(struct edges *edges, uint64_t offset)
{
    struct aspen_object *object = edges->object;
    struct aspen_direct direct = {.aspen = object->aspen};
    int error;

    do {
        aspen_direct_begin(&direct);
        error = aspen_swap_back_shared(object, offset, ASPEN_AHEAD_RANDOM,
                                       &direct.payer);
    } while (aspen_direct_again(&direct, error) &&
             !(error = aspen_poll_fatal(object->aspen)));
    if (!error)
        keep(edges, offset);
    aspen_direct_lower(&direct); /* what is held stays */
    return error ? error : aspen_poll_fatal(object->aspen);
}

static int
resize(struct aspen_object *object, uint64_t size_bytes)
{
    struct edges edges = {.object = object};
    uint64_t edge = 0;
    int error;

    do {
        error = aspen_object_try_resize(object, size_bytes, &edge);
    } while (error == ASPEN_OBJECT_IN_SWAP && !(error = hold(&edges, edge)));
    drop(&edges);
    return error;
}

int
aspen_object_resize(struct aspen_object *object, uint64_t size_bytes)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, object->aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = resize(object, size_bytes);
    return error;
}

static int
punch(struct aspen_object *object, uint64_t offset_bytes, uint64_t length_bytes)
{
    struct edges edges = {.object = object};
    uint64_t edge = 0;
    int error;

    do {
        error =
            aspen_object_try_punch(object, offset_bytes, length_bytes, &edge);
    } while (error == ASPEN_OBJECT_IN_SWAP && !(error = hold(&edges, edge)));
    drop(&edges);
    return error;
}

int
aspen_object_punch(struct aspen_object *object, uint64_t offset_bytes,
                   uint64_t length_bytes)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, object->aspen, NULL, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = punch(object, offset_bytes, length_bytes);
    return error;
}
