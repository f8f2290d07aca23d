/* SPDX-License-Identifier: MIT */
/*
 * every_track.h - calls of aspen/track, as every_call.h makes them.
 */
#ifndef ASPEN_TESTS_EVERY_TRACK_H
#define ASPEN_TESTS_EVERY_TRACK_H

#include "every_call.h"

int run_userfault_create(struct every *e, const struct call *call);
int run_userfault_protect(struct every *e, const struct call *call);
int run_userfault_unregister(struct every *e, const struct call *call);
int run_pagemap_scan(struct every *e, const struct call *call);

#endif
