/* SPDX-License-Identifier: MIT */
/*
 * test_paging_aarch64.c - test_paging.c once more, with AArch64's entries
 * whatever the port says. The library has the port's, so the paging layer is
 * compiled in here.
 */
#define _POSIX_C_SOURCE 200809L

#ifndef ASPEN_PORT_PAGING_AARCH64
#define ASPEN_PORT_PAGING_AARCH64
#endif

#include "bare_machine.h"

#include "paging/gather.c"
#include "paging/table.c"

#include "test_paging.c"
