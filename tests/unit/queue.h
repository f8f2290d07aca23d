/* SPDX-License-Identifier: MIT */
/*
 * queue.h - a swap device that keeps what it is asked for until it is told to
 * answer, in any order, or answers from a thread of its own, when it likes.
 */
#ifndef ASPEN_TESTS_SWAP_QUEUE_H
#define ASPEN_TESTS_SWAP_QUEUE_H

#include "helper.h"

#include <aspen/calls/swap.h>
#include <pthread.h>

#define QUEUE_MOST 64u

struct queue {
    uint8_t (*slots)[PAGE];
    uint32_t pages;
    unsigned type;
    unsigned flags;
    pthread_mutex_t lock; /* for all that follows */
    pthread_cond_t asked;
    struct aspen_swap_io *waiting[QUEUE_MOST];
    unsigned count;
    bool holds;         /* reads wait until queue_answer() */
    bool holds_writes;  /* so do writes */
    bool answers_alone; /* a read of one page does not */
    uint32_t bad;       /* this slot cannot be read; UINT32_MAX: all can */
    uint32_t fails;     /* of 1,000 reads, at random */
    unsigned transfers; /* reads that were asked for */
    unsigned most;      /* that waited at a time */
    uint64_t seed;
    bool ends;
    pthread_t thread;
};

/* Added to the machine; free it after the machine. */
void queue_add(struct queue *queue, struct aspen *aspen, uint32_t pages,
               unsigned flags);
/* The same once more, after it was removed. */
void queue_again(struct queue *queue, struct aspen *aspen);
void queue_free(struct queue *queue);

/* How many transfers wait. */
unsigned queue_waiting(struct queue *queue);

/* Of those that wait, number `i` in the order in which they came. */
void queue_answer(struct queue *queue, unsigned i, int error);

/* From now on a thread answers, one after the other, in no order; until that
 * all are answered. */
void queue_start(struct queue *queue);
void queue_stop(struct queue *queue);

#endif
