/* SPDX-License-Identifier: MIT */
/*
 * system.c - calls about the machine, and random numbers.
 */
#include "sys/call.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "sys/random.h"

static long
sys_uname(const uint64_t *a)
{
    static const char names[6][65] = {
        "Linux", "aspen", "6.1.0-aspen", "Aspen example kernel", "x86_64", ""};

    return user_write(a[0], names, sizeof(names));
}

struct sysinfo {
    int64_t uptime;
    uint64_t loads[3];
    uint64_t total, free, shared, buffers, swap_total, swap_free;
    uint16_t processes, padding[3];
    uint64_t high_total, high_free;
    uint32_t unit, more;
};

static long
sys_sysinfo(const uint64_t *a)
{
    struct aspen_counters counters;

    aspen_counters_read(machine, &counters);
    struct sysinfo info = {
        .uptime = (int64_t)(time_now() / SECOND),
        .total = counters.frames_total * PAGE_BYTES,
        .free = counters.frames_free * PAGE_BYTES,
        .swap_total = counters.swap_slots * PAGE_BYTES,
        .swap_free =
            (counters.swap_slots - counters.swap_slots_used) * PAGE_BYTES,
        .processes = (uint16_t)counters.mms_live,
        .unit = 1,
    };
    return user_write(a[0], &info, sizeof(info));
}

struct statfs {
    uint64_t type, block_bytes, blocks, free, available, files, files_free;
    uint64_t id, name_bytes, fragment, flags, spare[4];
};

static long
sys_statfs(const uint64_t *a)
{
    struct aspen_counters counters;

    aspen_counters_read(machine, &counters);
    struct statfs statfs = {
        .type = 0x01021994, /* tmpfs */
        .block_bytes = PAGE_BYTES,
        .blocks = counters.frames_total,
        .free = counters.frames_free,
        .available = memory_available(&counters),
        .name_bytes = NAME_BYTES_MAX,
        .fragment = PAGE_BYTES,
    };
    return user_write(a[1], &statfs, sizeof(statfs));
}

static long
sys_reboot(const uint64_t *a)
{
    (void)a;
    power_off(0);
}

/* Extended attributes: no file has any. */
static long
not_supported(const uint64_t *a)
{
    (void)a;
    return -EOPNOTSUPP;
}

static long
sys_socket(const uint64_t *a)
{
    (void)a;
    return -EAFNOSUPPORT;
}

static long
sys_getrandom(const uint64_t *a)
{
    return random_give(a[0], a[1]);
}

/* ---- Random numbers ---------------------------------------------------- */

static uint64_t random_state;

static uint64_t
random_next(void)
{
    uint64_t x = __atomic_add_fetch(
        &random_state, 0x9e3779b97f4a7c15u + read_tsc(), __ATOMIC_RELAXED);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void
random_fill(void *to, size_t bytes)
{
    for (uint8_t *at = to; bytes; bytes--)
        *at++ = (uint8_t)random_next();
}

long
random_give(uint64_t to, size_t bytes)
{
    uint64_t buffer[32];

    for (size_t done = 0; done < bytes;) {
        size_t part = MIN(bytes - done, sizeof(buffer));
        for (unsigned i = 0; i < LENGTH(buffer); i++)
            buffer[i] = random_next();
        if (user_write(to + done, buffer, part))
            return done ? (long)done : -EFAULT;
        done += part;
    }
    return (long)bytes;
}

uint64_t
random_pages(uint64_t count)
{
    return random_next() % count * PAGE_BYTES;
}

const struct call system_calls[] = {
    {41, sys_socket},
    {63, sys_uname},
    {99, sys_sysinfo},
    {137, sys_statfs},
    {138, sys_statfs},
    {169, sys_reboot},
    {188, not_supported},
    {189, not_supported},
    {190, not_supported},
    {191, not_supported},
    {192, not_supported},
    {193, not_supported},
    {194, not_supported},
    {195, not_supported},
    {196, not_supported},
    {318, sys_getrandom},
    {0, NULL},
};
