/* SPDX-License-Identifier: MIT */
/**
 * aspen/error.h - error numbers.
 *
 * Every fallible function returns 0 or a negative ASPEN_E* value. The numbers
 * are Linux's, so an embedder that speaks Linux's ABI passes them through. An
 * error that a hook, a pager or the port returns passes through unchanged.
 */
#ifndef ASPEN_ERROR_H
#define ASPEN_ERROR_H

#define ASPEN_EPERM        1   /* not permitted */
#define ASPEN_ENOENT       2   /* no such thing */
#define ASPEN_ESRCH        3   /* its space was killed; or there is none */
#define ASPEN_EINTR        4   /* a fatal signal is pending */
#define ASPEN_EIO          5   /* a pager or swap device failed */
#define ASPEN_EBADF        9   /* not a mapping that can be named */
#define ASPEN_EAGAIN       11  /* would have to wait */
#define ASPEN_ENOMEM       12  /* no memory, no gap, or a charge refused */
#define ASPEN_EACCES       13  /* the protection asked for is not allowed */
#define ASPEN_EFAULT       14  /* nothing is mapped there */
#define ASPEN_EBUSY        16  /* still in use */
#define ASPEN_EEXIST       17  /* something is there already */
#define ASPEN_EINVAL       22  /* an argument makes no sense */
#define ASPEN_EFBIG        27  /* beyond the end of the object */
#define ASPEN_ENOSPC       28  /* no slot left */
#define ASPEN_ERANGE       34  /* the buffer is too small */
#define ASPEN_EOVERFLOW    75  /* offset arithmetic would wrap */
#define ASPEN_EOPNOTSUPP   95  /* this machine or build cannot do that */
#define ASPEN_EALREADY     114 /* it was done before */
#define ASPEN_EKEYREJECTED 129 /* the protection key does not allow it */
#define ASPEN_EHWPOISON    133 /* the page is poisoned */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The name of an error, for people: "ENOMEM".
 *
 * Takes:   either sign.
 * Returns: a static string; "unknown error" for a number not listed above.
 */
const char *aspen_error_name(int error);

#ifdef __cplusplus
}
#endif

#endif
