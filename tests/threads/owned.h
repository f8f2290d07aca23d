/* SPDX-License-Identifier: MIT */
/*
 * owned.h - what each thread owns in spaces that all of them are in, for random
 * calls beside a processor (tests/mmu).
 *
 *   space 1   | pages of owner 0 | pages of owner 1 | ...
 *   space 2   | pages of owner 0 | pages of owner 1 | ...
 *   a child of each owner, which is forked and ends
 *
 * What is in its own pages, and in its own file, only the owner changes: so it
 * knows what has to be there, and a write that is lost shows with the next
 * read. Others read there, fork the space, write its file back, and advise
 * what changes no contents. What is wrong is a panic.
 */
#ifndef ASPEN_TESTS_OWNED_H
#define ASPEN_TESTS_OWNED_H

#include "helper.h"

#include "mmu.h"

#define OWNERS_MOST 8
#define SPACES      2
#define REGIONS     (SPACES + 1) /* an owner's; the last is in its child */
#define PAGES       24u
#define FILE_PAGES  16u
#define SLOTS       512u
#define WORD        64u /* where in its page the word is that is used */

/* What a page of a region is. */
enum kind { NONE, ANON, PRIVATE, SHARED, DEVICE };

struct page {
    enum kind kind;
    bool read, write;
    bool guard;
    bool locked;
    bool lazy;   /* it may go, and reads as 0 then */
    bool copied; /* PRIVATE: what it has is its own */
    bool raw;    /* DEVICE: something is there */
    unsigned file_page;
    uint64_t value;
};

struct region {
    struct aspen_mm *mm; /* NULL: no child now */
    uint64_t start;
    struct page pages[PAGES];
};

struct owner {
    struct owners *all;
    unsigned number, cpu;
    uint64_t random;
    uint64_t calls, accesses;
    const char *call; /* under way */
    uint32_t sequence;
    struct region regions[REGIONS];
    struct aspen_object *file, *device;
    uint64_t file_pages; /* its size */
    uint64_t file_values[FILE_PAGES];
    uint8_t disk[FILE_PAGES * 4096];
    bool swaps; /* to a device of its own, by this number: */
    unsigned swap;
    uint32_t transfers; /* atomic */
    uint8_t (*slots)[4096];
};

struct owners {
    struct helper helper;
    struct aspen_mm *mm[SPACES];
    int key; /* of both */
    unsigned count;
    struct owner owners[OWNERS_MOST];
};

_Noreturn void owned_wrong(const struct owner *t, const char *what,
                           uint64_t address, uint64_t has, uint64_t wants);
/* A call has to succeed. */
void owned_done(const struct owner *t, int error);

/* Of an owner's file, and of its swap device, of which each eighth transfer to
 * it fails. */
extern const struct aspen_pager_ops owned_pager;
extern const struct aspen_swap_ops owned_swap;

/* Bytes that somebody may write to meanwhile. */
void owned_copy(uint8_t *to, const uint8_t *from, uint64_t bytes);

unsigned owned_below(struct owner *t, unsigned limit);

/* ---- Values ------------------------------------------------------------ */

/* One that says whose it is, and was not there before. */
uint64_t owned_new_value(struct owner *t);
/* The owner has written it. */
void owned_written(struct owner *t, struct page *page, uint64_t value);
/* The owner has read it. */
void owned_check(struct owner *t, struct page *page, uint64_t address,
                 uint64_t value);

/* ---- Ranges ------------------------------------------------------------ */

struct range {
    struct region *region;
    unsigned first, count;
    uint64_t address, bytes;
};

#define EACH(range, page)                                                      \
    for (struct page *page = &(range)->region->pages[(range)->first],          \
                     *page##_end = page + (range)->count;                      \
         page < page##_end; page++)

#define IS(kind)    (1u << (kind))
#define IS_MEMORY   (IS(ANON) | IS(PRIVATE) | IS(SHARED))
#define IS_MAPPED   (IS_MEMORY | IS(DEVICE))
#define NOT_LOCKED  64u
#define IS_READABLE 128u
#define IS_WRITABLE 256u

struct range owned_range(struct region *region, unsigned first, unsigned count);
struct range owned_any(struct owner *t);
/* One of pages that are so, all of them; false: not this time. */
bool owned_that(struct owner *t, unsigned wants, struct range *range);

/* Nothing of it, of that kind, is cached from before `since`. */
void owned_gone(const struct owner *t, const struct range *range,
                uint64_t since, enum mmu_gone what);

/* ---- Accesses ---------------------------------------------------------- */

/* The word of a page, by the owner's processor: 0 or the fault's error. */
int owned_run(struct owner *t, struct aspen_mm *mm, uint64_t address,
              enum mmu_access access, uint64_t *value);
/* A page of its own: what is there, or is not, is as it should be. */
void owned_access(struct owner *t, struct region *region, unsigned n,
                  bool write);
void owned_access_all(struct owner *t);

#endif
