/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_reads.c - reads from swap that nobody waits for.
 *
 *     begin    a record of the area; pages locked, in the cache: handed over
 *                |
 *     device   aspen_swap_done(), from any context: a bit says that it ended,
 *                |            who waits for one of the pages is woken
 *     finish   whoever comes by next: the checksum, the slots' references, the
 *              pages' locks
 *
 * The end of a transfer may be told where no lock of the core can be taken: by
 * an interrupt, maybe of who has it. So the pages are unlocked by somebody
 * else: who waits for one of them, or needs memory, or looks for slots.
 *
 * I1  A record is in use, with all that its read holds, from begin until finish
 *     has taken its bit. Finish gives the record back before the slots: with
 *     the last of these the area may go.
 * I2  What could not be read leaves the cache before its page is unlocked. No
 *     entry has changed: whoever needs it asks the device again.
 * I3  Who waits for a page looks at `reads_ended` as well, and is woken by its
 *     frame after that has changed: so he finishes it himself.
 *     So is who waits for any of them, when he has finished it, by the area.
 * I4  `io` of a request is there until the device has said how it ended;
 *     whoever waits for that is woken by the area's address, which stays.
 *
 * Called by swap, reclaim, and who looks for pages or slots. The first test to
 * break is tests/unit/swap/test_reads.c.
 */
#include "machine/swap_reads.h"

/* ---- Checksums ---------------------------------------------------------- */

/* Four sums side by side, so that no multiplication waits for the one before.
 */
static uint64_t
checksum_of(const void *page)
{
    const uint64_t *words = page;
    uint64_t sums[4] = {1, 2, 3, 4};

    for (unsigned i = 0; i < ASPEN_PAGE_SIZE / sizeof(*words); i++) {
        uint64_t *sum = &sums[i % 4];
        *sum = (*sum ^ words[i]) * 0x9fb21c651e98df25u;
        *sum ^= *sum >> 29;
    }
    return sums[0] ^ sums[1] << 1 ^ sums[2] << 2 ^ sums[3] << 3;
}

void
aspen_swap_keep_sums(const struct aspen_swap_request *request)
{
    const struct aspen_swap_io *io = &request->io;
    uint64_t *sums = request->area->sums;

    for (uint32_t i = 0; sums && i < io->pages; i++)
        sums[io->slot + i] = checksum_of(io->memory[i]);
}

bool
aspen_swap_sums_are_right(const struct aspen_swap_request *request)
{
    const struct aspen_swap_io *io = &request->io;
    const uint64_t *sums = request->area->sums;

    for (uint32_t i = 0; sums && i < io->pages; i++)
        if (sums[io->slot + i] != checksum_of(io->memory[i]))
            return false;
    return true;
}

/* ---- The end of a transfer ---------------------------------------------- */

static uint32_t
bit_of(const struct aspen_swap_read *read)
{
    return (uint32_t)1 << (read - read->request.area->reads);
}

/* I3; the record may be another read's as soon as the bit is set. */
static void
read_ended(struct aspen_swap_read *read)
{
    struct aspen_swap_area *area = read->request.area;
    const void *pages[ASPEN_SWAP_IO_PAGES];
    uint32_t count = read->request.io.pages;

    for (uint32_t i = 0; i < count; i++)
        pages[i] = read->pages[i];
    aspen_fetch_or(&area->reads_ended, bit_of(read));
    for (uint32_t i = 0; i < count; i++)
        aspen_port_wake_all(pages[i]);
    aspen_port_wake_all(area);
}

void
aspen_swap_done(struct aspen_swap_io *io, int error)
{
    struct aspen_swap_request *request =
        aspen_container_of(io, struct aspen_swap_request, io);
    struct aspen_swap_area *area = request->area;

    request->error = aspen_answer_of(error);
    if (request->is_read) {
        read_ended(
            aspen_container_of(request, struct aspen_swap_read, request));
        return;
    }
    aspen_store(&request->pending, (uint32_t)0); /* I4: it may be gone now */
    aspen_port_wake_all(area);
}

