/* SPDX-License-Identifier: MIT */
/*
 * tty.c - lines, echo, and the keys that send signals.
 */
#include "fs/tty.h"

#include "dev/serial.h"
#include "fs/file.h"
#include "mm/user.h"
#include "proc/process.h"
#include "proc/signal.h"

#define LINE_BYTES 4096u

/* Linux's bits and places. */
#define ICRNL           0x100u
#define OPOST           0x1u
#define ONLCR           0x4u
#define ISIG            0x1u
#define ICANON          0x2u
#define ECHO            0x8u
#define ECHOE           0x10u
#define IEXTEN          0x8000u
#define VINTR           0
#define VQUIT           1
#define VERASE          2
#define VKILL           3
#define VEOF            4
#define VTIME           5
#define VMIN            6
#define CONTROL(letter) ((letter)&31)

#define TCGETS     0x5401u
#define TCSETSF    0x5404u
#define TIOCSCTTY  0x540eu
#define TIOCGPGRP  0x540fu
#define TIOCSPGRP  0x5410u
#define TIOCGWINSZ 0x5413u
#define TIOCSWINSZ 0x5414u
#define FIONREAD   0x541bu

struct termios {
    uint32_t input, output, control, local;
    uint8_t line;
    uint8_t characters[19];
};

static struct irq_lock lock;
static struct termios termios = {
    .input = ICRNL,
    .output = OPOST | ONLCR,
    .control = 0xbf,
    .local = ISIG | ICANON | ECHO | ECHOE | IEXTEN,
    .characters = {[VINTR] = CONTROL('C'),
                   [VQUIT] = CONTROL('\\'),
                   [VERASE] = 127,
                   [VKILL] = CONTROL('U'),
                   [VEOF] = CONTROL('D'),
                   [VMIN] = 1},
};
static char line[LINE_BYTES]; /* the one that is being typed */
static size_t line_length;
static uint16_t ready[LINE_BYTES]; /* what can be read */
static size_t ready_length;
#define END 256 /* among them: by ^D */
static struct mutex output;

void
tty_init(bool raw)
{
    serial_init();
    if (raw) {
        termios.output = 0;
        termios.local &= ~ECHO;
    }
}

/* ---- What comes in ----------------------------------------------------- */

static void
echo(const char *bytes, size_t length)
{
    if (termios.local & ECHO)
        serial_write(bytes, length);
}

static void
push(uint16_t what)
{
    if (ready_length < LINE_BYTES)
        ready[ready_length++] = what;
}

static void
push_line(void)
{
    for (size_t i = 0; i < line_length; i++)
        push((uint8_t)line[i]);
    line_length = 0;
}

static bool
is_key(char byte, unsigned key)
{
    return termios.characters[key] && (uint8_t)byte == termios.characters[key];
}

static bool
send_signal(char byte)
{
    int signal = is_key(byte, VINTR)   ? SIGINT
                 : is_key(byte, VQUIT) ? SIGQUIT
                                       : 0;

    if (!(termios.local & ISIG) || !signal)
        return false;
    echo("^C\r\n", 4);
    line_length = 0;
    signal_send_group(foreground_group, signal);
    return true;
}

static void
edit(char byte)
{
    if (is_key(byte, VERASE)) {
        if (line_length) {
            line_length--;
            echo("\b \b", 3);
        }
    } else if (is_key(byte, VKILL)) {
        for (; line_length; line_length--)
            echo("\b \b", 3);
    } else if (is_key(byte, VEOF)) {
        push_line();
        push(END);
    } else {
        if (line_length < LINE_BYTES - (byte != '\n'))
            line[line_length++] = byte;
        echo(byte == '\n' ? "\r\n" : &byte, byte == '\n' ? 2 : 1);
        if (byte == '\n')
            push_line();
    }
}

static void
take_byte(char byte)
{
    if (byte == '\r' && termios.input & ICRNL)
        byte = '\n';
    if (send_signal(byte))
        return;
    if (termios.local & ICANON) {
        edit(byte);
        return;
    }
    if (line_length < LINE_BYTES)
        line[line_length++] = byte;
    echo(&byte, 1);
    push_line();
}

void
tty_interrupt(void)
{
    bool on = irq_lock(&lock);
    int byte;

    while ((byte = serial_read()) >= 0)
        take_byte((char)byte);
    irq_unlock(&lock, on);
    wake_all(&ready_length);
    poll_wake();
}

