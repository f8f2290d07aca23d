/* SPDX-License-Identifier: MIT */
/*
 * page_model.h - a space as random tests remember it: an array of pages, each
 * with what calls have made of it, whatever VMA it is in. Attributes that a
 * test does not look at stay zero in it.
 */
#ifndef ASPEN_TESTS_PAGE_MODEL_H
#define ASPEN_TESTS_PAGE_MODEL_H

#include "helper.h"

#define BASE (ASPEN_ADDRESS_LIMIT >> 40 ? 0x7f0000000000 : 0x3f00000000)

struct page {
    bool mapped;
    bool first; /* a mapping starts here: for who foretells edges */
    uint64_t flags;
    struct aspen_object *object;
    uint64_t pgoff;
    const char *name;
    void *embedder;
    const void *anon; /* the mapping's anon_vma */
    bool forked;      /* of a family: it has links to more than its own */
    bool own;         /* private and written: `value` is its first byte */
    uint8_t value;
};

uint64_t page_address(unsigned page);

/* What mmap stores of the flags that it is asked for. */
uint64_t pages_flags(uint64_t asked);

/* A new mapping: of an object from page `pgoff` on, or of zeroes. */
void pages_map(struct page *pages, unsigned start, unsigned end, uint64_t asked,
               struct aspen_object *object, uint64_t pgoff);
void pages_clear(struct page *pages, unsigned start, unsigned end);

/* Without a hole. */
bool pages_are_whole(const struct page *pages, unsigned start, unsigned end);

/* The page's VMA, which has its flags, object and offset; NULL where nothing is
 * mapped. */
struct aspen_vma *page_check(struct aspen_mm *mm, const struct page *pages,
                             unsigned page);

/* The sizes of the space are the sums over its pages. */
void pages_check_sizes(struct aspen_mm *mm, const struct page *pages,
                       unsigned count);

/* Pages that are charged. */
uint64_t pages_charged(const struct page *pages, unsigned count);

#endif
