/* SPDX-License-Identifier: MIT */
/*
 * host/cgroup.h - a memory cgroup of the host's, for processes that should have
 * no more memory than a machine beside them. Of either version.
 */
#ifndef ASPEN_HOST_CGROUP_H
#define ASPEN_HOST_CGROUP_H

#include "common/tool.h"

#include <limits.h>
#include <stdint.h>

struct host_cgroup {
    char path[PATH_MAX];
    bool second; /* version 2 */
};

/** One of its own, empty, in that of this process or above it. -1 and the
 * reason: there is no such controller, or this user may not. host_cgroup_end()
 * follows success.
 */
int host_cgroup_begin(struct host_cgroup *cgroup, struct tool_error *error);

/** It goes. No process is in it any more; what it has of files stays where it
 * is, as the parent's. */
void host_cgroup_end(const struct host_cgroup *cgroup);

/** This process goes there: what it takes from now on is the group's. 0 or a
 * negative errno. */
int host_cgroup_enter(const struct host_cgroup *cgroup);

/** Not more than so many bytes. What is more leaves before this returns. 0 or a
 * negative errno: -EBUSY, if it could not. */
int host_cgroup_limit(const struct host_cgroup *cgroup, uint64_t bytes);

/** What it has now, with what the kernel has for it. 0 or a negative errno. */
int host_cgroup_used(const struct host_cgroup *cgroup, uint64_t *bytes);

#endif
