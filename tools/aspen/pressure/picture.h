/* SPDX-License-Identifier: MIT */
/*
 * pressure/picture.h - how a run went: a page of pictures, or numbers for
 * whoever draws them.
 */
#ifndef ASPEN_PRESSURE_PICTURE_H
#define ASPEN_PRESSURE_PICTURE_H

#include "pressure/run.h"

/** A page of HTML that needs nothing else. -1 and the reason. */
int pressure_picture_write(const char *path, const char *workload,
                           const struct pressure_plan *plan,
                           const struct pressure_result *result,
                           struct tool_error *error);

/** The samples, one a line, with the names of the columns above them, as
 * gnuplot reads it. -1 and the reason. */
int pressure_samples_write(const char *path,
                           const struct pressure_result *result,
                           struct tool_error *error);

#endif
