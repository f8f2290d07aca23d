/* SPDX-License-Identifier: MIT */
/*
 * machine/notify.h - what second MMUs are told and asked (aspen/hooks.h,
 * aspen/calls/mmu.h): brackets around everything that takes translations of
 * [start, end) away or makes them read-only, and who has accessed what. An end
 * follows each start, also when what stands between them fails.
 */
#ifndef ASPEN_MACHINE_NOTIFY_H
#define ASPEN_MACHINE_NOTIFY_H

#include "internal.h"

/* With brackets. */
void aspen_notify_open(struct aspen_mm *mm, uint64_t start, uint64_t end);
void aspen_notify_close(struct aspen_mm *mm, uint64_t start, uint64_t end);

static inline bool
aspen_notify_has_brackets(const struct aspen_mm *mm)
{
    const struct aspen_notifier_ops *ops = mm->aspen->config.hooks.notifier;

    return ops && ops->invalidate_start;
}

/* Before the first entry is looked at. Context: no spin lock is held, and the
 * caller is no RCU reader; so with all that follows. */
static inline void
aspen_notify_start(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    if (aspen_notify_has_brackets(mm))
        aspen_notify_open(mm, start, end);
}

/* After the flush. */
static inline void
aspen_notify_end(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    if (aspen_notify_has_brackets(mm))
        aspen_notify_close(mm, start, end);
}

/* Has a second MMU accessed any of [start, end) since that was cleared? */
bool aspen_notify_test_young(struct aspen_mm *mm, uint64_t start, uint64_t end);

/* The same, and clear it. Second MMUs that do not know lose what they have:
 * then an access shows by the fault that it takes. */
bool aspen_notify_clear_young(struct aspen_mm *mm, uint64_t start,
                              uint64_t end);

#endif
