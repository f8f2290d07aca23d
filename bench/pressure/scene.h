/* SPDX-License-Identifier: MIT */
/*
 * bench/pressure/scene.h - a machine whose pages leave, and come back.
 */
#ifndef BENCH_PRESSURE_SCENE_H
#define BENCH_PRESSURE_SCENE_H

#include <aspen/aspen.h>
#include <aspen_posix_swap.h>
#include <stddef.h>

#define SCENE_PAGE ((uint64_t)4096)

enum scene_swap {
    SCENE_NO_SWAP,
    SCENE_NOWHERE, /* a device that keeps nothing */
    SCENE_LZ4,
};

struct scene {
    void *memory;
    size_t bytes;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_object *file;       /* or NULL */
    struct aspen_posix_swap *device; /* of SCENE_LZ4, or NULL */
    uint64_t pages;
    uint64_t at; /* where they are mapped */
};

/* For `pages` pages, with contents or without. With swap there are watermarks
 * and a hook that hears of them, too, none of which is ever met. False: LZ4 is
 * not in this build. */
bool scene_begin(struct scene *scene, uint64_t pages, enum scene_swap swap,
                 bool contents);
void scene_end(struct scene *scene);

/* An area of so many slots on a device that keeps nothing: its type. */
unsigned scene_add_nowhere(struct scene *scene, uint64_t slots);

/* Another space, that has as much of its own. */
struct aspen_mm *scene_new_mm(const struct scene *scene, uint64_t *at);

/* Page `i` of a random order of 2^n pages. */
uint64_t scene_shuffled(uint64_t pages, uint64_t i);

/* A fault at each page of a mapping: in order, or shuffled. */
void scene_touch(struct aspen_mm *mm, uint64_t at, uint64_t pages,
                 unsigned access, bool shuffled);

/* From here on the pages are those of a file, mapped shared; all of them are in
 * memory. */
void scene_map_file(struct scene *scene);

/* No page was accessed lately, and those of the lists stand in no order of
 * frames. */
void scene_make_old(struct scene *scene);

/* A page that a program might have: text of a few hundred words, and numbers.
 */
void scene_fill(const struct scene *scene);

/* Its contents, which are there. */
void *scene_page(const struct scene *scene, uint64_t i);

#endif
