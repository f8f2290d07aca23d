/* SPDX-License-Identifier: MIT */
/*
 * host/cgroup.c - see cgroup.h.
 *
 * Called by pressure/kernel.c. tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "host/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Where -------------------------------------------------------------- */

/* A field of this process's line for the controller, "4:memory:/a/b"; or of
 * version 2, "0::/a/b". False: there is none. */
static bool
own_group(bool second, char *group, size_t room)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = strcmp(names + 1, second ? "" : "memory") == 0 &&
                strlen(path) < room;
        if (found)
            strcpy(group, path);
    }
    if (file)
        fclose(file);
    return found;
}

/* Where it is mounted. False: nowhere. */
static bool
mounted_at(bool second, char *place, size_t room)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[2 * PATH_MAX], at[PATH_MAX], type[32], options[512];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 ||
            sscanf(rest, " - %31s %*s %511s", type, options) != 2)
            continue;
        found = strcmp(type, second ? "cgroup2" : "cgroup") == 0 &&
                (second || strstr(options, "memory")) && strlen(at) < room;
        if (found)
            strcpy(place, at);
    }
    if (file)
        fclose(file);
    return found;
}

/* ---- Its files ---------------------------------------------------------- */

static int
put(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    int error = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    if (write(file, text, strlen(text)) < 0)
        error = -errno;
    close(file);
    return error;
}

static int
get(const char *folder, const char *name, char *text, size_t room)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t bytes = read(file, text, room - 1);
    int error = bytes < 0 ? -errno : 0;
    close(file);
    text[bytes < 0 ? 0 : bytes] = '\0';
    return error;
}

/* Children of a group of version 2 have a controller if it says so; a group
 * that has processes may not. So the next one above that does: nobody's
 * settings change. False: none does. */
static bool
climb(char *folder, const char *place)
{
    char text[512];

    for (;;) {
        if (get(folder, "cgroup.subtree_control", text, sizeof(text)) == 0 &&
            strstr(text, "memory"))
            return true;
        char *last = strrchr(folder, '/');
        if (!last || strlen(folder) <= strlen(place))
            return false;
        *last = '\0';
    }
}

static const char *
limit_of(const struct host_cgroup *cgroup)
{
    return cgroup->second ? "memory.max" : "memory.limit_in_bytes";
}

/* ---- From begin to end ------------------------------------------------- */

static int
make(struct host_cgroup *cgroup, bool second)
{
    char place[PATH_MAX / 2], group[PATH_MAX / 2 - 64], folder[PATH_MAX];

    if (!own_group(second, group, sizeof(group)) ||
        !mounted_at(second, place, sizeof(place)))
        return -ENOENT;
    snprintf(folder, sizeof(folder), "%s%s", place, group);
    /* A container's name space may show its own group as the top. */
    if (access(folder, X_OK) != 0)
        snprintf(folder, sizeof(folder), "%s", place);
    if (second && !climb(folder, place))
        return -ENOENT;
    if (snprintf(cgroup->path, sizeof(cgroup->path), "%s/aspen-%ld", folder,
                 (long)getpid()) >= (int)sizeof(cgroup->path))
        return -ENAMETOOLONG;
    cgroup->second = second;
    return mkdir(cgroup->path, 0755) == 0 ? 0 : -errno;
}

int
host_cgroup_begin(struct host_cgroup *cgroup, struct tool_error *error)
{
    int second = make(cgroup, true);
    int failed = second == -ENOENT ? make(cgroup, false) : second;

    if (failed == -ENOENT)
        return tool_fail(error, "the host gives no memory cgroup: none that "
                                "we are in may have one");
    if (failed)
        return tool_fail(error, "the host gives no memory cgroup: %s: %s",
                         cgroup->path, strerror(-failed));
    return 0;
}

void
host_cgroup_end(const struct host_cgroup *cgroup)
{
    rmdir(cgroup->path);
}

int
host_cgroup_enter(const struct host_cgroup *cgroup)
{
    return put(cgroup->path, "cgroup.procs", "0");
}

int
host_cgroup_limit(const struct host_cgroup *cgroup, uint64_t bytes)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    return put(cgroup->path, limit_of(cgroup), text);
}

int
host_cgroup_used(const struct host_cgroup *cgroup, uint64_t *bytes)
{
    char text[32];
    int error = get(cgroup->path,
                    cgroup->second ? "memory.current" : "memory.usage_in_bytes",
                    text, sizeof(text));

    if (!error)
        *bytes = strtoull(text, NULL, 10);
    return error;
}
