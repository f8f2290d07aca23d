/* SPDX-License-Identifier: MIT */
/*
 * explore.h - running programs of sim.h inside cmocka.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "unit.h"
#include <sim.h>

/* Every order of the program holds; prints how many there were. With more
 * orders than `most` the rest is sampled at random, and said. */
void explore_holds(const char *name, const struct sim_program *program,
                   uint64_t most);

/* Some order breaks it, with a message that holds `what`; its schedule, when
 * replayed, breaks it again. */
void explore_breaks(const char *name, const struct sim_program *program,
                    const char *what);

#endif
