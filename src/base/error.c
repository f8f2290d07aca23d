/* SPDX-License-Identifier: MIT */
/*
 * error.c - names of error numbers, for people.
 *
 * First to break: tests/unit/base/test_base.c.
 */
#include <aspen/error.h>

#define NAME(error)                                                            \
    case ASPEN_##error:                                                        \
        return #error

const char *
aspen_error_name(int error)
{
    switch (error < 0 ? -(unsigned)error : (unsigned)error) {
    case 0:
        return "success";
        NAME(EPERM);
        NAME(ENOENT);
        NAME(ESRCH);
        NAME(EINTR);
        NAME(EIO);
        NAME(EBADF);
        NAME(EAGAIN);
        NAME(ENOMEM);
        NAME(EACCES);
        NAME(EFAULT);
        NAME(EBUSY);
        NAME(EEXIST);
        NAME(EINVAL);
        NAME(EFBIG);
        NAME(ENOSPC);
        NAME(ERANGE);
        NAME(EOVERFLOW);
        NAME(EOPNOTSUPP);
        NAME(EALREADY);
        NAME(EKEYREJECTED);
        NAME(EHWPOISON);
    default:
        return "unknown error";
    }
}
