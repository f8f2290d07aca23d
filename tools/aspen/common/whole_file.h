/* SPDX-License-Identifier: MIT */
/*
 * whole_file.h - a file that appears whole or not at all.
 */
#ifndef ASPEN_WHOLE_FILE_H
#define ASPEN_WHOLE_FILE_H

#include "common/tool.h"

/**
 * Write it beside its place, flush it to the disk, rename it; a signal that
 * ends us meanwhile leaves nothing. What is no regular file is written to as it
 * is, and "-" is standard output. 0 or a negative errno.
 */
int whole_file_write(const char *path, const struct tool_buffer *buffer);

#endif
