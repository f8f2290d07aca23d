/* SPDX-License-Identifier: MIT */
/*
 * rcu.c - grace periods, and work that waits for them.
 *
 * A reader stays on its CPU from beginning to end. So a CPU that has changed
 * tasks, was interrupted in a user program, or waits in its idle loop, has no
 * reader that was there before; when that is so of all CPUs, a grace period is
 * over.
 *
 * I1  `running` is held from taking a batch to its last callback: whoever
 *     gets it with an empty queue knows that nothing is left.
 */
#include "aspen_kernel.h"

static struct aspen_kernel_cpu *cpus[ASPEN_PORT_CPUS];
static struct aspen_port_rwlock running;
static struct aspen_port_spinlock queue_lock;
static struct aspen_port_rcu_head *queue; /* queue_lock */
static struct aspen_port_rcu_head **queue_tail = &queue;

void
aspen_kernel_cpu_online(struct aspen_kernel_cpu *cpu)
{
    __atomic_store_n(&cpus[cpu->number], cpu, __ATOMIC_SEQ_CST);
}

uint64_t
aspen_kernel_cpus(void)
{
    uint64_t online = 0;

    for (unsigned i = 0; i < ASPEN_PORT_CPUS; i++)
        online |=
            (uint64_t)(__atomic_load_n(&cpus[i], __ATOMIC_SEQ_CST) != NULL)
            << i;
    return online;
}

/* A moment without a reader since it was at `before`? */
static bool
has_passed(struct aspen_kernel_cpu *cpu, uint64_t before)
{
    return __atomic_load_n(&cpu->idle, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&cpu->quiescent, __ATOMIC_SEQ_CST) != before;
}

void
aspen_port_rcu_synchronise(void)
{
    uint64_t before[ASPEN_PORT_CPUS] = {0};
    struct aspen_kernel_cpu *online[ASPEN_PORT_CPUS];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < ASPEN_PORT_CPUS; i++) {
        online[i] = __atomic_load_n(&cpus[i], __ATOMIC_SEQ_CST);
        if (online[i])
            before[i] =
                __atomic_load_n(&online[i]->quiescent, __ATOMIC_SEQ_CST);
    }
    for (unsigned i = 0; i < ASPEN_PORT_CPUS; i++) {
        /* Whoever waits is no reader: its own CPU passes when it yields. */
        while (online[i] && !has_passed(online[i], before[i])) {
            if (i != aspen_port_cpu())
                aspen_kernel_kick((uint64_t)1 << i);
            aspen_kernel_yield();
        }
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static struct aspen_port_rcu_head *
take_queue(void)
{
    struct aspen_port_rcu_head *batch;

    aspen_port_spin_lock(&queue_lock);
    batch = queue;
    queue = NULL;
    queue_tail = &queue;
    aspen_port_spin_unlock(&queue_lock);
    return batch;
}

/* Whether there was something to do. */
static bool
run_batch(void)
{
    struct aspen_port_rcu_head *head;
    bool any;

    aspen_port_write_lock(&running);
    head = take_queue();
    any = head != NULL;
    if (any)
        aspen_port_rcu_synchronise();
    while (head) {
        struct aspen_port_rcu_head *next = head->next;
        head->callback(head); /* may free or queue it again */
        head = next;
    }
    aspen_port_write_unlock(&running);
    return any;
}

void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    head->callback = callback;
    head->next = NULL;
    aspen_port_spin_lock(&queue_lock);
    *queue_tail = head;
    queue_tail = &head->next;
    aspen_port_spin_unlock(&queue_lock);
    aspen_port_wake_all(&queue);
}

void
aspen_port_rcu_barrier(void)
{
    while (run_batch())
        ;
}

static bool
queue_is_empty(const void *unused)
{
    (void)unused;
    return __atomic_load_n(&queue, __ATOMIC_RELAXED) == NULL;
}

void
aspen_kernel_rcu_work(void)
{
    aspen_port_wait_while(&queue, queue_is_empty, NULL);
    (void)run_batch();
}
