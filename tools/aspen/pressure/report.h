/* SPDX-License-Identifier: MIT */
/*
 * pressure/report.h - what a run has shown, as text and as JSON.
 */
#ifndef ASPEN_PRESSURE_REPORT_H
#define ASPEN_PRESSURE_REPORT_H

#include "pressure/run.h"

/** Both to stdout. -1: no memory. */
void pressure_report_text(const char *workload,
                          const struct pressure_plan *plan,
                          const struct pressure_result *result);
int pressure_report_json(const char *workload, const struct pressure_plan *plan,
                         const struct pressure_result *result);

#endif
