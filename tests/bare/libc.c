/* SPDX-License-Identifier: MIT */
/*
 * libc.c - text, memory, and what tests/mmu asks a C library for.
 */
#include "bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Memory ---------------------------------------------------------------
 */

/* The compiler makes no calls of themselves of these. */
#define STAYS __asm__ volatile("" ::: "memory")

void *
memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    char *d = to;
    const char *s = from;

    for (; bytes >= 8 && !(((uintptr_t)d | (uintptr_t)s) & 7);
         bytes -= 8, d += 8, s += 8) {
        *(uint64_t *)(void *)d = *(const uint64_t *)(const void *)s;
        STAYS;
    }
    for (; bytes; bytes--) {
        *d++ = *s++;
        STAYS;
    }
    return to;
}

void *
memmove(void *to, const void *from, size_t bytes)
{
    char *d = to;
    const char *s = from;

    if (d <= s || d >= s + bytes)
        return memcpy(to, from, bytes);
    while (bytes--) {
        d[bytes] = s[bytes];
        STAYS;
    }
    return to;
}

void *
memset(void *to, int byte, size_t bytes)
{
    char *d = to;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101u;

    for (; bytes >= 8 && !((uintptr_t)d & 7); bytes -= 8, d += 8) {
        *(uint64_t *)(void *)d = pattern;
        STAYS;
    }
    for (; bytes; bytes--) {
        *d++ = (char)byte;
        STAYS;
    }
    return to;
}

int
memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t
strlen(const char *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    return length;
}

/* For tests/mmu, once: what counts the frames, and what a CPU has cached. */
static char heap[4 << 20] __attribute__((aligned(4096)));
static size_t heap_used;

void *
calloc(size_t count, size_t bytes)
{
    char *memory = heap + heap_used;

    bytes = (count * bytes + 15) & ~(size_t)15;
    if (bytes > sizeof(heap) - heap_used)
        return NULL;
    heap_used += bytes;
    return memory;
}

void *
realloc(void *memory, size_t bytes)
{
    char *more = calloc(1, bytes);

    /* Arrays only grow, at the least to twice what they were. */
    if (more && memory)
        memcpy(more, memory, bytes / 2);
    return more;
}

void
free(void *memory)
{
    (void)memory;
}

_Noreturn void
abort(void)
{
    give_up("abort");
}

/* ---- Text -----------------------------------------------------------------
 */

struct output {
    char *to;
    size_t room, length;
};

static void
put(struct output *output, char byte)
{
    if (output->length + 1 < output->room)
        output->to[output->length] = byte;
    output->length++;
}

static void
put_text(struct output *output, const char *text)
{
    while (*text)
        put(output, *text++);
}

static void
put_number(struct output *output, uint64_t value, unsigned base)
{
    char digits[24];
    size_t at = sizeof(digits);

    digits[--at] = 0;
    do
        digits[--at] = "0123456789abcdef"[value % base];
    while (value /= base);
    put_text(output, digits + at);
}

struct arguments {
    va_list list;
};

static uint64_t
number(struct arguments *arguments, bool wide, bool is_signed)
{
    if (wide)
        return va_arg(arguments->list, uint64_t);
    return is_signed ? (uint64_t)(int64_t)va_arg(arguments->list, int)
                     : va_arg(arguments->list, unsigned);
}

static void
put_argument(struct output *output, struct arguments *arguments, char kind,
             bool wide, bool prefix)
{
    uint64_t value;

    if (kind == 's') {
        put_text(output, va_arg(arguments->list, const char *));
    } else if (kind == 'c') {
        put(output, (char)va_arg(arguments->list, int));
    } else if (kind == 'd') {
        value = number(arguments, wide, true);
        if (value >> 63)
            put(output, '-');
        put_number(output, value >> 63 ? -value : value, 10);
    } else if (kind == 'u' || kind == 'x') {
        value = number(arguments, wide, false);
        if (prefix)
            put_text(output, "0x");
        put_number(output, value, kind == 'u' ? 10 : 16);
    } else {
        put(output, kind);
    }
}

int
vsnprintf(char *to, size_t bytes, const char *format, va_list list)
{
    struct output output = {to, bytes, 0};
    struct arguments arguments;

    va_copy(arguments.list, list);
    for (; *format; format++) {
        bool wide = false, prefix = false;
        if (*format != '%') {
            put(&output, *format);
            continue;
        }
        for (format++; *format == '#' || *format == 'l'; format++) {
            wide |= *format == 'l';
            prefix |= *format == '#';
        }
        put_argument(&output, &arguments, *format, wide, prefix);
    }
    va_end(arguments.list);
    if (bytes)
        to[output.length < bytes ? output.length : bytes - 1] = 0;
    return (int)output.length;
}

void
print(const char *format, ...)
{
    char line[320];
    va_list list;

    va_start(list, format);
    vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    for (const char *c = line; *c; c++)
        machine_write(*c);
}
