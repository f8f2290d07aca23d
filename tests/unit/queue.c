/* SPDX-License-Identifier: MIT */
#include "queue.h"
#include "slots.h"

#include <time.h>

static int
transfer(struct queue *queue, const struct aspen_swap_io *io)
{
    if (!io->write && io->slot <= queue->bad &&
        queue->bad - io->slot < io->pages)
        return -ASPEN_EIO;
    if (!io->write && unit_below(&queue->seed, 1000) < queue->fails)
        return -ASPEN_EIO;
    return slots_transfer(queue->slots, io);
}

/* What does not wait, at once. */
static void
submit(void *context, struct aspen_swap_io *io)
{
    struct queue *queue = context;
    int error = 0;

    pthread_mutex_lock(&queue->lock);
    bool waits =
        io->write ? queue->holds_writes
                  : queue->holds && !(queue->answers_alone && io->pages == 1);
    queue->transfers += !io->write;
    if (waits) {
        if (queue->count == QUEUE_MOST)
            abort();
        queue->waiting[queue->count++] = io;
        if (queue->count > queue->most)
            queue->most = queue->count;
        pthread_cond_signal(&queue->asked);
    } else {
        error = transfer(queue, io);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!waits)
        aspen_swap_done(io, error);
}

void
queue_again(struct queue *queue, struct aspen *aspen)
{
    static const struct aspen_swap_ops ops = {.submit = submit};
    struct aspen_swap_args args = {.pages = queue->pages,
                                   .flags = queue->flags,
                                   .ops = &ops,
                                   .context = queue};

    assert_int_equal(aspen_swap_add(aspen, &args, &queue->type), 0);
}

void
queue_add(struct queue *queue, struct aspen *aspen, uint32_t pages,
          unsigned flags)
{
    memset(queue, 0, sizeof(*queue));
    queue->pages = pages;
    queue->flags = flags;
    queue->bad = UINT32_MAX;
    queue->slots = malloc(pages * PAGE);
    assert_non_null(queue->slots);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->asked, NULL);
    queue_again(queue, aspen);
}

void
queue_free(struct queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->asked);
    free(queue->slots);
}

unsigned
queue_waiting(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    unsigned count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

/* The lock is held, and given back. */
static void
answer(struct queue *queue, unsigned i, int error)
{
    struct aspen_swap_io *io = queue->waiting[i];

    queue->count--;
    memmove(&queue->waiting[i], &queue->waiting[i + 1],
            (queue->count - i) * sizeof(queue->waiting[0]));
    if (!error)
        error = transfer(queue, io);
    pthread_mutex_unlock(&queue->lock);
    aspen_swap_done(io, error);
}

void
queue_answer(struct queue *queue, unsigned i, int error)
{
    pthread_mutex_lock(&queue->lock);
    assert_true(i < queue->count);
    answer(queue, i, error);
}

static void *
answer_all(void *argument)
{
    struct queue *queue = argument;
    const struct timespec pause = {.tv_nsec = 20000};

    for (;;) {
        pthread_mutex_lock(&queue->lock);
        while (!queue->count && !queue->ends)
            pthread_cond_wait(&queue->asked, &queue->lock);
        if (!queue->count) {
            pthread_mutex_unlock(&queue->lock);
            return NULL;
        }
        bool late = unit_below(&queue->seed, 4) == 0;
        answer(queue, (unsigned)unit_below(&queue->seed, queue->count), 0);
        if (late)
            nanosleep(&pause, NULL);
    }
}

void
queue_start(struct queue *queue)
{
    queue->ends = false;
    assert_int_equal(pthread_create(&queue->thread, NULL, answer_all, queue),
                     0);
}

void
queue_stop(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->ends = true;
    pthread_cond_signal(&queue->asked);
    pthread_mutex_unlock(&queue->lock);
    assert_int_equal(pthread_join(queue->thread, NULL), 0);
}
