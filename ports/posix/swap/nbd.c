/* SPDX-License-Identifier: MIT */
/*
 * nbd.c - a server of network block devices as a swap device: memory or a disk
 * of another machine.
 *
 * A thread has the connection alone. Whoever submits puts his transfer into a
 * queue and wakes it; several are under way, and end in the server's order.
 *
 * I1  Each transfer ends once: it is in the queue, or libnbd has it and will
 * call ended(), also when the connection goes. I2  A server that says nothing
 * for swap_nbd_patience_ms while something is under way is gone: the connection
 * is cut, which ends all.
 *
 * The first test to break is tests/unit/swap/test_nbd.c.
 */
#define _GNU_SOURCE
#include "kinds.h"

unsigned swap_nbd_patience_ms = 30000;

#if __has_include(<libnbd.h>)
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct request {
    struct request *next;
    struct connection *connection;
    struct aspen_swap_io *io;
    char *buffer; /* behind this, or the page itself */
};

struct connection {
    struct aspen_posix_swap *device;
    struct nbd_handle *nbd;
    pthread_t thread;
    int wake;             /* an eventfd */
    pthread_mutex_t lock; /* for the next three */
    struct request *first;
    struct request **last;
    bool ending;
    /* Of the thread alone. */
    unsigned under_way;
    uint64_t heard_ms; /* of the server last, or nothing was under way */
};

static uint64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- One transfer ------------------------------------------------------ */

static void
gather(const struct request *request)
{
    const struct aspen_swap_io *io = request->io;

    for (uint32_t i = 0; io->pages > 1 && i < io->pages; i++)
        memcpy(request->buffer + i * SWAP_PAGE, io->memory[i], SWAP_PAGE);
}

static void
scatter(const struct request *request)
{
    const struct aspen_swap_io *io = request->io;

    for (uint32_t i = 0; io->pages > 1 && i < io->pages; i++)
        memcpy(io->memory[i], request->buffer + i * SWAP_PAGE, SWAP_PAGE);
}

static void
end(struct request *request, int error)
{
    struct aspen_posix_swap *device = request->connection->device;
    struct aspen_swap_io *io = request->io;

    if (!error && !io->write)
        scatter(request);
    free(request);
    swap_ended(device, io, error);
}

/* 1: libnbd is to forget it. */
static int
ended(void *argument, int *error)
{
    struct request *request = argument;

    request->connection->under_way--;
    request->connection->heard_ms = now_ms();
    end(request, -*error);
    return 1;
}

static void
start(struct connection *connection, struct request *request)
{
    const struct aspen_swap_io *io = request->io;
    nbd_completion_callback callback = {.callback = ended,
                                        .user_data = request};
    uint64_t at = (uint64_t)io->slot * SWAP_PAGE;
    size_t bytes = (size_t)io->pages * SWAP_PAGE;

    if (connection->under_way++ == 0)
        connection->heard_ms = now_ms();
    if (io->write)
        gather(request);
    int64_t cookie = io->write
                         ? nbd_aio_pwrite(connection->nbd, request->buffer,
                                          bytes, at, callback, 0)
                         : nbd_aio_pread(connection->nbd, request->buffer,
                                         bytes, at, callback, 0);
    if (cookie >= 0)
        return;
    /* The connection is gone, or it is no request that could be made. */
    connection->under_way--;
    end(request, -EIO);
}

/* ---- The thread -------------------------------------------------------- */

static struct request *
take_queue(struct connection *connection, bool *ending)
{
    pthread_mutex_lock(&connection->lock);
    struct request *first = connection->first;
    connection->first = NULL;
    connection->last = &connection->first;
    *ending = connection->ending;
    pthread_mutex_unlock(&connection->lock);
    return first;
}

static bool
is_gone(struct connection *connection)
{
    return nbd_aio_is_dead(connection->nbd) == 1 ||
           nbd_aio_is_closed(connection->nbd) == 1;
}

/* I2: what libnbd then reads is the end. */
static void
lose_patience(struct connection *connection)
{
    int socket = nbd_aio_get_fd(connection->nbd);

    if (connection->under_way && socket >= 0 &&
        now_ms() - connection->heard_ms >= swap_nbd_patience_ms)
        (void)shutdown(socket, SHUT_RDWR);
}

static void
wait_and_talk(struct connection *connection)
{
    struct pollfd files[2] = {{.fd = connection->wake, .events = POLLIN},
                              {.fd = -1}};
    bool there = !is_gone(connection);
    uint64_t count;

    if (there) {
        unsigned direction = nbd_aio_get_direction(connection->nbd);
        files[1].fd = nbd_aio_get_fd(connection->nbd);
        if (direction & LIBNBD_AIO_DIRECTION_READ)
            files[1].events |= POLLIN;
        if (direction & LIBNBD_AIO_DIRECTION_WRITE)
            files[1].events |= POLLOUT;
    }
    int wait = connection->under_way ? (int)swap_nbd_patience_ms / 4 + 1 : -1;
    if (poll(files, 2, wait) < 0)
        return;
    if (files[0].revents)
        (void)!read(connection->wake, &count, sizeof(count));
    short seen = files[1].revents;
    if (there && seen & (POLLIN | POLLHUP | POLLERR))
        (void)nbd_aio_notify_read(connection->nbd);
    else if (there && seen & POLLOUT)
        (void)nbd_aio_notify_write(connection->nbd);
    lose_patience(connection);
}

