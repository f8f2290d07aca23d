/* SPDX-License-Identifier: MIT */
/*
 * lz4.c - memory compressed by liblz4, as a swap device.
 *
 * The first test to break is tests/unit/swap/test_devices.c.
 */
#include "memory.h"

#if __has_include(<lz4.h>)
#include <lz4.h>

static size_t
compress(void *state, void *to, size_t room, const void *page)
{
    int length = LZ4_compress_default(page, to, SWAP_PAGE, (int)room);

    (void)state;
    return length > 0 ? (size_t)length : 0;
}

static bool
decompress(void *state, void *page, const void *from, size_t bytes)
{
    (void)state;
    return LZ4_decompress_safe(from, page, (int)bytes, SWAP_PAGE) == SWAP_PAGE;
}

static const struct swap_codec codec = {
    .compress = compress,
    .decompress = decompress,
};
#endif

const struct swap_kind swap_kind_lz4 = {
    .name = "lz4",
    .package = "liblz4-dev",
#if __has_include(<lz4.h>)
    .codec = &codec,
    .open = swap_memory_open,
#endif
    .transfer = swap_memory_transfer,
    .discard = swap_memory_discard,
    .close = swap_memory_close,
};
