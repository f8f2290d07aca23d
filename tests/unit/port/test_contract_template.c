/* SPDX-License-Identifier: MIT */
/*
 * The contract of contract.h, on the template port: what it has itself, and
 * what a host has to bring as simply as it can be brought, in threads.
 */
#undef ASPEN_PORT_MMU_WRITES_ENTRIES /* the template's own choice */
#undef ASPEN_PORT_ICACHE_SYNC
#include "../../../ports/template/aspen_port.h"

/* Its locks spin, however long their holder does not run. */
#define CONTRACT_ROUNDS 25u
#include "contract_threads.h"

/* ---- The host ----------------------------------------------------------- */

void *
aspen_port_memory_alloc(size_t bytes)
{
    size_t rounded = (bytes + 4095) & ~(size_t)4095;
    void *memory = aligned_alloc(4096, rounded);

    return memory ? memset(memory, 0, rounded) : NULL;
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    (void)bytes;
    free(memory);
}

bool
aspen_port_fatal_signal_pending(void)
{
    return false;
}

static pthread_mutex_t waiting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    (void)key;
    pthread_mutex_lock(&waiting);
    while (busy(argument))
        pthread_cond_wait(&woken, &waiting);
    pthread_mutex_unlock(&waiting);
}

void
aspen_port_wake_all(const void *key)
{
    (void)key;
    pthread_mutex_lock(&waiting);
    pthread_cond_broadcast(&woken);
    pthread_mutex_unlock(&waiting);
}

/* Readers hold a lock for reading; who has it for writing has waited for all.
 * The outermost section of a thread alone takes it. */
static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
static _Thread_local unsigned depth;

void
aspen_port_rcu_read_lock(void)
{
    if (depth++ == 0)
        pthread_rwlock_rdlock(&readers);
}

void
aspen_port_rcu_read_unlock(void)
{
    if (--depth == 0)
        pthread_rwlock_unlock(&readers);
}

void
aspen_port_rcu_synchronise(void)
{
    pthread_rwlock_wrlock(&readers);
    pthread_rwlock_unlock(&readers);
}

/* Called back at once, as the template allows: the caller is no reader. */
void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    aspen_port_rcu_synchronise();
    callback(head);
}

void
aspen_port_rcu_barrier(void)
{
}

unsigned
aspen_port_cpu(void)
{
    return ASPEN_PORT_CPUS - 1;
}

#ifdef ASPEN_PORT_ICACHE_SYNC
void
aspen_port_icache_sync(const void *memory, size_t bytes)
{
    char *start = (char *)(uintptr_t)memory;

    __builtin___clear_cache(start, start + bytes);
}
#endif

int
main(void)
{
    return contract_tests();
}
