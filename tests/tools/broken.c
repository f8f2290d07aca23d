/* SPDX-License-Identifier: MIT */
/*
 * broken.c - linked into build/aspen-broken, an `aspen` whose calls break
 * promises, so that a test sees rehearse, shadow and fuzz notice. $ASPEN_BROKEN
 * says how:
 *
 *   charge   a failed fork keeps one page of its charge
 *   child    a fork that failed hands out a child
 *   crash    a failed fork ends the process
 *   rare     as charge, but only when step 41 fails
 *   mappings mprotect says that it did, and has done nothing
 *   answers  mprotect does what it should, and answers EACCES
 *   advice   madvise says that it did, and has done nothing
 *   errno    a refused mprotect is refused for another reason
 *   half     a refused mprotect changes a limit
 *
 * Without it everything is as it should be. The linker puts __wrap_ in front
 * (tools/tools.mk).
 */
#include "internal.h"
#include <aspen/calls/advise.h>
#include <aspen/limits.h>

#include <stdlib.h>
#include <string.h>

int __real_aspen_fork(struct aspen_mm *parent, struct aspen_mm **child);
int __wrap_aspen_fork(struct aspen_mm *parent, struct aspen_mm **child);
int __wrap_aspen_failpoints_set(struct aspen *aspen,
                                const struct aspen_failpoint_plan *plan);
int __real_aspen_failpoints_set(struct aspen *aspen,
                                const struct aspen_failpoint_plan *plan);

int __real_aspen_mprotect(struct aspen_mm *mm, uint64_t address,
                          uint64_t length_bytes, uint64_t access, int pkey);
int __wrap_aspen_mprotect(struct aspen_mm *mm, uint64_t address,
                          uint64_t length_bytes, uint64_t access, int pkey);

int __real_aspen_madvise(struct aspen_mm *mm, uint64_t address,
                         uint64_t length_bytes, enum aspen_advice advice);
int __wrap_aspen_madvise(struct aspen_mm *mm, uint64_t address,
                         uint64_t length_bytes, enum aspen_advice advice);

static struct aspen *machine;
static uint64_t failing_step;

static bool
breaks(const char *how)
{
    const char *wanted = getenv("ASPEN_BROKEN");

    return wanted != NULL && strcmp(wanted, how) == 0;
}

int
__wrap_aspen_failpoints_set(struct aspen *aspen,
                            const struct aspen_failpoint_plan *plan)
{
    machine = aspen;
    failing_step = plan != NULL ? plan->number : 0;
    return __real_aspen_failpoints_set(aspen, plan);
}

int
__wrap_aspen_fork(struct aspen_mm *parent, struct aspen_mm **child)
{
    uint64_t step = failing_step;
    int result = __real_aspen_fork(parent, child);

    if (result == 0)
        return 0;
    if (breaks("crash"))
        abort();
    if (breaks("child"))
        *child = parent;
    if (breaks("charge") || (breaks("rare") && step == 41))
        aspen_fetch_add_relaxed(&machine->committed_pages, 1);
    return result;
}

int
__wrap_aspen_mprotect(struct aspen_mm *mm, uint64_t address,
                      uint64_t length_bytes, uint64_t access, int pkey)
{
    int result;

    if (breaks("mappings"))
        return 0;
    result = __real_aspen_mprotect(mm, address, length_bytes, access, pkey);
    if (breaks("half") && result < 0)
        (void)!aspen_limit_set(mm, ASPEN_LIMIT_STACK, 4096);
    if (breaks("errno") && result < 0)
        return -ASPEN_EBUSY;
    return breaks("answers") ? -ASPEN_EACCES : result;
}

int
__wrap_aspen_madvise(struct aspen_mm *mm, uint64_t address,
                     uint64_t length_bytes, enum aspen_advice advice)
{
    return breaks("advice")
               ? 0
               : __real_aspen_madvise(mm, address, length_bytes, advice);
}
