/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the kernel's own memory, and that of Aspen's metadata: frames of
 * the machine, and smaller pieces of them by a list for each size.
 *
 * What the machine itself asks for while it is made comes from a stretch behind
 * the kernel.
 */
#include "mm/memory.h"

#include "mm/space.h"
#include "sched/thread.h"

#define SMALLEST   32u
#define SIZES      7u /* 32 to 2048 */
#define SMALL_MOST (SMALLEST << (SIZES - 1))

/* Of who needs memory, and how many pages leave for each of memory_alloc(). */
#define ATTEMPTS   16u
#define PAGES_EACH 32u

struct piece {
    struct piece *next;
};

static struct aspen_port_spinlock lock;
static struct piece *pieces[SIZES]; /* lock */
static size_t bytes_used;           /* without what Aspen has */
static uint64_t early_at, early_end;

/* ---- Before there is a machine ------------------------------------------- */

void
memory_begin(uint64_t start, uint64_t end)
{
    early_at = start;
    early_end = end;
}

static void *
take_early(size_t bytes)
{
    uint64_t start = early_at;

    early_at = round_up(start + bytes, PAGE_BYTES);
    ASSERT(early_at <= early_end);
    return memset(direct_pointer(start), 0, bytes);
}

/* What is left becomes RAM like any other. */
void
memory_goes_on(void)
{
    uint64_t start = early_at / PAGE_BYTES;
    uint64_t count = early_end / PAGE_BYTES - start;

    early_end = early_at;
    ASSERT(aspen_frames_add(machine, (uint32_t)start, (uint32_t)count) == 0);
}

/* ---- Frames -------------------------------------------------------------- */

static void *
take_frames(size_t bytes, enum aspen_frames_kind kind)
{
    struct aspen_frames_args args = {.kind = kind,
                                     .flags = ASPEN_FRAMES_ZEROED};
    uint32_t first;

    while ((size_t)PAGE_BYTES << args.order < bytes)
        args.order++;
    if (aspen_frames_alloc(machine, &args, &first))
        return NULL;
    return direct_pointer((uint64_t)first * PAGE_BYTES);
}

static void
give_frames(void *memory)
{
    uint64_t first = physical_address(memory) / PAGE_BYTES;

    aspen_frames_free(machine, (uint32_t)first);
}

void *
memory_device(size_t bytes)
{
    return take_frames(bytes, ASPEN_FRAMES_DEVICE);
}

void *
aspen_port_memory_alloc(size_t bytes)
{
    return machine ? take_frames(bytes, ASPEN_FRAMES_METADATA)
                   : take_early(bytes);
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    (void)bytes;
    if (memory && physical_address(memory) >= early_end)
        give_frames(memory);
}

/* ---- Pieces -------------------------------------------------------------- */

static unsigned
size_index(size_t bytes)
{
    unsigned index = 0;

    while ((SMALLEST << index) < bytes)
        index++;
    return index;
}

static void
give_piece(void *memory, unsigned index)
{
    struct piece *piece = memory;

    spin_lock(&lock);
    piece->next = pieces[index];
    pieces[index] = piece;
    spin_unlock(&lock);
}

static void *
take_piece(unsigned index)
{
    size_t bytes = SMALLEST << index;

    spin_lock(&lock);
    struct piece *piece = pieces[index];
    if (piece)
        pieces[index] = piece->next;
    spin_unlock(&lock);
    if (piece)
        return memset(piece, 0, bytes);
    char *page = take_frames(PAGE_BYTES, ASPEN_FRAMES_KERNEL);
    for (size_t at = bytes; page && at < PAGE_BYTES; at += bytes)
        give_piece(page + at, index);
    return page;
}

static void *
take(size_t bytes)
{
    return bytes <= SMALL_MOST ? take_piece(size_index(bytes))
                               : take_frames(bytes, ASPEN_FRAMES_KERNEL);
}

void *
memory_try(size_t bytes)
{
    void *memory = take(bytes);

    /* What /proc/aspen/fail lets fail once is to be a step of Aspen's. */
    if (!memory)
        memory = take(bytes);
    if (memory)
        __atomic_fetch_add(&bytes_used, bytes, __ATOMIC_RELAXED);
    return memory;
}

bool
memory_make_room(unsigned attempt, unsigned pages)
{
    return attempt < ATTEMPTS && aspen_reclaim(machine, pages) > 0;
}

void *
memory_alloc(size_t bytes)
{
    void *memory = memory_try(bytes);

    for (unsigned i = 0; !memory && memory_make_room(i, PAGES_EACH); i++)
        memory = memory_try(bytes);
    return memory;
}

void
memory_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    if (bytes <= SMALL_MOST)
        give_piece(memory, size_index(bytes));
    else
        give_frames(memory);
    __atomic_fetch_sub(&bytes_used, bytes, __ATOMIC_RELAXED);
}

size_t
memory_in_use(void)
{
    return __atomic_load_n(&bytes_used, __ATOMIC_RELAXED);
}

/* ---- Strings ------------------------------------------------------------- */

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
