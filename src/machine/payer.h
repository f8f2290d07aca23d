/* SPDX-License-Identifier: MIT */
/*
 * machine/payer.h - who pays for a page: the group that is charged with it.
 *
 *     struct aspen_payer payer = {.mm = mm};
 *     error = aspen_frame_alloc_paid(aspen, &payer, &frame);
 *     ... payer.full, payer.over: groups whose pages should leave ...
 *     aspen_payer_end(&payer);
 *
 * For a NULL payer nobody pays.
 */
#ifndef ASPEN_MACHINE_PAYER_H
#define ASPEN_MACHINE_PAYER_H

#include "frames/frames.h"

struct aspen_payer {
    const struct aspen_mm *mm; /* its group; NULL: whom the hook `group` names,
                                  of who called */
    struct aspen_group *full;  /* that refused last: a reference; or NULL */
    struct aspen_group *over;  /* the same of one with more than its `high` */
    uint64_t over_pages; /* charged when there was one: batches as a whole */
};

/* Both are given back; the one that refused. Context: any. */
void aspen_payer_drop(struct aspen_payer *payer, bool over);

static inline void
aspen_payer_end(struct aspen_payer *payer)
{
    if (aspen_unlikely(payer->full || payer->over))
        aspen_payer_drop(payer, true);
}

static inline void
aspen_payer_retry(struct aspen_payer *payer)
{
    if (aspen_unlikely(payer->full))
        aspen_payer_drop(payer, false);
}

/* Charge a new frame, the first of its block. 0 or -ASPEN_ENOMEM
 * (ASPEN_STEP_CHARGE, crossed if there is a group), and the frame is nobody's
 * as before. Context: any lock may be held; never sleeps. */
ASPEN_MUST_USE int aspen_pay_slowly(struct aspen *aspen,
                                    struct aspen_payer *payer, uint32_t frame);

ASPEN_MUST_USE static inline int
aspen_pay(struct aspen *aspen, struct aspen_payer *payer, uint32_t frame)
{
    return aspen_has_groups(aspen) && payer
               ? aspen_pay_slowly(aspen, payer, frame)
               : 0;
}

/* The same for a page that comes back, `group`'s as long as that is online. */
ASPEN_MUST_USE int aspen_pay_for(struct aspen *aspen, struct aspen_payer *payer,
                                 struct aspen_group *group, uint32_t frame);

/* A frame for contents, as aspen_frame_alloc_from() above min (ASPEN_STEP_FRAME
 * and _CHARGE), which is paid for. */
ASPEN_MUST_USE int aspen_frame_alloc_paid(struct aspen *aspen,
                                          struct aspen_payer *payer,
                                          uint32_t *frame);

/* The group that would pay, with a reference; NULL: none. Context: any. */
struct aspen_group *aspen_payer_hold(struct aspen *aspen,
                                     const struct aspen_payer *payer);

/* A page that had left so many pages ago, of lists with this tag: has it left
 * too soon for who pays? */
bool aspen_payer_misses(struct aspen *aspen, const struct aspen_payer *payer,
                        uint32_t tag, uint64_t away);

#endif
