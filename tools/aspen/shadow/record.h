/* SPDX-License-Identifier: MIT */
/*
 * record.h - what the guest does to its memory, written down as a trace
 * (docs/use/trace.md).
 *
 * Mappings are compared with /proc/P/maps before and after each call, so that
 * all changes are seen, whoever makes them; what a call says beside it - a
 * move, contents that are given up - comes from the call. Which pages were
 * accessed the page tables say, as far as pagemap shows them.
 */
#ifndef ASPEN_SHADOW_RECORD_H
#define ASPEN_SHADOW_RECORD_H

#include "guest/guest.h"

struct recorder;
struct recorded_space;

/** NULL, and why. The file is made. With a recorder of NULL the others do
 * nothing. */
struct recorder *recorder_begin(const char *path, struct tool_error *error);
/** All is written; or -1 and why not, be it that recording has ended early. */
int recorder_end(struct recorder *recorder, struct tool_error *error);

/** A line that means nothing. */
void recorder_note(struct recorder *recorder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** A space begins: as a fork of `from`, or empty (NULL). */
struct recorded_space *recorder_space(struct recorder *recorder,
                                      const struct recorded_space *from);
/** It ends, unless it is NULL. */
void recorder_space_end(struct recorded_space *space);

/* With a space of NULL, which is not recorded, these do nothing, either. */

/** What has changed, and was accessed, since the last look. */
void recorder_look(struct recorded_space *space, pid_t tid);
/** The task has made the call; then look. */
void recorder_call(struct recorded_space *space, pid_t tid,
                   const struct guest_call *call);

#endif
