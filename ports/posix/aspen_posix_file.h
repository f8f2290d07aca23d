/* SPDX-License-Identifier: MIT */
/**
 * aspen_posix_file.h - objects whose pages are a file of the host.
 */
#ifndef ASPEN_POSIX_FILE_H
#define ASPEN_POSIX_FILE_H

#include <aspen/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * An object for a regular file: its size, device and inode as fstat() has them
 * now. Reading ahead, write-back, size and holes go to the file as preadv,
 * pwritev, ftruncate and fallocate.
 *
 * One object for a file: two of them would not know of each other's pages. The
 * same goes for write(2) by others; aspen_object_write() is the way that knows.
 *
 * Owns:    a duplicate of `descriptor`, and a copy of `name` (or NULL), until
 *          the object goes. A descriptor that is read-only gives what the host
 *          says of it for what writes to the file: -ASPEN_EBADF, or for another
 *          size -ASPEN_EINVAL.
 * Context: may sleep.
 * Returns: 0 and *object with one reference, or -ASPEN_EINVAL (no regular
 *          file; it is open for appending, so that the host would write every
 *          page to its end), -ASPEN_ENOMEM, or what the host says: a negative
 *          errno.
 */
ASPEN_MUST_USE int aspen_posix_file_create(struct aspen *aspen, int descriptor,
                                           const char *name,
                                           struct aspen_object **object);

#ifdef __cplusplus
}
#endif

#endif
