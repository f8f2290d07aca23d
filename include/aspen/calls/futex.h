/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/futex.h - words that a kernel shares with a program: atomic
 * steps on them, and the key by which those who wait for one word meet.
 *
 * For futex(2), robust lists, CLONE_CHILD_CLEARTID. Queues and waiting are the
 * embedder's: it hashes the key, takes its queue's lock, loads the word, and
 * waits if the word is what the program said.
 */
#ifndef ASPEN_FUTEX_H
#define ASPEN_FUTEX_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;
struct aspen_object;

/**
 * Atomic steps on the 32-bit word at `address`, which has to be a multiple of
 * 4: atomic against the program's own steps, on whatever processor and in
 * whatever other space that maps the page.
 *
 * load:             *value is the word.
 * add:              adds; *before is what was there.
 * compare_exchange: if the word is *expected it becomes `desired`; *before is
 *                   what was there, in either case.
 *
 * A program's own access by the mappings and the thread's rights (as
 * aspen_read_memory() without flags): the page is faulted
 * in; compare_exchange is a write even where it changes nothing.
 *
 * Context: may sleep. Takes the mmap lock for reading.
 * Returns: 0; -ASPEN_EINVAL (the address is not aligned), -ASPEN_EFAULT,
 *          -ASPEN_EINTR, -ASPEN_ENOMEM, any error of a pager, as
 *          aspen_read_memory(); -ASPEN_EOPNOTSUPP (the machine keeps no
 *          contents, or what aspen_fault() says). After an error the word is
 *          as it was, and nothing is written.
 * Source:  futex(2).
 */
ASPEN_MUST_USE int aspen_futex_load(struct aspen_mm *mm, uint64_t address,
                                    uint32_t *value);
ASPEN_MUST_USE int aspen_futex_add(struct aspen_mm *mm, uint64_t address,
                                   uint32_t addend, uint32_t *before);
ASPEN_MUST_USE int aspen_futex_compare_exchange(struct aspen_mm *mm,
                                                uint64_t address,
                                                uint32_t expected,
                                                uint32_t desired,
                                                uint32_t *before);

/** Other spaces may wait for the word as well (no FUTEX_PRIVATE_FLAG). */
#define ASPEN_FUTEX_SHARED 1u
/** The kernel is going to write the word (priority inheritance). */
#define ASPEN_FUTEX_WRITE 2u

/**
 * Which word it is. Two keys are of the same word if all three fields are
 * equal; one of the pointers is NULL.
 */
struct aspen_futex_key {
    struct aspen_mm *mm;         /* `offset_bytes` is an address in it */
    struct aspen_object *object; /* the key has a reference to it */
    uint64_t offset_bytes;
};

/**
 * The key of the word at `address`. Without SHARED: the space and the address,
 * and nothing is looked at. With it: for a page of an object the object and the
 * offset in it, for private memory the space and the address; the page is
 * faulted in. A private page that the program may write becomes its own first.
 * A private page that can only be read is the object's; anonymous memory that
 * can only be read never changes, and is refused.
 *
 * Ownership: aspen_futex_key_put() for each key that was got. The space is the
 *          caller's to keep.
 * Context: may sleep. With SHARED it takes the mmap lock for reading.
 * Returns: 0 and *key; -ASPEN_EINVAL (not aligned, unknown flags),
 *          -ASPEN_EFAULT (not below the end of user space; with SHARED: nothing
 *          mapped there, not allowed, raw memory, beyond the end of an object,
 *          anonymous and read-only, with WRITE whatever is read-only), and with
 *          SHARED the errors of aspen_futex_load().
 * Source:  futex(2).
 */
ASPEN_MUST_USE int aspen_futex_key_get(struct aspen_mm *mm, uint64_t address,
                                       unsigned flags,
                                       struct aspen_futex_key *key);

/** Context: may sleep (the object may go). */
void aspen_futex_key_put(struct aspen_futex_key *key);

#ifdef __cplusplus
}
#endif

#endif
