/* SPDX-License-Identifier: MIT */
/*
 * test_entries_aarch64.c - test_entries.c once more, with AArch64's entries
 * whatever the port says.
 */
#ifndef ASPEN_PORT_PAGING_AARCH64
#define ASPEN_PORT_PAGING_AARCH64
#endif

#include "test_entries.c"
