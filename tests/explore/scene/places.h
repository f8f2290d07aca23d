/* SPDX-License-Identifier: MIT */
/*
 * places.h - where in the sources an address of this program is, by addr2line,
 * and what variable it is, by the program's own symbols.
 */
#ifndef PLACES_H
#define PLACES_H

#include <stddef.h>

struct place {
    char where[96]; /* "src/fault/cow.c:12"; "" if nobody knows */
    char function[64];
};

/* The first place of each row of return addresses, innermost first, that is no
 * part of what tells of it: a row ends with NULL, all rows with an empty one.
 */
void places_of(void *const *rows, struct place *places, size_t count);

/* "counter + 0x8"; "" if it is no variable. */
void places_variable(const void *address, char *out, size_t size);

#endif
