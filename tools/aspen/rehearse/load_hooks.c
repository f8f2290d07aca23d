/* SPDX-License-Identifier: MIT */
/*
 * load_hooks.c - the machine's hooks: everything succeeds, and is counted.
 *
 * Called by load.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/load_parts.h"

#include <aspen/object.h>

static struct machine_events *
events_of(void *context)
{
    return &((struct machine *)context)->events;
}

static int
arch_prepare(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_prepared++;
    return 0;
}

static void
arch_commit(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_committed++;
}

static void
arch_abort(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_aborted++;
}

static int
userfault_prepare(void *context, void *userfault, struct aspen_vma *parent,
                  struct aspen_vma *child, void **cookie)
{
    (void)userfault;
    (void)parent;
    (void)child;
    if (*cookie == NULL)
        events_of(context)->userfault_forks++;
    *cookie = context;
    return 0;
}

static void
userfault_commit(void *context, void *cookie)
{
    (void)cookie;
    events_of(context)->userfault_committed++;
}

static void
userfault_abort(void *context, void *cookie)
{
    (void)cookie;
    events_of(context)->userfault_aborted++;
}

static void
scanner_told(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->scanner_told++;
}

static void
bracket_opened(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_opened++;
}

static void
bracket_closed(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_closed++;
}

static int
object_opened(void *context, struct aspen_vma *vma)
{
    (void)vma;
    events_of(context)->opened++;
    return 0;
}

static void
object_closed(void *context, struct aspen_vma *vma)
{
    (void)vma;
    events_of(context)->closed++;
}

static void
object_released(void *context)
{
    events_of(context)->released++;
}

static const struct aspen_arch_ops arch_ops = {
    .fork_prepare = arch_prepare,
    .fork_commit = arch_commit,
    .fork_abort = arch_abort,
};
static const struct aspen_userfault_ops userfault_ops = {
    .fork_prepare = userfault_prepare,
    .fork_commit = userfault_commit,
    .fork_abort = userfault_abort,
};
static const struct aspen_scanner_ops scanner_ops = {
    .fork_done = scanner_told,
};
static const struct aspen_notifier_ops notifier_ops = {
    .invalidate_start = bracket_opened,
    .invalidate_end = bracket_closed,
};
const struct aspen_pager_ops load_pager_ops = {
    .open = object_opened,
    .close = object_closed,
    .release = object_released,
};

void
load_hooks(struct machine *machine, struct aspen_hooks *hooks)
{
    *hooks = (struct aspen_hooks){
        .arch = &arch_ops,
        .userfault = &userfault_ops,
        .scanner = &scanner_ops,
        .notifier = &notifier_ops,
        .context = machine,
    };
}
