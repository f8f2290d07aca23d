/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the kernel's own memory: runs of pages by a bit map, and smaller
 * pieces by a list for each size.
 */
#include "mm/memory.h"

#include "sched/thread.h"

#include <aspen_port.h>

#define SMALLEST   32u
#define SIZES      7u /* 32 to 2048 */
#define MOST_PAGES (1u << 18)

struct piece {
    struct piece *next;
};

static struct aspen_port_spinlock lock;
static uint64_t base; /* physical */
static size_t pages;
static size_t bytes_used; /* without what Aspen has */
static size_t hint;       /* no page before it is free */
static uint64_t taken[MOST_PAGES / 64];
static struct piece *pieces[SIZES];

void
memory_init(uint64_t start, uint64_t end)
{
    base = round_up(start, PAGE_BYTES);
    pages = MIN((end - base) / PAGE_BYTES, MOST_PAGES);
}

static bool
is_taken(size_t page)
{
    return taken[page / 64] >> page % 64 & 1;
}

static void
mark(size_t page, size_t count, bool take)
{
    for (; count--; page++) {
        uint64_t bit = (uint64_t)1 << page % 64;
        taken[page / 64] =
            take ? taken[page / 64] | bit : taken[page / 64] & ~bit;
    }
}

/* First fit; a full word is passed over at once. */
static void *
take_pages_locked(size_t count)
{
    size_t run = 0;

    while (hint < pages && is_taken(hint))
        hint++;
    for (size_t page = hint; page < pages; page++) {
        if (page % 64 == 0 && taken[page / 64] == UINT64_MAX) {
            run = 0;
            page += 63;
            continue;
        }
        run = is_taken(page) ? 0 : run + 1;
        if (run < count)
            continue;
        page -= count - 1;
        mark(page, count, true);
        return direct_pointer(base + page * PAGE_BYTES);
    }
    return NULL;
}

static void
give_pages_locked(void *memory, size_t count)
{
    size_t page = (physical_address(memory) - base) / PAGE_BYTES;

    ASSERT(page + count <= pages && is_taken(page));
    mark(page, count, false);
    hint = MIN(hint, page);
}

static unsigned
size_index(size_t bytes)
{
    unsigned index = 0;

    while ((SMALLEST << index) < bytes)
        index++;
    return index;
}

static void *
take_piece_locked(unsigned index)
{
    size_t bytes = SMALLEST << index;
    struct piece *piece = pieces[index];

    if (!piece) {
        char *page = take_pages_locked(1);
        for (size_t at = 0; page && at < PAGE_BYTES; at += bytes) {
            piece = (struct piece *)(void *)(page + at);
            piece->next = pieces[index];
            pieces[index] = piece;
        }
    }
    if (piece)
        pieces[index] = piece->next;
    return piece;
}

static void *
take(size_t bytes)
{
    bool small = bytes <= PAGE_BYTES / 2;
    size_t count = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;

    spin_lock(&lock);
    void *memory =
        small ? take_piece_locked(size_index(bytes)) : take_pages_locked(count);
    spin_unlock(&lock);
    if (memory)
        memset(memory, 0, small ? bytes : count * PAGE_BYTES);
    return memory;
}

static void
give(void *memory, size_t bytes)
{
    struct piece *piece = memory;

    spin_lock(&lock);
    if (bytes <= PAGE_BYTES / 2) {
        piece->next = pieces[size_index(bytes)];
        pieces[size_index(bytes)] = piece;
    } else {
        give_pages_locked(memory, (bytes + PAGE_BYTES - 1) / PAGE_BYTES);
    }
    spin_unlock(&lock);
}

void *
memory_alloc(size_t bytes)
{
    void *memory = take(bytes);

    if (memory)
        __atomic_fetch_add(&bytes_used, bytes, __ATOMIC_RELAXED);
    return memory;
}

void
memory_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    give(memory, bytes);
    __atomic_fetch_sub(&bytes_used, bytes, __ATOMIC_RELAXED);
}

size_t
memory_in_use(void)
{
    return __atomic_load_n(&bytes_used, __ATOMIC_RELAXED);
}

void *
aspen_port_memory_alloc(size_t bytes)
{
    return take(MAX(bytes, PAGE_BYTES)); /* aligned to a page */
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    if (memory)
        give(memory, MAX(bytes, PAGE_BYTES));
}

char *
string_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = memory_alloc(bytes);

    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

void
string_free(char *text)
{
    if (text)
        memory_free(text, strlen(text) + 1);
}
