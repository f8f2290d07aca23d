/* SPDX-License-Identifier: MIT */
/*
 * times.c - calls about time.
 */
#include "sys/call.h"

static int
read_clock(uint64_t clock, uint64_t *now)
{
    switch (clock) {
    case 0: /* REALTIME */
    case 5:
        *now = time_unix();
        return 0;
    case 1: /* MONOTONIC */
    case 2: /* a process's and a thread's own are not counted */
    case 3:
    case 4:
    case 6:
    case 7:
        *now = time_now();
        return 0;
    default:
        return -EINVAL;
    }
}

static long
sys_clock_gettime(const uint64_t *a)
{
    uint64_t now;
    int error = read_clock(a[0], &now);

    return error ? error : write_time(a[1], UNIT_NANOSECONDS, now);
}

static long
sys_gettimeofday(const uint64_t *a)
{
    return a[0] ? write_time(a[0], UNIT_MICROSECONDS, time_unix()) : 0;
}

static long
sys_time(const uint64_t *a)
{
    uint64_t now = time_unix() / SECOND;

    return a[0] && user_write(a[0], &now, sizeof(now)) ? -EFAULT : (long)now;
}

static long
sleep_until(uint64_t until, uint64_t left)
{
    int error;

    WAIT_INTERRUPTIBLE(current, until, false, error);
    if (error != -EINTR)
        return 0;
    uint64_t now = time_now();
    if (left &&
        write_time(left, UNIT_NANOSECONDS, until > now ? until - now : 0))
        return -EFAULT;
    return -EINTR;
}

static long
sys_nanosleep(const uint64_t *a)
{
    uint64_t time;
    int error = read_time(a[0], UNIT_NANOSECONDS, &time);

    return error ? error : sleep_until(time_now() + time, a[1]);
}

static long
sys_clock_nanosleep(const uint64_t *a)
{
    uint64_t time, now;
    int error = read_time(a[2], UNIT_NANOSECONDS, &time);

    if (!error)
        error = read_clock(a[0], &now);
    if (error)
        return error;
    if (!(a[1] & 1)) /* TIMER_ABSTIME */
        return sleep_until(time_now() + time, a[3]);
    return time <= now ? 0 : sleep_until(time_now() + time - now, 0);
}

static long
sys_getrusage(const uint64_t *a)
{
    return user_clear(a[1], 144);
}

const struct call time_calls[] = {
    {35, sys_nanosleep}, {96, sys_gettimeofday},   {98, sys_getrusage},
    {201, sys_time},     {228, sys_clock_gettime}, {230, sys_clock_nanosleep},
    {0, NULL},
};
