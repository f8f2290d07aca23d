/* SPDX-License-Identifier: MIT */
/*
 * tally.h - counts by name, in the order in which names appear.
 */
#ifndef ASPEN_TALLY_H
#define ASPEN_TALLY_H

#include <stdint.h>
#include <stdio.h>

#define TALLY_ROWS 64u

struct tally {
    struct {
        const char *name; /* static, or lives as long as the tally */
        uint64_t count;
    } rows[TALLY_ROWS];
    unsigned used;
};

/* Names beyond the room are not counted. */
void tally_add(struct tally *tally, const char *name, uint64_t count);
uint64_t tally_sum(const struct tally *tally);

/* "what: a 1, b 2", a line; nothing when there is none. */
void tally_print(FILE *to, const char *what, const struct tally *tally);

/* {"a":1,"b":2}; the caller's. NULL: no memory. */
struct json_t;
struct json_t *tally_json(const struct tally *tally);

#endif
