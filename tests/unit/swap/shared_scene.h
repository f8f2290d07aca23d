/* SPDX-License-Identifier: MIT */
/*
 * shared_scene.h - a machine with a swap device, and an object of shared memory
 * that one space maps: page i begins with i + 1 and ends with 0xff.
 */
#ifndef ASPEN_TESTS_SWAP_SHARED_SCENE_H
#define ASPEN_TESTS_SWAP_SHARED_SCENE_H

#include "device.h"
#include "helper.h"

#define PAGES  40u
#define SHARED (RW | ASPEN_VM_SHARED)

struct shared_scene {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct device device;
    struct aspen_object *object; /* or NULL */
    uint64_t at;                 /* where it is mapped */
};

extern struct shared_scene scene;

/* The machine, and its device, which behaves as that one, unless it is NULL. */
void scene_begin(uint32_t frames, const struct device *device, uint32_t slots);

/* The object, its pages in memory. */
void scene_object(unsigned pages);

/* Both, of PAGES pages, in swap. */
void scene_swapped(void);

void scene_end(void);

struct aspen_counters scene_counts(void);
uint64_t scene_slots(void); /* in use */

void page_out(uint64_t at, uint64_t pages);
void scene_reclaim(void); /* all that can leave does */

/* A word, and a byte of the object. */
void put(struct aspen_mm *mm, uint64_t at, uint64_t number);
uint64_t get(struct aspen_mm *mm, uint64_t at);
uint8_t byte_at(uint64_t offset);

/* As they were made, by the mapping. */
void assert_page(uint64_t page);
void assert_contents(void);

#endif
