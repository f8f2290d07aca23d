/* SPDX-License-Identifier: MIT */
/*
 * A write by a software TLB, page after page: to pages that it has, to pages
 * that the page tables have, and to pages that nobody has; and what it takes to
 * empty it. No peer.
 */
#include "tlb_rows.h"

#include "clock.h"
#include "must.h"
#include <aspen/aspen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE   ((uint64_t)4096)
#define PAGES  8192u /* what is mapped */
#define FRAMES (PAGES + 1024u)
#define SLOTS  1024u
#define ROUNDS 32u
#define RW     (ASPEN_VM_READ | ASPEN_VM_WRITE)

struct slot {
    uint64_t page; /* 0: empty */
    char *host;
};

struct tlb {
    char *memory;
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t at; /* PAGES of them */
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

/* ---- The software TLB -------------------------------------------------- */

static void
drop(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct tlb *tlb = context;

    (void)mm;
    pthread_mutex_lock(&tlb->lock);
    for (unsigned i = 0; i < SLOTS; i++)
        if (tlb->slots[i].page >= start && tlb->slots[i].page < end)
            tlb->slots[i].page = 0;
    pthread_mutex_unlock(&tlb->lock);
}

static void
nothing(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context, (void)mm, (void)start, (void)end;
}

static const struct aspen_notifier_ops notifier = {
    .invalidate_start = drop,
    .invalidate_end = nothing,
};

static void
refill(struct tlb *tlb, uint64_t page)
{
    struct aspen_translation to;
    uint64_t begun = aspen_mmu_begin(tlb->mm);

    if (aspen_mmu_translate(tlb->mm, page, &to) || !to.write) {
        must(aspen_fault(tlb->mm, page, ASPEN_ACCESS_WRITE), "aspen_fault");
        return;
    }
    pthread_mutex_lock(&tlb->lock);
    bool again = aspen_mmu_retry(tlb->mm, begun, page, page + PAGE);
    if (!again)
        tlb->slots[page / PAGE % SLOTS] =
            (struct slot){page, tlb->memory + to.number * PAGE};
    pthread_mutex_unlock(&tlb->lock);
    if (again)
        aspen_mmu_wait(tlb->mm, page, page + PAGE);
}

static void
write_page(struct tlb *tlb, uint64_t page)
{
    const struct slot *slot = &tlb->slots[page / PAGE % SLOTS];

    for (;;) {
        pthread_mutex_lock(&tlb->lock);
        bool hit = slot->page == page;
        if (hit)
            *slot->host = 1;
        pthread_mutex_unlock(&tlb->lock);
        if (hit)
            return;
        refill(tlb, page);
    }
}

static void
write_pages(struct tlb *tlb, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        write_page(tlb, tlb->at + i * PAGE);
}

/* ---- Rows -------------------------------------------------------------- */

static double
hit(struct tlb *tlb)
{
    write_pages(tlb, SLOTS);
    double begin = clock_ns();
    for (unsigned i = 0; i < ROUNDS; i++)
        write_pages(tlb, SLOTS);
    return (clock_ns() - begin) / (ROUNDS * SLOTS);
}

/* More pages than slots, so that none is there any more. */
static double
miss(struct tlb *tlb)
{
    write_pages(tlb, PAGES);
    double begin = clock_ns();
    write_pages(tlb, PAGES);
    return (clock_ns() - begin) / PAGES;
}

static double
fault(struct tlb *tlb)
{
    must(aspen_madvise(tlb->mm, tlb->at, PAGES * PAGE, ASPEN_MADV_DONTNEED),
         "aspen_madvise");
    double begin = clock_ns();
    write_pages(tlb, PAGES);
    return (clock_ns() - begin) / PAGES;
}

/* One page goes: the brackets, and the TLB looked through. */
static double
empty(struct tlb *tlb)
{
    double ns = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        write_page(tlb, tlb->at + i * PAGE);
        double begin = clock_ns();
        must(aspen_madvise(tlb->mm, tlb->at + i * PAGE, PAGE,
                           ASPEN_MADV_DONTNEED),
             "aspen_madvise");
        ns += clock_ns() - begin;
    }
    return ns / SLOTS;
}

static const struct {
    const char *name;
    unsigned n;
    double (*measure)(struct tlb *tlb);
} kinds[TLB_ROWS] = {
    {"software TLB: hit", SLOTS, hit},
    {"software TLB: refill", PAGES, miss},
    {"software TLB: fault", PAGES, fault},
    {"software TLB: DONTNEED of a page", SLOTS, empty},
};

static void
create(struct tlb *tlb)
{
    struct aspen_config config;
    struct aspen_mmap_args args = {.length_bytes = PAGES * PAGE,
                                   .vm_flags = RW};

    memset(tlb->slots, 0, sizeof(tlb->slots));
    pthread_mutex_init(&tlb->lock, NULL);
    aspen_config_init(&config);
    config.frames = FRAMES;
    tlb->memory = aligned_alloc(PAGE, FRAMES * PAGE);
    must(tlb->memory ? 0 : -ASPEN_ENOMEM, "direct map");
    memset(tlb->memory, 1, FRAMES * PAGE);
    config.direct_map = tlb->memory;
    config.hooks.notifier = &notifier;
    config.hooks.context = tlb;
    must(aspen_create(&config, &tlb->aspen), "aspen_create");
    must(aspen_mm_create(tlb->aspen, &tlb->mm), "aspen_mm_create");
    must(aspen_mmap(tlb->mm, &args, &tlb->at), "aspen_mmap");
}

static void
destroy(struct tlb *tlb)
{
    aspen_mm_put(tlb->mm);
    must(aspen_destroy(tlb->aspen), "aspen_destroy");
    pthread_mutex_destroy(&tlb->lock);
    free(tlb->memory);
}

size_t
tlb_rows(struct report_row *rows, unsigned runs, FILE *progress)
{
    static struct tlb tlb;

    memset(rows, 0, TLB_ROWS * sizeof(*rows));
    for (unsigned i = 0; i < TLB_ROWS; i++) {
        snprintf(rows[i].name, sizeof(rows[i].name), "%s", kinds[i].name);
        rows[i].n = kinds[i].n;
        rows[i].unit = "ns";
    }
    for (unsigned run = 0; run < runs; run++) {
        create(&tlb);
        for (unsigned i = 0; i < TLB_ROWS; i++) {
            if (progress)
                fprintf(progress, "\r%-40s %u/%u ", kinds[i].name, run + 1,
                        runs);
            report_add_aspen(&rows[i], kinds[i].measure(&tlb));
        }
        destroy(&tlb);
    }
    return TLB_ROWS;
}
