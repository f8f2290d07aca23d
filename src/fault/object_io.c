/* SPDX-License-Identifier: MIT */
/*
 * fault/object_io.c - bytes of an object, through its page cache.
 *
 * I1  A page is written under its lock, while it is the object's and dirty: so
 *     no page is written that was cut off, and write-back misses none.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/object/test_writeback.c.
 */
#include "object/page_cache.h"

#include "frames/lru.h"
#include "paging/icache.h"
#include "reclaim/direct.h"
#include "swap/swap.h"

struct object_io {
    struct aspen_object *object;
    uint64_t offset;
    uint64_t remaining;
    char *in; /* one of them is NULL */
    const char *out;
};

/* The page is locked and the object's; what of it lies inside the size. */
static void
move(struct object_io *t, uint32_t number)
{
    struct aspen *aspen = t->object->aspen;
    char *page = aspen_frame_pointer(aspen, number);
    uint64_t inside = t->offset % ASPEN_PAGE_SIZE;
    uint64_t size = aspen_load(&t->object->size_bytes);
    uint64_t bytes = aspen_min_u64(ASPEN_PAGE_SIZE - inside, t->remaining);

    if (t->offset >= size)
        bytes = 0;
    bytes = aspen_min_u64(bytes, size - t->offset);
    if (bytes == 0) {
        t->remaining = 0; /* the end has come nearer meanwhile */
    } else if (t->in) {
        memcpy(t->in, page + inside, (size_t)bytes);
        t->in += bytes;
    } else {
        memcpy(page + inside, t->out, (size_t)bytes);
        aspen_icache_written(aspen, number, inside, bytes);
        t->out += bytes;
    }
    t->offset += bytes;
    t->remaining -= aspen_min_u64(bytes, t->remaining);
}

/* The page, held: move if it is still what it was, else look again. */
static int
try_page(struct object_io *t, uint32_t number)
{
    struct aspen_object *object = t->object;
    struct aspen_frame *frame = aspen_frame_at(object->aspen, number);
    uint64_t offset = t->offset >> ASPEN_PAGE_SHIFT;

    if (t->out) {
        int error = aspen_object_make_dirty(object, offset, number);
        if (error)
            return error;
    }
    aspen_lru_mark(frame);
    aspen_frame_lock(frame);
    if (aspen_object_owns(object, frame, offset) &&
        (t->in || aspen_load(&frame->index) & ASPEN_FRAME_DIRTY))
        move(t, number);
    aspen_frame_unlock(frame);
    return 0;
}

/* The page at the offset, held; memory is made free for it. */
static int
get_page(struct object_io *t, uint32_t *frame)
{
    struct aspen *aspen = t->object->aspen;
    struct aspen_direct direct = {.aspen = aspen};
    int error;

    do {
        aspen_direct_begin(&direct);
        error =
            aspen_swap_get_page(t->object, t->offset >> ASPEN_PAGE_SHIFT,
                                ASPEN_AHEAD_NORMAL, &direct.payer, NULL, frame);
    } while (aspen_direct_again(&direct, error) &&
             !(error = aspen_poll_fatal(aspen)));
    aspen_direct_lower(&direct);
    return error;
}

static int
move_all(struct object_io *t, uint64_t *done)
{
    struct aspen_object *object = t->object;
    uint64_t start = t->offset;
    int error = 0;

    while (!error && t->remaining &&
           t->offset < aspen_load(&object->size_bytes)) {
        uint32_t frame;
        error = get_page(t, &frame);
        if (error)
            break;
        error = try_page(t, frame);
        aspen_frame_put(object->aspen, frame);
        if (!error && t->remaining) /* or the same page once more */
            error = aspen_poll_fatal(object->aspen);
    }
    *done = t->offset - start;
    /* The end has come nearer meanwhile, unless a pager says so. */
    return error == -ASPEN_EFBIG && t->offset >= aspen_load(&object->size_bytes)
               ? 0
               : error;
}

static int
check(const struct aspen_object *object, uint64_t *done)
{
    *done = 0;
    if (!aspen_object_has_pages(object))
        return -ASPEN_EINVAL;
    return aspen_frames_have_contents(object->aspen) ? 0 : -ASPEN_EOPNOTSUPP;
}

int
aspen_object_read(struct aspen_object *object, uint64_t offset_bytes,
                  void *buffer, uint64_t length_bytes, uint64_t *done)
{
    struct object_io t = {.object = object,
                          .offset = offset_bytes,
                          .remaining = length_bytes,
                          .in = buffer};
    int error = check(object, done);

    return error ? error : move_all(&t, done);
}

int
aspen_object_write(struct aspen_object *object, uint64_t offset_bytes,
                   const void *buffer, uint64_t length_bytes, uint64_t *done)
{
    struct object_io t = {.object = object,
                          .offset = offset_bytes,
                          .remaining = length_bytes,
                          .out = buffer};
    int error = check(object, done);

    return error ? error : move_all(&t, done);
}
