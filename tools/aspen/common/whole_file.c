/* SPDX-License-Identifier: MIT */
/*
 * whole_file.c - a file that appears whole or not at all.
 *
 * Called by snapshot/file.c. tests/unit/tools/test_snapshot.c breaks first.
 */
#define _GNU_SOURCE
#include "common/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal that ends us must not leave behind. */
static char pending_file[PATH_MAX];
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGXFSZ};
#define ENDING_SIGNALS (sizeof(ending_signals) / sizeof(ending_signals[0]))
static struct sigaction old_actions[ENDING_SIGNALS];

static void
end_by_signal(int number)
{
    if (pending_file[0] != '\0')
        unlink(pending_file);
    signal(number, SIG_DFL);
    raise(number);
}

static void
watch_signals(void)
{
    struct sigaction action = {.sa_handler = end_by_signal};

    for (size_t i = 0; i < ENDING_SIGNALS; i++) {
        sigaction(ending_signals[i], NULL, &old_actions[i]);
        if (ending_signals[i] == SIGXFSZ) /* write() then answers EFBIG */
            action.sa_handler = SIG_IGN;
        else if (old_actions[i].sa_handler == SIG_IGN)
            continue;
        sigaction(ending_signals[i], &action, NULL);
    }
}

static void
unwatch_signals(void)
{
    for (size_t i = 0; i < ENDING_SIGNALS; i++)
        sigaction(ending_signals[i], &old_actions[i], NULL);
}

static int
write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -ENOSPC;
        bytes += wrote;
        length -= (size_t)wrote;
    }
    return 0;
}

static int
write_in_place(const char *path, const struct tool_buffer *buffer)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDOUT_FILENO : open(path, O_WRONLY | O_CLOEXEC);
    int error;

    if (fd < 0)
        return -errno;
    error = write_all(fd, buffer->bytes, buffer->length);
    if (!standard && close(fd) != 0 && error == 0)
        error = -errno;
    return error;
}

/* The rename has to be on the disk too. A directory that cannot be flushed
 * (some network file systems) is no reason to call the file lost. */
static void
flush_directory(const char *path)
{
    char directory[PATH_MAX];
    char *slash;
    int fd;

    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    if (slash == NULL)
        strcpy(directory, ".");
    else
        slash[slash == directory ? 1 : 0] = '\0';
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static int
write_beside(const char *path, mode_t mode, const struct tool_buffer *buffer)
{
    int fd;
    int error;

    if ((size_t)snprintf(pending_file, sizeof(pending_file), "%s.XXXXXX",
                         path) >= sizeof(pending_file)) {
        pending_file[0] = '\0';
        return -ENAMETOOLONG;
    }
    fd = mkstemp(pending_file);
    if (fd < 0) {
        error = -errno;
        pending_file[0] = '\0';
        return error;
    }
    error = write_all(fd, buffer->bytes, buffer->length);
    if (error == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        error = -errno;
    if (close(fd) != 0 && error == 0)
        error = -errno;
    if (error == 0 && rename(pending_file, path) != 0)
        error = -errno;
    if (error != 0)
        unlink(pending_file);
    pending_file[0] = '\0';
    if (error == 0)
        flush_directory(path);
    return error;
}

int
whole_file_write(const char *path, const struct tool_buffer *buffer)
{
    char resolved[PATH_MAX];
    struct stat status;
    mode_t mask;
    int error;

    if (strcmp(path, "-") == 0)
        return write_in_place(path, buffer);
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return -EISDIR;
        if (!S_ISREG(status.st_mode))
            return write_in_place(path, buffer);
        if (realpath(path, resolved) != NULL) /* a link stays a link */
            path = resolved;
    }
    /* Addresses and paths of a process are its owner's business. */
    mask = umask(0);
    umask(mask);
    watch_signals();
    error = write_beside(path, 0600 & ~mask, buffer);
    unwatch_signals();
    return error;
}
