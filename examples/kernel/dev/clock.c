/* SPDX-License-Identifier: MIT */
/*
 * clock.c - time_now() and time_unix() (sched/thread.h).
 */
#include "dev/clock.h"

#include "cpu/cpu.h"
#include "sched/thread.h"

#define PIT_HERTZ 1193182u
#define PIT_2     0x42u
#define PIT_MODE  0x43u
#define PIT_GATE  0x61u
#define CMOS      0x70u
#define CMOS_DATA 0x71u

static uint64_t tsc_start;
static uint64_t tsc_kilohertz;
static uint64_t started; /* nanoseconds since 1970 */

void
clock_wait_pit(unsigned milliseconds)
{
    uint32_t count = PIT_HERTZ / 1000 * milliseconds;

    out8(PIT_GATE, (uint8_t)((in8(PIT_GATE) & 0xfc) | 1));
    out8(PIT_MODE, 0xb0); /* counter 2 counts down once */
    out8(PIT_2, (uint8_t)count);
    out8(PIT_2, (uint8_t)(count >> 8));
    while (!(in8(PIT_GATE) & 0x20))
        __asm__ volatile("pause");
}

static uint64_t
cmos(uint8_t reg)
{
    out8(CMOS, reg);
    uint8_t value = in8(CMOS_DATA);
    return (uint64_t)(value >> 4) * 10 + (value & 15); /* two digits */
}

/* Days since 1970 of a day of the years from 2000 to 2099. */
static uint64_t
days_of(uint64_t year, uint64_t month, uint64_t day)
{
    static const uint16_t before[] = {0,   31,  59,  90,  120, 151,
                                      181, 212, 243, 273, 304, 334};
    uint64_t days = 10957 + year * 365 + (year + 3) / 4;

    days += before[(month + 11) % 12] + day - 1;
    return days + (year % 4 == 0 && month > 2);
}

static uint64_t
read_cmos(void)
{
    uint64_t days = days_of(cmos(9), cmos(8), cmos(7));

    return ((days * 24 + cmos(4)) * 60 + cmos(2)) * 60 + cmos(0);
}

void
clock_init(void)
{
    uint64_t before;

    while (cmos(10) >= 80) /* it is being set */
        ;
    started = read_cmos() * SECOND;
    before = read_tsc();
    clock_wait_pit(20);
    tsc_start = read_tsc();
    tsc_kilohertz = (tsc_start - before) / 20;
}

uint64_t
time_now(void)
{
    uint64_t ticks = read_tsc() - tsc_start;

    return ticks / tsc_kilohertz * 1000000 +
           ticks % tsc_kilohertz * 1000000 / tsc_kilohertz + 1;
}

uint64_t
time_unix(void)
{
    return started + time_now();
}
