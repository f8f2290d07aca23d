/* SPDX-License-Identifier: MIT */
/*
 * json.h - the one JSON object that a subcommand prints with --json.
 *
 * No memory shows when it is printed, or as a value that is not there.
 */
#ifndef ASPEN_TOOL_JSON_H
#define ASPEN_TOOL_JSON_H

#include <jansson.h>
#include <stdint.h>

/** What is beyond JSON's integers becomes the largest of them. */
void tool_json_count(json_t *object, const char *key, uint64_t count);

/** Bytes from outside, as UTF-8. */
json_t *tool_json_words(const char *text);

/** A line on stdout; the object is let go. `flags`: jansson's, besides
 * JSON_COMPACT. -1: no memory. */
int tool_json_print(json_t *object, size_t flags);

#endif
