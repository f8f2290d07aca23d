/* SPDX-License-Identifier: MIT */
/*
 * futex.c - threads wait for words of their programs to change.
 *
 * Aspen gives the key of a word, by which processes meet that share memory.
 * One mutex covers the list of all who wait: a fault on the word may sleep
 * under it.
 */
#include "mm/space.h"
#include "proc/process.h"
#include "sys/call.h"

#define FUTEX_WAIT        0u
#define FUTEX_WAKE        1u
#define FUTEX_WAIT_BITSET 9u
#define FUTEX_WAKE_BITSET 10u
#define FUTEX_PRIVATE     128u
#define FUTEX_REALTIME    256u

struct waiter {
    struct list waiting;
    struct aspen_futex_key key; /* with a reference */
    uint32_t bits;
    bool woken;
};

static struct mutex lock;
static struct list waiters = {&waiters, &waiters};

static bool
is_key(const struct aspen_futex_key *a, const struct aspen_futex_key *b)
{
    return a->mm == b->mm && a->object == b->object &&
           a->offset_bytes == b->offset_bytes;
}

static long
wake_locked(const struct aspen_futex_key *key, unsigned count, uint32_t bits)
{
    long woken = 0;

    list_for_each(entry, &waiters)
    {
        struct waiter *waiter = container_of(entry, struct waiter, waiting);
        if ((unsigned long)woken >= count)
            break;
        if (!(waiter->bits & bits) || !is_key(&waiter->key, key))
            continue;
        list_remove(&waiter->waiting);
        __atomic_store_n(&waiter->woken, true, __ATOMIC_SEQ_CST);
        wake_all(waiter);
        woken++;
    }
    return woken;
}

static int
queue(struct waiter *waiter, uint64_t address, uint32_t value)
{
    uint32_t now;
    int error;

    mutex_lock(&lock);
    error = aspen_futex_load(current->mm, address, &now);
    if (!error && now != value)
        error = -EAGAIN;
    if (!error)
        list_add_tail(&waiters, &waiter->waiting);
    mutex_unlock(&lock);
    return error;
}

static long
wait(uint64_t address, unsigned flags, uint32_t value, uint64_t until,
     uint32_t bits)
{
    struct waiter waiter = {.bits = bits};
    int error = aspen_futex_key_get(current->mm, address, flags, &waiter.key);

    if (error)
        return error;
    list_init(&waiter.waiting);
    error = queue(&waiter, address, value);
    if (!error)
        WAIT_INTERRUPTIBLE(&waiter, until,
                           __atomic_load_n(&waiter.woken, __ATOMIC_SEQ_CST),
                           error);
    mutex_lock(&lock);
    list_remove(&waiter.waiting);
    mutex_unlock(&lock);
    aspen_futex_key_put(&waiter.key);
    if (waiter.woken)
        return 0;
    return error == -EINTR && !until ? -ERESTART : error;
}

static long
wake(uint64_t address, unsigned flags, unsigned count, uint32_t bits)
{
    struct aspen_futex_key key;
    int error = aspen_futex_key_get(current->mm, address, flags, &key);

    if (error)
        return error;
    mutex_lock(&lock);
    long woken = wake_locked(&key, count, bits);
    mutex_unlock(&lock);
    aspen_futex_key_put(&key);
    return woken;
}

void
futex_wake(uint64_t address, unsigned count)
{
    (void)!wake(address, ASPEN_FUTEX_SHARED, count, UINT32_MAX);
}

/* When the time that the program gave is up; *error: it is no address. */
static uint64_t
deadline(uint64_t timeout, unsigned operation, int *error)
{
    uint64_t value = 0;
    bool absolute = (operation & 127) == FUTEX_WAIT_BITSET;

    *error = timeout ? read_time(timeout, UNIT_NANOSECONDS, &value) : 0;
    if (!timeout)
        return FOREVER;
    if (!absolute)
        return time_now() + value;
    uint64_t start = operation & FUTEX_REALTIME ? time_unix() - time_now() : 0;
    return value > start ? value - start : 1;
}

long
futex_call(uint64_t address, unsigned operation, uint32_t value,
           uint64_t timeout, uint32_t bits)
{
    unsigned flags = operation & FUTEX_PRIVATE ? 0 : ASPEN_FUTEX_SHARED;
    unsigned command = operation & 127;
    int error;

    if (command == FUTEX_WAIT || command == FUTEX_WAKE)
        bits = UINT32_MAX;
    switch (command) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        timeout = deadline(timeout, operation, &error);
        return error ? error : wait(address, flags, value, timeout, bits);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        return wake(address, flags, value, bits);
    default:
        return -ENOSYS;
    }
}
