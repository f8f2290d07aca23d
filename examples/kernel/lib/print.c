/* SPDX-License-Identifier: MIT */
/*
 * print.c - text from numbers, the log, and the end of everything.
 */
#include "lib/lib.h"

#include "cpu/cpu.h"
#include "dev/serial.h"
#include "mm/memory.h"

#include <aspen_port.h>

#define LOG_PORT  0xe9u  /* QEMU's -debugcon */
#define EXIT_PORT 0xf4u  /* QEMU's -device isa-debug-exit */
#define ACPI_PORT 0x604u /* QEMU's own power switch */

struct output {
    char *to;
    size_t room;
    size_t length;
};

struct field {
    unsigned width;
    bool zeroes;
    bool left;
    bool wide; /* 64 bits */
};

static void
put(struct output *output, char byte)
{
    if (output->length + 1 < output->room)
        output->to[output->length] = byte;
    output->length++;
}

static void
put_field(struct output *output, const struct field *field, const char *text,
          size_t length)
{
    size_t fill = field->width > length ? field->width - length : 0;

    for (size_t i = 0; !field->left && i < fill; i++)
        put(output, field->zeroes ? '0' : ' ');
    for (size_t i = 0; i < length; i++)
        put(output, text[i]);
    for (size_t i = 0; field->left && i < fill; i++)
        put(output, ' ');
}

static void
put_number(struct output *output, const struct field *field, uint64_t value,
           unsigned base, bool negative)
{
    char digits[24];
    size_t at = sizeof(digits);

    do
        digits[--at] = "0123456789abcdef"[value % base];
    while (value /= base);
    if (negative)
        digits[--at] = '-';
    put_field(output, field, digits + at, sizeof(digits) - at);
}

static const char *
read_field(const char *text, struct field *field)
{
    for (; *text == '0' || *text == '-'; text++) {
        field->zeroes |= *text == '0';
        field->left |= *text == '-';
    }
    for (; *text >= '0' && *text <= '9'; text++)
        field->width = field->width * 10 + (unsigned)(*text - '0');
    for (; *text == 'l' || *text == 'z'; text++)
        field->wide = true;
    return text;
}

static void
put_argument(struct output *output, const struct field *field, char kind,
             va_list list)
{
    if (kind == 's') {
        const char *text = va_arg(list, const char *);
        put_field(output, field, text, strlen(text));
    } else if (kind == 'c') {
        char byte = (char)va_arg(list, int);
        put_field(output, field, &byte, 1);
    } else if (kind == 'd') {
        int64_t value = field->wide ? va_arg(list, int64_t) : va_arg(list, int);
        uint64_t size = (uint64_t)value;
        put_number(output, field, value < 0 ? -size : size, 10, value < 0);
    } else if (kind == 'u' || kind == 'x' || kind == 'o') {
        uint64_t value =
            field->wide ? va_arg(list, uint64_t) : va_arg(list, unsigned);
        unsigned base = kind == 'u' ? 10 : kind == 'x' ? 16 : 8;
        put_number(output, field, value, base, false);
    } else if (kind == 'p') {
        put_number(output, field, (uint64_t)va_arg(list, void *), 16, false);
    } else {
        put(output, kind);
    }
}

/* A list that is handed on is a pointer on this machine. */
int
format_list(char *to, size_t bytes, const char *text, va_list list)
{
    struct output output = {to, bytes, 0};

    for (; *text; text++) {
        struct field field = {0};
        if (*text != '%') {
            put(&output, *text);
            continue;
        }
        text = read_field(text + 1, &field);
        put_argument(&output, &field, *text, list);
    }
    if (bytes)
        to[MIN(output.length, bytes - 1)] = 0;
    return (int)output.length;
}

int
format(char *to, size_t bytes, const char *text, ...)
{
    va_list list;

    va_start(list, text);
    int length = format_list(to, bytes, text, list);
    va_end(list);
    return length;
}

/* ---- Text that grows --------------------------------------------------- */

void
text_add(struct text *text, const char *bytes, size_t length)
{
    if (text->length + length > text->room) {
        size_t room = round_up((text->length + length) * 2, PAGE_BYTES);
        char *more = memory_try(room);
        if (!more) {
            text->failed = true;
            return;
        }
        memcpy(more, text->bytes, text->length);
        memory_free(text->bytes, text->room);
        text->bytes = more;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}

void
text_sink(void *text, const char *bytes, size_t length)
{
    text_add(text, bytes, length);
}

void
text_print(struct text *text, const char *wanted, ...)
{
    char line[512];
    va_list list;

    va_start(list, wanted);
    int length = format_list(line, sizeof(line), wanted, list);
    va_end(list);
    text_add(text, line, MIN((size_t)length, sizeof(line) - 1));
}

/* ---- The log ----------------------------------------------------------- */

static void
log_text(const char *text)
{
    for (; *text; text++)
        out8(LOG_PORT, (uint8_t)*text);
}

void
print(const char *text, ...)
{
    char line[256];
    va_list list;

    va_start(list, text);
    format_list(line, sizeof(line), text, list);
    va_end(list);
    log_text(line);
}

_Noreturn void
power_off(int status)
{
    char line[32];

    interrupts_off();
    format(line, sizeof(line), "status %d\n", status);
    log_text(line);
    out8(EXIT_PORT, 0);
    out16(ACPI_PORT, 0x2000);
    for (;;)
        __asm__ volatile("hlt");
}

/* The return addresses of those who called, for addr2line. */
static void
print_callers(void)
{
    uint64_t *frame = __builtin_frame_address(0);

    for (unsigned i = 0; i < 16 && (uint64_t)frame >= DIRECT_MAP; i++) {
        print("  %lx\n", frame[1]);
        frame = (uint64_t *)frame[0];
    }
}

_Noreturn void
panic(const char *text, ...)
{
    static uint32_t panicking;
    char line[256];
    va_list list;

    interrupts_off();
    while (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST))
        __asm__ volatile("hlt"); /* another CPU says why */
    va_start(list, text);
    format_list(line, sizeof(line), text, list);
    va_end(list);
    print("panic: %s\n", line);
    serial_write("panic: ", 7);
    serial_write(line, strlen(line));
    serial_write("\r\n", 2);
    print_callers();
    power_off(255);
}
