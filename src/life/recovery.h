/* SPDX-License-Identifier: MIT */
/*
 * life/recovery.h - what fork does when it failed.
 */
#ifndef ASPEN_LIFE_RECOVERY_H
#define ASPEN_LIFE_RECOVERY_H

#include "internal.h"

/*
 * Take down a child whose fork failed. Its tree holds the child's own VMAs
 * that start below `end`, and the parent's from there on:
 *
 *     0            end                                 address_limit
 *     |- child's ---|- the parent's: not to be touched ---|
 *
 * `end` is the end of the last VMA that is the child's; the VMA whose page
 * tables were being copied is one of them. 0: no VMA was replaced yet.
 *
 * Afterwards the child is EMPTY: a valid tree without a node, no table but the
 * top one, every counter zero, everything given back. Allocates nothing and
 * cannot fail.
 *
 * Context: both mmap locks are held for writing, as since the child was
 *          begun, so that nobody sees it in between.
 */
void aspen_fork_recover(struct aspen_mm *child, uint64_t end);

#endif
