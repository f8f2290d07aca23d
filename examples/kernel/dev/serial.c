/* SPDX-License-Identifier: MIT */
/*
 * serial.c - a 16550 at COM1.
 */
#include "dev/serial.h"

#include "cpu/cpu.h"

#define COM1         0x3f8u
#define DATA         (COM1 + 0)
#define INTERRUPTS   (COM1 + 1)
#define FIFO         (COM1 + 2)
#define LINE         (COM1 + 3)
#define MODEM        (COM1 + 4)
#define STATUS       (COM1 + 5)
#define STATUS_READY 0x01u
#define STATUS_EMPTY 0x20u
#define FIFO_BYTES   16u

void
serial_init(void)
{
    out8(INTERRUPTS, 0);
    out8(LINE, 0x80); /* the next two set the rate: 115,200 */
    out8(DATA, 1);
    out8(INTERRUPTS, 0);
    out8(LINE, 0x03); /* 8 bits, no parity, 1 stop */
    out8(FIFO, 0x07);
    out8(MODEM, 0x0b);
    out8(INTERRUPTS, 0x01); /* when something has come */
}

void
serial_write(const char *bytes, size_t length)
{
    while (length) {
        size_t part = length < FIFO_BYTES ? length : FIFO_BYTES;
        while (!(in8(STATUS) & STATUS_EMPTY))
            __asm__ volatile("pause");
        length -= part;
        while (part--)
            out8(DATA, (uint8_t)*bytes++);
    }
}

int
serial_read(void)
{
    return in8(STATUS) & STATUS_READY ? in8(DATA) : -1;
}
