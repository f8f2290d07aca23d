/* SPDX-License-Identifier: MIT */
/*
 * counters.h - what a machine counts, before and after: a tool that finds the
 * same again knows that nothing has leaked.
 */
#ifndef ASPEN_TOOL_COUNTERS_H
#define ASPEN_TOOL_COUNTERS_H

#include <aspen/machine.h>
#include <stdbool.h>
#include <stddef.h>

/** Of all that can leak. Tables that wait for a grace period are nobody's any
 * more, and so free. */
void counters_read(const struct aspen *aspen, struct aspen_counters *counters);

/** The same, until they are what is wanted; for a tenth of a second at most. */
void counters_settle(const struct aspen *aspen,
                     const struct aspen_counters *wanted,
                     struct aspen_counters *now);

/** "vmas: 4, not 3", the first that differs. False: none does. */
bool counters_difference(const struct aspen_counters *wanted,
                         const struct aspen_counters *now, char *text,
                         size_t size);

#endif
