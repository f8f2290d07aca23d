/* SPDX-License-Identifier: MIT */
/*
 * space/vma_hooks.h - the hooks of what a VMA maps: open, close, may_split.
 *
 *     open     a VMA is about to appear: by mmap, fork, import, as a part of
 *              another one or as the target of a move. It may refuse, and is
 *              the last step of making that VMA that can fail: if the call
 *              fails later, close undoes it
 *     close    it is about to go; not told of a VMA that becomes a part of
 *              another one, which has its pages from then on
 *     may_split  asked before a VMA is cut
 *
 * open and may_split pass ASPEN_STEP_HOOK if there is such a hook. Context: the
 * mmap lock is held for writing.
 */
#ifndef ASPEN_SPACE_VMA_HOOKS_H
#define ASPEN_SPACE_VMA_HOOKS_H

#include "space/vma.h"

/* 0 or the hook's error. Without an object, or a hook of it: 0. */
ASPEN_MUST_USE int aspen_vma_open(struct aspen_vma *vma);
ASPEN_MUST_USE int aspen_vma_may_split(const struct aspen_vma *vma,
                                       uint64_t address);

/* Of a special mapping, too. Cannot fail. */
void aspen_vma_close(struct aspen_vma *vma);

#endif
