/* SPDX-License-Identifier: MIT */
/*
 * move.h - bytes between memory and a place of a file, all of them.
 */
#ifndef ASPEN_POSIX_MOVE_H
#define ASPEN_POSIX_MOVE_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * preadv() or pwritev(), again and again, until all of the vectors, which are
 * used up, has moved: 0; 1: there was an end to the file before; or a negative
 * errno.
 */
int aspen_posix_move(int descriptor, struct iovec *vectors, unsigned count,
                     off_t at, bool write);

#endif
