/* SPDX-License-Identifier: MIT */
/*
 * tool.c - what all subcommands share. See tool.h.
 *
 * Called by every file of the command. tests/unit/tools/test_snapshot.c breaks
 * first when the buffer does.
 */
#define _GNU_SOURCE
#include "common/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_WIDTH    30
#define PROGRESS_DELAY_NS 100000000u
#define READ_STEP         65536u

/* Control characters of a path or process name must not reach a terminal. */
static void
make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int
tool_fail(struct tool_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    make_printable(error->text);
    return -1;
}

int
tool_refuse(const char *command, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    make_printable(text);
    if (command != NULL)
        fprintf(stderr, "aspen %s: %s\n", command, text);
    else
        fprintf(stderr, "aspen: %s\n", text);
    return EXIT_REFUSED;
}

void
tool_keep_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null",
                 (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC) != fd)
            _exit(EXIT_REFUSED); /* there is nowhere to say why */
}

void *
tool_room(void *array, size_t count, size_t *room, size_t each)
{
    size_t more = *room ? *room * 2 : 64;

    if (count < *room)
        return array;
    array = realloc(array, more * each);
    if (array)
        *room = more;
    return array;
}

uint8_t *
tool_buffer_add(struct tool_buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;

    if (buffer->failed || needed < more)
        goto fail;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity + buffer->capacity / 2 + 256;
        uint8_t *bytes;

        if (capacity < needed)
            capacity = needed;
        bytes = realloc(buffer->bytes, capacity);
        if (bytes == NULL)
            goto fail;
        buffer->bytes = bytes;
        buffer->capacity = capacity;
    }
    buffer->length = needed;
    return buffer->bytes + needed - more;
fail:
    buffer->failed = true;
    return NULL;
}

void
tool_buffer_free(struct tool_buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof(*buffer));
}

int
tool_read_file(const char *path, struct tool_buffer *buffer, size_t look,
               bool (*go_on)(const uint8_t *bytes, size_t length))
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        size_t before = buffer->length;
        uint8_t *room = tool_buffer_add(buffer, READ_STEP);
        ssize_t got = room != NULL ? read(fd, room, READ_STEP) : 0;

        if (room == NULL || (got < 0 && errno != EINTR))
            error = room == NULL ? -ENOMEM : -errno;
        else
            buffer->length = before + (got > 0 ? (size_t)got : 0);
        if (error != 0 || got == 0)
            break;
        if (go_on != NULL && buffer->length >= look &&
            !go_on(buffer->bytes, buffer->length))
            break;
    }
    close(fd);
    return error;
}

int
tool_check_target(const char *path, struct tool_error *error)
{
    const char *slash = strrchr(path, '/');
    struct stat found;
    char folder[4096];
    int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    bool there = stat(path, &found) == 0;

    snprintf(folder, sizeof(folder), "%.*s", length,
             slash == NULL ? "." : path);
    if (there && S_ISDIR(found.st_mode))
        errno = EISDIR;
    else if (access(there ? path : folder, W_OK) == 0)
        return 0;
    return tool_fail(error, "cannot write %s: %s", path, strerror(errno));
}

/* Whether a folder of PATH has such a file, as far as one may look. */
static bool
is_in_path(const char *name)
{
    const char *folder = getenv("PATH");
    char path[4096];
    bool found = false;

    if (folder == NULL)
        folder = "/bin:/usr/bin"; /* as execvp(3) */
    while (!found && folder != NULL) {
        size_t length = strcspn(folder, ":");

        /* An empty name is this folder. */
        snprintf(path, sizeof(path), "%.*s%s%s", (int)length, folder,
                 length > 0 ? "/" : "", name);
        found = access(path, F_OK) == 0;
        folder = folder[length] == ':' ? folder + length + 1 : NULL;
    }
    return found;
}

int
tool_exec(char *const *command)
{
    int error;

    execvp(command[0], command);
    error = errno;
    /* One folder that may not be entered is enough for EACCES. */
    if (error == EACCES && strchr(command[0], '/') == NULL &&
        !is_in_path(command[0]))
        error = ENOENT;
    return -error;
}

bool
tool_parse_number(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned)(*text - '0');

        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

bool
tool_parse_seconds(const char *text, uint64_t *nanoseconds)
{
    uint64_t seconds = 0;
    uint64_t fraction = 0;
    uint64_t unit = 1000000000u;
    unsigned digits = 0;

    for (; *text >= '0' && *text <= '9'; text++, digits++) {
        seconds = seconds * 10 + (uint64_t)(*text - '0');
        if (seconds > TOOL_SECONDS_MAX)
            return false;
    }
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9' && unit > 1;
             text++, digits++) {
            unit /= 10;
            fraction += unit * (uint64_t)(*text - '0');
        }
    *nanoseconds = seconds * 1000000000u + fraction;
    return *text == '\0' && digits > 0;
}

/* The length of the UTF-8 sequence at `byte`; 0: there is none. */
static size_t
utf8_length(const unsigned char *byte)
{
    size_t length = byte[0] < 0x80   ? 1
                    : byte[0] < 0xc2 ? 0
                    : byte[0] < 0xe0 ? 2
                    : byte[0] < 0xf0 ? 3
                    : byte[0] < 0xf5 ? 4
                                     : 0;

    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong, surrogates, beyond the last code point. */
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) ||
        (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) ||
        (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0;
    return length;
}

void
tool_make_utf8(char *text)
{
    while (*text != '\0') {
        size_t length = utf8_length((const unsigned char *)text);

        if (length == 0)
            *text = '?';
        text += length > 0 ? length : 1;
    }
}

uint64_t
tool_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
tool_sleep_until_ns(uint64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / 1000000000u),
        .tv_nsec = (long)(deadline_ns % 1000000000u),
    };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
           EINTR)
        continue;
}

void
tool_progress_begin(struct tool_progress *progress, const char *what,
                    uint64_t total)
{
    progress->what = what;
    progress->total = total > 0 ? total : 1;
    progress->started_ns = tool_now_ns();
    progress->drawn_ns = progress->started_ns;
    progress->on = isatty(STDERR_FILENO) == 1;
}

void
tool_progress_set(struct tool_progress *progress, uint64_t done)
{
    char bar[PROGRESS_WIDTH + 1];
    uint64_t now;
    unsigned filled;

    if (!progress->on)
        return;
    now = tool_now_ns();
    if (now - progress->drawn_ns < PROGRESS_DELAY_NS)
        return;
    progress->drawn_ns = now;
    if (done > progress->total)
        done = progress->total;
    filled = (unsigned)(done * PROGRESS_WIDTH / progress->total);
    memset(bar, ' ', PROGRESS_WIDTH);
    memset(bar, '#', filled);
    bar[PROGRESS_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %3u %% %llu s ", progress->what, bar,
            (unsigned)(done * 100 / progress->total),
            (unsigned long long)((now - progress->started_ns) / 1000000000u));
    fflush(stderr);
}

void
tool_progress_end(struct tool_progress *progress)
{
    if (progress->on && progress->drawn_ns != progress->started_ns)
        fputs("\r\033[K", stderr);
    progress->on = false;
}
