/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes, with and without a name.
 *
 * The pipe's mutex is held while bytes are copied from and to a program: a
 * page fault on the way may sleep.
 */
#include "fs/file.h"

#include "mm/memory.h"
#include "mm/user.h"
#include "proc/signal.h"

#define PIPE_BYTES 16384u
#define PIPE_WHOLE 4096u /* so much is written in one piece */

struct pipe {
    struct mutex lock;
    char *bytes;
    size_t at;     /* of the oldest byte */
    size_t length; /* in the pipe */
    unsigned readers, writers;
    unsigned opened_readers, opened_writers; /* ever: who waits in open */
    uint32_t references;
};

static struct mutex fifo_lock; /* node->pipe */

static struct pipe *
pipe_alloc(void)
{
    struct pipe *pipe = memory_alloc(sizeof(*pipe));

    if (!pipe)
        return NULL;
    pipe->bytes = memory_alloc(PIPE_BYTES);
    if (!pipe->bytes) {
        memory_free(pipe, sizeof(*pipe));
        return NULL;
    }
    return pipe;
}

static void
pipe_put(struct pipe *pipe)
{
    if (__atomic_fetch_sub(&pipe->references, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    memory_free(pipe->bytes, PIPE_BYTES);
    memory_free(pipe, sizeof(*pipe));
}

static void
changed(struct pipe *pipe)
{
    wake_all(pipe);
    poll_wake();
}

/* ---- Bytes ------------------------------------------------------------- */

/* What does not go around the end. */
static long
take_locked(struct pipe *pipe, uint64_t to, size_t bytes)
{
    size_t part = MIN(MIN(bytes, pipe->length), PIPE_BYTES - pipe->at);

    if (user_write(to, pipe->bytes + pipe->at, part))
        return -EFAULT;
    pipe->at = (pipe->at + part) % PIPE_BYTES;
    pipe->length -= part;
    return (long)part;
}

static long
give_locked(struct pipe *pipe, uint64_t from, size_t bytes)
{
    size_t end = (pipe->at + pipe->length) % PIPE_BYTES;
    size_t part = MIN(MIN(bytes, PIPE_BYTES - pipe->length), PIPE_BYTES - end);

    if (user_read(pipe->bytes + end, from, part))
        return -EFAULT;
    pipe->length += part;
    return (long)part;
}

static long
pipe_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    struct pipe *pipe = file->pipe;
    long total = 0, part = 0;
    int error = 0;

    (void)offset;
    while (bytes && !total) {
        mutex_lock(&pipe->lock);
        /* With the lock: otherwise a writer who wrote and left since then is
         * seen to be gone, and what he wrote is not seen. */
        bool ended = !pipe->writers;
        while (bytes && pipe->length) {
            part = take_locked(pipe, to, bytes);
            if (part < 0)
                break;
            to += (uint64_t)part;
            bytes -= (size_t)part;
            total += part;
        }
        mutex_unlock(&pipe->lock);
        if (total || part < 0 || ended)
            break;
        if (file->flags & O_NONBLOCK)
            return -EAGAIN;
        WAIT_INTERRUPTIBLE(pipe, FOREVER, pipe->length || !pipe->writers,
                           error);
        if (error)
            return -ERESTART;
    }
    if (total)
        changed(pipe);
    return total ? total : MIN(part, 0);
}

/* Small writes go in whole. */
static bool
has_room(const struct pipe *pipe, size_t bytes)
{
    return PIPE_BYTES - pipe->length >= (bytes <= PIPE_WHOLE ? bytes : 1);
}

static long
pipe_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    struct pipe *pipe = file->pipe;
    long total = 0, part = 0;
    int error = 0;

    (void)offset;
    while (bytes && part >= 0) {
        mutex_lock(&pipe->lock);
        if (!pipe->readers) {
            mutex_unlock(&pipe->lock);
            signal_send_self(SIGPIPE);
            return total ? total : -EPIPE;
        }
        part = 0;
        while (bytes && has_room(pipe, bytes)) {
            part = give_locked(pipe, from, bytes);
            if (part < 0)
                break;
            from += (uint64_t)part;
            bytes -= (size_t)part;
            total += part;
        }
        mutex_unlock(&pipe->lock);
        changed(pipe);
        if (!bytes || part < 0)
            break;
        if (file->flags & O_NONBLOCK)
            return total ? total : -EAGAIN;
        WAIT_INTERRUPTIBLE(pipe, FOREVER,
                           has_room(pipe, bytes) || !pipe->readers, error);
        if (error)
            return total ? total : -ERESTART;
    }
    return total ? total : part;
}

/* ---- Ends -------------------------------------------------------------- */

