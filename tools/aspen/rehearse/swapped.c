/* SPDX-License-Identifier: MIT */
/*
 * swapped.c - see swapped.h.
 *
 * The device keeps of a page of ours only its first word, from which the rest
 * follows; of any other all that it holds.
 *
 * Called by load.c and failing_fork.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/swapped.h"
#include "common/page_map.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/memory.h>
#include <aspen/calls/swap.h>
#include <aspen/error.h>
#include <aspen/flags.h>
#include <aspen/import.h>
#include <stdlib.h>
#include <string.h>

#define PAGE  SNAPSHOT_PAGE_SIZE
#define WORDS (PAGE / sizeof(uint64_t))
/* Of the process, in memory and swapped: 4 GiB. */
#define PAGES_MAX (UINT64_C(1) << 20)
/* At a time, so that no more frames are taken. */
#define CHUNK 256u
#define SOME  16u
#define MANY  4096u
/* What is in there cannot be swapped, or is not the child's. */
#define STRANGE                                                                \
    (ASPEN_VM_LOCKED | ASPEN_VM_SPECIAL | ASPEN_VM_PFNMAP |                    \
     ASPEN_VM_MIXEDMAP | ASPEN_VM_IO | ASPEN_VM_HUGETLB | ASPEN_VM_SHARED |    \
     ASPEN_VM_DONTCOPY | ASPEN_VM_WIPEONFORK)

struct slot {
    uint64_t word;
    uint64_t *words; /* NULL: they follow from the first */
};

struct swapped {
    struct page_map named; /* slots of the kernel's: 1, or 2: more than once */
    uint64_t planned;
    struct slot *slots;
    uint32_t slot_count;
    uint64_t *addresses;
    size_t count;
    size_t room;
    size_t next; /* whose turn it is */
    struct swapped_counts counts;
};

/* ---- Contents ----------------------------------------------------------- */

static void
fill(uint64_t word, uint64_t *words)
{
    words[0] = word;
    for (unsigned i = 1; i < WORDS; i++)
        words[i] = page_map_scatter(word + i);
}

/* Never zero. */
static uint64_t
word_of(uint64_t address)
{
    return page_map_scatter(address) | 1;
}

/* ---- The device --------------------------------------------------------- */

static int
write_slot(struct slot *slot, const void *page)
{
    uint64_t words[WORDS], word;

    memcpy(&word, page, sizeof(word));
    fill(word, words);
    free(slot->words);
    *slot = (struct slot){.word = word};
    if (memcmp(words, page, PAGE) == 0)
        return 0;
    slot->words = malloc(PAGE);
    if (!slot->words)
        return -ASPEN_ENOMEM;
    memcpy(slot->words, page, PAGE);
    return 0;
}

static void
read_slot(const struct slot *slot, void *page)
{
    if (slot->words)
        memcpy(page, slot->words, PAGE);
    else
        fill(slot->word, page);
}

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    struct swapped *swapped = context;
    int error = 0;

    for (uint32_t i = 0; i < io->pages && error == 0; i++)
        if (io->write)
            error = write_slot(&swapped->slots[io->slot + i], io->memory[i]);
        else
            read_slot(&swapped->slots[io->slot + i], io->memory[i]);
    return error;
}

int
swapped_attach(struct swapped *swapped, struct aspen *aspen)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {
        .pages = swapped->slot_count,
        .ops = &ops,
        .context = swapped,
    };
    unsigned type;

    return aspen_swap_add(aspen, &args, &type);
}

/* ---- Which pages -------------------------------------------------------- */

/* 0, or -1: no memory. */
static int
note_slots(struct swapped *swapped, const struct snapshot_run *run)
{
    const uint64_t one = UINT64_C(1) << SNAPSHOT_SWAP_TYPE_BITS;

    for (uint64_t i = 0; run->value != SNAPSHOT_NO_SLOT && i < run->count;
         i++) {
        uint64_t key = run->value + i * one;
        bool known = page_map_find(&swapped->named, key);
        if (page_map_put(&swapped->named, key, known ? 2 : 1) != 0)
            return -1;
    }
    return 0;
}

bool
swapped_takes(const struct swapped *swapped, const struct snapshot_vma *vma,
              const struct snapshot_run *run, uint64_t n)
{
    uint64_t key = run->value + (n << SNAPSHOT_SWAP_TYPE_BITS);

    if (!swapped || vma->flags & STRANGE ||
        snapshot_run_kind(run) != SNAPSHOT_SWAP || snapshot_run_level(run) > 0)
        return false;
    return run->value == SNAPSHOT_NO_SLOT ||
           *page_map_find(&swapped->named, key) == 1;
}

static const struct snapshot_run *
run_of(const struct snapshot *snapshot, const struct snapshot_vma *vma,
       uint32_t i)
{
    return &snapshot->runs[vma->first_run + i];
}

static int
note_all(struct swapped *swapped, const struct snapshot *snapshot)
{
    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        for (uint32_t j = 0; j < snapshot->vmas[i].run_count; j++) {
            const struct snapshot_run *run =
                run_of(snapshot, &snapshot->vmas[i], j);
            if (snapshot_run_kind(run) == SNAPSHOT_SWAP &&
                note_slots(swapped, run) != 0)
                return -1;
        }
    return 0;
}

static void
plan_all(struct swapped *swapped, const struct snapshot *snapshot)
{
    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        for (uint32_t j = 0; j < snapshot->vmas[i].run_count; j++) {
            const struct snapshot_run *run =
                run_of(snapshot, &snapshot->vmas[i], j);
            for (uint64_t n = 0; n < run->count; n++)
                swapped->planned +=
                    swapped_takes(swapped, &snapshot->vmas[i], run, n);
        }
}

