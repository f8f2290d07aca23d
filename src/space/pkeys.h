/* SPDX-License-Identifier: MIT */
/*
 * space/pkeys.h - protection keys of a space, and what a thread may do by
 * them.
 */
#ifndef ASPEN_SPACE_PKEYS_H
#define ASPEN_SPACE_PKEYS_H

#include "space/mm.h"
#include <aspen/calls/pkey.h>

#define ASPEN_NO_PKEY UINT32_MAX

/* A space starts with key 0 alone. */
static inline void
aspen_pkeys_init(struct aspen_mm *mm)
{
    mm->pkeys = 1;
    mm->execute_only_pkey = ASPEN_NO_PKEY;
}

/* A child has its parent's. Context: the parent's mmap lock is held. */
static inline void
aspen_pkeys_inherit(struct aspen_mm *child, const struct aspen_mm *parent)
{
    child->pkeys = parent->pkeys;
    child->execute_only_pkey = parent->execute_only_pkey;
}

static inline unsigned
aspen_pkey_of(uint64_t vm_flags)
{
    return (unsigned)((vm_flags & ASPEN_VM_PKEY) >> ASPEN_VM_PKEY_SHIFT);
}

static inline uint64_t
aspen_pkey_flags(unsigned pkey)
{
    return (uint64_t)pkey << ASPEN_VM_PKEY_SHIFT;
}

/* May the caller of the space's calls name the key? Context: the mmap lock. */
static inline bool
aspen_pkey_is_callers(const struct aspen_mm *mm, int pkey)
{
    return pkey >= 0 && pkey < ASPEN_PKEYS_MAX && mm->aspen->config.pkeys > 0 &&
           (uint32_t)pkey != mm->execute_only_pkey && mm->pkeys >> pkey & 1;
}

/* Is memory with that access for execution alone? `plain`: its owner wants
 * nothing but EXEC's meaning of old. */
static inline bool
aspen_is_execute_only(uint64_t vm_flags, bool plain)
{
    return (vm_flags & ASPEN_VM_ACCESS) == ASPEN_VM_EXEC && !plain;
}

/*
 * The key for memory that is mapped with EXEC alone: the space's own, or the
 * one that it would take. 0: the machine works otherwise, or no key is left.
 * Context: this and set: the mmap lock is held for writing.
 */
unsigned aspen_pkey_for_execute_only(const struct aspen_mm *mm);

/* It is the space's own from now on, and the calling thread cannot read what
 * has it (a thread that already cannot is left alone, once the key is taken);
 * nothing for 0. Cannot fail. */
void aspen_pkey_set_execute_only(struct aspen_mm *mm, unsigned pkey);

/* The calling thread's rights; ASPEN_RIGHTS_ALL without keys. Any context. */
uint32_t aspen_rights_ask(const struct aspen_mm *mm);

static inline uint32_t
aspen_rights(const struct aspen_mm *mm)
{
    return aspen_likely(mm->aspen->config.pkeys <= 1) ? ASPEN_RIGHTS_ALL
                                                      : aspen_rights_ask(mm);
}

/* Rights that somebody names; without keys they mean nothing. */
static inline uint32_t
aspen_rights_of(const struct aspen *aspen, uint32_t rights)
{
    return aspen->config.pkeys > 1 ? rights : ASPEN_RIGHTS_ALL;
}

/* May a thread with these rights do that with a mapping's memory, as far as
 * its key goes? */
static inline bool
aspen_rights_allow(uint32_t rights, unsigned pkey, unsigned access)
{
    uint32_t denied = rights >> 2 * pkey;

    if (access == ASPEN_ACCESS_EXEC)
        return true;
    return !(denied &
             (access == ASPEN_ACCESS_WRITE
                  ? ASPEN_PKEY_DISABLE_ACCESS | ASPEN_PKEY_DISABLE_WRITE
                  : ASPEN_PKEY_DISABLE_ACCESS));
}

#endif
