/* SPDX-License-Identifier: MIT */
/*
 * memory.c - see memory.h; and the kind of device that keeps pages as they are.
 *
 * I1  A slot is read and written by who has locked its page, or has it for the
 *     first time, and given up when nobody has it: no two of them have the same
 *     one at a time. So slots have no lock.
 *
 * Called by lz4.c and zstd.c. The first test to break is
 * tests/unit/swap/test_devices.c.
 */
#define _GNU_SOURCE
#include "memory.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WORDS (SWAP_PAGE / sizeof(uint64_t))
/* A page that would be larger is kept as it is. */
#define COMPRESSED_MAX (SWAP_PAGE * 7 / 8)
/* What malloc() has before each piece. */
#define PIECE_HEAD sizeof(size_t)

enum slot_state {
    SLOT_EMPTY, /* nothing was written */
    SLOT_SAME,
    SLOT_KEPT,
};

struct slot {
    union {
        uint64_t word; /* SAME: this one again and again */
        void *bytes;
    };
    uint16_t length; /* SWAP_PAGE: as it is */
    uint16_t state;  /* enum slot_state */
};

struct memory {
    const struct swap_codec *codec; /* of the kind; NULL: none */
    struct slot *slots;
    size_t slots_bytes;
    pthread_mutex_t lock; /* for the next two */
    void *idle[16];       /* states of the codec, for whoever needs one */
    unsigned idle_count;
};

/* ---- States of a codec ------------------------------------------------ */

static void *
take_state(struct memory *memory)
{
    void *state = NULL;

    pthread_mutex_lock(&memory->lock);
    if (memory->idle_count)
        state = memory->idle[--memory->idle_count];
    pthread_mutex_unlock(&memory->lock);
    return state ? state : memory->codec->begin();
}

static void
give_state(struct memory *memory, void *state)
{
    pthread_mutex_lock(&memory->lock);
    bool keep = memory->idle_count < sizeof(memory->idle) / sizeof(void *);
    if (keep)
        memory->idle[memory->idle_count++] = state;
    pthread_mutex_unlock(&memory->lock);
    if (!keep)
        memory->codec->end(state);
}

/* ---- Slots ------------------------------------------------------------ */

/* The slot and what it has are counted, or (-1) not any more. */
static void
count_slot(struct aspen_posix_swap *device, const struct slot *slot, int sign)
{
    struct aspen_posix_swap_counters *counters = &device->counters;
    uint64_t one = (uint64_t)sign;

    if (slot->state == SLOT_EMPTY)
        return;
    swap_count(&counters->kept_pages, one);
    if (slot->state == SLOT_SAME) {
        swap_count(&counters->same_pages, one);
        return;
    }
    if (slot->length == SWAP_PAGE)
        swap_count(&counters->whole_pages, one);
    swap_count(&counters->memory_bytes,
               one * (malloc_usable_size(slot->bytes) + PIECE_HEAD));
}

static void
replace(struct aspen_posix_swap *device, struct slot *slot, struct slot by)
{
    count_slot(device, slot, -1);
    if (slot->state == SLOT_KEPT)
        free(slot->bytes);
    *slot = by;
    count_slot(device, slot, 1);
}

/* ---- Pages ------------------------------------------------------------ */

static bool
is_same(const void *page, uint64_t *word)
{
    memcpy(word, page, sizeof(*word));
    /* Each word is the one before it, and the last one differs first, if any
     * does: so most pages are told by their ends. */
    return memcmp((const char *)page + SWAP_PAGE - sizeof(*word), word,
                  sizeof(*word)) == 0 &&
           memcmp(page, (const char *)page + sizeof(*word),
                  SWAP_PAGE - sizeof(*word)) == 0;
}

