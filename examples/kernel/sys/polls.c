/* SPDX-License-Identifier: MIT */
/*
 * polls.c - calls that wait for one of many files.
 *
 * Whoever waits looks at all its files again when anything has happened to
 * any file that can be waited for: simple, and enough for a console. To look at
 * a file may sleep (it may have been closed meanwhile), so what is waited for
 * is the number of what has happened.
 */
#include "sys/call.h"

#include "mm/memory.h"

struct poll_entry {
    int32_t number;
    int16_t events, found;
};

static unsigned
look_at(int number, unsigned events)
{
    struct file *file = files_get(number);
    unsigned found = POLLIN | POLLOUT;

    if (!file)
        return POLLNVAL;
    if (file->ops->poll)
        found = file->ops->poll(file);
    file_put(file);
    return found & (events | POLLERR | POLLHUP);
}

static long
look_at_all(struct poll_entry *entries, size_t count)
{
    long total = 0;

    for (size_t i = 0; i < count; i++) {
        entries[i].found = 0;
        if (entries[i].number >= 0)
            entries[i].found = (int16_t)look_at(entries[i].number,
                                                (unsigned)entries[i].events);
        total += entries[i].found != 0;
    }
    return total;
}

/* `until` 0: for ever; 1: it has passed already. */
static long
wait_for_any(struct poll_entry *entries, size_t count, uint64_t until)
{
    int error = 0;

    for (;;) {
        uint64_t seen = __atomic_load_n(&poll_events, __ATOMIC_SEQ_CST);
        long total = look_at_all(entries, count);
        if (total || error)
            return total || error == -ETIMEDOUT ? total : error;
        WAIT_INTERRUPTIBLE(
            &poll_events, until,
            __atomic_load_n(&poll_events, __ATOMIC_SEQ_CST) != seen, error);
    }
}

static long
poll_files(uint64_t list, size_t count, uint64_t until)
{
    size_t bytes = count * sizeof(struct poll_entry);
    struct poll_entry *entries;
    long total;

    if (count > FILES_MAX)
        return -EINVAL;
    entries = memory_alloc(MAX(bytes, 8));
    if (!entries)
        return -ENOMEM;
    total = user_read(entries, list, bytes)
                ? -EFAULT
                : wait_for_any(entries, count, until);
    if (total >= 0 && user_write(list, entries, bytes))
        total = -EFAULT;
    memory_free(entries, MAX(bytes, 8));
    return total;
}

static uint64_t
after(uint64_t nanoseconds)
{
    return nanoseconds ? time_now() + nanoseconds : 1;
}

static long
sys_poll(const uint64_t *a)
{
    int timeout = (int)a[2];

    return poll_files(
        a[0], a[1], timeout < 0 ? FOREVER : after((uint64_t)timeout * 1000000));
}

/* Other signals are blocked while it waits. */
static int
begin_mask(uint64_t mask)
{
    uint64_t set;

    if (!mask)
        return 0;
    if (user_read(&set, mask, sizeof(set)))
        return -EFAULT;
    current->saved_blocked = current->blocked;
    signal_set_blocked(set);
    return 0;
}

/* A signal that came is handled before the old ones are blocked again. */
static void
end_mask(uint64_t mask, long result)
{
    if (!mask)
        return;
    if (result == -EINTR)
        current->restore_blocked = true;
    else
        signal_set_blocked(current->saved_blocked);
}

static int
read_timeout(uint64_t from, uint64_t *until)
{
    uint64_t time;
    int error = from ? read_time(from, UNIT_NANOSECONDS, &time) : 0;

    *until = from && !error ? after(time) : FOREVER;
    return error;
}

/* ---- select ------------------------------------------------------------ */

#define WORDS (FILES_MAX / 64)

static const unsigned set_events[3] = {POLLIN | POLLHUP, POLLOUT, 0};

static bool
has(const uint64_t *set, unsigned number)
{
    return set[number / 64] >> number % 64 & 1;
}

static size_t
from_sets(uint64_t (*sets)[WORDS], unsigned count, struct poll_entry *entries)
{
    size_t used = 0;

    for (unsigned number = 0; number < count; number++) {
        unsigned events = 0;
        for (unsigned i = 0; i < 3; i++)
            events |= has(sets[i], number) ? set_events[i] : 0;
        if (events)
            entries[used++] =
                (struct poll_entry){(int)number, (int16_t)events, 0};
    }
    return used;
}

static long
to_sets(uint64_t (*sets)[WORDS], const struct poll_entry *entries, size_t count)
{
    uint64_t before[3][WORDS];
    long total = 0;

    memcpy(before, sets, sizeof(before));
    memset(sets, 0, sizeof(before));
    for (size_t at = 0; at < count; at++)
        for (unsigned i = 0; i < 2; i++) {
            unsigned number = (unsigned)entries[at].number;
            if (!has(before[i], number) ||
                !((unsigned)entries[at].found &
                  (set_events[i] | POLLERR | POLLNVAL)))
                continue;
            sets[i][number / 64] |= (uint64_t)1 << number % 64;
            total++;
        }
    return total;
}

static long
select_files(const uint64_t *a, uint64_t until)
{
    struct poll_entry *entries;
    uint64_t sets[3][WORDS] = {{0}};
    size_t count = MIN(a[0], FILES_MAX), bytes = round_up(count, 64) / 8;
    long total;

    if ((int)a[0] < 0)
        return -EINVAL;
    for (unsigned i = 0; i < 3; i++)
        if (a[1 + i] && user_read(sets[i], a[1 + i], bytes))
            return -EFAULT;
    entries = memory_alloc(FILES_MAX * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    count = from_sets(sets, (unsigned)count, entries);
    total = wait_for_any(entries, count, until);
    if (total >= 0)
        total = to_sets(sets, entries, count);
    for (unsigned i = 0; i < 3 && total >= 0; i++)
        if (a[1 + i] && user_write(a[1 + i], sets[i], bytes))
            total = -EFAULT;
    memory_free(entries, FILES_MAX * sizeof(*entries));
    return total;
}

static long
sys_pselect6(const uint64_t *a)
{
    uint64_t until, mask = 0;
    long result = read_timeout(a[4], &until);

    if (!result && a[5])
        result = user_read(&mask, a[5], sizeof(mask));
    if (!result)
        result = begin_mask(mask);
    if (result)
        return result;
    result = select_files(a, until);
    end_mask(mask, result);
    return result;
}

const struct call poll_calls[] = {
    {7, sys_poll},
    {270, sys_pselect6},
    {0, NULL},
};
