/* SPDX-License-Identifier: MIT */
/*
 * calls/memory.c - bytes out of and into an address space, for somebody else
 * than the program.
 *
 * I1  Bytes are copied while the mmap lock is held for reading and a reference
 *     holds the page: no fork can make a child share the page meanwhile.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_copy.c.
 */
#include <aspen/calls/memory.h>

#include "fault/hold.h"
#include "paging/icache.h"

struct copy {
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t address;
    uint64_t remaining;
    void *in; /* one of them is NULL */
    const void *out;
};

/* The part of one page. */
static uint64_t
bytes_in_page(const struct copy *copy)
{
    uint64_t in_page = ASPEN_PAGE_SIZE - copy->address % ASPEN_PAGE_SIZE;
    return aspen_min_u64(in_page, copy->remaining);
}

static void
copy_bytes(struct copy *copy, uint32_t frame, uint64_t bytes)
{
    char *page = aspen_frame_pointer(copy->aspen, frame);
    char *at = page + copy->address % ASPEN_PAGE_SIZE;

    if (copy->aspen->config.flags & ASPEN_CONFIG_CONTENTS_IGNORED) {
        if (copy->in)
            memset(copy->in, 0, (size_t)bytes);
        return;
    }
    aspen_contents_point(page, copy->out != NULL);
    if (copy->in)
        memcpy(copy->in, at, (size_t)bytes);
    else
        memcpy(at, copy->out, (size_t)bytes);
    if (copy->out)
        aspen_icache_written(copy->aspen, frame,
                             copy->address % ASPEN_PAGE_SIZE, bytes);
}

static void
advance(struct copy *copy, uint64_t bytes)
{
    copy->address += bytes;
    copy->remaining -= bytes;
    if (copy->in)
        copy->in = (char *)copy->in + bytes;
    else
        copy->out = (const char *)copy->out + bytes;
}

static int
copy_pages(struct copy *copy, struct aspen_hold *hold)
{
    while (copy->remaining) {
        uint64_t bytes = bytes_in_page(copy);
        uint32_t frame;
        int error = aspen_hold_page(hold, copy->address, &frame);
        if (error)
            return error;
        copy_bytes(copy, frame, bytes);
        if (copy->out)
            aspen_hold_page_written(hold, frame);
        aspen_hold_put(hold, frame);
        advance(copy, bytes);
    }
    return 0;
}

static unsigned
how_of(unsigned flags)
{
    return (flags & ASPEN_MEMORY_FORCE ? ASPEN_HOLD_FORCE : 0) |
           (flags & ASPEN_MEMORY_REMOTE ? ASPEN_HOLD_REMOTE : 0);
}

static int
copy_all(struct copy *copy, unsigned flags, uint64_t *done)
{
    struct aspen_mm *mm = copy->mm;
    uint64_t length = copy->remaining;

    *done = 0;
    if (flags & ~(ASPEN_MEMORY_FORCE | ASPEN_MEMORY_REMOTE))
        return -ASPEN_EINVAL;
    if (aspen_frames_refuse_contents(mm->aspen))
        return -ASPEN_EOPNOTSUPP;
    struct aspen_hold hold;

    aspen_hold_begin(&hold, mm,
                     copy->in ? ASPEN_ACCESS_READ : ASPEN_ACCESS_WRITE,
                     how_of(flags));
    int error = copy_pages(copy, &hold);
    aspen_hold_end(&hold);
    *done = length - copy->remaining;
    return error;
}

int
aspen_read_memory(struct aspen_mm *mm, uint64_t address, void *buffer,
                  uint64_t length_bytes, unsigned flags, uint64_t *done)
{
    struct copy copy = {
        .aspen = mm->aspen,
        .mm = mm,
        .address = address,
        .remaining = length_bytes,
        .in = buffer,
    };
    return copy_all(&copy, flags, done);
}

int
aspen_write_memory(struct aspen_mm *mm, uint64_t address, const void *buffer,
                   uint64_t length_bytes, unsigned flags, uint64_t *done)
{
    struct copy copy = {
        .aspen = mm->aspen,
        .mm = mm,
        .address = address,
        .remaining = length_bytes,
        .out = buffer,
    };
    return copy_all(&copy, flags, done);
}
