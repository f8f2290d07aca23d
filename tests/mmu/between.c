/* SPDX-License-Identifier: MIT */
#include "between.h"

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