static unsigned
pipe_poll(struct file *file)
{
    struct pipe *pipe = file->pipe;
    unsigned events = 0;

    /* In this order: see pipe_read(). Without the lock, for it may sleep. */
    if (file_reads(file)) {
        events |=
            __atomic_load_n(&pipe->writers, __ATOMIC_ACQUIRE) ? 0 : POLLHUP;
        events |= pipe->length ? POLLIN : 0;
    }
    if (file_writes(file))
        events |= (has_room(pipe, PIPE_WHOLE) ? POLLOUT : 0) |
                  (pipe->readers ? 0 : POLLERR);
    return events;
}

static long
pipe_ioctl(struct file *file, unsigned request, uint64_t argument)
{
    int length = (int)file->pipe->length;

    if (request != 0x541b) /* FIONREAD */
        return -ENOTTY;
    return user_write(argument, &length, sizeof(length));
}

static void
pipe_close(struct file *file)
{
    struct pipe *pipe = file->pipe;
    struct node *node = file->node;

    mutex_lock(&fifo_lock);
    mutex_lock(&pipe->lock);
    pipe->readers -= file_reads(file);
    pipe->writers -= file_writes(file);
    if (!pipe->readers && !pipe->writers)
        node->pipe = NULL;
    mutex_unlock(&pipe->lock);
    mutex_unlock(&fifo_lock);
    changed(pipe);
    pipe_put(pipe);
}

static const struct file_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .ioctl = pipe_ioctl,
    .close = pipe_close,
};

static struct file *
open_end(struct node *node, struct pipe *pipe, unsigned flags)
{
    struct file *file = file_create(&pipe_ops, flags);

    if (!file)
        return NULL;
    file->node = node_get(node);
    __atomic_fetch_add(&pipe->references, 1, __ATOMIC_RELAXED);
    mutex_lock(&pipe->lock);
    file->pipe = pipe;
    pipe->readers += file_reads(file);
    pipe->writers += file_writes(file);
    pipe->opened_readers += file_reads(file);
    pipe->opened_writers += file_writes(file);
    mutex_unlock(&pipe->lock);
    return file;
}

/* ---- With a name ------------------------------------------------------- */

/* *missing: whose number has to change before the other end has been open, and
 * from what; NULL: it is open. */
static int
fifo_open_locked(struct node *node, unsigned flags, struct file **out,
                 unsigned **missing, unsigned *number)
{
    struct pipe *pipe = node->pipe ? node->pipe : pipe_alloc();

    if (!pipe)
        return -ENOMEM;
    __atomic_fetch_add(&pipe->references, 1, __ATOMIC_RELAXED);
    struct file *file = open_end(node, pipe, flags);
    if (file)
        node->pipe = pipe;
    *missing = !file            ? NULL
               : !pipe->readers ? &pipe->opened_readers
               : !pipe->writers ? &pipe->opened_writers
                                : NULL;
    *number = *missing ? **missing : 0;
    pipe_put(pipe);
    *out = file;
    return file ? 0 : -ENOMEM;
}

/* Who does not wait for a reader wants one. */
static bool
is_refused(const struct node *node, unsigned flags)
{
    return flags & O_NONBLOCK && (flags & O_ACCMODE) == O_WRONLY &&
           node->links && !(node->pipe && node->pipe->readers);
}

/* Whoever opens one end waits until somebody has opened the other, unless it is
 * a pipe without a name. */
int
fifo_open(struct node *node, unsigned flags, struct file **out)
{
    struct file *file;
    unsigned *missing, number;
    int error;

    mutex_lock(&fifo_lock);
    error = is_refused(node, flags)
                ? -ENXIO
                : fifo_open_locked(node, flags, &file, &missing, &number);
    mutex_unlock(&fifo_lock);
    if (error)
        return error;
    changed(file->pipe);
    /* Who opens the other end may have left before this one looks. */
    if (missing && !(flags & O_NONBLOCK) && node->links)
        WAIT_INTERRUPTIBLE(file->pipe, FOREVER, *missing != number, error);
    if (error) {
        file_put(file);
        return -ERESTART;
    }
    *out = file;
    return 0;
}

/* A node that no entry leads to, but /proc/self/fd does. */
int
pipe_create(struct file **reader, struct file **writer)
{
    struct node *node = node_create(S_IFIFO | 0600, "pipe:");
    int error = node ? 0 : -ENOMEM;

    *reader = NULL;
    if (!error)
        error = fifo_open(node, O_NONBLOCK, reader);
    if (!error)
        error = fifo_open(node, O_NONBLOCK | O_WRONLY, writer);
    node_put(node);
    if (error) {
        file_put(*reader);
        return error;
    }
    (*reader)->flags &= ~O_NONBLOCK;
    (*writer)->flags &= ~O_NONBLOCK;
    return 0;
}
