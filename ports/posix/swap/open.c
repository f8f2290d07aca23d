/* SPDX-License-Identifier: MIT */
/*
 * open.c - a swap device by its name, and what all kinds count.
 *
 * The first test to break is tests/unit/swap/test_devices.c.
 */
#define _GNU_SOURCE
#include "kinds.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct swap_kind *const kinds[] = {
    &swap_kind_memory, &swap_kind_file, &swap_kind_lz4,
    &swap_kind_zstd,   &swap_kind_nbd,
};

int
swap_because(struct swap_why *why, int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why->text, why->bytes, format, arguments);
    va_end(arguments);
    return error;
}

/* What stands behind the name's colon, or its end; NULL: it is another name. */
static const char *
rest_of(const struct swap_kind *kind, const char *name)
{
    size_t length = strlen(kind->name);

    if (strncmp(name, kind->name, length) != 0)
        return NULL;
    if (kind->more && name[length] == ':')
        return name + length + 1;
    return name[length] == '\0' ? name + length : NULL;
}

static int
find_kind(const char *name, const struct swap_kind **kind, const char **more,
          struct swap_why *why)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        *kind = kinds[i];
        *more = rest_of(kinds[i], name);
        if (!*more)
            continue;
        if (kinds[i]->more && **more == '\0')
            return swap_because(why, -EINVAL, "%s lacks its :%s",
                                kinds[i]->name, kinds[i]->more);
        return 0;
    }
    return swap_because(why, -EINVAL, "there is no swap device '%s'", name);
}

int
aspen_posix_swap_open(const char *name, uint32_t pages,
                      struct aspen_posix_swap **device, char *why,
                      size_t why_bytes)
{
    struct swap_why reason = {why, why_bytes};
    const struct swap_kind *kind;
    const char *more;
    int error = find_kind(name, &kind, &more, &reason);

    if (error)
        return error;
    if (!pages)
        return swap_because(&reason, -EINVAL, "a swap device without a page");
    if (!kind->open)
        return swap_because(&reason, -EOPNOTSUPP,
                            "%s is not in this build: there was no %s",
                            kind->name, kind->package);
    *device = calloc(1, sizeof(**device));
    if (!*device)
        return swap_because(&reason, -ENOMEM, "no memory");
    (*device)->kind = kind;
    (*device)->pages = pages;
    error = kind->open(*device, more, &reason);
    if (error) {
        free(*device);
        *device = NULL;
    }
    return error;
}

void
aspen_posix_swap_close(struct aspen_posix_swap *device)
{
    device->kind->close(device);
    free(device);
}

/* ---- What is counted -------------------------------------------------- */

static void
count_transfer(struct aspen_posix_swap *device, const struct aspen_swap_io *io,
               int error)
{
    struct aspen_posix_swap_counters *counters = &device->counters;

    swap_count(&counters->transfers, 1);
    if (error)
        swap_count(&counters->failed, 1);
    else
        swap_count(io->write ? &counters->pages_written : &counters->pages_read,
                   io->pages);
}

void
aspen_posix_swap_counters_read(const struct aspen_posix_swap *device,
                               struct aspen_posix_swap_counters *counters)
{
    const uint64_t *from = (const uint64_t *)&device->counters;
    uint64_t *to = (uint64_t *)counters;

    for (size_t i = 0; i < sizeof(*counters) / sizeof(*to); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* ---- As an area ------------------------------------------------------- */

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    struct aspen_posix_swap *device = context;
    int error = device->kind->transfer(device, io);

    count_transfer(device, io, error);
    return error;
}

static void
submit(void *context, struct aspen_swap_io *io)
{
    struct aspen_posix_swap *device = context;

    device->kind->submit(device, io);
}

void
swap_ended(struct aspen_posix_swap *device, struct aspen_swap_io *io, int error)
{
    count_transfer(device, io, error);
    aspen_swap_done(io, error);
}

static void
discard(void *context, uint32_t slot)
{
    struct aspen_posix_swap *device = context;

    if (device->kind->discard)
        device->kind->discard(device, slot);
}

static void
end(void *context)
{
    aspen_posix_swap_close(context);
}

void
aspen_posix_swap_area(struct aspen_posix_swap *device,
                      struct aspen_swap_args *args)
{
    static const struct aspen_swap_ops at_once = {
        .transfer = transfer,
        .discard = discard,
        .close = end,
    };
    static const struct aspen_swap_ops later = {
        .submit = submit,
        .close = end,
    };

    args->pages = device->pages;
    args->ops = device->kind->transfer ? &at_once : &later;
    args->context = device;
}
