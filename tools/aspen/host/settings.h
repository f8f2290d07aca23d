/* SPDX-License-Identifier: MIT */
/* settings.h - what stands in files of /proc and /sys. */
#ifndef ASPEN_HOST_SETTINGS_H
#define ASPEN_HOST_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define THP "/sys/kernel/mm/transparent_hugepage/"

/** The number in a file; `otherwise` when there is none. */
uint64_t host_number_in(const char *path, uint64_t otherwise);

/** Whether the first line of a file has the word in it. */
bool host_file_says(const char *path, const char *word);

#endif