/* Up to the end of a line; false: somebody else has taken all. */
static bool
take_ready(char *to, size_t bytes, size_t *part)
{
    bool on = irq_lock(&lock), lines = termios.local & ICANON, whole = false;
    size_t at = 0;

    *part = 0;
    for (; at < ready_length && !whole; at++) {
        if (ready[at] != END && *part == bytes)
            break;
        if (ready[at] != END)
            to[(*part)++] = (char)ready[at];
        whole = lines && (ready[at] == END || ready[at] == '\n');
    }
    ready_length -= at;
    memmove(ready, ready + at, ready_length * sizeof(*ready));
    irq_unlock(&lock, on);
    return at > 0;
}

static long
tty_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    char buffer[256];
    bool polls = !(termios.local & ICANON) && termios.characters[VMIN] == 0;
    size_t part = 0;
    int error = 0;

    (void)offset;
    if (!bytes)
        return 0;
    uint64_t until =
        polls ? time_now() + termios.characters[VTIME] * SECOND / 10 : FOREVER;
    do {
        if (!ready_length && file->flags & O_NONBLOCK)
            return -EAGAIN;
        WAIT_INTERRUPTIBLE(&ready_length, until, ready_length, error);
        if (error == -EINTR)
            return -ERESTART;
    } while (!take_ready(buffer, MIN(bytes, sizeof(buffer)), &part) && !error);
    return user_write(to, buffer, part) ? -EFAULT : (long)part;
}

/* ---- What goes out ----------------------------------------------------- */

static void
write_part(const char *bytes, size_t length)
{
    size_t from = 0;

    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n' || !(termios.output & ONLCR) ||
            !(termios.output & OPOST))
            continue;
        serial_write(bytes + from, i - from);
        serial_write("\r\n", 2);
        from = i + 1;
    }
    serial_write(bytes + from, length - from);
}

static long
tty_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    char buffer[256];
    long total = 0;

    (void)file, (void)offset;
    mutex_lock(&output);
    while (bytes) {
        size_t part = MIN(bytes, sizeof(buffer));
        if (user_read(buffer, from, part))
            break;
        write_part(buffer, part);
        from += part;
        bytes -= part;
        total += (long)part;
    }
    mutex_unlock(&output);
    return bytes && !total ? -EFAULT : total;
}

/* ---- What it is -------------------------------------------------------- */

static unsigned
tty_poll(struct file *file)
{
    (void)file;
    return POLLOUT | (ready_length ? POLLIN : 0);
}

/* All that was typed can be read; there are lines no more, and no ends. */
static void
end_lines(void)
{
    size_t length = 0;

    push_line();
    for (size_t i = 0; i < ready_length; i++)
        if (ready[i] != END)
            ready[length++] = ready[i];
    ready_length = length;
}

static long
set_termios(uint64_t from, bool flush)
{
    struct termios new;

    if (user_read(&new, from, sizeof(new)))
        return -EFAULT;
    bool on = irq_lock(&lock);
    termios = new;
    if (flush)
        ready_length = line_length = 0;
    if ((new.local &ICANON) == 0)
        end_lines();
    irq_unlock(&lock, on);
    wake_all(&ready_length);
    poll_wake();
    return 0;
}

static long
tty_ioctl(struct file *file, unsigned request, uint64_t argument)
{
    static uint16_t size[4] = {24, 80, 0, 0};
    int number = foreground_group;

    (void)file;
    switch (request) {
    case TCGETS:
        return user_write(argument, &termios, sizeof(termios));
    case TCGETS + 1:
    case TCGETS + 2:
    case TCSETSF:
        return set_termios(argument, request == TCSETSF);
    case TIOCGPGRP:
        return user_write(argument, &number, sizeof(number));
    case TIOCSPGRP:
        if (user_read(&number, argument, sizeof(number)))
            return -EFAULT;
        foreground_group = number;
        return 0;
    case TIOCGWINSZ:
        return user_write(argument, size, sizeof(size));
    case TIOCSWINSZ:
        return user_read(size, argument, sizeof(size));
    case FIONREAD:
        number = (int)ready_length;
        return user_write(argument, &number, sizeof(number));
    case TIOCSCTTY:
        return 0;
    default:
        return -ENOTTY;
    }
}

const struct file_ops tty_ops = {
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .ioctl = tty_ioctl,
};
