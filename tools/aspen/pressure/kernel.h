/* SPDX-License-Identifier: MIT */
/*
 * pressure/kernel.h - the same accesses by the host's kernel, to pages of a
 * file that a process maps, in a cgroup with as much memory for them.
 */
#ifndef ASPEN_PRESSURE_KERNEL_H
#define ASPEN_PRESSURE_KERNEL_H

#include "pressure/run.h"

/** result->kernel_ratio and ->kernel_pages. -1 and the reason: the host gives
 * no cgroup, or there is no disk for the file. */
int pressure_kernel_run(const struct pressure_plan *plan,
                        struct pressure_result *result,
                        struct tool_error *error);

#endif