/* 0: it is as long as before. */
static size_t
compress(struct memory *memory, void *to, const void *page)
{
    void *state = NULL;

    if (!memory->codec ||
        (memory->codec->begin && !(state = take_state(memory))))
        return 0;
    size_t length = memory->codec->compress(state, to, COMPRESSED_MAX, page);
    if (state)
        give_state(memory, state);
    return length;
}

static int
keep(struct aspen_posix_swap *device, struct slot *slot, const void *page)
{
    char buffer[COMPRESSED_MAX];
    struct slot by = {.state = SLOT_SAME};
    uint64_t word;

    if (is_same(page, &word)) {
        by.word = word;
    } else {
        size_t length = compress(device->own, buffer, page);
        by.state = SLOT_KEPT;
        by.length = (uint16_t)(length ? length : SWAP_PAGE);
        by.bytes = malloc(by.length);
        if (!by.bytes)
            return -ENOMEM;
        memcpy(by.bytes, length ? buffer : page, by.length);
    }
    replace(device, slot, by);
    return 0;
}

static bool
decompress(struct memory *memory, void *page, const struct slot *slot)
{
    void *state = NULL;

    if (memory->codec->begin && !(state = take_state(memory)))
        return false;
    bool right =
        memory->codec->decompress(state, page, slot->bytes, slot->length);
    if (state)
        give_state(memory, state);
    return right;
}

static int
fetch(struct memory *memory, const struct slot *slot, void *page)
{
    if (slot->state == SLOT_EMPTY)
        return -EIO;
    if (slot->state == SLOT_SAME) {
        for (size_t i = 0; i < WORDS; i++)
            ((uint64_t *)page)[i] = slot->word;
        return 0;
    }
    if (slot->length == SWAP_PAGE)
        memcpy(page, slot->bytes, SWAP_PAGE);
    else if (!decompress(memory, page, slot))
        return -EIO;
    return 0;
}

int
swap_memory_transfer(struct aspen_posix_swap *device,
                     const struct aspen_swap_io *io)
{
    struct memory *memory = device->own;
    int error = 0;

    for (uint32_t i = 0; i < io->pages && !error; i++) {
        struct slot *slot = &memory->slots[io->slot + i];
        error = io->write ? keep(device, slot, io->memory[i])
                          : fetch(memory, slot, io->memory[i]);
    }
    return error;
}

void
swap_memory_discard(struct aspen_posix_swap *device, uint32_t slot)
{
    struct memory *memory = device->own;

    replace(device, &memory->slots[slot], (struct slot){.state = SLOT_EMPTY});
}

/* ---- The device -------------------------------------------------------- */

int
swap_memory_open(struct aspen_posix_swap *device, const char *nothing,
                 struct swap_why *why)
{
    struct memory *memory = calloc(1, sizeof(*memory));

    (void)nothing;
    if (!memory)
        return swap_because(why, -ENOMEM, "no memory");
    memory->codec = device->kind->codec;
    memory->slots_bytes = device->pages * sizeof(*memory->slots);
    memory->slots = mmap(NULL, memory->slots_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory->slots == MAP_FAILED) {
        free(memory);
        return swap_because(why, -ENOMEM, "no memory");
    }
    pthread_mutex_init(&memory->lock, NULL);
    device->own = memory;
    device->counters.memory_bytes = memory->slots_bytes;
    return 0;
}

void
swap_memory_close(struct aspen_posix_swap *device)
{
    struct memory *memory = device->own;

    for (uint32_t i = 0; i < device->pages; i++)
        if (memory->slots[i].state == SLOT_KEPT)
            free(memory->slots[i].bytes);
    while (memory->idle_count)
        memory->codec->end(memory->idle[--memory->idle_count]);
    pthread_mutex_destroy(&memory->lock);
    munmap(memory->slots, memory->slots_bytes);
    free(memory);
}

const struct swap_kind swap_kind_memory = {
    .name = "memory",
    .open = swap_memory_open,
    .transfer = swap_memory_transfer,
    .discard = swap_memory_discard,
    .close = swap_memory_close,
};
