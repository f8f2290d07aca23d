/* SPDX-License-Identifier: MIT */
/*
 * reclaim/age.h - who has accessed a page since the last look.
 */
#ifndef ASPEN_RECLAIM_AGE_H
#define ASPEN_RECLAIM_AGE_H

#include "object/page_cache.h"

struct aspen_age {
    bool accessed; /* through an entry, or by a call */
    bool locked;   /* some mapping of it is locked: VM_LOCKED */
};

/* Look, and forget that it was accessed. Context: the page is locked and its
 * object's; no lock inside the page's is held. */
struct aspen_age aspen_page_age(struct aspen_object *object, uint64_t offset,
                                uint32_t frame);

/* The same for an anonymous page. Context: it is locked, no lock inside that.
 */
struct aspen_age aspen_anon_age(struct aspen *aspen, uint32_t frame);

#endif