/* ---- Begin -------------------------------------------------------------- */

bool
aspen_swap_reads_later(const struct aspen *aspen, unsigned type)
{
    return aspen->swap[type].reads != NULL;
}

/* A record, or NULL: all are in use. */
static struct aspen_swap_read *
get_record(struct aspen_swap_area *area)
{
    uint32_t used = aspen_load(&area->reads_used);

    while (~used) {
        uint32_t bit = ~used & (used + 1); /* the lowest that is free */
        if (aspen_compare_exchange(&area->reads_used, &used, used | bit))
            return &area->reads[aspen_lowest_bit(bit)];
    }
    return NULL;
}

/* The pages' locks are the read's, not this task's. */
static void
hand_over(struct aspen *aspen, struct aspen_swap_read *read,
          const uint32_t *frames)
{
    struct aspen_swap_request *request = &read->request;

    for (uint32_t i = 0; i < request->io.pages; i++) {
        read->pages[i] = aspen_frame_at(aspen, frames[i]);
        request->memory[i] = aspen_frame_pointer(aspen, frames[i]);
        aspen_contents_point(request->memory[i], true);
        aspen_lock_order_leave(read->pages[i]);
    }
}

bool
aspen_swap_read_begin(struct aspen *aspen, unsigned type, uint32_t slot,
                      const uint32_t *frames, unsigned count)
{
    struct aspen_swap_area *area = &aspen->swap[type];
    struct aspen_swap_read *read = area->reads ? get_record(area) : NULL;

    if (!read)
        return false;
    aspen_fetch_add(&area->reads_begun, 1);
    read->request.io = (struct aspen_swap_io){
        .slot = slot, .pages = count, .memory = read->request.memory};
    read->request.area = area;
    read->request.error = 0;
    read->request.is_read = true;
    hand_over(aspen, read, frames);
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK))
        aspen_swap_done(&read->request.io, -ASPEN_EIO);
    else
        area->ops->submit(area->context, &read->request.io);
    return true;
}

/* ---- Finish ------------------------------------------------------------- */

void
aspen_swap_end_page(struct aspen *aspen, unsigned type, uint32_t slot,
                    uint32_t frame, int error)
{
    if (error)
        aspen_swap_cache_drop(aspen, type, slot, frame);
    else
        aspen_swap_cache_was_read(aspen, frame);
    /* Who has the lock next may ask how many have the slot. */
    aspen_swap_free(aspen, type, slot);
    aspen_frame_unlock(aspen_frame_at(aspen, frame));
}

/* What a record had, when it is another's. */
struct ended {
    struct aspen *aspen;
    unsigned type;
    uint32_t slot;
    uint32_t count;
    int error;
    struct aspen_frame *pages[ASPEN_SWAP_IO_PAGES];
};

static void
end_page(const struct ended *ended, uint32_t i)
{
    struct aspen *aspen = ended->aspen;
    struct aspen_frame *page = ended->pages[i];
    uint32_t number = aspen_frame_number(aspen, page);

    aspen_lock_order_enter_try(ASPEN_LOCK_FRAME, page);
    aspen_swap_end_page(aspen, ended->type, ended->slot + i, number,
                        ended->error);
    aspen_frame_put(aspen, number);
}

static void
end_read(struct aspen *aspen, unsigned type, unsigned number)
{
    struct aspen_swap_area *area = &aspen->swap[type];
    struct aspen_swap_read *read = &area->reads[number];
    struct ended ended = {
        .aspen = aspen,
        .type = type,
        .slot = read->request.io.slot,
        .count = read->request.io.pages,
        .error = read->request.error,
    };

    if (!ended.error && !aspen_swap_sums_are_right(&read->request))
        ended.error = -ASPEN_EIO;
    for (uint32_t i = 0; i < ended.count; i++)
        ended.pages[i] = read->pages[i];
    aspen_fetch_and(&area->reads_used, ~((uint32_t)1 << number)); /* I1 */
    if (!ended.error)
        aspen_count(aspen, ASPEN_COUNT_SWAP_IN, ended.count);
    for (uint32_t i = 0; i < ended.count; i++)
        end_page(&ended, i);
    /* The area may be another by now, but not its place. */
    aspen_fetch_add(&area->reads_finished, 1);
    aspen_port_wake_all(area);
}

