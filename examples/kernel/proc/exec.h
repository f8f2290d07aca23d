/* SPDX-License-Identifier: MIT */
/*
 * exec.h - arguments on their way to a new program, and how it is loaded.
 */
#ifndef KERNEL_PROC_EXEC_H
#define KERNEL_PROC_EXEC_H

#include "lib/lib.h"

struct aspen_mm;
struct aspen_object;
struct node;

#define EXEC_BYTES_MAX (1u << 20)

/* One string after the other, each with its zero. They begin as {0}. */
struct exec_strings {
    struct text arguments, environment;
    unsigned argument_count, environment_count;
};

int exec_strings_add(struct exec_strings *strings,
                     const char *const arguments[],
                     const char *const environment[]);
/* From lists of pointers in the program's memory. */
int exec_strings_read(struct exec_strings *strings, uint64_t arguments,
                      uint64_t environment);
/* These come before all arguments but the first, which goes. */
int exec_strings_prepend(struct exec_strings *strings,
                         const char *const arguments[]);
void exec_strings_free(struct exec_strings *strings);

/* ---- ELF --------------------------------------------------------------- */

struct elf_image {
    uint64_t entry;
    uint64_t base; /* what was added to all addresses */
    uint64_t headers;
    uint64_t header_bytes, header_count;
    uint64_t start, end; /* of code; of everything */
    char interpreter[256];
};

/* Map a program (or its interpreter, of which *image says no more). */
int elf_load(struct aspen_mm *mm, struct aspen_object *object,
             bool is_interpreter, struct elf_image *image);

/* Where mappings go. Before anything is mapped. */
int layout_begin(struct aspen_mm *mm);

/* The stack, and what is on it. */
int stack_build(struct aspen_mm *mm, const struct exec_strings *strings,
                const char *path, const struct elf_image *program,
                const struct elf_image *interpreter, uint64_t *rsp);

#endif
