/* SPDX-License-Identifier: MIT */
/*
 * The host's mremap beside Aspen's, among the calls of test_mmap_host.c: its
 * answers, and the mappings that it leaves.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "mmap_pair.h"

#include "space/vma.h"
#include <errno.h>
#include <sys/mman.h>

/* A byte more here and there, so that both find what to complain of. */
static uint64_t
perhaps_more(struct mmap_pair *p)
{
    return mmap_pair_below(p, 40) ? 0 : 1 + mmap_pair_below(p, PAGE - 1);
}

/* After DONTUNMAP of what is locked the host counts more than is locked: a
 * deviation, seen where a limit binds. */
static bool
counts_as_locked(struct mmap_pair *p, uint64_t address)
{
    struct aspen_vma *vma = aspen_vma_at(p->mm, address);

    return vma && vma->flags & ASPEN_VM_LOCKED &&
           aspen_limit(p->mm, ASPEN_LIMIT_MEMLOCK) < MMAP_PAGES * PAGE * 2 &&
           !(aspen_privileges(p->mm) & ASPEN_PRIVILEGE_IPC_LOCK);
}

/* Several mappings, and /dev/zero among them, which does not move with others:
 * the host has moved what is below it by then, a deviation. */
static bool
stops_midway(struct mmap_pair *p, uint64_t address, uint64_t bytes)
{
    const uint64_t end = address + bytes;
    const struct aspen_object *zeroes = p->objects[MMAP_ZEROES];
    struct aspen_vma *vma = aspen_vma_at(p->mm, address);

    if (!vma || vma->end >= end)
        return false;
    for (; vma && vma->start < end; vma = aspen_vma_find(p->mm, vma->end))
        if (vma->object == zeroes)
            return true;
    return false;
}

/* Before 6.15 the host looks at the mapping when what was at the target, and
 * what is too much of the old range, is gone: so it is here then. */
static void
follow_refusal(struct mmap_pair *p, uint64_t excess, uint64_t excess_bytes,
               uint64_t target, uint64_t target_bytes)
{
    if (p->semantics >= ASPEN_SEMANTICS_6_18 || mmap_pair_is_alike(p))
        return;
    target_bytes = (target_bytes + PAGE - 1) & ~(PAGE - 1);
    assert_int_equal(aspen_munmap(p->mm, target, target_bytes), 0);
    if (!mmap_pair_is_alike(p))
        assert_int_equal(aspen_munmap(p->mm, excess, excess_bytes), 0);
}

static void
remap_both(struct mmap_pair *p, unsigned first, unsigned count)
{
    static const struct {
        int host;
        unsigned aspen;
    } how[] = {
        {MREMAP_MAYMOVE | MREMAP_FIXED,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED},
        {MREMAP_MAYMOVE | MREMAP_FIXED,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED},
        {MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP},
        {0, 0},
        {MREMAP_FIXED, ASPEN_MREMAP_FIXED},
    };
    unsigned kind =
        (unsigned)mmap_pair_below(p, mmap_pair_below(p, 20) ? 4 : 5);
    uint64_t old = first * PAGE + perhaps_more(p);
    uint64_t old_bytes = mmap_pair_below(p, 20) ? count * PAGE : 0;
    old_bytes += perhaps_more(p);
    uint64_t new_bytes =
        mmap_pair_below(p, 2) ? old_bytes : mmap_pair_below(p, 12) * PAGE;
    unsigned to = (unsigned)mmap_pair_below(p, MMAP_PAGES);
    uint64_t address = MMAP_BASE + old;

    /* What has no place in the corner would land outside of it. */
    new_bytes = new_bytes > (MMAP_PAGES - to) * PAGE ? (MMAP_PAGES - to) * PAGE
                                                     : new_bytes;
    if (kind == 3 && new_bytes > (MMAP_PAGES - first) * PAGE)
        new_bytes = (MMAP_PAGES - first) * PAGE;
    uint64_t new = to *PAGE + perhaps_more(p);
    if (stops_midway(p, address, old_bytes))
        return;
    /* The host then takes away what it finds missing after that. */
    if (old_bytes == 0 && new_bytes &&
        MMAP_BASE + old - (MMAP_BASE + new) < new_bytes)
        return;
    if (how[kind].host & MREMAP_DONTUNMAP && counts_as_locked(p, address))
        return;
    void *answer =
        mremap((char *)mmap_pair_address(0) + old, old_bytes, new_bytes,
               how[kind].host, (char *)mmap_pair_address(0) + new);
    int host = answer == MAP_FAILED ? -errno : 0;
    int error = aspen_mremap(p->mm,
                             &(struct aspen_mremap_args){
                                 .address = MMAP_BASE + old,
                                 .old_bytes = old_bytes,
                                 .new_bytes = new_bytes,
                                 .flags = how[kind].aspen,
                                 .new_address = MMAP_BASE + new,
                             },
                             &address);
    if (error != host)
        fail_msg("mremap(%#lx, %#lx, %#lx, %d, %#lx): %d, host %d",
                 (unsigned long)old, (unsigned long)old_bytes,
                 (unsigned long)new_bytes, how[kind].host, (unsigned long)new,
                 error, host);
    if (!error)
        assert_int_equal(address, (uintptr_t)answer);
    else if (how[kind].host & MREMAP_FIXED)
        follow_refusal(p, MMAP_BASE + old + new_bytes, old_bytes - new_bytes,
                       MMAP_BASE + new, new_bytes);
    p->more_done += !error;
}

static void
test_host(void **state)
{
    (void)state;
    mmap_pair_run("test_mremap_host", remap_both);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
