/* SPDX-License-Identifier: MIT */
/*
 * files.c - calls on files that are open.
 */
#include "sys/call.h"

#include "mm/memory.h"
#include "mm/space.h"

#define VECTORS_MAX  1024u
#define TRANSFER_MAX 0x7ffff000u

enum direction { READ, WRITE };

/* ---- Bytes ------------------------------------------------------------- */

static long
transfer_once(struct file *file, enum direction direction, uint64_t address,
              size_t bytes, uint64_t *offset)
{
    bytes = MIN(bytes, TRANSFER_MAX);
    if (direction == READ)
        return file->ops->read ? file->ops->read(file, address, bytes, offset)
                               : -EINVAL;
    return file->ops->write ? file->ops->write(file, address, bytes, offset)
                            : -EINVAL;
}

/* A file with a place in it is locked: two writers do not overlap. */
static bool
has_offset(const struct file *file)
{
    return file->ops == &regular_ops || file->ops == &text_ops ||
           file->ops == &block_ops;
}

static int
get_for(int number, enum direction direction, struct file **file)
{
    *file = files_get(number);
    if (*file && (direction == READ ? file_reads(*file) : file_writes(*file)))
        return 0;
    file_put(*file);
    return -EBADF;
}

static long
read_or_write_at(const uint64_t *a, enum direction direction)
{
    struct file *file;
    uint64_t offset = a[3];
    int error = get_for((int)a[0], direction, &file);

    if (error)
        return error;
    long done = (int64_t)a[3] < 0 ? -EINVAL
                : !has_offset(file)
                    ? -ESPIPE
                    : transfer_once(file, direction, a[1], a[2], &offset);
    file_put(file);
    return done;
}

static long
sys_pread64(const uint64_t *a)
{
    return read_or_write_at(a, READ);
}

static long
sys_pwrite64(const uint64_t *a)
{
    return read_or_write_at(a, WRITE);
}

/* Who has read something does not wait for more. */
static bool
would_wait(struct file *file, enum direction direction)
{
    return direction == READ && file->ops->poll &&
           !(file->ops->poll(file) & POLLIN);
}

static long
transfer_vectors(struct file *file, enum direction direction,
                 const uint64_t (*vectors)[2], size_t count, uint64_t *offset)
{
    long total = 0, done;

    for (size_t i = 0; i < count && total < TRANSFER_MAX; i++) {
        size_t part = MIN(vectors[i][1], TRANSFER_MAX - (size_t)total);
        if (!part && (total || i + 1 < count))
            continue;
        if (total && would_wait(file, direction))
            break;
        done = transfer_once(file, direction, vectors[i][0], part, offset);
        if (done < 0)
            return total ? total : done;
        total += done;
        if ((size_t)done < part)
            break;
    }
    return total;
}

/* All vectors are one piece to whoever shares the offset; in a pipe, and to who
 * has opened the file for himself, each is one. */
static long
transfer(struct file *file, enum direction direction,
         const uint64_t (*vectors)[2], size_t count)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < count; i++)
        if ((int64_t)vectors[i][1] < 0)
            return -EINVAL;
    if (!has_offset(file))
        return transfer_vectors(file, direction, vectors, count, &offset);
    mutex_lock(&file->lock);
    long done =
        transfer_vectors(file, direction, vectors, count, &file->offset);
    mutex_unlock(&file->lock);
    return done;
}

static long
read_or_write(const uint64_t *a, enum direction direction)
{
    struct file *file;
    int error = get_for((int)a[0], direction, &file);

    if (error)
        return error;
    long done = transfer(file, direction, &(const uint64_t[2]){a[1], a[2]}, 1);
    file_put(file);
    return done;
}

static long
sys_read(const uint64_t *a)
{
    return read_or_write(a, READ);
}

static long
sys_write(const uint64_t *a)
{
    return read_or_write(a, WRITE);
}

static long
vectored(const uint64_t *a, enum direction direction)
{
    struct file *file;
    size_t bytes = a[2] * 16;
    uint64_t(*vectors)[2];
    long done;
    int error =
        a[2] > VECTORS_MAX ? -EINVAL : get_for((int)a[0], direction, &file);

    if (error)
        return error;
    vectors = memory_alloc(MAX(bytes, 16));
    done = !vectors ? -ENOMEM
           : user_read(vectors, a[1], bytes)
               ? -EFAULT
               : transfer(file, direction, vectors, a[2]);
    memory_free(vectors, MAX(bytes, 16));
    file_put(file);
    return done;
}

static long
sys_readv(const uint64_t *a)
{
    return vectored(a, READ);
}

static long
sys_writev(const uint64_t *a)
{
    return vectored(a, WRITE);
}

static long
sys_lseek(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);
    int64_t at = (int64_t)a[1], from = 0;
    long result;

    if (!file)
        return -EBADF;
    mutex_lock(&file->lock);
    if (a[2] == 1)
        from = (int64_t)file->offset;
    else if (a[2] == 2)
        from =
            (int64_t)(node_size(file->node) + device_bytes(file->node->device));
    bool good = !__builtin_add_overflow(at, from, &at) && at >= 0 && a[2] < 3;
    bool seeks = has_offset(file) || file->ops == &directory_ops;
    result = !seeks ? -ESPIPE : good ? at : -EINVAL;
    if (result >= 0)
        file->offset = (uint64_t)at;
    mutex_unlock(&file->lock);
    file_put(file);
    return result;
}

