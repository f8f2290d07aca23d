/* SPDX-License-Identifier: MIT */
/*
 * fault/claim.h - claims: whose reference a page has.
 *
 * A page that somebody outside writes to is held by a reference. Where its
 * entry is read-only - after a fork that left the page to one space, or in a
 * mapping that only FORCE writes to - that reference would make the page look
 * shared, and the program's next write, or another copy from outside, would go
 * to a copy of it. So whoever holds such a page claims it: a list of the mm
 * tells these references from those of others. A pin is told by its count.
 *
 * I1  A claim ends no later than the page's reference: so a frame that a claim
 *     names cannot have become another page.
 */
#ifndef ASPEN_FAULT_CLAIM_H
#define ASPEN_FAULT_CLAIM_H

#include "frames/frames.h"

struct aspen_claim {
    uint32_t frame;         /* atomic: the first of its block; set under its
                               table's lock. Or ASPEN_NO_FRAME */
    bool listed;            /* `link` is on mm->claims */
    struct aspen_list link; /* mm->claims_lock */
};

/* For one page at a time, of one mm. */
void aspen_claim_begin(struct aspen_claim *claim);
/* The table's lock is held. */
void aspen_claim_set(struct aspen_claim *claim, struct aspen_mm *mm,
                     uint32_t frame);
/* What was written comes before: whoever sees that it is claimed no more and
 * copies the page copies that, too. */
void aspen_claim_clear(struct aspen_claim *claim);
void aspen_claim_end(struct aspen_claim *claim, struct aspen_mm *mm);

/*
 * The table's lock is held: is the frame that an entry of mm leads to an
 * anonymous page, and that entry's alone? Nobody else has an entry or a
 * reference then, pins and claims aside: those were made when the page was
 * alone, and since then nobody else can have come.
 */
ASPEN_MUST_USE bool aspen_page_is_alone(struct aspen_mm *mm, uint32_t frame);

#endif
