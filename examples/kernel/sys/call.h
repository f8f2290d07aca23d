/* SPDX-License-Identifier: MIT */
/*
 * call.h - system calls. Each takes its six arguments as they are in the
 * registers, and answers with a value or a negative errno.
 */
#ifndef KERNEL_SYS_CALL_H
#define KERNEL_SYS_CALL_H

#include "fs/file.h"
#include "mm/user.h"
#include "proc/process.h"
#include "sched/thread.h"

typedef long call_fn(const uint64_t *a);

struct call {
    unsigned number;
    call_fn *function;
};

/* The older calls that name a file are those of today, from the current
 * directory: AT_FDCWD, so many arguments, zeroes. */
#define FROM_HERE(arguments, number) ((arguments) << 16 | (number))

/* One table for each file; the last entry has no function. */
extern const struct call file_calls[], path_calls[], stat_calls[],
    memory_calls[], process_calls[], signal_calls[], time_calls[], poll_calls[],
    system_calls[], swap_calls[];

void calls_init(void);

/* Of a call that has nothing to do here. */
long nothing_to_do(const uint64_t *a);

#define AT_FDCWD            (-100)
#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_REMOVEDIR        0x200u
#define AT_SYMLINK_FOLLOW   0x400u
#define AT_EMPTY_PATH       0x1000u

/* A path of the program, from a directory that it has open. */
int call_path(int directory, uint64_t text, unsigned flags, struct path *path);
/* A directory that is open, or the current one; a reference. */
int call_directory(int number, const char *text, struct node **node);
/* A page for a path, and the path. */
int call_string(uint64_t text, char **string);
void call_string_free(char *string);

/* struct timespec or timeval of the program. */
int read_time(uint64_t from, unsigned unit, uint64_t *nanoseconds);
int write_time(uint64_t to, unsigned unit, uint64_t nanoseconds);
#define UNIT_NANOSECONDS  1u
#define UNIT_MICROSECONDS 1000u

#endif
