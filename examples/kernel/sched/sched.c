/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs next: whoever waits longest.
 *
 * S1  A thread is in the run queue exactly when it runs by its state and has
 *     no CPU. `lock` is held from the choice of the next thread until that one
 *     has its stack, which lets go of it: so nobody finds a thread that is
 *     neither here nor there.
 */
#include "sched/thread.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "proc/signal.h"

static struct irq_lock lock;
static struct list run_queue = {&run_queue, &run_queue};
static struct list timed = {&timed, &timed};

#define BUCKETS 64u
static struct list buckets[BUCKETS];

extern void switch_stacks(uint64_t *save, uint64_t load);
extern char thread_trampoline[];

/* ---- Locks with interrupts off ----------------------------------------- */

bool
irq_lock(struct irq_lock *irq)
{
    bool on = interrupts_are_on();

    interrupts_off();
    while (__atomic_exchange_n(&irq->word, 1, __ATOMIC_ACQUIRE))
        __asm__ volatile("pause");
    return on;
}

void
irq_unlock(struct irq_lock *irq, bool on)
{
    __atomic_store_n(&irq->word, 0, __ATOMIC_RELEASE);
    if (on)
        interrupts_on();
}

/* ---- Switching --------------------------------------------------------- */

static void
kick_idle_cpu(void)
{
    uint64_t self = (uint64_t)1 << aspen_port_cpu();

    /* Who says that it is idle looks at the queue once more. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < cpus_online; i++)
        if (((uint64_t)1 << i) != self &&
            __atomic_load_n(&cpus[i].port.idle, __ATOMIC_SEQ_CST)) {
            aspen_kernel_kick((uint64_t)1 << i);
            return;
        }
}

static void
make_runnable_locked(struct thread *thread)
{
    thread->state = THREAD_RUNS;
    if (thread->on_cpu)
        return;
    list_add_tail(&run_queue, &thread->run);
    kick_idle_cpu();
}

static void
switch_to_locked(struct cpu *cpu, struct thread *previous, struct thread *next)
{
    previous->on_cpu = false;
    next->on_cpu = true;
    if (next->mm)
        space_load(next->mm);
    if (previous->process)
        __asm__ volatile("fxsave64 %0" : "=m"(previous->fpu));
    if (next->process) {
        __asm__ volatile("fxrstor64 %0" ::"m"(next->fpu));
        write_msr(MSR_FS_BASE, next->fs_base);
    }
    cpu->kernel_stack = (uint64_t)(uintptr_t)next + STACK_BYTES;
    cpu->tss.rsp[0] = cpu->kernel_stack;
    cpu->thread = next;
    if (previous->state == THREAD_DEAD)
        cpu->dead = previous;
    switch_stacks(&previous->rsp, next->rsp);
}

/* On the new stack, perhaps on another CPU than the last time. */
static void
finish_switch(bool on)
{
    struct thread *dead = this_cpu()->dead;

    this_cpu()->dead = NULL;
    irq_unlock(&lock, on);
    if (dead)
        thread_free(dead);
}

void
schedule(void)
{
    bool on = irq_lock(&lock);
    struct cpu *cpu = this_cpu();
    struct thread *previous = current, *next = cpu->idle;

    ASSERT(cpu->port.spinning == 0 && cpu->port.readers == 0);
    ASSERT(previous->canary == THREAD_CANARY);
    aspen_kernel_quiescent(&cpu->port);
    cpu->resched = false;
    if (previous->state == THREAD_RUNS && previous != cpu->idle)
        list_add_tail(&run_queue, &previous->run);
    if (!list_is_empty(&run_queue)) {
        next = container_of(run_queue.next, struct thread, run);
        list_remove(&next->run);
    }
    if (next != previous)
        switch_to_locked(cpu, previous, next);
    finish_switch(on);
}

void
take_turns(void)
{
    if (this_cpu()->resched)
        schedule();
}

void
aspen_kernel_yield(void)
{
    schedule();
    __asm__ volatile("pause");
}

void
thread_set_mm(struct thread *thread, struct aspen_mm *mm)
{
    bool on = irq_lock(&lock);

    thread->mm = mm;
    if (thread == current && mm)
        space_load(mm);
    irq_unlock(&lock, on);
}

/* ---- Sleeping ---------------------------------------------------------- */

static struct list *
bucket_of(const void *key)
{
    return &buckets[(uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u >> 58];
}

void
wait_begin(const void *key, bool interruptible, uint64_t deadline)
{
    struct thread *self = current;
    bool on = irq_lock(&lock);

    ASSERT(self->key == NULL); /* what is waited for does not sleep itself */
    self->key = key;
    self->interruptible = interruptible;
    self->deadline = deadline;
    self->state = THREAD_SLEEPS;
    list_add_tail(bucket_of(key), &self->wait);
    if (deadline)
        list_add_tail(&timed, &self->timed);
    irq_unlock(&lock, on);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
wait_end(void)
{
    struct thread *self = current;
    bool on = irq_lock(&lock);

    self->state = THREAD_RUNS;
    self->key = NULL;
    list_remove(&self->wait);
    list_remove(&self->timed);
    irq_unlock(&lock, on);
}

void
thread_sleep(uint64_t until)
{
    WAIT_LOOP_(current, false, until, time_now() >= until);
}

int
wait_error(uint64_t until)
{
    return signal_is_pending()            ? -EINTR
           : until && time_now() >= until ? -ETIMEDOUT
                                          : 0;
}

void
wake_all(const void *key)
{
    struct list *bucket = bucket_of(key);

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool on = irq_lock(&lock);
    list_for_each(entry, bucket)
    {
        struct thread *thread = container_of(entry, struct thread, wait);
        if (thread->key == key && thread->state == THREAD_SLEEPS)
            make_runnable_locked(thread);
    }
    irq_unlock(&lock, on);
}

void
wake_thread(struct thread *thread, bool interruptible_only)
{
    bool on = irq_lock(&lock);

    if (thread->state == THREAD_SLEEPS &&
        (thread->interruptible || !interruptible_only))
        make_runnable_locked(thread);
    irq_unlock(&lock, on);
}

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    WAIT(key, !busy(argument));
}

void
aspen_port_wake_all(const void *key)
{
    wake_all(key);
}

void
sched_tick(void)
{
    bool on = irq_lock(&lock);
    uint64_t now = time_now();

    if (aspen_port_cpu() == 0)
        list_for_each(entry, &timed)
        {
            struct thread *thread = container_of(entry, struct thread, timed);
            if (thread->state == THREAD_SLEEPS && thread->deadline <= now)
                make_runnable_locked(thread);
        }
    if (!list_is_empty(&run_queue))
        this_cpu()->resched = true;
    irq_unlock(&lock, on);
}

/* ---- Threads ----------------------------------------------------------- */

const uint8_t fpu_reset[512] __attribute__((aligned(16))) = {
    [0] = 0x7f, [1] = 0x03, [24] = 0x80, [25] = 0x1f};

static void
thread_init(struct thread *thread)
{
    list_init(&thread->run);
    list_init(&thread->wait);
    list_init(&thread->timed);
    list_init(&thread->sibling);
    thread->canary = THREAD_CANARY;
    memcpy(thread->fpu, fpu_reset, sizeof(thread->fpu));
}

struct thread *
thread_create(void (*function)(void *), void *argument)
{
    struct thread *thread = memory_alloc(STACK_BYTES);

    if (!thread)
        return NULL;
    thread_init(thread);
    /* As switch_stacks() pops it. */
    uint64_t *stack = (uint64_t *)thread_frame(thread);
    *--stack = (uint64_t)(uintptr_t)thread_trampoline;
    *--stack = (uint64_t)(uintptr_t)function; /* rbx */
    *--stack = 0;                             /* rbp */
    *--stack = (uint64_t)(uintptr_t)argument; /* r12 */
    stack -= 3;
    thread->rsp = (uint64_t)(uintptr_t)stack;
    return thread;
}

/* cpu/enter.S calls it. */
void thread_begin(void);

void
thread_begin(void)
{
    finish_switch(true);
}

void
thread_free(struct thread *thread)
{
    memory_free(thread, STACK_BYTES);
}

void
thread_start(struct thread *thread)
{
    bool on = irq_lock(&lock);

    make_runnable_locked(thread);
    irq_unlock(&lock, on);
}

void
thread_kernel(void (*function)(void *), void *argument)
{
    struct thread *thread = thread_create(function, argument);

    ASSERT(thread != NULL);
    thread_start(thread);
}

_Noreturn void
thread_end(void)
{
    thread_set_mm(current, NULL);
    current->state = THREAD_DEAD;
    schedule();
    panic("a dead thread runs");
}

/* ---- CPUs -------------------------------------------------------------- */

_Noreturn void
sched_idle(void)
{
    for (;;) {
        struct cpu *cpu = this_cpu();
        interrupts_off();
        aspen_kernel_idle(&cpu->port, true);
        if (list_is_empty(&run_queue))
            __asm__ volatile("sti; hlt" ::: "memory");
        aspen_kernel_idle(&cpu->port, false);
        interrupts_on();
        schedule();
    }
}

/* The stack that a CPU boots on becomes that of its idle thread. */
void
sched_adopt(void *stack)
{
    struct thread *boot = stack;

    if (!buckets[0].next)
        for (unsigned i = 0; i < BUCKETS; i++)
            list_init(&buckets[i]);
    thread_init(boot);
    boot->on_cpu = true;
    this_cpu()->thread = boot;
    this_cpu()->idle = boot;
}