int
swapped_begin(struct swapped **begun, const struct snapshot *snapshot)
{
    struct snapshot_totals totals;
    struct swapped *swapped;

    *begun = NULL;
    snapshot_sum(snapshot, &totals);
    if (totals.pages[SNAPSHOT_SWAP] == 0 ||
        totals.pages[SNAPSHOT_SWAP] + totals.pages[SNAPSHOT_ANON] +
                totals.pages[SNAPSHOT_OBJECT] >
            PAGES_MAX)
        return 0;
    swapped = calloc(1, sizeof(*swapped));
    if (!swapped || note_all(swapped, snapshot) != 0) {
        swapped_end(swapped);
        return -1;
    }
    plan_all(swapped, snapshot);
    /* Some more: slots get free a little late. */
    swapped->slot_count = (uint32_t)(swapped->planned + 16 * CHUNK);
    swapped->slots = calloc(swapped->slot_count, sizeof(*swapped->slots));
    if (!swapped->slots) {
        swapped_end(swapped);
        return -1;
    }
    *begun = swapped;
    if (swapped->planned == 0) {
        swapped_end(swapped);
        *begun = NULL;
    }
    return 0;
}

void
swapped_end(struct swapped *swapped)
{
    if (!swapped)
        return;
    for (uint32_t i = 0; swapped->slots && i < swapped->slot_count; i++)
        free(swapped->slots[i].words);
    free(swapped->slots);
    free(swapped->addresses);
    page_map_free(&swapped->named);
    free(swapped);
}

uint64_t
swapped_pages(const struct swapped *swapped)
{
    return swapped ? swapped->planned : 0;
}

void
swapped_count(const struct swapped *swapped, struct swapped_counts *counts)
{
    *counts = (struct swapped_counts){0};
    if (swapped)
        *counts = swapped->counts;
}

/* ---- Out ---------------------------------------------------------------- */

/* 0, or an error: -ASPEN_EIO, some stay. */
static int
swap_out(struct aspen_mm *mm, uint64_t address, uint64_t count)
{
    struct aspen_mm_counters before, after;

    aspen_mm_counters_read(mm, &before);
    int error = aspen_madvise(mm, address, count * PAGE, ASPEN_MADV_PAGEOUT);
    aspen_mm_counters_read(mm, &after);
    if (error == 0 && after.swap_pages != before.swap_pages + count)
        error = -ASPEN_EIO;
    return error;
}

static int
add_address(struct swapped *swapped, uint64_t address)
{
    uint64_t *addresses = tool_room(swapped->addresses, swapped->count,
                                    &swapped->room, sizeof(*addresses));

    if (!addresses)
        return -ASPEN_ENOMEM;
    swapped->addresses = addresses;
    addresses[swapped->count++] = address;
    return 0;
}

static int
put_chunk(struct swapped *swapped, struct aspen_mm *mm, uint64_t address,
          uint64_t count)
{
    struct aspen_import_pages pages = {
        .address = address,
        .count = count,
        .kind = ASPEN_IMPORT_ANON,
        .dirty = true,
    };
    uint64_t words[WORDS], done;
    int error = aspen_import_pages(mm, &pages, &done);

    for (uint64_t i = 0; i < count && error == 0; i++) {
        fill(word_of(address + i * PAGE), words);
        error =
            aspen_write_memory(mm, address + i * PAGE, words, PAGE,
                               ASPEN_MEMORY_FORCE | ASPEN_MEMORY_REMOTE, &done);
        if (error == 0)
            error = add_address(swapped, address + i * PAGE);
    }
    return error ? error : swap_out(mm, address, count);
}

int
swapped_put(struct swapped *swapped, struct aspen_mm *mm, uint64_t address,
            uint64_t count)
{
    int error = 0;

    while (count && error == 0) {
        uint64_t now = count < CHUNK ? count : CHUNK;
        error = put_chunk(swapped, mm, address, now);
        address += now * PAGE;
        count -= now;
    }
    return error;
}

/* ---- Compared ----------------------------------------------------------- */

static bool
compare(struct aspen_mm *mm, uint64_t address, int *error)
{
    uint64_t words[WORDS], expected[WORDS], done;

    fill(word_of(address), expected);
    *error = aspen_read_memory(mm, address, words, PAGE,
                               ASPEN_MEMORY_FORCE | ASPEN_MEMORY_REMOTE, &done);
    return *error == 0 && memcmp(words, expected, PAGE) == 0;
}

bool
swapped_compare_child(struct swapped *swapped, struct aspen_mm *child,
                      uint64_t *wrong, int *error)
{
    for (size_t i = 0; swapped && i < SOME && i < swapped->count; i++) {
        *wrong = swapped->addresses[(swapped->next + i) % swapped->count];
        if (!compare(child, *wrong, error))
            return false;
        swapped->counts.in_children++;
    }
    return true;
}

bool
swapped_compare_parent(struct swapped *swapped, struct aspen_mm *parent,
                       bool many, uint64_t *wrong, int *error)
{
    for (size_t i = 0;
         swapped && i < (many ? MANY : SOME) && i < swapped->count; i++) {
        *wrong = swapped->addresses[swapped->next];
        swapped->next = (swapped->next + 1) % swapped->count;
        if (!compare(parent, *wrong, error))
            return false;
        *error = swap_out(parent, *wrong, 1);
        if (*error)
            return false;
        swapped->counts.in_parents++;
    }
    return true;
}
