/* SPDX-License-Identifier: MIT */
/*
 * file.c - open files, and tables of them.
 */
#include "fs/file.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "proc/process.h"

uint64_t poll_events;

void
poll_wake(void)
{
    __atomic_fetch_add(&poll_events, 1, __ATOMIC_SEQ_CST);
    wake_all(&poll_events);
}

struct file *
file_create(const struct file_ops *ops, unsigned flags)
{
    struct file *file = memory_alloc(sizeof(*file));

    if (!file)
        return NULL;
    file->references = 1;
    file->ops = ops;
    file->flags = flags;
    return file;
}

struct file *
file_get(struct file *file)
{
    __atomic_fetch_add(&file->references, 1, __ATOMIC_RELAXED);
    return file;
}

void
file_put(struct file *file)
{
    if (!file ||
        __atomic_fetch_sub(&file->references, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    if (file->ops->close)
        file->ops->close(file);
    node_put(file->node);
    memory_free(file->text.bytes, file->text.room);
    memory_free(file, sizeof(*file));
}

bool
file_reads(const struct file *file)
{
    return (file->flags & O_ACCMODE) != O_WRONLY && !(file->flags & O_PATH);
}

bool
file_writes(const struct file *file)
{
    return (file->flags & O_ACCMODE) != 0 && !(file->flags & O_PATH);
}

static const struct file_ops *
ops_of(const struct node *node)
{
    switch (node->mode & S_IFMT) {
    case S_IFREG:
        return node->ops ? &text_ops : &regular_ops;
    case S_IFDIR:
        return &directory_ops;
    case S_IFCHR:
    case S_IFBLK:
        return device_ops(node->device);
    default:
        return NULL;
    }
}

int
file_open(struct node *node, unsigned flags, struct file **out)
{
    static const struct file_ops nothing;
    const struct file_ops *ops = flags & O_PATH ? &nothing : ops_of(node);
    int error = 0;

    if (node_is(node, S_IFIFO) && !(flags & O_PATH))
        return fifo_open(node, flags, out);
    if (!ops)
        return node_is(node, S_IFLNK) ? -ELOOP : -ENXIO;
    if (node_is(node, S_IFDIR) && flags & O_ACCMODE)
        return -EISDIR;
    struct file *file = file_create(ops, flags);
    if (!file)
        return -ENOMEM;
    file->node = node_get(node);
    if (ops == &text_ops && node->ops->show)
        error = node->ops->show(node, &file->text);
    if (!error && file->text.failed)
        error = -ENOMEM;
    if (!error && flags & O_TRUNC && ops == &regular_ops)
        error = regular_resize(node, 0);
    if (error) {
        file_put(file);
        return error;
    }
    *out = file;
    return 0;
}

/* ---- Tables ------------------------------------------------------------ */

struct file *
files_get(int number)
{
    struct file_table *table = current->process->files;
    struct file *file = NULL;

    if (number < 0 || (unsigned)number >= FILES_MAX)
        return NULL;
    spin_lock(&table->lock);
    if (table->files[number])
        file = file_get(table->files[number]);
    spin_unlock(&table->lock);
    return file;
}

int
files_add(struct file *file, int lowest, bool close_on_exec)
{
    struct file_table *table = current->process->files;
    unsigned number = (unsigned)lowest;

    spin_lock(&table->lock);
    while (number < FILES_MAX && table->files[number])
        number++;
    if (number < FILES_MAX) {
        table->files[number] = file;
        table->close_on_exec[number] = close_on_exec;
    }
    spin_unlock(&table->lock);
    if (number < FILES_MAX)
        return (int)number;
    file_put(file);
    return -EMFILE;
}

/* What was there. */
static struct file *
exchange(int number, struct file *file, bool close_on_exec)
{
    struct file_table *table = current->process->files;

    spin_lock(&table->lock);
    struct file *before = table->files[number];
    table->files[number] = file;
    table->close_on_exec[number] = close_on_exec;
    spin_unlock(&table->lock);
    return before;
}

static bool
is_number(int number)
{
    return number >= 0 && (unsigned)number < FILES_MAX;
}

int
files_set(struct file *file, int number, bool close_on_exec)
{
    if (is_number(number))
        file = exchange(number, file, close_on_exec);
    file_put(file);
    return is_number(number) ? number : -EBADF;
}

int
files_close(int number)
{
    struct file *file =
        is_number(number) ? exchange(number, NULL, false) : NULL;

    file_put(file);
    return file ? 0 : -EBADF;
}

struct file_table *
files_create(void)
{
    return memory_alloc(sizeof(struct file_table));
}

struct file_table *
files_copy(struct file_table *from)
{
    struct file_table *copy = files_create();

    if (!copy)
        return NULL;
    spin_lock(&from->lock);
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!from->files[i])
            continue;
        copy->files[i] = file_get(from->files[i]);
        copy->close_on_exec[i] = from->close_on_exec[i];
    }
    spin_unlock(&from->lock);
    return copy;
}

void
files_close_on_exec(struct file_table *table)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (!table->files[i] || !table->close_on_exec[i])
            continue;
        struct file *file = table->files[i];
        table->files[i] = NULL;
        file_put(file);
    }
}

void
files_free(struct file_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < FILES_MAX; i++)
        file_put(table->files[i]);
    memory_free(table, sizeof(*table));
}
