/* SPDX-License-Identifier: MIT */
/*
 * paths.c - calls that name files: open, make, remove, rename.
 */
#include "sys/call.h"

#include "mm/memory.h"
#include "mm/space.h"

/* ---- open -------------------------------------------------------------- */

/* The node that is opened; it may have to be made. A reference. */
static int
find_or_make(struct node *start, const char *text, unsigned flags,
             uint32_t mode, struct node **node)
{
    unsigned walk = flags & O_NOFOLLOW ? WALK_NOFOLLOW : 0;
    struct path path;
    int error = path_walk(start, text, walk, &path);

    if (!error && flags & O_CREAT && flags & O_EXCL) {
        node_put(path.node);
        return -EEXIST;
    }
    *node = path.node;
    if (error != -ENOENT || !(flags & O_CREAT))
        return error;
    error = path_walk(start, text,
                      WALK_PARENT | (flags & O_EXCL ? 0 : WALK_MAKE), &path);
    if (error)
        return error;
    mode = S_IFREG | (mode & 07777 & ~current->process->umask);
    error = path.slash ? -EISDIR : tree_make(path.node, path.name, mode, node);
    node_put(path.node);
    if (error != -EEXIST || flags & O_EXCL)
        return error;
    error = path_walk(start, text, walk, &path); /* somebody else made it */
    *node = path.node;
    return error;
}

static int
open_node(struct node *node, unsigned flags, struct file **file)
{
    if (flags & O_DIRECTORY && !node_is(node, S_IFDIR))
        return -ENOTDIR;
    return file_open(node, flags, file);
}

static long
sys_openat(const uint64_t *a)
{
    unsigned flags = (unsigned)a[2];
    struct node *start, *node;
    struct file *file;
    char *string;
    int error = call_string(a[1], &string);

    if (error)
        return error;
    error = call_directory((int)a[0], string, &start);
    if (!error) {
        error = (flags & O_TMPFILE) == O_TMPFILE
                    ? -EOPNOTSUPP
                    : find_or_make(start, string, flags, (uint32_t)a[3], &node);
        node_put(start);
    }
    call_string_free(string);
    if (error)
        return error;
    error = open_node(node, flags, &file);
    node_put(node);
    return error ? error : files_add(file, 0, flags & O_CLOEXEC);
}

/* ---- Making and removing ----------------------------------------------- */

static long
make_at(int directory, uint64_t text, uint32_t mode, uint64_t device,
        const char *target)
{
    struct path path;
    int error = call_path(directory, text, WALK_PARENT, &path);

    if (error)
        return error;
    if ((mode & S_IFMT) != S_IFLNK)
        mode &= ~current->process->umask;
    error = tree_make_special(path.node, path.name, mode, device, target, NULL);
    node_put(path.node);
    return error;
}

static long
sys_mkdirat(const uint64_t *a)
{
    return make_at((int)a[0], a[1], S_IFDIR | (a[2] & 07777), 0, NULL);
}

static long
sys_mknodat(const uint64_t *a)
{
    uint32_t mode = (uint32_t)a[2], type = mode & S_IFMT;

    if (!type)
        mode |= S_IFREG;
    if (type && type != S_IFREG && type != S_IFIFO && type != S_IFCHR &&
        type != S_IFBLK)
        return -EPERM;
    return make_at((int)a[0], a[1], mode,
                   (a[3] >> 8 & 0xfff) << 32 | (a[3] & 0xff), NULL);
}

static long
symlink_at(uint64_t target, int directory, uint64_t text)
{
    char *string;
    int error = call_string(target, &string);

    if (error)
        return error;
    long result = string[0]
                      ? make_at(directory, text, S_IFLNK | 0777, 0, string)
                      : -ENOENT;
    call_string_free(string);
    return result;
}

static long
sys_symlink(const uint64_t *a)
{
    return symlink_at(a[0], AT_FDCWD, a[1]);
}

static long
sys_symlinkat(const uint64_t *a)
{
    return symlink_at(a[0], (int)a[1], a[2]);
}

