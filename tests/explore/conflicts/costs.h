/* SPDX-License-Identifier: MIT */
/*
 * costs.h - what calls of one CPU cost, counted: instructions that a processor
 * locks, and cache lines.
 */
#ifndef CONFLICTS_COSTS_H
#define CONFLICTS_COSTS_H

#include <stdbool.h>

/* All of them, as a table, in which `all` says what is in which field, or as
 * JSON. The exit status. */
int costs_print(bool json, bool all);

#endif
