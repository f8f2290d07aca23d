/* SPDX-License-Identifier: MIT */
/*
 * printed.h - a space made by import, and the text that is printed of it.
 */
#ifndef ASPEN_TESTS_PRINTED_H
#define ASPEN_TESTS_PRINTED_H

#include "helper.h"

#define SHARED (ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE)
#define MAY_R  (R | ASPEN_VM_MAYREAD)
#define MAY_RX (RX | MAY)

struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    char text[65536];
    size_t length;
    unsigned pieces;
};

struct scene *scene_create(void);
void scene_destroy(struct scene *scene);

/* A sink: the text goes into the scene. */
void collect(void *context, const char *text, size_t length);

/* Compares what was collected, and begins afresh. */
void assert_text(struct scene *scene, const char *expected);

struct aspen_object *object(struct scene *scene, enum aspen_object_kind kind,
                            uint64_t device, uint64_t inode, const char *name);
void pages(struct scene *scene, uint64_t address, uint64_t count,
           enum aspen_import_kind kind, unsigned level, bool dirty);

/* The number of a page's frame, as text. */
const char *frame_of(struct scene *scene, uint64_t address);

#endif
