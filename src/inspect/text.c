/* SPDX-License-Identifier: MIT */
/*
 * inspect/text.c - the formatter.
 *
 * Called by everything in this folder. The first test to break is
 * tests/unit/inspect/test_inspect.c.
 */
#include "inspect/text.h"

#include <aspen/mm.h>

#define DIGITS_MAX 20 /* of 2^64 - 1 */

void
aspen_text_begin(struct aspen_text *text, char *buffer, size_t size,
                 aspen_text_sink *sink, void *context)
{
    *text = (struct aspen_text){
        .sink = sink,
        .context = context,
        .buffer = buffer,
        .size = size,
    };
}

void
aspen_text_end(struct aspen_text *text)
{
    if (!text->sink) {
        text->buffer[text->used < text->size ? text->used : text->size - 1] = 0;
        return;
    }
    if (text->used)
        text->sink(text->context, text->buffer, text->used);
    text->used = 0;
}

void
aspen_text_char(struct aspen_text *text, char c)
{
    if (text->used == text->size) {
        if (!text->sink)
            return;
        aspen_text_end(text);
    }
    text->buffer[text->used++] = c;
    text->column = c == '\n' ? 0 : text->column + 1;
}

void
aspen_text_string(struct aspen_text *text, const char *string)
{
    while (*string)
        aspen_text_char(text, *string++);
}

void
aspen_text_pad(struct aspen_text *text, size_t column, unsigned least)
{
    for (; text->column < column || least; least -= least > 0)
        aspen_text_char(text, ' ');
}

static void
put_number(struct aspen_text *text, uint64_t value, unsigned base,
           unsigned width, char fill)
{
    char digits[DIGITS_MAX];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (; width > count; width--)
        aspen_text_char(text, fill);
    while (count)
        aspen_text_char(text, digits[--count]);
}

static void
put_argument(struct aspen_text *text, char kind, unsigned width, uint64_t value)
{
    switch (kind) {
    case 'u':
        put_number(text, value, 10, width, ' ');
        break;
    case 'a':
        aspen_text_string(text, "0x");
        put_number(text, value, 16, width, '0');
        break;
    case 'x':
        put_number(text, value, 16, width, '0');
        break;
    case 's':
        aspen_text_string(text, (const char *)(uintptr_t)value);
        break;
    default:
        aspen_text_char(text, (char)value);
        break;
    }
}

void
aspen_text_format(struct aspen_text *text, const char *format,
                  const uint64_t *arguments)
{
    for (; *format; format++) {
        unsigned width = 0;

        if (*format != '%') {
            aspen_text_char(text, *format);
            continue;
        }
        while (format[1] >= '0' && format[1] <= '9')
            width = width * 10 + (unsigned)(*++format - '0');
        format++;
        if (*format == '%')
            aspen_text_char(text, '%');
        else
            put_argument(text, *format, width, *++arguments);
    }
}

const char *
aspen_text_state(uint32_t state)
{
    static const char *const names[] = {
        [ASPEN_MM_BUILDING] = "BUILDING",
        [ASPEN_MM_LIVE] = "LIVE",
        [ASPEN_MM_DYING] = "DYING",
        [ASPEN_MM_EMPTY] = "EMPTY",
    };
    return state < ASPEN_ARRAY_SIZE(names) ? names[state] : "?";
}

const char *
aspen_text_level(unsigned level)
{
    static const char *const names[] = {"pte", "pmd", "pud", "p4d"};
    return level < ASPEN_ARRAY_SIZE(names) ? names[level] : "?";
}
