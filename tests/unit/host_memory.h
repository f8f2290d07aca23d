/* SPDX-License-Identifier: MIT */
/*
 * host_memory.h - this process's own memory, where an access may get a signal.
 */
#ifndef ASPEN_TESTS_HOST_MEMORY_H
#define ASPEN_TESTS_HOST_MEMORY_H

#include <stddef.h>

/* Bytes from memory at `at`, or to it, by system calls: how many could be
 * moved. At most a page. */
size_t helper_host_read(void *bytes, const void *at, size_t length);
size_t helper_host_write(void *at, const void *bytes, size_t length);

#endif
