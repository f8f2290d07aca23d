/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - deferred work of the posix port.
 *
 * liburcu waits for readers; the queue of callbacks is our own, because a
 * rehearsal waits for all of them thousands of times and liburcu's call_rcu
 * sleeps between its batches: here who waits does the work itself. A helper
 * thread, started with the first callback, does it when nobody waits.
 *
 * I1  `running` is held from taking a batch to its last callback: whoever
 *     gets it with an empty queue knows that nothing is left.
 * I2  Lock order: running > queue_mutex; no lock of the core is held at
 *     `running`, any may be at `queue_mutex`.
 * I3  fork(2) happens with both held, so a child finds no batch half done. It
 *     has no helper and starts its own when it needs one.
 *
 * First to break: tests/unit/port/test_posix_port.c.
 */
#define _GNU_SOURCE
#include <aspen_port.h>
#include <pthread.h>
#include <signal.h>

static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queued = PTHREAD_COND_INITIALIZER;
static struct aspen_port_rcu_head *queue; /* queue_mutex */
static struct aspen_port_rcu_head **queue_tail = &queue;
static bool helper_started; /* queue_mutex */
static pthread_once_t once = PTHREAD_ONCE_INIT;

#ifdef ASPEN_POSIX_TSAN
char aspen_posix_rcu_tag;
#endif

static struct aspen_port_rcu_head *
take_queue(void)
{
    struct aspen_port_rcu_head *batch;

    pthread_mutex_lock(&queue_mutex);
    batch = queue;
    queue = NULL;
    queue_tail = &queue;
    pthread_mutex_unlock(&queue_mutex);
    return batch;
}

void
aspen_port_rcu_synchronise(void)
{
    urcu_bp_synchronize_rcu();
    ASPEN_POSIX_READERS_ENDED();
}

/* Whether there was something to do. */
static bool
run_batch(void)
{
    struct aspen_port_rcu_head *head;
    bool any;

    pthread_mutex_lock(&running);
    head = take_queue();
    any = head != NULL;
    if (any)
        aspen_port_rcu_synchronise();
    while (head) {
        struct aspen_port_rcu_head *next = head->next;
        head->callback(head); /* may free or queue it again */
        head = next;
    }
    pthread_mutex_unlock(&running);
    return any;
}

static void *
helper(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&queue_mutex);
        while (!queue)
            pthread_cond_wait(&queued, &queue_mutex);
        pthread_mutex_unlock(&queue_mutex);
        (void)run_batch();
    }
    return NULL;
}

/* With queue_mutex held. Without a helper the next barrier does the work. */
static void
start_helper_locked(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for others */
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    helper_started = !pthread_create(&thread, &attributes, helper, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
before_fork(void)
{
    pthread_mutex_lock(&running);
    pthread_mutex_lock(&queue_mutex);
    urcu_bp_before_fork();
}

static void
after_fork_parent(void)
{
    urcu_bp_after_fork_parent();
    pthread_mutex_unlock(&queue_mutex);
    pthread_mutex_unlock(&running);
}

static void
after_fork_child(void)
{
    urcu_bp_after_fork_child();
    helper_started = false;
    pthread_cond_init(&queued, NULL);
    pthread_mutex_unlock(&queue_mutex);
    pthread_mutex_unlock(&running);
}

static void
follow_forks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    pthread_once(&once, follow_forks);
    head->callback = callback;
    head->next = NULL;
    pthread_mutex_lock(&queue_mutex);
    *queue_tail = head;
    queue_tail = &head->next;
    if (!helper_started)
        start_helper_locked();
    pthread_cond_signal(&queued);
    pthread_mutex_unlock(&queue_mutex);
}

void
aspen_port_rcu_barrier(void)
{
    while (run_batch())
        ;
}
