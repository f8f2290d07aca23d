/* SPDX-License-Identifier: MIT */
/*
 * tool.h - what all subcommands of the `aspen` command share: exit statuses,
 * one-line refusals, growing buffers, options, the progress bar.
 *
 * Nothing here knows about address spaces.
 */
#ifndef ASPEN_TOOL_H
#define ASPEN_TOOL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_HELD    0 /* all is well */
#define EXIT_BROKEN  1 /* a promise was broken */
#define EXIT_REFUSED 2 /* usage, or the system refused */

/** Why something was refused: one line, without a newline at its end. */
struct tool_error {
    char text[512];
};

/** Fill `error` and return -1, so that a caller can return the call. */
int tool_fail(struct tool_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Print "aspen COMMAND: text" to stderr as one line; return EXIT_REFUSED. */
int tool_refuse(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * What main() does first: where standard input, output or error is closed, its
 * number is taken by what fails as that does, and is closed again by exec. Else
 * the next file that is opened would have it, and get what is printed.
 */
void tool_keep_standard(void);

/**
 * The array, with room for one more at the end: elsewhere, and *room larger,
 * when `count` fill it. NULL: no memory, and the array is as it was.
 */
void *tool_room(void *array, size_t count, size_t *room, size_t each);

/** Memory that grows; `failed` sticks, so that it is looked at once. */
struct tool_buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
    bool failed;
};

/** Room for `more` bytes at the end; NULL when there is no memory. */
uint8_t *tool_buffer_add(struct tool_buffer *buffer, size_t more);
void tool_buffer_free(struct tool_buffer *buffer);

/**
 * Read a whole file, of any kind, into the buffer. When `go_on` (or NULL) says
 * no to the first `look` bytes or more, the rest is not read.
 * 0 or a negative errno.
 */
int tool_read_file(const char *path, struct tool_buffer *buffer, size_t look,
                   bool (*go_on)(const uint8_t *bytes, size_t length));

/**
 * Become the command, found as a shell does: what is in none of the folders of
 * PATH that one may enter is not there. Returns a negative errno.
 */
int tool_exec(char *const *command);

/**
 * Refuse a file that cannot be written, before all the work that would be in
 * vain. It is not made yet. 0, or -1 and the reason.
 */
int tool_check_target(const char *path, struct tool_error *error);

/** Numbers of options: decimal digits only, no sign. False: not a number. */
bool tool_parse_number(const char *text, uint64_t max, uint64_t *number);
#define TOOL_SECONDS_MAX 1000000u
/** Seconds with up to nine digits after the point, as nanoseconds. */
bool tool_parse_seconds(const char *text, uint64_t *nanoseconds);

/**
 * JSON is UTF-8, paths and process names are bytes: what is not UTF-8 becomes
 * '?', in place.
 */
void tool_make_utf8(char *text);

/** Monotonic clock. */
uint64_t tool_now_ns(void);
void tool_sleep_until_ns(uint64_t deadline_ns);

/**
 * A bar on stderr while it is a terminal, redrawn at most ten times a second;
 * nothing at all otherwise.
 */
struct tool_progress {
    const char *what;
    uint64_t total;
    uint64_t started_ns;
    uint64_t drawn_ns;
    bool on;
};

void tool_progress_begin(struct tool_progress *progress, const char *what,
                         uint64_t total);
void tool_progress_set(struct tool_progress *progress, uint64_t done);
/** Wipes the bar. */
void tool_progress_end(struct tool_progress *progress);

#endif
