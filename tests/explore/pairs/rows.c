/* SPDX-License-Identifier: MIT */
/*
 * rows.c - the table of pairs.h. A call that is added here meets all others.
 */
#include "pairs.h"

#include <aspen/memory/migrate.h>
#include <aspen/calls/reclaim.h>

/* ---- Before ------------------------------------------------------------- */

/* What is refused there leaves things as they are. */
static void
advised(const struct pair_side *side, enum aspen_advice advice)
{
    (void)!aspen_madvise(*side->mm, side->page, PAGE, advice);
}

static void
absent(const struct pair_side *side)
{
    advised(side, ASPEN_MADV_DONTNEED);
}

static void
out(const struct pair_side *side)
{
    advised(side, ASPEN_MADV_PAGEOUT);
}

static void
guarded(const struct pair_side *side)
{
    advised(side, ASPEN_MADV_GUARD_INSTALL);
}

static void
locked(const struct pair_side *side)
{
    must(aspen_mlock(*side->mm, side->page, PAGE, 0));
}

static void
read_only(const struct pair_side *side)
{
    must(aspen_mprotect(*side->mm, side->page, PAGE, ASPEN_VM_READ,
                        ASPEN_PKEY_SAME));
}

/* ---- Accesses ----------------------------------------------------------- */

static int
write_there(struct pair_side *side)
{
    char byte = pair_byte(side->task);
    int error =
        told_run(side->task, *side->mm, side->page + pair_byte_at(side->task),
                 MMU_WRITE, &byte, 1);

    if (error == TOLD_FOR_EVER)
        sim_fail("faults answer 0, and the access faults again");
    return error;
}

static int
read_there(struct pair_side *side)
{
    char byte = 0;
    int error = told_run(side->task, *side->mm, side->page, MMU_READ, &byte, 1);

    if (error == TOLD_FOR_EVER)
        sim_fail("faults answer 0, and the access faults again");
    if (!error && byte != 'P' && byte != 0)
        sim_fail("the processor reads what nobody wrote");
    return error;
}

static int
fault_there(struct pair_side *side)
{
    return aspen_fault(*side->mm, side->page, ASPEN_ACCESS_WRITE);
}

static int
copy_in(struct pair_side *side)
{
    char byte = pair_byte(side->task);
    uint64_t done;

    return aspen_write_memory(*side->mm, side->page + pair_byte_at(side->task),
                              &byte, 1, 0, &done);
}

static int
copy_out(struct pair_side *side)
{
    char byte;
    uint64_t done;
    int error = aspen_read_memory(*side->mm, side->page, &byte, 1, 0, &done);

    if (!error && byte != 'P' && byte != 0)
        sim_fail("what nobody wrote is copied");
    return error;
}

static int
pin(struct pair_side *side)
{
    uint32_t frame;
    int error =
        aspen_pin_range(*side->mm, side->page, PAGE, ASPEN_PIN_WRITE, &frame);

    return error ? error : aspen_unpin(*side->mm, &frame, 1, ASPEN_UNPIN_DIRTY);
}

/* ---- Looking ------------------------------------------------------------ */

static int
mincore(struct pair_side *side)
{
    uint8_t vector;

    return aspen_mincore(*side->mm, side->page, PAGE, &vector);
}

static int
clear_young(struct pair_side *side)
{
    uint64_t pages;

    return aspen_young(*side->mm, side->page, PAGE, ASPEN_YOUNG_CLEAR, &pages);
}

static void
swallow(void *context, const char *text, size_t length)
{
    (void)context, (void)text, (void)length;
}

static int
smaps(struct pair_side *side)
{
    aspen_inspect_smaps(*side->mm, swallow, NULL);
    return 0;
}

/* ---- Mappings ----------------------------------------------------------- */

