/* SPDX-License-Identifier: MIT */
/*
 * devices.c - /dev: null, zero, full, random, urandom, tty, console, and disks:
 * vda, vdb, ...
 */
#include "fs/file.h"

#include "dev/disk.h"
#include "fs/tty.h"
#include "mm/memory.h"
#include "mm/user.h"
#include "sys/random.h"

#define DEVICE(major, minor) ((uint64_t)(major) << 32 | (minor))

static long
null_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    (void)file, (void)to, (void)bytes, (void)offset;
    return 0;
}

static long
null_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    (void)file, (void)from, (void)offset;
    return (long)bytes;
}

static long
zero_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    (void)file, (void)offset;
    return user_clear(to, bytes) ? -EFAULT : (long)bytes;
}

static long
full_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    (void)file, (void)from, (void)bytes, (void)offset;
    return -ENOSPC;
}

static long
random_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    (void)file, (void)offset;
    return random_give(to, bytes);
}

static const struct file_ops null_ops = {null_read, null_write, 0, 0, 0};
static const struct file_ops zero_ops = {zero_read, null_write, 0, 0, 0};
static const struct file_ops full_ops = {zero_read, full_write, 0, 0, 0};
static const struct file_ops random_ops = {random_read, null_write, 0, 0, 0};

static const struct {
    const char *name;
    uint64_t device;
    const struct file_ops *ops;
} devices[] = {
    {"null", DEVICE(1, 3), &null_ops},
    {"zero", DEVICE(1, 5), &zero_ops},
    {"full", DEVICE(1, 7), &full_ops},
    {"random", DEVICE(1, 8), &random_ops},
    {"urandom", DEVICE(1, 9), &random_ops},
    {"tty", DEVICE(5, 0), &tty_ops},
    {"console", DEVICE(5, 1), &tty_ops},
};

/* ---- Disks ------------------------------------------------------------- */

/* As on Linux, where each has 16 numbers. */
#define DISK(number) DEVICE(254, (number)*16)

unsigned
device_disk(uint64_t device)
{
    uint64_t number = (device - DISK(0ul)) / 16;

    return device % 16 == 0 && number < DISKS_MAX ? (unsigned)number
                                                  : DISKS_MAX;
}

uint64_t
device_bytes(uint64_t device)
{
    struct disk *disk = disk_get(device_disk(device));

    return disk ? disk_bytes(disk) : 0;
}

static int
block_part(struct disk *disk, bool write, uint64_t offset, char *buffer,
           uint64_t address, size_t bytes)
{
    int error = write ? user_read(buffer, address, bytes) : 0;

    if (!error)
        error = disk_some(disk, write, offset, buffer, bytes);
    return error || write ? error : user_write(address, buffer, bytes);
}

static long
block_transfer(struct file *file, bool write, uint64_t address, size_t bytes,
               uint64_t *offset)
{
    struct disk *disk = disk_get(device_disk(file->node->device));
    uint64_t end = disk_bytes(disk);
    char *buffer = memory_alloc(PAGE_BYTES);
    size_t total = 0;
    int error = buffer ? 0 : -ENOMEM;

    if (write && bytes && *offset >= end)
        error = -ENOSPC;
    while (!error && total < bytes && *offset < end) {
        size_t part = MIN(MIN(bytes - total, PAGE_BYTES), end - *offset);
        error = block_part(disk, write, *offset, buffer, address + total, part);
        total += error ? 0 : part;
        *offset += error ? 0 : part;
    }
    memory_free(buffer, PAGE_BYTES);
    return total ? (long)total : error;
}

static long
block_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    return block_transfer(file, false, to, bytes, offset);
}

static long
block_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    return block_transfer(file, true, from, bytes, offset);
}

const struct file_ops block_ops = {block_read, block_write, 0, 0, 0};

/* ---- Nodes ------------------------------------------------------------- */

const struct file_ops *
device_ops(uint64_t device)
{
    if (disk_get(device_disk(device)))
        return &block_ops;
    for (unsigned i = 0; i < LENGTH(devices); i++)
        if (devices[i].device == device)
            return devices[i].ops;
    return NULL;
}

/* Makes a directory that may be in the archive already. */
static struct node *
make_directory(const char *name, uint32_t mode)
{
    struct path path;
    int error = tree_make(root_node, name, S_IFDIR | mode, NULL);

    ASSERT(error == 0 || error == -EEXIST);
    ASSERT(path_walk(root_node, name, 0, &path) == 0);
    return path.node;
}

void
devices_init(void)
{
    struct node *dev = make_directory("dev", 0755);

    node_put(make_directory("tmp", 01777));
    node_put(make_directory("root", 0700));
    /* Some may be in the archive already. */
    for (unsigned i = 0; i < LENGTH(devices); i++)
        (void)tree_make_special(dev, devices[i].name, S_IFCHR | 0666,
                                devices[i].device, NULL, NULL);
    for (unsigned i = 0; disk_get(i); i++)
        (void)tree_make_special(dev, (char[]){'v', 'd', (char)('a' + i), 0},
                                S_IFBLK | 0660, DISK((uint64_t)i), NULL, NULL);
    static const struct {
        const char *name, *target;
    } links[] = {{"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"},
                 {"stdout", "/proc/self/fd/1"},
                 {"stderr", "/proc/self/fd/2"}};
    for (unsigned i = 0; i < LENGTH(links); i++)
        (void)tree_make_special(dev, links[i].name, S_IFLNK | 0777, 0,
                                links[i].target, NULL);
    node_put(dev);
}
