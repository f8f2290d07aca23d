/* SPDX-License-Identifier: MIT */
/*
 * rwlock.c - the slow paths of sleeping locks.
 *
 * P1  Who finds the lock taken sets the waiters bit before it sleeps, and the
 *     kernel looks at the word again once it would hear of a wake-up; who
 *     frees the lock clears the bit and then wakes. So none is lost.
 */
#include <aspen_port.h>

struct sleeper {
    const uint32_t *word;
    uint32_t seen;
    bool killable;
};

static bool
unchanged(const void *argument)
{
    const struct sleeper *sleeper = argument;

    if (sleeper->killable && aspen_port_fatal_signal_pending())
        return false;
    return __atomic_load_n(sleeper->word, __ATOMIC_RELAXED) == sleeper->seen;
}

/*
 * One try for somebody who waits already, so the waiters bit does not keep it
 * out. `held`: the bits that do; `take`: what is added. False: slept, maybe.
 */
static bool
try_or_sleep(uint32_t *word, uint32_t held, uint32_t take, bool killable)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    struct sleeper sleeper = {word, seen | ASPEN_KERNEL_RW_WAITERS, killable};

    if (!(seen & held))
        return __atomic_compare_exchange_n(word, &seen, seen + take, false,
                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    if (!(seen & ASPEN_KERNEL_RW_WAITERS) &&
        !__atomic_compare_exchange_n(word, &seen, sleeper.seen, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    aspen_port_wait_while(word, unchanged, &sleeper);
    return false;
}

void
aspen_kernel_read_lock_slow(struct aspen_port_rwlock *lock)
{
    uint32_t *word = &lock->word;
    bool locked = false;

    /* Behind those who wait; once awake only a writer keeps a reader out. */
    if (__atomic_load_n(word, __ATOMIC_RELAXED) & ASPEN_KERNEL_RW_WAITERS)
        locked = try_or_sleep(word, ~0u, 1, false);
    while (!locked)
        locked = try_or_sleep(word, ASPEN_KERNEL_RW_WRITER, 1, false);
}

int
aspen_kernel_write_lock_slow(struct aspen_port_rwlock *lock, bool killable)
{
    while (!try_or_sleep(&lock->word, ~ASPEN_KERNEL_RW_WAITERS,
                         ASPEN_KERNEL_RW_WRITER, killable))
        if (killable && aspen_port_fatal_signal_pending())
            return -4; /* ASPEN_EINTR */
    return 0;
}

/* The lock was left free with its waiters bit set. */
void
aspen_kernel_rwlock_wake(struct aspen_port_rwlock *lock)
{
    uint32_t seen = ASPEN_KERNEL_RW_WAITERS;

    /* If somebody took it meanwhile, that one finds the bit and wakes. */
    if (__atomic_compare_exchange_n(&lock->word, &seen, 0, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        aspen_port_wake_all(&lock->word);
}
