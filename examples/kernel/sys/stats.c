/* SPDX-License-Identifier: MIT */
/*
 * stats.c - calls about what a file is: stat and its kind, modes, times.
 */
#include "sys/call.h"

#include "mm/memory.h"

struct stat {
    uint64_t device, number, links;
    uint32_t mode, uid, gid, padding;
    uint64_t special_device, size;
    int64_t block_bytes, blocks;
    int64_t times[3][2];
    int64_t unused[3];
};

struct statx_time {
    int64_t seconds;
    uint32_t nanoseconds, padding;
};

struct statx {
    uint32_t mask, block_bytes;
    uint64_t attributes;
    uint32_t links, uid, gid;
    uint16_t mode, padding;
    uint64_t number, size, blocks, attributes_mask;
    struct statx_time times[4];
    uint32_t special_major, special_minor, device_major, device_minor;
    uint64_t rest[14];
};

/* By path, or with an empty one by number. A reference. */
static int
find(int directory, uint64_t text, unsigned flags, struct node **node)
{
    unsigned walk = flags & AT_SYMLINK_NOFOLLOW ? WALK_NOFOLLOW : 0;
    struct path path;
    char first = 0;

    if (flags & AT_EMPTY_PATH && text && user_read(&first, text, 1))
        return -EFAULT;
    if (flags & AT_EMPTY_PATH && !first && directory != AT_FDCWD) {
        struct file *file = files_get(directory);
        if (!file)
            return -EBADF;
        *node = node_get(file->node);
        file_put(file);
        return 0;
    }
    int error = call_path(directory, text, walk, &path);
    *node = path.node;
    return error;
}

static long
stat_at(int directory, uint64_t text, unsigned flags, uint64_t to)
{
    struct node *node;
    int error = find(directory, text, flags, &node);

    if (error)
        return error;
    struct stat stat = {
        .device = 1,
        .number = node->number,
        .links = node->links,
        .mode = node->mode,
        .uid = node->uid,
        .gid = node->gid,
        .special_device = node->device >> 32 << 8 | (node->device & 0xff),
        .size = node_size(node),
        .block_bytes = PAGE_BYTES,
        .blocks = (int64_t)(round_up(node_size(node), PAGE_BYTES) / 512),
    };
    for (unsigned i = 0; i < 3; i++) {
        stat.times[i][0] = (int64_t)(node->modified / SECOND);
        stat.times[i][1] = (int64_t)(node->modified % SECOND);
    }
    node_put(node);
    return user_write(to, &stat, sizeof(stat));
}

static long
sys_newfstatat(const uint64_t *a)
{
    return stat_at((int)a[0], a[1], (unsigned)a[3], a[2]);
}

static long
sys_statx(const uint64_t *a)
{
    struct node *node;
    int error = find((int)a[0], a[1], (unsigned)a[2], &node);

    if (error)
        return error;
    struct statx_time time = {
        .seconds = (int64_t)(node->modified / SECOND),
        .nanoseconds = (uint32_t)(node->modified % SECOND),
    };
    struct statx statx = {
        .mask = 0x7ff,
        .block_bytes = PAGE_BYTES,
        .links = node->links,
        .uid = node->uid,
        .gid = node->gid,
        .mode = (uint16_t)node->mode,
        .number = node->number,
        .size = node_size(node),
        .blocks = round_up(node_size(node), PAGE_BYTES) / 512,
        .times = {time, time, time, time},
        .special_major = (uint32_t)(node->device >> 32),
        .special_minor = (uint32_t)node->device,
        .device_minor = 1,
    };
    node_put(node);
    return user_write(a[4], &statx, sizeof(statx));
}

/* ---- Access ------------------------------------------------------------ */

/* Everybody is root: only what nobody may execute is refused. */
static long
sys_faccessat2(const uint64_t *a)
{
    struct node *node;
    int error = find((int)a[0], a[1], (unsigned)a[3], &node);

    if (error)
        return error;
    bool refused = a[2] & 1 && !node_is(node, S_IFDIR) && !(node->mode & 0111);
    node_put(node);
    return refused ? -EACCES : 0;
}

