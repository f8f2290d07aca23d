/* SPDX-License-Identifier: MIT */
/*
 * owned_calls.h - random calls of the owners of owned.h.
 */
#ifndef ASPEN_TESTS_OWNED_CALLS_H
#define ASPEN_TESTS_OWNED_CALLS_H

#include "owned.h"

void owned_call(struct owner *t);
/* Its child ends, if it has one. */
void owned_exit(struct owner *t);

#endif
