/* SPDX-License-Identifier: MIT */
#include "between.h"

#include "told.h"

#include "mmu.h"
#include "space/mm.h"
#include <stdlib.h>

struct between {
    struct aspen_arch_ops ops;
    void (*mm_exit)(void *context, struct aspen_mm *mm); /* the test's */
};

unsigned
between_cpu(const struct aspen_mm *mm)
{
    return 1 + mm->id % (MMU_CPUS - 1);
}

/* They were flushed: what they have cached stays where it is, to be found. */
static void
send_away(void *context, struct aspen_mm *mm)
{
    const struct between *between =
        aspen_container_of(mm->aspen->config.hooks.arch, struct between, ops);
    uint64_t *words = mm->cpus;
    unsigned own = between_cpu(mm);

    if (between->mm_exit)
        between->mm_exit(context, mm);
    aspen_fetch_and(&words[own / 64], ~((uint64_t)1 << own % 64));
    for (unsigned i = 0; !between->mm_exit && i < ASPEN_CPU_WORDS; i++)
        aspen_store(&words[i], (uint64_t)0);
}

const struct aspen_arch_ops *
between_arch(const struct aspen_arch_ops *theirs)
{
    struct between *between = calloc(1, sizeof(*between));

    if (!between)
        abort();
    if (theirs)
        between->ops = *theirs;
    between->mm_exit = between->ops.mm_exit;
    between->ops.mm_exit = send_away;
    return &between->ops;
}

void
between_arch_free(const struct aspen_arch_ops *arch)
{
    if (arch && arch->mm_exit == send_away)
        free(aspen_container_of(arch, struct between, ops));
}

/* ---- The second MMU ------------------------------------------------------ */

static const struct aspen_notifier_ops no_notifier;
static const struct aspen_notifier_ops *theirs_too = &no_notifier;

static void
second_start(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    told_notifier.invalidate_start(NULL, mm, start, end);
    if (theirs_too->invalidate_start)
        theirs_too->invalidate_start(context, mm, start, end);
}

static void
second_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    if (theirs_too->invalidate_end)
        theirs_too->invalidate_end(context, mm, start, end);
    told_notifier.invalidate_end(NULL, mm, start, end);
}

static bool
second_test_young(void *context, struct aspen_mm *mm, uint64_t start,
                  uint64_t end)
{
    bool theirs = theirs_too->test_young &&
                  theirs_too->test_young(context, mm, start, end);

    return told_notifier.test_young(NULL, mm, start, end) || theirs;
}

static bool
second_clear_young(void *context, struct aspen_mm *mm, uint64_t start,
                   uint64_t end)
{
    bool theirs = theirs_too->clear_young &&
                  theirs_too->clear_young(context, mm, start, end);

    return told_notifier.clear_young(NULL, mm, start, end) || theirs;
}

static const struct aspen_notifier_ops second_and_theirs = {
    .invalidate_start = second_start,
    .invalidate_end = second_end,
    .test_young = second_test_young,
    .clear_young = second_clear_young,
};

bool
between_notifier_whole(const struct aspen_notifier_ops *theirs)
{
    return !theirs || (theirs->invalidate_start && theirs->invalidate_end &&
                       !theirs->test_young == !theirs->clear_young);
}

const struct aspen_notifier_ops *
between_notifier(const struct aspen_notifier_ops *theirs, bool second)
{
    if (!second)
        return theirs;
    theirs_too = theirs ? theirs : &no_notifier;
    return &second_and_theirs;
}
