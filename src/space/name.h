/* SPDX-License-Identifier: MIT */
/*
 * space/name.h - names of anonymous memory, shared by the VMAs that have them.
 */
#ifndef ASPEN_SPACE_NAME_H
#define ASPEN_SPACE_NAME_H

#include "internal.h"

/*
 * A name with one reference. 0, -ASPEN_EINVAL (too long, a character that no
 * name may have), or -ASPEN_ENOMEM.
 */
ASPEN_MUST_USE int aspen_name_create(struct aspen *aspen, const char *text,
                                     struct aspen_name **name);

/* NULL is allowed in all of these. */
void aspen_name_get(struct aspen_name *name);
void aspen_name_put(struct aspen *aspen, struct aspen_name *name);

/* Do they say the same? */
bool aspen_names_equal(const struct aspen_name *a, const struct aspen_name *b);

#endif
