/* SPDX-License-Identifier: MIT */
/*
 * every_track.c - calls of aspen/track, as every_call.h makes them.
 */
#include "every_track.h"

/* A context, what is done with it, and its end. */
static int
with_userfault(struct every *e, const struct call *call,
               int (*run)(struct aspen_userfault *userfault, uint64_t at,
                          uint64_t bytes))
{
    struct aspen_userfault *userfault;

    int error =
        aspen_userfault_create(e->mm, ASPEN_USERFAULT_WP_ASYNC, &userfault);
    if (error)
        return error;
    error = aspen_userfault_register(userfault, AT(call->first),
                                     AT(call->pages), ASPEN_USERFAULT_MODE_WP);
    if (!error && run)
        error = run(userfault, AT(call->first), AT(call->pages));
    if (error)
        aspen_userfault_close(userfault); /* a whole mapping: nothing to join */
    else
        e->made_userfault = userfault;
    return error;
}

static int
protect_all(struct aspen_userfault *userfault, uint64_t at, uint64_t bytes)
{
    return aspen_userfault_write_protect(userfault, at, bytes,
                                         ASPEN_USERFAULT_PROTECT);
}

static int
unregister_half(struct aspen_userfault *userfault, uint64_t at, uint64_t bytes)
{
    return aspen_userfault_unregister(userfault, at, bytes / 2);
}

int
run_userfault_create(struct every *e, const struct call *call)
{
    return with_userfault(e, call, NULL);
}

int
run_userfault_protect(struct every *e, const struct call *call)
{
    return with_userfault(e, call, protect_all);
}

int
run_userfault_unregister(struct every *e, const struct call *call)
{
    return with_userfault(e, call, unregister_half);
}

int
run_pagemap_scan(struct every *e, const struct call *call)
{
    struct aspen_pagemap_region region;
    struct aspen_pagemap_scan scan = {
        .start = AT(call->first),
        .end = AT(call->first + call->pages),
        .returned = ASPEN_PAGE_CATEGORIES,
        .regions = &region,
        .regions_max = 1,
    };

    return aspen_pagemap_scan(e->mm, &scan);
}
