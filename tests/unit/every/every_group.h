/* SPDX-License-Identifier: MIT */
/*
 * every_group.h - the calls about groups that test_every_call.c makes. Each
 * makes a group, and gives it back.
 */
#ifndef ASPEN_TESTS_EVERY_GROUP_H
#define ASPEN_TESTS_EVERY_GROUP_H

#include "every_call.h"

int run_group_create(struct every *e, const struct call *call);
int run_group_limit_set(struct every *e, const struct call *call);
int run_group_enter(struct every *e, const struct call *call);

#endif
