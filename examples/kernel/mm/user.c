/* SPDX-License-Identifier: MIT */
/*
 * user.c - checks before the copies in cpu/enter.S.
 */
#include "mm/user.h"

#include "lib/lib.h"
#include "sched/thread.h"

extern size_t copy_user(void *to, const void *from, size_t bytes);
extern size_t clear_user(void *to, size_t bytes);

extern char copy_user_words[], copy_user_bytes[], copy_user_fixup_words[],
    copy_user_fixup_bytes[], clear_user_bytes[];

static const struct {
    const char *instruction;
    const char *fixup;
} fixups[] = {
    {copy_user_words, copy_user_fixup_words},
    {copy_user_bytes, copy_user_fixup_bytes},
    {clear_user_bytes, copy_user_fixup_bytes},
};

uint64_t
user_fixup(uint64_t rip)
{
    for (unsigned i = 0; i < LENGTH(fixups); i++)
        if (rip == (uint64_t)(uintptr_t)fixups[i].instruction)
            return (uint64_t)(uintptr_t)fixups[i].fixup;
    return 0;
}

static bool
is_user(uint64_t address, size_t bytes)
{
    return address <= USER_LIMIT && bytes <= USER_LIMIT - address;
}

/* Whoever copies much lets others run: he may sleep on the way anyway. */
int
user_read(void *to, uint64_t from, size_t bytes)
{
    take_turns();
    if (!is_user(from, bytes) || copy_user(to, (void *)from, bytes))
        return -EFAULT;
    return 0;
}

int
user_write(uint64_t to, const void *from, size_t bytes)
{
    take_turns();
    if (!is_user(to, bytes) || copy_user((void *)to, from, bytes))
        return -EFAULT;
    return 0;
}

int
user_clear(uint64_t to, size_t bytes)
{
    if (!is_user(to, bytes))
        return -EFAULT;
    /* Where pages are there already no fault lets others run. */
    for (size_t part; bytes; to += part, bytes -= part) {
        part = MIN(bytes, 16 * PAGE_BYTES);
        take_turns();
        if (clear_user((void *)to, part))
            return -EFAULT;
    }
    return 0;
}

long
user_string(char *to, uint64_t from, size_t bytes)
{
    size_t at = 0;

    while (at < bytes) {
        /* Up to the end of a page at once: the next may not be there. */
        size_t part = MIN(bytes - at, 64 - (from + at) % 64);
        if (user_read(to + at, from + at, part))
            return -EFAULT;
        for (size_t end = at + part; at < end; at++)
            if (!to[at])
                return (long)at;
    }
    return -ENAMETOOLONG;
}
