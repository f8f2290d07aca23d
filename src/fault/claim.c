/* SPDX-License-Identifier: MIT */
/*
 * fault/claim.c - claims: whose reference a page has.
 *
 * Called by hold.c, which claims, and cow.c, which asks. The first test to
 * break is tests/unit/calls/test_copy.c.
 */
#include "fault/claim.h"

#include "frames/pins.h"

void
aspen_claim_begin(struct aspen_claim *claim)
{
    claim->frame = ASPEN_NO_FRAME;
    claim->listed = false;
}

void
aspen_claim_set(struct aspen_claim *claim, struct aspen_mm *mm, uint32_t frame)
{
    if (!claim->listed) {
        aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
        aspen_list_push_back(&mm->claims, &claim->link);
        aspen_spin_unlock(&mm->claims_lock);
        claim->listed = true;
    }
    aspen_store_relaxed(&claim->frame, frame);
}

void
aspen_claim_clear(struct aspen_claim *claim)
{
    if (aspen_load_relaxed(&claim->frame) != ASPEN_NO_FRAME)
        aspen_store(&claim->frame, ASPEN_NO_FRAME);
}

void
aspen_claim_end(struct aspen_claim *claim, struct aspen_mm *mm)
{
    if (!claim->listed)
        return;
    aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
    aspen_list_remove(&claim->link);
    aspen_spin_unlock(&mm->claims_lock);
}

static bool
is_claimed(struct aspen_mm *mm, uint32_t frame)
{
    bool found = false;

    aspen_spin_lock(&mm->claims_lock, ASPEN_LOCK_LEAF);
    for (struct aspen_list *link = mm->claims.next; link != &mm->claims;
         link = link->next)
        found |=
            aspen_load(
                &aspen_container_of(link, struct aspen_claim, link)->frame) ==
            frame;
    aspen_spin_unlock(&mm->claims_lock);
    return found;
}

bool
aspen_page_is_alone(struct aspen_mm *mm, uint32_t frame)
{
    const struct aspen_frame *page = aspen_frame_at(mm->aspen, frame);

    return aspen_frame_is_exclusive(mm->aspen, frame) ||
           (aspen_frame_type(page) == ASPEN_FRAME_ANON &&
            aspen_frame_map_count(page) == 1 && is_claimed(mm, frame));
}