/* ---- Numbers ----------------------------------------------------------- */

static long
sys_close(const uint64_t *a)
{
    return files_close((int)a[0]);
}

static long
sys_close_range(const uint64_t *a)
{
    struct file_table *table = current->process->files;

    if (a[0] > a[1])
        return -EINVAL;
    for (uint64_t i = a[0]; i <= MIN(a[1], FILES_MAX - 1); i++) {
        if (a[2] & 4) /* CLOSE_RANGE_CLOEXEC */
            table->close_on_exec[i] = true;
        else
            files_close((int)i);
    }
    return 0;
}

static long
sys_dup(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);

    return file ? files_add(file, 0, false) : -EBADF;
}

/* `same`: what it answers if they are the same number. */
static long
dup_to(const uint64_t *a, bool close_on_exec, long same)
{
    struct file *file = files_get((int)a[0]);

    if (!file)
        return -EBADF;
    if ((int)a[0] != (int)a[1])
        return files_set(file, (int)a[1], close_on_exec);
    file_put(file);
    return same;
}

static long
sys_dup2(const uint64_t *a)
{
    return dup_to(a, false, (int)a[1]);
}

static long
sys_dup3(const uint64_t *a)
{
    return dup_to(a, a[2] & O_CLOEXEC, -EINVAL);
}

static long
sys_pipe2(const uint64_t *a)
{
    struct file *reader, *writer;
    int numbers[2];
    int error = pipe_create(&reader, &writer);

    if (error)
        return error;
    reader->flags |= (unsigned)a[1] & O_NONBLOCK;
    writer->flags |= (unsigned)a[1] & O_NONBLOCK;
    numbers[0] = files_add(reader, 0, a[1] & O_CLOEXEC);
    numbers[1] = files_add(writer, 0, a[1] & O_CLOEXEC);
    error = numbers[0] < 0 || numbers[1] < 0 ? -EMFILE
                                             : user_write(a[0], numbers, 8);
    for (unsigned i = 0; error && i < 2; i++)
        if (numbers[i] >= 0)
            files_close(numbers[i]);
    return error;
}

static long
sys_pipe(const uint64_t *a)
{
    return sys_pipe2((const uint64_t[]){a[0], 0});
}

static long
control(struct file *file, const uint64_t *a)
{
    struct file_table *table = current->process->files;
    unsigned settable = O_APPEND | O_NONBLOCK, number = (unsigned)a[0];

    switch (a[1]) {
    case 0:    /* F_DUPFD */
    case 1030: /* F_DUPFD_CLOEXEC */
        return a[2] >= FILES_MAX
                   ? -EINVAL
                   : files_add(file_get(file), (int)a[2], a[1] == 1030);
    case 1: /* F_GETFD */
        return table->close_on_exec[number];
    case 2: /* F_SETFD */
        table->close_on_exec[number] = a[2] & 1;
        return 0;
    case 3: /* F_GETFL */
        return (long)(file->flags & ~O_CLOEXEC);
    case 4: /* F_SETFL */
        file->flags = (file->flags & ~settable) | ((unsigned)a[2] & settable);
        return 0;
    case 6: /* F_SETLK: nobody else has one */
    case 7:
        return 0;
    default:
        return -EINVAL;
    }
}

static long
sys_fcntl(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);

    if (!file)
        return -EBADF;
    long result = control(file, a);
    file_put(file);
    return result;
}

/* ---- The rest ---------------------------------------------------------- */

static long
sys_ioctl(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);
    long result = -ENOTTY;

    if (!file)
        return -EBADF;
    if (file->ops->ioctl)
        result = file->ops->ioctl(file, (unsigned)a[1], a[2]);
    file_put(file);
    return result;
}

static long
sys_getdents64(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);

    if (!file)
        return -EBADF;
    long result = file->ops == &directory_ops ? directory_list(file, a[1], a[2])
                                              : -ENOTDIR;
    file_put(file);
    return result;
}

static long
sys_ftruncate(const uint64_t *a)
{
    struct file *file;
    int error = get_for((int)a[0], WRITE, &file);

    if (error)
        return -EINVAL;
    error = file->node->object && (int64_t)a[1] >= 0
                ? regular_resize(file->node, a[1])
                : -EINVAL;
    file_put(file);
    return error;
}

static long
sys_fsync(const uint64_t *a)
{
    struct file *file = files_get((int)a[0]);
    int error = 0;

    if (!file)
        return -EBADF;
    if (file->node->object)
        error = aspen_object_sync(file->node->object, 0, UINT64_MAX >> 1);
    file_put(file);
    return error;
}

const struct call file_calls[] = {
    {0, sys_read},          {1, sys_write},
    {3, sys_close},         {8, sys_lseek},
    {16, sys_ioctl},        {17, sys_pread64},
    {18, sys_pwrite64},     {19, sys_readv},
    {20, sys_writev},       {22, sys_pipe},
    {32, sys_dup},          {33, sys_dup2},
    {72, sys_fcntl},        {73, nothing_to_do}, /* flock */
    {74, sys_fsync},        {75, sys_fsync},
    {77, sys_ftruncate},    {162, nothing_to_do}, /* sync */
    {217, sys_getdents64},  {221, nothing_to_do}, /* fadvise64 */
    {292, sys_dup3},        {293, sys_pipe2},
    {436, sys_close_range}, {0, NULL},
};