static void *
run(void *argument)
{
    struct connection *connection = argument;
    bool ending = false;

    while (!ending || connection->under_way) {
        struct request *request = take_queue(connection, &ending), *next;
        for (; request; request = next) {
            next = request->next;
            start(connection, request);
        }
        if (!ending || connection->under_way)
            wait_and_talk(connection);
    }
    return NULL;
}

static void
wake(struct connection *connection)
{
    uint64_t one = 1;

    (void)!write(connection->wake, &one, sizeof(one));
}

static void
server_submit(struct aspen_posix_swap *device, struct aspen_swap_io *io)
{
    struct connection *connection = device->own;
    size_t bytes = io->pages > 1 ? (size_t)io->pages * SWAP_PAGE : 0;
    struct request *request = malloc(sizeof(*request) + bytes);

    if (!request) {
        swap_ended(device, io, -ENOMEM);
        return;
    }
    *request = (struct request){
        .connection = connection,
        .io = io,
        .buffer = bytes ? (char *)(request + 1) : io->memory[0],
    };
    pthread_mutex_lock(&connection->lock);
    *connection->last = request;
    connection->last = &request->next;
    pthread_mutex_unlock(&connection->lock);
    wake(connection);
}

/* ---- The device ------------------------------------------------------- */

static int
because(struct swap_why *why, const char *uri)
{
    int error = nbd_get_errno();

    return swap_because(why, error ? -error : -EIO, "cannot use %s: %s", uri,
                        nbd_get_error());
}

/* Whether the server is one that can be swapped to. */
static int
check(const struct aspen_posix_swap *device, struct nbd_handle *nbd,
      const char *uri, struct swap_why *why)
{
    uint64_t bytes = (uint64_t)device->pages * SWAP_PAGE;
    int64_t size = nbd_get_size(nbd);
    int64_t least = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);
    int64_t most = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);

    if (size < 0)
        return because(why, uri);
    if ((uint64_t)size < bytes)
        return swap_because(why, -EINVAL,
                            "%s has %lld bytes, and %llu are wanted", uri,
                            (long long)size, (unsigned long long)bytes);
    if (nbd_is_read_only(nbd) != 0)
        return swap_because(why, -EACCES, "%s can only be read", uri);
    if (least > SWAP_PAGE ||
        (most > 0 && most < (int64_t)ASPEN_SWAP_IO_PAGES * SWAP_PAGE))
        return swap_because(why, -EINVAL,
                            "%s takes transfers of %lld to %lld bytes alone",
                            uri, (long long)least, (long long)most);
    return 0;
}

static int
begin_thread(struct connection *connection, struct swap_why *why)
{
    connection->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (connection->wake < 0)
        return swap_because(why, -errno, "no eventfd: %s", strerror(errno));
    pthread_mutex_init(&connection->lock, NULL);
    int error = pthread_create(&connection->thread, NULL, run, connection);
    if (error == 0)
        return 0;
    pthread_mutex_destroy(&connection->lock);
    close(connection->wake);
    return swap_because(why, -error, "no thread: %s", strerror(error));
}

static int
server_open(struct aspen_posix_swap *device, const char *uri,
            struct swap_why *why)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    int error = 0;

    if (!connection)
        return swap_because(why, -ENOMEM, "no memory");
    connection->device = device;
    connection->last = &connection->first;
    connection->nbd = nbd_create();
    if (!connection->nbd || nbd_connect_uri(connection->nbd, uri) != 0)
        error = because(why, uri);
    if (!error)
        error = check(device, connection->nbd, uri, why);
    if (!error)
        error = begin_thread(connection, why);
    if (error) {
        nbd_close(connection->nbd);
        free(connection);
        return error;
    }
    device->own = connection;
    return 0;
}

static void
server_close(struct aspen_posix_swap *device)
{
    struct connection *connection = device->own;

    pthread_mutex_lock(&connection->lock);
    connection->ending = true;
    pthread_mutex_unlock(&connection->lock);
    wake(connection);
    pthread_join(connection->thread, NULL);
    nbd_close(connection->nbd);
    pthread_mutex_destroy(&connection->lock);
    close(connection->wake);
    free(connection);
}
#endif

const struct swap_kind swap_kind_nbd = {
    .name = "nbd",
    .more = "URI",
    .package = "libnbd-dev",
#if __has_include(<libnbd.h>)
    .open = server_open,
    .submit = server_submit,
    .close = server_close,
#endif
};
