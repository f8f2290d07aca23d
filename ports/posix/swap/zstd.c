/* SPDX-License-Identifier: MIT */
/*
 * zstd.c - memory compressed by libzstd, as a swap device.
 *
 * The first test to break is tests/unit/swap/test_devices.c.
 */
#include "memory.h"

#if __has_include(<zstd.h>)
#include <stdlib.h>
#include <zstd.h>

/* What a page gains by a higher one is not worth its time. */
#define LEVEL 1

struct state {
    ZSTD_CCtx *in;
    ZSTD_DCtx *out;
};

static void
end(void *context)
{
    struct state *state = context;

    ZSTD_freeCCtx(state->in);
    ZSTD_freeDCtx(state->out);
    free(state);
}

static void *
begin(void)
{
    struct state *state = calloc(1, sizeof(*state));

    if (!state)
        return NULL;
    state->in = ZSTD_createCCtx();
    state->out = ZSTD_createDCtx();
    if (state->in && state->out)
        return state;
    end(state);
    return NULL;
}

static size_t
compress(void *context, void *to, size_t room, const void *page)
{
    struct state *state = context;
    size_t length =
        ZSTD_compressCCtx(state->in, to, room, page, SWAP_PAGE, LEVEL);

    return ZSTD_isError(length) ? 0 : length;
}

static bool
decompress(void *context, void *page, const void *from, size_t bytes)
{
    struct state *state = context;

    return ZSTD_decompressDCtx(state->out, page, SWAP_PAGE, from, bytes) ==
           SWAP_PAGE;
}

static const struct swap_codec codec = {
    .begin = begin,
    .end = end,
    .compress = compress,
    .decompress = decompress,
};
#endif

const struct swap_kind swap_kind_zstd = {
    .name = "zstd",
    .package = "libzstd-dev",
#if __has_include(<zstd.h>)
    .codec = &codec,
    .open = swap_memory_open,
#endif
    .transfer = swap_memory_transfer,
    .discard = swap_memory_discard,
    .close = swap_memory_close,
};