void
aspen_swap_finish(struct aspen *aspen, unsigned type)
{
    struct aspen_swap_area *area = &aspen->swap[type];
    uint32_t ended = 0;

    if (aspen_unlikely(aspen_load(&area->reads_ended)))
        ended = aspen_exchange(&area->reads_ended, 0u);
    for (; ended; ended &= ended - 1)
        end_read(aspen, type, aspen_lowest_bit(ended));
}

void
aspen_swap_finish_all(struct aspen *aspen)
{
    unsigned areas = aspen_load_relaxed(&aspen->swap_areas);

    for (unsigned i = 0; i < areas; i++)
        aspen_swap_finish(aspen, i);
}

/* ---- Wait --------------------------------------------------------------- */

struct awaited {
    struct aspen_swap_area *area;
    struct aspen_frame *page; /* NULL: all */
};

/* I3 */
static bool
page_is_busy(const void *argument)
{
    const struct awaited *awaited = argument;

    return !aspen_load(&awaited->area->reads_ended) &&
           aspen_frame_is_busy(awaited->page);
}

void
aspen_swap_wait_page(struct aspen *aspen, unsigned type, uint32_t frame)
{
    struct awaited awaited = {&aspen->swap[type], aspen_frame_at(aspen, frame)};

    aspen_lock_order_assert_outside(ASPEN_LOCK_FRAME);
    for (;;) {
        aspen_swap_finish(aspen, type);
        if (!aspen_frame_is_busy(awaited.page))
            return;
        aspen_port_wait_while(awaited.page, page_is_busy, &awaited);
    }
}

struct any_read {
    const struct aspen_swap_area *area;
    uint32_t finished;
};

static bool
none_has_ended(const void *argument)
{
    const struct any_read *any = argument;

    return !aspen_load(&any->area->reads_ended) &&
           aspen_load(&any->area->reads_finished) == any->finished;
}

bool
aspen_swap_wait_any(struct aspen *aspen)
{
    unsigned areas = aspen_load_relaxed(&aspen->swap_areas);

    for (unsigned i = 0; i < areas; i++) {
        struct aspen_swap_area *area = &aspen->swap[i];
        struct any_read any = {area, aspen_load(&area->reads_finished)};
        if (aspen_load(&area->reads_begun) == any.finished)
            continue;
        aspen_port_wait_while(area, none_has_ended, &any);
        aspen_swap_finish(aspen, i);
        return true;
    }
    return false;
}

static bool
reads_are_under_way(const void *argument)
{
    const struct aspen_swap_area *area = argument;

    return !aspen_load(&area->reads_ended) && aspen_load(&area->reads_used);
}

void
aspen_swap_wait_reads(struct aspen *aspen)
{
    for (unsigned i = 0; i < aspen->swap_areas; i++)
        while (aspen_load(&aspen->swap[i].reads_used)) {
            aspen_port_wait_while(&aspen->swap[i], reads_are_under_way,
                                  &aspen->swap[i]);
            aspen_swap_finish(aspen, i);
        }
}

bool
aspen_swap_is_being_read(const struct aspen *aspen, unsigned type,
                         uint32_t slot)
{
    const struct aspen_swap_area *area = &aspen->swap[type];
    uint32_t used = aspen_load(&area->reads_used);

    for (; used; used &= used - 1) {
        const struct aspen_swap_io *io =
            &area->reads[aspen_lowest_bit(used)].request.io;
        if (slot - io->slot < io->pages)
            return true;
    }
    return false;
}
