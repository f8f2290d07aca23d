/* SPDX-License-Identifier: MIT */
/*
 * machine/notify.h - the brackets for a secondary MMU around everything that
 * takes translations of [start, end) away or makes them read-only. An end
 * follows each start, also when what stands between them fails.
 */
#ifndef ASPEN_MACHINE_NOTIFY_H
#define ASPEN_MACHINE_NOTIFY_H

#include "internal.h"

static inline void
aspen_notify_start(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    if (hooks->notifier && hooks->notifier->invalidate_start)
        hooks->notifier->invalidate_start(hooks->context, mm, start, end);
}

static inline void
aspen_notify_end(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    if (hooks->notifier && hooks->notifier->invalidate_end)
        hooks->notifier->invalidate_end(hooks->context, mm, start, end);
}

#endif