static int
map_over(struct pair_side *side)
{
    struct aspen_mmap_args args = {
        .address = side->page,
        .length_bytes = PAGE,
        .vm_flags = RW,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t result;

    return aspen_mmap(*side->mm, &args, &result);
}

static int
unmap(struct pair_side *side)
{
    return aspen_munmap(*side->mm, side->page, PAGE);
}

static int
protect(struct pair_side *side)
{
    return aspen_mprotect(*side->mm, side->page, PAGE, ASPEN_VM_READ,
                          ASPEN_PKEY_SAME);
}

static int
allow(struct pair_side *side)
{
    return aspen_mprotect(*side->mm, side->page, PAGE, RW, ASPEN_PKEY_SAME);
}

static int
move(struct pair_side *side)
{
    struct aspen_mremap_args args = {
        .address = side->page,
        .old_bytes = PAGE,
        .new_bytes = PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = side->elsewhere,
    };
    uint64_t result;

    return aspen_mremap(*side->mm, &args, &result);
}

static int
lock(struct pair_side *side)
{
    return aspen_mlock(*side->mm, side->page, PAGE, 0);
}

static int
unlock(struct pair_side *side)
{
    return aspen_munlock(*side->mm, side->page, PAGE);
}

/* ---- Advice ------------------------------------------------------------- */

#define ADVICE(name, advice)                                                   \
    static int name(struct pair_side *side)                                    \
    {                                                                          \
        return aspen_madvise(*side->mm, side->page, PAGE, advice);             \
    }
ADVICE(dontneed, ASPEN_MADV_DONTNEED)
ADVICE(set_free, ASPEN_MADV_FREE)
ADVICE(cold, ASPEN_MADV_COLD)
ADVICE(page_out, ASPEN_MADV_PAGEOUT)
ADVICE(guard, ASPEN_MADV_GUARD_INSTALL)
ADVICE(unguard, ASPEN_MADV_GUARD_REMOVE)
ADVICE(populate, ASPEN_MADV_POPULATE_WRITE)
ADVICE(wipe_on_fork, ASPEN_MADV_WIPEONFORK)
ADVICE(dont_fork, ASPEN_MADV_DONTFORK)

/* ---- Spaces, memory ----------------------------------------------------- */

static int
fork_space(struct pair_side *side)
{
    uint64_t since = mmu_now();
    int error = aspen_fork(*side->mm, &side->children);

    if (!error && !mmu_scene.object)
        mmu_check_gone((*side->mm)->root, START, START + PAIR_PAGES * PAGE,
                       since, MMU_GONE_WRITABLE, "fork");
    return error;
}

static int
end_space(struct pair_side *side)
{
    told_put_beside(side->mm);
    return 0;
}

static int
reclaim(struct pair_side *side)
{
    (void)side;
    for (unsigned i = 0; i < 3; i++)
        aspen_reclaim(mmu_scene.aspen, 1);
    return 0;
}

/* Its page, if it is there, or is it not by then: whoever comes by a number
 * hears what he hears. */
static int
migrate(struct pair_side *side)
{
    uint32_t frame;

    if (*side->mm &&
        !aspen_translate(*side->mm, side->page, ASPEN_ACCESS_READ, &frame)) {
        int error = aspen_migrate(mmu_scene.aspen, frame);
        if (error != -ASPEN_EBUSY && error != -ASPEN_ENOENT)
            return error;
    }
    return 0;
}

static int
swap_off(struct pair_side *side)
{
    (void)side;
    return aspen_swap_remove(mmu_scene.aspen, 0);
}

/* ---- Objects ------------------------------------------------------------ */

static int
resize(struct pair_side *side)
{
    (void)side;
    return aspen_object_resize(mmu_scene.object, 0);
}

static uint64_t
offset_of(const struct pair_side *side)
{
    return side->page - START;
}

static int
punch(struct pair_side *side)
{
    return aspen_object_punch(mmu_scene.object, offset_of(side), PAGE);
}

static int
write_object(struct pair_side *side)
{
    char byte = pair_byte(side->task);
    uint64_t done;

    return aspen_object_write(mmu_scene.object,
                              offset_of(side) + pair_byte_at(side->task), &byte,
                              1, &done);
}

static int
read_object(struct pair_side *side)
{
    char byte;
    uint64_t done;

    return aspen_object_read(mmu_scene.object, offset_of(side), &byte, 1,
                             &done);
}

static int
sync_object(struct pair_side *side)
{
    return aspen_object_sync(mmu_scene.object, offset_of(side), PAGE);
}

/* ---- The table ---------------------------------------------------------- */

#define P PAIR_OF_PAGE
#define O PAIR_OF_OBJECT
#define D PAIR_DESTROYS
#define R PAIR_REFUSES
#define F PAIR_MAY_FAIL
#define W PAIR_WRITES
#define T PAIR_TAKES
#define G (PAIR_TAKES | PAIR_GONE)
#define A PAIR_OF_ANON
#define C PAIR_CLEARED

const struct pair_row pair_rows[] = {
    {"touch", P | W | C, absent, write_there, 0},
    {"write", P | W, NULL, write_there, 0},
    {"read", P, NULL, read_there, 0},
    {"fault", P, NULL, fault_there, 0},
    {"swap-in", P | W, out, write_there, 0},
    {"copy-in", P | W, NULL, copy_in, 0},
    {"copy-out", P | C, absent, copy_out, 0},
    {"pin", P | A, NULL, pin, 0},
    {"mincore", P, NULL, mincore, 0},
    {"young", P, NULL, clear_young, 0},
    {"smaps", 0, NULL, smaps, 0},
    {"mmap", P | D | R | G, NULL, map_over, MMU_GONE_ALL},
    {"munmap", P | D | R | G, NULL, unmap, MMU_GONE_ALL},
    {"mprotect", P | R | G, NULL, protect, MMU_GONE_WRITABLE},
    {"mprotect-back", P | R, read_only, allow, 0},
    {"mremap", P | D | R | G, NULL, move, MMU_GONE_ALL},
    {"mlock", P | R, NULL, lock, 0},
    {"munlock", P | R, locked, unlock, 0},
    {"dontneed", P | D | G, NULL, dontneed, MMU_GONE_ALL},
    {"free", P | A | D | T, NULL, set_free, 0},
    {"cold", P, NULL, cold, 0},
    {"pageout", P | T, NULL, page_out, 0},
    {"guard", P | D | R | G, NULL, guard, MMU_GONE_ALL},
    {"unguard", P | R | C, guarded, unguard, 0},
    {"populate", P | C, absent, populate, 0},
    {"wipeonfork", P | A, NULL, wipe_on_fork, 0},
    {"dontfork", P, NULL, dont_fork, 0},
    {"fork", T, NULL, fork_space, 0},
    {"exit", PAIR_ENDS, NULL, end_space, 0},
    {"reclaim", T, NULL, reclaim, 0},
    {"migrate", P | T, NULL, migrate, 0},
    {"swapoff", F, out, swap_off, 0},
    {"resize", O | D | R | G, NULL, resize, MMU_GONE_ALL},
    {"punch", P | O | D | G, NULL, punch, MMU_GONE_ALL},
    {"object-write", P | O | W, NULL, write_object, 0},
    {"object-read", P | O | C, absent, read_object, 0},
    {"sync", P | O | G, NULL, sync_object, MMU_GONE_WRITABLE},
};
const unsigned pair_row_count = sizeof(pair_rows) / sizeof(pair_rows[0]);
