/* SPDX-License-Identifier: MIT */
/*
 * file.c - a file of the host, or a block device, as a swap device.
 *
 * The file has holes where nothing was written: where the file system is full a
 * write fails, and the page stays in memory.
 *
 * The first test to break is tests/unit/swap/test_devices.c.
 */
#define _GNU_SOURCE
#include "kinds.h"

#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    int descriptor;
    bool is_theirs; /* it stays, and gets empty again */
};

/* It has no name any more, so that nothing of it stays, however we end. */
static int
make(const char *path, struct swap_why *why)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (descriptor < 0)
        return swap_because(why, -errno, "cannot make %s: %s", path,
                            strerror(errno));
    unlink(path);
    return descriptor;
}

/* O_EXCL: a block device that is mounted, or swap already, is refused. */
static int
open_there(const char *path, bool is_device, struct swap_why *why)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC | (is_device ? O_EXCL : 0));

    if (descriptor < 0)
        return swap_because(why, -errno, "cannot open %s: %s", path,
                            strerror(errno));
    return descriptor;
}

/* What is there is nothing to write over. */
static int
check(int descriptor, const char *path, bool is_device, uint64_t bytes,
      struct swap_why *why)
{
    off_t size = lseek(descriptor, 0, SEEK_END);

    if (size < 0)
        return swap_because(why, -errno, "cannot tell the size of %s: %s", path,
                            strerror(errno));
    if (is_device && (uint64_t)size < bytes)
        return swap_because(
            why, -EINVAL, "%s has %llu bytes, and %llu are wanted", path,
            (unsigned long long)size, (unsigned long long)bytes);
    if (!is_device && size > 0)
        return swap_because(why, -EINVAL, "%s is not empty", path);
    if (!is_device && ftruncate(descriptor, (off_t)bytes) != 0)
        return swap_because(why, -errno, "cannot make %s larger: %s", path,
                            strerror(errno));
    return 0;
}

static int
file_open(struct aspen_posix_swap *device, const char *path,
          struct swap_why *why)
{
    struct stat found;
    bool there = stat(path, &found) == 0;
    bool is_device = there && S_ISBLK(found.st_mode);
    struct file *file;

    if (there && !is_device && !S_ISREG(found.st_mode))
        return swap_because(why, -EINVAL, "%s is no file or block device",
                            path);
    int descriptor = there ? open_there(path, is_device, why) : make(path, why);
    if (descriptor < 0)
        return descriptor;
    int error = check(descriptor, path, is_device,
                      (uint64_t)device->pages * SWAP_PAGE, why);
    file = error ? NULL : malloc(sizeof(*file));
    if (!error && !file)
        error = swap_because(why, -ENOMEM, "no memory");
    if (error) {
        close(descriptor);
        return error;
    }
    file->descriptor = descriptor;
    file->is_theirs = there && !is_device;
    device->own = file;
    return 0;
}

static int
file_transfer(struct aspen_posix_swap *device, const struct aspen_swap_io *io)
{
    const struct file *file = device->own;
    struct iovec vectors[ASPEN_SWAP_IO_PAGES];

    for (uint32_t i = 0; i < io->pages; i++)
        vectors[i] = (struct iovec){io->memory[i], SWAP_PAGE};
    int result =
        aspen_posix_move(file->descriptor, vectors, io->pages,
                         (off_t)io->slot * (off_t)SWAP_PAGE, io->write);
    /* Somebody has made the file shorter. */
    return result > 0 ? -EIO : result;
}

static void
file_close(struct aspen_posix_swap *device)
{
    struct file *file = device->own;

    if (file->is_theirs)
        (void)!ftruncate(file->descriptor, 0);
    close(file->descriptor);
    free(file);
}

const struct swap_kind swap_kind_file = {
    .name = "file",
    .more = "PATH",
    .open = file_open,
    .transfer = file_transfer,
    .close = file_close,
};
