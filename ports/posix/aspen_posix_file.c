/* SPDX-License-Identifier: MIT */
/*
 * aspen_posix_file.c - a pager over a file of the host. Its errors pass through
 * as they are: Aspen's numbers are Linux's.
 *
 * The first test to break is tests/unit/port/test_posix_file.c.
 */
#define _GNU_SOURCE
#include "aspen_posix_file.h"
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define VECTORS    32u

struct file {
    int descriptor;
    char *name; /* or NULL */
};

/* All of the vectors, or up to the file's end: 0 or a negative errno. */
static int
move(const struct file *file, struct iovec *vectors, unsigned count, off_t at,
     bool write)
{
    int result = aspen_posix_move(file->descriptor, vectors, count, at, write);

    return result < 0 ? result : 0;
}

/* ---- Hooks ------------------------------------------------------------- */

static int
file_readahead(void *context, uint64_t offset_bytes, void *const pages[],
               unsigned count)
{
    struct iovec vectors[VECTORS];

    if (count > VECTORS)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++)
        vectors[i] = (struct iovec){pages[i], PAGE_BYTES};
    return move(context, vectors, count, (off_t)offset_bytes, false);
}

static int
file_read(void *context, uint64_t offset_bytes, void *page)
{
    return file_readahead(context, offset_bytes, &page, 1);
}

static int
file_write(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    struct iovec vectors[VECTORS];
    off_t at = (off_t)offset_bytes;
    unsigned count = 0;

    for (unsigned i = 0; bytes; i++) {
        size_t part = bytes < PAGE_BYTES ? (size_t)bytes : PAGE_BYTES;
        vectors[count++] = (struct iovec){(void *)(uintptr_t)pages[i], part};
        bytes -= part;
        if (count < VECTORS && bytes)
            continue;
        int error = move(context, vectors, count, at, true);
        if (error)
            return error;
        at += (off_t)(count * PAGE_BYTES);
        count = 0;
    }
    return 0;
}

static int
file_resize(void *context, uint64_t size_bytes)
{
    const struct file *file = context;

    return ftruncate(file->descriptor, (off_t)size_bytes) ? -errno : 0;
}

static int
file_punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    const struct file *file = context;
    int error =
        fallocate(file->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)offset_bytes, (off_t)length_bytes);
    return error ? -errno : 0;
}

static void
file_release(void *context)
{
    struct file *file = context;

    close(file->descriptor);
    free(file->name);
    free(file);
}

static const struct aspen_pager_ops file_ops = {
    .read = file_read,
    .readahead = file_readahead,
    .write = file_write,
    .resize = file_resize,
    .punch = file_punch,
    .release = file_release,
};

/* ---- Life -------------------------------------------------------------- */

static int
file_open(int descriptor, const char *name, struct file **out)
{
    struct file *file = calloc(1, sizeof(*file));

    if (!file)
        return -ENOMEM;
    file->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (file->descriptor < 0) {
        int error = -errno;
        free(file);
        return error;
    }
    file->name = name ? strdup(name) : NULL;
    if (name && !file->name) {
        file_release(file);
        return -ENOMEM;
    }
    *out = file;
    return 0;
}

int
aspen_posix_file_create(struct aspen *aspen, int descriptor, const char *name,
                        struct aspen_object **object)
{
    struct stat status;
    struct file *file = NULL;

    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fstat(descriptor, &status))
        return -errno;
    /* Linux appends what pwrite is to write elsewhere. */
    if (!S_ISREG(status.st_mode) || flags & O_APPEND)
        return -EINVAL;
    int error = file_open(descriptor, name, &file);
    if (error)
        return error;
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE,
        .device = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev),
        .inode = status.st_ino,
        .size_bytes = (uint64_t)status.st_size,
        .name = file->name,
        .pager = &file_ops,
        .context = file,
    };
    error = aspen_object_create(aspen, &args, object);
    if (error)
        file_release(file);
    return error;
}