static long
unlink_at(int directory, uint64_t text, bool is_directory)
{
    struct path path;
    int error = call_path(directory, text, WALK_PARENT, &path);

    if (error)
        return error;
    error = path.node->ops ? -EPERM
                           : tree_unlink(path.node, path.name, is_directory);
    node_put(path.node);
    return error;
}

static long
sys_rmdir(const uint64_t *a)
{
    return unlink_at(AT_FDCWD, a[0], true);
}

static long
sys_unlinkat(const uint64_t *a)
{
    return unlink_at((int)a[0], a[1], a[2] & AT_REMOVEDIR);
}

static long
link_at(int from_directory, uint64_t from, int to_directory, uint64_t to,
        bool follow)
{
    struct path old, new;
    int error =
        call_path(from_directory, from, follow ? 0 : WALK_NOFOLLOW, &old);

    if (error)
        return error;
    error = call_path(to_directory, to, WALK_PARENT, &new);
    if (!error) {
        error = tree_link(new.node, new.name, old.node);
        node_put(new.node);
    }
    node_put(old.node);
    return error;
}

static long
sys_link(const uint64_t *a)
{
    return link_at(AT_FDCWD, a[0], AT_FDCWD, a[1], false);
}

static long
sys_linkat(const uint64_t *a)
{
    return link_at((int)a[0], a[1], (int)a[2], a[3], a[4] & AT_SYMLINK_FOLLOW);
}

static long
rename_at(int from_directory, uint64_t from, int to_directory, uint64_t to,
          unsigned flags)
{
    struct path old, new;
    int error = flags & ~1u
                    ? -EINVAL
                    : call_path(from_directory, from, WALK_PARENT, &old);

    if (error)
        return error;
    error = call_path(to_directory, to, WALK_PARENT, &new);
    if (!error) {
        error = tree_rename(old.node, old.name, new.node, new.name, !flags);
        node_put(new.node);
    }
    node_put(old.node);
    return error;
}

static long
sys_rename(const uint64_t *a)
{
    return rename_at(AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

static long
sys_renameat2(const uint64_t *a)
{
    return rename_at((int)a[0], a[1], (int)a[2], a[3], (unsigned)a[4]);
}

/* ---- Where one is ------------------------------------------------------ */

static long
sys_getcwd(const uint64_t *a)
{
    char path[PATH_BYTES_MAX];
    struct node *directory = process_directory();
    int error = path_of(directory, path, sizeof(path));

    node_put(directory);
    if (error)
        return error;
    size_t length = strlen(path) + 1;
    if (length > a[1])
        return -ERANGE;
    return user_write(a[0], path, length) ? -EFAULT : (long)length;
}

static long
change_directory(struct node *node)
{
    if (!node_is(node, S_IFDIR)) {
        node_put(node);
        return -ENOTDIR;
    }
    bool on = irq_lock(&process_lock);
    struct node *before = current->process->directory;
    current->process->directory = node;
    irq_unlock(&process_lock, on);
    node_put(before);
    return 0;
}

static long
sys_chdir(const uint64_t *a)
{
    struct path path;
    int error = call_path(AT_FDCWD, a[0], 0, &path);

    return error ? error : change_directory(path.node);
}

static long
sys_fchdir(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);

    if (!file)
        return -EBADF;
    long result = change_directory(node_get(file->node));
    file_put(file);
    return result;
}

const struct call path_calls[] = {
    {FROM_HERE(3, 2), sys_openat},
    {79, sys_getcwd},
    {80, sys_chdir},
    {81, sys_fchdir},
    {82, sys_rename},
    {FROM_HERE(2, 83), sys_mkdirat},
    {84, sys_rmdir},
    {86, sys_link},
    {FROM_HERE(1, 87), sys_unlinkat},
    {88, sys_symlink},
    {257, sys_openat},
    {258, sys_mkdirat},
    {259, sys_mknodat},
    {263, sys_unlinkat},
    {265, sys_linkat},
    {266, sys_symlinkat},
    {316, sys_renameat2},
    {0, NULL},
};