static long
mode_at(int directory, uint64_t text, unsigned flags, uint32_t mode)
{
    struct node *node;
    int error = find(directory, text, flags, &node);

    if (error)
        return error;
    node->mode = (node->mode & S_IFMT) | (mode & 07777);
    node_put(node);
    return 0;
}

static long
sys_fchmod(const uint64_t *a)
{
    return mode_at((int)a[0], 0, AT_EMPTY_PATH, (uint32_t)a[1]);
}

static long
sys_fchmodat(const uint64_t *a)
{
    return mode_at((int)a[0], a[1], 0, (uint32_t)a[2]);
}

static long
owner_at(int directory, uint64_t text, unsigned flags, uint64_t uid,
         uint64_t gid)
{
    struct node *node;
    int error = find(directory, text, flags, &node);

    if (error)
        return error;
    node->uid = (uint32_t)uid == UINT32_MAX ? node->uid : (uint32_t)uid;
    node->gid = (uint32_t)gid == UINT32_MAX ? node->gid : (uint32_t)gid;
    node_put(node);
    return 0;
}

static long
sys_fchown(const uint64_t *a)
{
    return owner_at((int)a[0], 0, AT_EMPTY_PATH, a[1], a[2]);
}

static long
sys_fchownat(const uint64_t *a)
{
    return owner_at((int)a[0], a[1], (unsigned)a[4], a[2], a[3]);
}

static long
sys_umask(const uint64_t *a)
{
    uint32_t before = current->process->umask;

    current->process->umask = (uint32_t)a[0] & 0777;
    return before;
}

/* ---- Times and links --------------------------------------------------- */

#define UTIME_NOW  0x3fffffff
#define UTIME_OMIT 0x3ffffffe

static long
sys_utimensat(const uint64_t *a)
{
    int64_t times[2][2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    unsigned flags = (unsigned)a[3] | (a[1] ? 0 : AT_EMPTY_PATH);
    struct node *node;
    int error = a[2] ? user_read(times, a[2], sizeof(times)) : 0;

    if (!error)
        error = find((int)a[0], a[1], flags, &node);
    if (error)
        return error;
    if (times[1][1] == UTIME_NOW)
        node->modified = time_unix();
    else if (times[1][1] != UTIME_OMIT)
        node->modified = (uint64_t)times[1][0] * SECOND + (uint64_t)times[1][1];
    node_put(node);
    return 0;
}

static long
sys_readlinkat(const uint64_t *a)
{
    struct text shown = {0};
    struct node *node;
    int error = (int)a[3] <= 0
                    ? -EINVAL
                    : find((int)a[0], a[1], AT_SYMLINK_NOFOLLOW, &node);

    if (error)
        return error;
    if (!node_is(node, S_IFLNK))
        error = -EINVAL;
    else if (node->target)
        text_add(&shown, node->target, strlen(node->target));
    else
        error = node->ops->show(node, &shown);
    size_t bytes = MIN(a[3], shown.length);
    if (!error)
        error = shown.failed ? -ENOMEM : user_write(a[2], shown.bytes, bytes);
    memory_free(shown.bytes, shown.room);
    node_put(node);
    return error ? error : (long)bytes;
}

const struct call stat_calls[] = {
    {FROM_HERE(2, 21), sys_faccessat2},
    {FROM_HERE(3, 89), sys_readlinkat},
    {FROM_HERE(2, 90), sys_fchmodat},
    {91, sys_fchmod},
    {FROM_HERE(3, 92), sys_fchownat},
    {93, sys_fchown},
    {95, sys_umask},
    {260, sys_fchownat},
    {262, sys_newfstatat},
    {267, sys_readlinkat},
    {268, sys_fchmodat},
    {280, sys_utimensat},
    {332, sys_statx},
    {439, sys_faccessat2},
    {0, NULL},
};
