/* SPDX-License-Identifier: MIT */
/*
 * string.c - memory and strings, as the compiler and the core call them.
 */
#include "lib/lib.h"

void *
memcpy(void *__restrict to, const void *__restrict from, size_t bytes)
{
    void *result = to;
    size_t words = bytes / 8, rest = bytes % 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest)::"memory");
    return result;
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
        __asm__ volatile("" ::: "memory"); /* this is memmove itself */
    }
    return to;
}

void *
memset(void *to, int byte, size_t bytes)
{
    void *result = to;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101u;
    size_t words = bytes / 8, rest = bytes % 8;

    __asm__ volatile("rep stosq"
                     : "+D"(to), "+c"(words)
                     : "a"(pattern)
                     : "memory");
    __asm__ volatile("rep stosb"
                     : "+D"(to), "+c"(rest)
                     : "a"(pattern)
                     : "memory");
    return result;
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

int
strncmp(const char *a, const char *b, size_t most)
{
    for (size_t i = 0; i < most; i++)
        if (a[i] != b[i] || !a[i])
            return (uint8_t)a[i] - (uint8_t)b[i];
    return 0;
}

int
strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}
