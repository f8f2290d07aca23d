/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the programs of tests/explore as a registry of scenarios, for
 * `aspen explore` (tools/aspen/explore), which runs them and reads what they
 * say.
 *
 * ASPEN_EXPLORE is what it wants, in words: the descriptor that lines of JSON
 * go to, then `list` or `run`, and of a run what it is bounded by (see struct
 * wish). ASPEN_EXPLORE_ONLY is the one scenario that is meant;
 * ASPEN_EXPLORE_SCHEDULE the one schedule of it.
 *
 * A scenario's name is that of the program, a slash, and what the test calls
 * it, in small letters, digits, hyphens, plus signs and slashes.
 */
#ifndef SERVE_H
#define SERVE_H

#include <sim.h>

/* Somebody wants to be served. */
bool serve_is_wanted(void);

/* Somebody is: then it is done with this scenario. */
bool serve_scenario(const char *title, const struct sim_program *program);

#endif
