/* SPDX-License-Identifier: MIT */
/*
 * inspect/text.h - a small formatter: the core has no printf.
 *
 * Text collects in the caller's buffer. With a sink the buffer is handed on
 * whenever it is full; without one, text that does not fit is dropped.
 *
 *     char buffer[256];
 *     struct aspen_text text;
 *     aspen_text_begin(&text, buffer, sizeof(buffer), sink, context);
 *     ASPEN_TEXT(&text, "frame %u at %a", frame, address);
 *     aspen_text_end(&text);
 *
 *   %u   decimal          %8u  right-aligned in 8 columns
 *   %x   hexadecimal      %8x  zeroes before it up to 8 digits
 *   %a   an address: 0x and hexadecimal
 *   %s   a string, given as ASPEN_TEXT_STRING(pointer)
 *   %c   a character      %%   a percent sign
 *
 * Every argument becomes a uint64_t on the way, so no width can be wrong.
 */
#ifndef ASPEN_INSPECT_TEXT_H
#define ASPEN_INSPECT_TEXT_H

#include "base/bits.h"
#include <aspen/inspect.h>

struct aspen_text {
    aspen_text_sink *sink; /* NULL: the buffer is all there is */
    void *context;
    char *buffer;
    size_t size;
    size_t used;
    size_t column; /* characters since the last line end */
};

void aspen_text_begin(struct aspen_text *text, char *buffer, size_t size,
                      aspen_text_sink *sink, void *context);

/* With a sink: hand on the rest. Without: terminate the text (size > 0). */
void aspen_text_end(struct aspen_text *text);

void aspen_text_char(struct aspen_text *text, char c);
void aspen_text_string(struct aspen_text *text, const char *string);

/* Spaces up to a column; at least `least` of them. */
void aspen_text_pad(struct aspen_text *text, size_t column, unsigned least);

/* `arguments[0]` is not used: so the array is never empty. */
void aspen_text_format(struct aspen_text *text, const char *format,
                       const uint64_t *arguments);

#define ASPEN_TEXT(text, ...) ASPEN_TEXT_2(text, __VA_ARGS__, 0)
#define ASPEN_TEXT_2(text, format, ...)                                        \
    aspen_text_format((text), (format), (const uint64_t[]){0, __VA_ARGS__})
#define ASPEN_TEXT_STRING(string) ((uint64_t)(uintptr_t)(string))

/* Words of the notation: "LIVE", "pte"; "?" when out of range. */
const char *aspen_text_state(uint32_t state);
const char *aspen_text_level(unsigned level);

#endif
