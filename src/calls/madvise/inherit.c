/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/inherit.c - minherit of the BSDs: what a child gets of a range.
 * Three flags of the mapping, of which one at the most is set; fork reads them.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/life/test_inherit.c.
 */
#include "calls/seal.h"
#include "ranges/change.h"
#include "reclaim/attempt.h"
#include <aspen/calls/advise.h>

#define INHERIT (ASPEN_VM_DONTCOPY | ASPEN_VM_WIPEONFORK | ASPEN_VM_COPYONFORK)

struct inherit_change {
    struct aspen_change change;
    enum aspen_inherit inherit;
};

static uint64_t
flag_of(enum aspen_inherit inherit)
{
    switch (inherit) {
    case ASPEN_INHERIT_NONE:
        return ASPEN_VM_DONTCOPY;
    case ASPEN_INHERIT_ZERO:
        return ASPEN_VM_WIPEONFORK;
    case ASPEN_INHERIT_COPY_NOW:
        return ASPEN_VM_COPYONFORK;
    default:
        return 0;
    }
}

/* As fork is, which shares what is mapped shared and copies the rest. */
static bool
can_have(const struct aspen_vma *vma, enum aspen_inherit inherit)
{
    bool shared = vma->flags & ASPEN_VM_SHARED;

    if (inherit == ASPEN_INHERIT_NONE)
        return true;
    if (vma->flags & ASPEN_VM_IO)
        return false;
    switch (inherit) {
    case ASPEN_INHERIT_SHARE:
        return shared;
    case ASPEN_INHERIT_ZERO:
        return !shared && !vma->object;
    default:
        return !shared;
    }
}

static int
judge(const struct aspen_change *change, const struct aspen_vma *vma,
      uint64_t *flags)
{
    enum aspen_inherit inherit =
        aspen_container_of(change, const struct inherit_change, change)
            ->inherit;
    int error = 0;

    if (!can_have(vma, inherit))
        return -ASPEN_EACCES;
    if (inherit == ASPEN_INHERIT_NONE || inherit == ASPEN_INHERIT_ZERO)
        error = aspen_seal_check_advice(vma, inherit == ASPEN_INHERIT_NONE
                                                 ? ASPEN_MADV_DONTFORK
                                                 : ASPEN_MADV_WIPEONFORK);
    return error ? error : aspen_change_judge_plain(change, vma, flags);
}

int
aspen_minherit(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
               enum aspen_inherit inherit)
{
    uint64_t start = aspen_align_down(address, ASPEN_PAGE_SIZE);
    uint64_t end;

    if ((unsigned)inherit > ASPEN_INHERIT_COPY_NOW ||
        length_bytes > UINT64_MAX - address)
        return -ASPEN_EINVAL;
    end = address + length_bytes;
    if (end > mm->address_limit)
        return -ASPEN_EINVAL;
    end = aspen_align_up(end, ASPEN_PAGE_SIZE);
    if (length_bytes == 0)
        return 0;

    struct inherit_change with = {
        .change = {.mm = mm,
                   .start = start,
                   .end = end,
                   .judge = judge,
                   .set = flag_of(inherit),
                   .clear = INHERIT & ~flag_of(inherit),
                   .holes_allowed = true},
        .inherit = inherit,
    };
    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_change_apply(&with.change);
    /* As advice that is a flag. */
    return error == -ASPEN_ENOMEM ? -ASPEN_EAGAIN : error;
}
