/* SPDX-License-Identifier: MIT */
#include "calls.h"

/* ---- What there is before ---------------------------------------------- */

static void
map_anonymous(struct side *side)
{
    explore_map(side->mm, side->region, REGION / PAGE, RW, NULL);
}

static void
map_file(struct side *side)
{
    explore_map(side->mm, side->region, REGION / PAGE,
                ASPEN_VM_READ | ASPEN_VM_SHARED, side->file);
}

static void
touch_tables(struct side *side, unsigned access)
{
    for (uint64_t at = 0; at < REGION; at += 2 * MIB)
        must(aspen_fault(side->mm, side->region + at + BESIDE, access));
}

/* Page tables and anon_vma are there, its own page is not. */
static void
fill_tables(struct side *side)
{
    touch_tables(side, ASPEN_ACCESS_WRITE);
}

static void
fill_touched(struct side *side)
{
    fill_tables(side);
    must(aspen_fault(side->mm, side->page, ASPEN_ACCESS_WRITE));
}

static void
fill_shared(struct side *side)
{
    fill_touched(side);
    must(aspen_fork(side->mm, &side->children[side->child_count++]));
}

/* Its page is in the cache. */
static void
fill_file(struct side *side)
{
    uint8_t byte;
    uint64_t done;

    touch_tables(side, ASPEN_ACCESS_READ);
    must(aspen_object_read(side->file, side->page - side->region, &byte, 1,
                           &done));
}

/* ---- Calls ------------------------------------------------------------- */

static void
fault_write(struct side *side)
{
    must(aspen_fault(side->mm, side->page, ASPEN_ACCESS_WRITE));
}

static void
fault_read(struct side *side)
{
    must(aspen_fault(side->mm, side->page, ASPEN_ACCESS_READ));
}

static void
copy_out(struct side *side)
{
    uint64_t done;
    char byte;

    must(aspen_read_memory(side->mm, side->page, &byte, 1, 0, &done));
}

static void
dontneed(struct side *side)
{
    must(aspen_madvise(side->mm, side->page, PAGE, ASPEN_MADV_DONTNEED));
}

static void
mincore(struct side *side)
{
    uint8_t vector;

    must(aspen_mincore(side->mm, side->page, PAGE, &vector));
}

static void
mmap_region(struct side *side)
{
    map_anonymous(side);
}

static void
munmap_region(struct side *side)
{
    must(aspen_munmap(side->mm, side->region, REGION));
}

static void
mprotect_region(struct side *side)
{
    must(aspen_mprotect(side->mm, side->region, REGION, ASPEN_VM_READ,
                        ASPEN_PKEY_SAME));
}

static void
fork_space(struct side *side)
{
    must(aspen_fork(side->mm, &side->children[side->child_count++]));
}

const struct call calls[] = {
    {"first touch", false, false, map_anonymous, fill_tables, fault_write},
    {"fault, there", false, false, map_anonymous, fill_touched, fault_write},
    {"copy on write", false, false, map_anonymous, fill_shared, fault_write},
    {"read fault, file", false, false, map_file, fill_file, fault_read},
    {"copy out", false, false, map_anonymous, fill_touched, copy_out},
    {"DONTNEED", false, false, map_anonymous, fill_touched, dontneed},
    {"mincore", false, false, map_anonymous, fill_touched, mincore},
    {"mmap", true, false, NULL, NULL, mmap_region},
    {"munmap", true, false, map_anonymous, fill_touched, munmap_region},
    {"mprotect", true, false, map_anonymous, fill_touched, mprotect_region},
    {"fork", true, true, map_anonymous, fill_touched, fork_space},
};
const unsigned call_count = sizeof(calls) / sizeof(calls[0]);

bool
call_is_for_tests(const char *name)
{
    return !strcmp(name, "machine.failpoints");
}
