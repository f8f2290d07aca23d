/* SPDX-License-Identifier: MIT */
/*
 * machine/group.h - groups begin, and their limits.
 */
#ifndef ASPEN_MACHINE_GROUP_H
#define ASPEN_MACHINE_GROUP_H

#include "internal.h"

/* As aspen_group_create(), and no page leaves for it. */
ASPEN_MUST_USE int aspen_group_make(struct aspen *aspen,
                                    struct aspen_group *parent,
                                    struct aspen_group **group);

/* As aspen_group_limit_set(), but no page leaves. */
ASPEN_MUST_USE int aspen_group_set(struct aspen_group *group,
                                   enum aspen_group_limit limit,
                                   uint64_t pages);

#endif
