/* SPDX-License-Identifier: MIT */
/*
 * move.c - see move.h.
 *
 * Called by aspen_posix_file.c and swap/file.c. The first test to break is
 * tests/unit/port/test_posix_file.c.
 */
#define _GNU_SOURCE
#include "move.h"

#include <errno.h>
#include <string.h>

/* What a call that moved `moved` bytes has left to do. */
static void
advance(struct iovec *vectors, unsigned *count, size_t moved)
{
    unsigned done = 0;

    while (done < *count && moved >= vectors[done].iov_len)
        moved -= vectors[done++].iov_len;
    memmove(vectors, vectors + done, (*count - done) * sizeof(*vectors));
    *count -= done;
    if (*count) {
        vectors[0].iov_base = (char *)vectors[0].iov_base + moved;
        vectors[0].iov_len -= moved;
    }
}

int
aspen_posix_move(int descriptor, struct iovec *vectors, unsigned count,
                 off_t at, bool write)
{
    while (count) {
        ssize_t moved = write ? pwritev(descriptor, vectors, (int)count, at)
                              : preadv(descriptor, vectors, (int)count, at);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return -errno;
        if (moved == 0)
            return write ? -ENOSPC : 1;
        at += moved;
        advance(vectors, &count, (size_t)moved);
    }
    return 0;
}
