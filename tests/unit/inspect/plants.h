/* SPDX-License-Identifier: MIT */
/*
 * plants.h - corruptions for the validator to find. Each is planted alone, in
 * a machine that is sound otherwise, and taken out again. plants_TOPIC.c has
 * them by topic, in a table each: a new check of the validator gets a row
 * there.
 */
#ifndef ASPEN_TESTS_PLANTS_H
#define ASPEN_TESTS_PLANTS_H

#include "fork_parent.h"
#include "helper.h"

#include "paging/entry.h"

#include "internal.h"

#define POKES 16

/* Where fork_parent_rich() has what. */
#define ANON        (3 * MIB)  /* 512 pages, charged */
#define LOCKED      (5 * MIB)  /* 4 pages */
#define FILE_COW    (10 * MIB) /* 4 pages of the file, 4 private copies */
#define FILE_SHARED (11 * MIB)
#define SHMEM       (12 * MIB)
#define FILE_READ   (13 * MIB) /* nothing touched */
#define SPECIALS    (14 * MIB) /* 2 pages, 2 zero pages, 2 guards */
#define SWAPPED     (3 * GIB)
#define RAW         (4 * GIB)
#define HUGE        FAR_AWAY
#define NOWHERE     (FAR_AWAY + 50 * GIB) /* no VMA and no table */

/* ---- A scene with everything in it ------------------------------------- */

struct poke {
    void *place;
    unsigned char old[64];
    size_t size;
};

struct scene {
    struct fork_parent *rich;
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;
    struct aspen_mm *empty; /* after exit, kept by a reference */
    uint32_t cached;        /* a frame of the page cache that nobody maps */
    struct aspen_group *top;
    struct aspen_group *group; /* below that */
    struct aspen_mm *member;   /* in it, with a page at ANON */
    struct poke pokes[POKES];
    unsigned poked;
    void (*after)(struct scene *scene); /* undoes what is no poke */
    uint32_t frame;
    void *memory;
};

/* Who is to find it: the whole machine, or one of its address spaces too. */
enum finder { MACHINE, PARENT, CHILD, CHILD_ALONE };

/* A table ends with an empty row. */
struct plant {
    const char *check;
    enum finder finder;
    void (*plant)(struct scene *scene);
};

extern const struct plant
    plants_mm[]; /* address spaces, and the lists that a machine has of them */
extern const struct plant plants_vma[];    /* the tree and its VMAs */
extern const struct plant plants_table[];  /* page tables and their entries */
extern const struct plant plants_rmap[];   /* reverse maps */
extern const struct plant plants_object[]; /* objects, their pages and names */
extern const struct plant
    plants_machine[]; /* frames, swap slots, charge and caches */

extern const struct plant plants_group[]; /* groups */

struct scene scene_create(void);
void scene_destroy(struct scene *scene);

/* What is changed is remembered; restore() undoes it all. */
void remember(struct scene *scene, void *place, size_t size);
void restore(struct scene *scene);
#define POKE(scene, at, value)                                                 \
    (remember((scene), &(at), sizeof(at)), (void)((at) = (value)))

/* The two change places, where their keys are the same. */
void exchange(struct aspen_interval_tree *tree,
              struct aspen_interval_node *first,
              struct aspen_interval_node *second);

/* ---- Finding one's way ------------------------------------------------- */

struct aspen_vma *vma_at(struct aspen_mm *mm, uint64_t address);
uint64_t *slot_at(struct aspen_mm *mm, uint64_t address, unsigned level);

/* The frame of the table of level 0, or what an entry leads to. */
uint32_t frame_at(struct aspen_mm *mm, uint64_t address, unsigned level);
struct aspen_frame *page_at(struct scene *scene, uint64_t address);
struct aspen_frame *table_at(struct scene *scene, uint64_t address);

struct aspen_anon_vma_link *link_at(struct aspen_mm *mm, uint64_t address);

/* The link to the VMA's own anon_vma: the newest. */
struct aspen_anon_vma_link *own_link_at(struct aspen_mm *mm, uint64_t address);

uint64_t anon_leaf(struct scene *scene, uint64_t of);

#endif
