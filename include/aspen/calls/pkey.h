/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/pkey.h - protection keys: a number that each mapping has, and
 * what each thread may do with mappings of that number.
 *
 * The space keeps which keys are given out; the embedder keeps a thread's
 * rights (on x86-64 they stand in a register, PKRU). The core asks for them
 * through struct aspen_arch_ops, or takes them as an argument
 * (aspen_fault_with_rights()).
 *
 * On a machine with config.execute_only KEY the space takes one more key for
 * itself when memory is first mapped for execution alone. Nobody can name that
 * key, and every thread that maps such memory loses the right to read it.
 *
 * In a new space only key 0 is given out. A forked child has its parent's keys;
 * exec starts afresh.
 */
#ifndef ASPEN_PKEY_H
#define ASPEN_PKEY_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

#define ASPEN_PKEYS_MAX 16

/** The key of aspen_mprotect() that leaves a mapping's key as it is. */
#define ASPEN_PKEY_SAME (-1)

/** What a thread may not do with a key's mappings; executing is always
 * allowed. ORed. */
#define ASPEN_PKEY_DISABLE_ACCESS 1u
#define ASPEN_PKEY_DISABLE_WRITE  2u

/**
 * A thread's rights: two bits for each key, ASPEN_PKEY_DISABLE_* << 2 * key.
 * ALL allows everything; START is what a program starts with on Linux: key 0
 * alone.
 */
#define ASPEN_RIGHTS_ALL   UINT32_C(0)
#define ASPEN_RIGHTS_START UINT32_C(0x55555554)

/**
 * Give out a key: the lowest that is free. The calling thread's rights for it
 * become `denied` (struct aspen_arch_ops, rights_set).
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0 and *pkey, or -ASPEN_EINVAL (`denied` has another bit),
 *          -ASPEN_ENOSPC (no key is free; the machine has none). On error
 *          nothing has changed.
 * Source:  pkey_alloc(2).
 */
ASPEN_MUST_USE int aspen_pkey_alloc(struct aspen_mm *mm, unsigned denied,
                                    int *pkey);

/**
 * Take a key back. Mappings keep it, as on Linux: whoever gets it next can use
 * it for them, too.
 *
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (not given out; the space's own; 0).
 * Source:  pkey_free(2).
 */
ASPEN_MUST_USE int aspen_pkey_free(struct aspen_mm *mm, int pkey);

/** Which keys a space has. */
struct aspen_pkeys {
    uint32_t given_out;   /* bit k: key k, the space's own included */
    int execute_only_key; /* the space's own, or -1: none yet */
};

/** Context: any; a snapshot unless the caller excludes changes. */
void aspen_pkeys_read(const struct aspen_mm *mm, struct aspen_pkeys *pkeys);

#ifdef __cplusplus
}
#endif

#endif
