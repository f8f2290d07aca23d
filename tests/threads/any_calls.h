/* SPDX-License-Identifier: MIT */
/*
 * any_calls.h - random calls, which may be any and meet any other: tasks make
 * them at the same few addresses of the same spaces and of children.
 */
#ifndef ASPEN_TESTS_ANY_CALLS_H
#define ASPEN_TESTS_ANY_CALLS_H

#include "helper.h"

#include <pthread.h>
#include <time.h>

#define THREADS    8u
#define SPACES     2u
#define FILES      4u
#define DEVICE     3u /* the last of them */
#define AREAS      6u
#define PAGES      6u
#define FILE_PAGES 24u
#define HELD       4u
#define RAW        0x100000ull
#define MUCH       4096u /* frames */

struct held {
    struct aspen_mm *mm;
    uint32_t frames[4];
    unsigned count;
};

struct whole {
    struct helper helper;
    struct aspen_mm *mm[SPACES];
    struct aspen_object *files[FILES];
    struct timespec end;
    pthread_barrier_t meet;
    bool over; /* atomic */
};

struct task {
    struct whole *whole;
    unsigned number;
    uint64_t random;
    pthread_t thread;
    struct held held[HELD];
    struct aspen_mm *child;
};

/* What the pager of files and that of the device have to say. */
extern const struct aspen_pager_ops any_file_ops;
extern const struct aspen_pager_ops any_device_ops;

/* One call, whatever it answers. */
void any_call(struct task *task);

/* Pins and the child of the task go. */
void any_end(struct task *task);

#endif
