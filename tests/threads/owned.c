/* SPDX-License-Identifier: MIT */
/*
 * owned.c - see owned.h.
 */
#include "owned.h"
#include "slots.h"

#include "beside.h"
#include "told.h"
#include "space/mm.h"
#include <inttypes.h>

/* ---- What is wrong ----------------------------------------------------- */

_Noreturn void
owned_wrong(const struct owner *t, const char *what, uint64_t address,
            uint64_t has, uint64_t wants)
{
    char text[300];

    snprintf(text, sizeof(text),
             "thread %u, call %" PRIu64 " (%s): %s at %#" PRIx64 ": %#" PRIx64
             " instead of %#" PRIx64,
             t->number, t->calls, t->call, what, address, has, wants);
    aspen_port_panic(text);
}

void
owned_done(const struct owner *t, int error)
{
    if (error)
        owned_wrong(t, "the call fails", 0, (uint64_t)(int64_t)error, 0);
}

/* ---- The file ---------------------------------------------------------- */

/* Others write it back as well; the core does so one at a time. */
static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    const struct owner *t = context;

    memcpy(page, t->disk + offset_bytes, PAGE);
    return 0;
}

/* The program writes meanwhile, to a page that becomes dirty by that. */
__attribute__((no_sanitize("thread"))) void
owned_copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    struct owner *t = context;

    for (uint64_t at = 0; at < bytes; at += PAGE)
        owned_copy(t->disk + offset_bytes + at, pages[at / PAGE],
                   bytes - at < PAGE ? bytes - at : PAGE);
    return 0;
}

static int
punch_disk(void *context, uint64_t offset_bytes, uint64_t bytes)
{
    struct owner *t = context;

    memset(t->disk + offset_bytes, 0, bytes);
    return 0;
}

static int
resize_disk(void *context, uint64_t bytes)
{
    return punch_disk(context, bytes, FILE_PAGES * PAGE - bytes);
}

const struct aspen_pager_ops owned_pager = {
    .read = read_disk,
    .write = write_disk,
    .punch = punch_disk,
    .resize = resize_disk,
};

/* ---- The swap device --------------------------------------------------- */

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    struct owner *t = context;

    if (io->write &&
        __atomic_fetch_add(&t->transfers, 1, __ATOMIC_RELAXED) % 8 == 7)
        return -ASPEN_EIO;
    return slots_transfer(t->slots, io);
}

const struct aspen_swap_ops owned_swap = {.transfer = transfer};

/* ---- What should be there ---------------------------------------------- */

static uint64_t *
value_of(struct owner *t, struct page *page)
{
    if (page->kind == SHARED || (page->kind == PRIVATE && !page->copied))
        return &t->file_values[page->file_page];
    return &page->value;
}

/* Does an access succeed? */
static bool
is_there(const struct owner *t, const struct page *page, bool write)
{
    if (page->kind == NONE || page->guard ||
        !(write ? page->write : page->read))
        return false;
    if (page->kind == DEVICE)
        return page->raw;
    return page->kind == ANON || page->copied ||
           page->file_page < t->file_pages;
}

void
owned_written(struct owner *t, struct page *page, uint64_t value)
{
    if (page->kind == PRIVATE)
        page->copied = true;
    page->lazy = false;
    *value_of(t, page) = value;
}

/* Four bytes say whose it is: others look at them. */
uint64_t
owned_new_value(struct owner *t)
{
    return (uint64_t)(0xa1 + t->number) * 0x01010101 << 32 | ++t->sequence;
}

void
owned_check(struct owner *t, struct page *page, uint64_t address,
            uint64_t value)
{
    uint64_t wants = *value_of(t, page);

    if (value == wants)
        return;
    if (value || !page->lazy)
        owned_wrong(t, "what is read", address, value, wants);
    page->value = 0;
}

/* ---- A range of one's own ---------------------------------------------- */

unsigned
owned_below(struct owner *t, unsigned limit)
{
    return (unsigned)unit_below(&t->random, limit);
}

struct range
owned_range(struct region *region, unsigned first, unsigned count)
{
    return (struct range){region, first, count, region->start + first * PAGE,
                          count * PAGE};
}

struct range
owned_any(struct owner *t)
{
    struct region *region = &t->regions[owned_below(t, REGIONS)];

    if (!region->mm)
        region = &t->regions[0];
    unsigned first = owned_below(t, PAGES), count = 1 + owned_below(t, 6);
    if (owned_below(t, 16) == 0) /* all: tables go */
        return owned_range(region, 0, PAGES);
    return owned_range(region, first,
                       count < PAGES - first ? count : PAGES - first);
}

static bool
fits(const struct owner *t, const struct page *page, unsigned wants)
{
    return wants & IS(page->kind) && !(wants & NOT_LOCKED && page->locked) &&
           !(wants & IS_READABLE && !is_there(t, page, false)) &&
           !(wants & IS_WRITABLE && !is_there(t, page, true));
}

/* A range, cut to its first pages that are so; false: there are none. */
bool
owned_that(struct owner *t, unsigned wants, struct range *range)
{
    unsigned count = 0;

    *range = owned_any(t);
    while (count < range->count &&
           fits(t, &range->region->pages[range->first + count], wants))
        count++;
    *range = owned_range(range->region, range->first, count);
    return count > 0;
}

void
owned_gone(const struct owner *t, const struct range *range, uint64_t since,
           enum mmu_gone what)
{
    mmu_check_gone(range->region->mm->root, range->address,
                   range->address + range->bytes, since, what, t->call);
    beside_say(t->call);
}

/* ---- Accesses ---------------------------------------------------------- */

int
owned_run(struct owner *t, struct aspen_mm *mm, uint64_t address,
          enum mmu_access access, uint64_t *value)
{
    int error =
        told_run(t->cpu, mm, address + WORD, access, value, sizeof(*value));

    t->accesses++;
    beside_say(t->call);
    if (error == TOLD_FOR_EVER)
        owned_wrong(t, "faults answer 0, and it faults again", address, 1, 0);
    return error;
}

void
owned_access(struct owner *t, struct region *region, unsigned n, bool write)
{
    struct page *page = &region->pages[n];
    uint64_t address = region->start + n * PAGE;
    uint64_t value = write ? owned_new_value(t) : 0;
    bool there = is_there(t, page, write);

    int error =
        owned_run(t, region->mm, address, write ? MMU_WRITE : MMU_READ, &value);
    if (!error != there)
        owned_wrong(t, write ? "a write" : "a read", address,
                    (uint64_t)(int64_t)error, there);
    if (!there || page->kind == DEVICE)
        return;
    if (write)
        owned_written(t, page, value);
    else
        owned_check(t, page, address, value);
}

void
owned_access_all(struct owner *t)
{
    t->call = "reading all";
    for (unsigned i = 0; i < REGIONS; i++)
        for (unsigned n = 0; t->regions[i].mm && n < PAGES; n++)
            owned_access(t, &t->regions[i], n, false);
}
