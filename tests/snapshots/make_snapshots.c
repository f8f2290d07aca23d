/* SPDX-License-Identifier: MIT */
/*
 * make_snapshots.c - writes the small snapshots beside it:
 *
 *     make_snapshots DIRECTORY
 *
 * They hold what a host may not have or a test must not touch: swap, huge and
 * hugetlb pages, guard pages, many mappings. The result depends on nothing:
 * tests/tools/snapshots.sh compares it with what is committed.
 */
#include "snapshot/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)

#define TEXT  "rd ex mr mw me"
#define HEAP  "rd wr mr mw me ac"
#define SHARE "rd wr sh mr mw me ms"

struct maker {
    struct snapshot snapshot;
    const char *directory;
};

static void
need(bool held)
{
    if (!held) {
        fprintf(stderr, "make_snapshots: no memory\n");
        exit(2);
    }
}

static uint32_t
string(struct maker *maker, const char *text)
{
    uint32_t index = snapshot_string(&maker->snapshot, text, strlen(text));

    need(index != UINT32_MAX);
    return index;
}

static void
begin(struct maker *maker, const char *name)
{
    need(snapshot_init(&maker->snapshot) == 0);
    maker->snapshot.method = SNAPSHOT_BY_HAND;
    maker->snapshot.name = string(maker, name);
    maker->snapshot.release = string(maker, "made");
}

static void
end(struct maker *maker)
{
    struct tool_error error;
    char path[4096];

    if (snapshot_check(&maker->snapshot, &error) != 0) {
        fprintf(stderr, "make_snapshots: %s\n", error.text);
        exit(2);
    }
    snprintf(path, sizeof(path), "%s/%s.snap", maker->directory,
             snapshot_text(&maker->snapshot, maker->snapshot.name));
    if (snapshot_save(&maker->snapshot, path, &error) != 0) {
        fprintf(stderr, "make_snapshots: %s\n", error.text);
        exit(2);
    }
    snapshot_free(&maker->snapshot);
}

static uint32_t
object(struct maker *maker, uint64_t inode, enum snapshot_object_kind kind)
{
    uint64_t device = kind == SNAPSHOT_OBJECT_SPECIAL ? 0 : 0xfe00000000u;
    uint32_t index = snapshot_object(&maker->snapshot, device, inode, kind);

    need(index != SNAPSHOT_NO_OBJECT);
    return index;
}

/* Permissions follow from the flags. */
static struct snapshot_vma *
area(struct maker *maker, uint64_t start, uint64_t length, const char *flags,
     uint32_t of, uint64_t pgoff)
{
    struct snapshot_vma vma = {
        .start = start,
        .end = start + length,
        .object = of,
        .pgoff = pgoff,
        .page_shift = SNAPSHOT_PAGE_SHIFT,
        .vm_flags = string(maker, flags),
    };
    struct snapshot_vma *added;

    if (snapshot_has_flag(flags, "rd"))
        vma.permissions |= SNAPSHOT_PERM_READ;
    if (snapshot_has_flag(flags, "wr"))
        vma.permissions |= SNAPSHOT_PERM_WRITE;
    if (snapshot_has_flag(flags, "ex"))
        vma.permissions |= SNAPSHOT_PERM_EXEC;
    if (snapshot_has_flag(flags, "sh"))
        vma.permissions |= SNAPSHOT_PERM_SHARED;
    vma.flags = snapshot_vma_flags(&maker->snapshot, &vma);
    added = snapshot_add_vma(&maker->snapshot, &vma);
    need(added != NULL);
    return added;
}

static void
pages(struct maker *maker, uint64_t address, uint64_t count, unsigned level,
      enum snapshot_kind kind, uint64_t value)
{
    need(snapshot_add_run(&maker->snapshot, address, count, level, kind,
                          value) == 0);
}

static void
small(struct maker *maker, uint64_t address, uint64_t count,
      enum snapshot_kind kind)
{
    pages(maker, address, count, 0, kind,
          kind == SNAPSHOT_SWAP ? SNAPSHOT_NO_SLOT : 0);
}

/* A program of three areas, as every process has one. */
static void
program(struct maker *maker)
{
    uint32_t file = object(maker, 11, SNAPSHOT_OBJECT_FILE);

    area(maker, 0x400000, 4 * PAGE, TEXT, file, 0);
    small(maker, 0x400000, 3, SNAPSHOT_OBJECT);
    area(maker, 0x404000, PAGE, "rd mr mw me ac", file, 4);
    small(maker, 0x404000, 1, SNAPSHOT_ANON);
    area(maker, 0x405000, 4 * PAGE, HEAP, SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x405000, 2, SNAPSHOT_ANON);
}

/*
 * Swap: slots in a row and scattered, told and not; 70 entries that name one
 * slot, so that its count passes what a byte holds; 40 that do so only with a
 * child's, so that a fork has to make room; entries alone in their page table.
 */
static void
make_swap(struct maker *maker)
{
    begin(maker, "swap");
    maker->snapshot.frames_told = true;
    program(maker);
    area(maker, 0x10000000, 4 * MIB, HEAP, SNAPSHOT_NO_OBJECT, 0);
    pages(maker, 0x10000000, 20, 0, SNAPSHOT_SWAP, snapshot_swap_value(0, 100));
    small(maker, 0x10000000 + 20 * PAGE, 4, SNAPSHOT_ANON);
    for (uint64_t i = 0; i < 16; i++)
        pages(maker, 0x10000000 + (24 + i) * PAGE, 1, 0, SNAPSHOT_SWAP,
              snapshot_swap_value(i & 1, 1000 - 7 * i));
    pages(maker, 0x10200000, 3, 0, SNAPSHOT_SWAP, snapshot_swap_value(1, 3));
    area(maker, 0x20000000, MIB, HEAP, SNAPSHOT_NO_OBJECT, 0);
    for (uint64_t i = 0; i < 70; i++)
        pages(maker, 0x20000000 + i * PAGE, 1, 0, SNAPSHOT_SWAP,
              snapshot_swap_value(0, 5));
    for (uint64_t i = 100; i < 140; i++)
        pages(maker, 0x20000000 + i * PAGE, 1, 0, SNAPSHOT_SWAP,
              snapshot_swap_value(0, 5000));
    area(maker, 0x30000000, MIB, HEAP, SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x30000000 + 8 * PAGE, 8, SNAPSHOT_SWAP);
    end(maker);
}

/* Huge pages that came of small ones: anonymous, of a file, the zero page. */
static void
make_huge(struct maker *maker)
{
    uint32_t file;

    begin(maker, "huge");
    program(maker);
    file = object(maker, 21, SNAPSHOT_OBJECT_SHMEM);
    area(maker, 0x40000000, 16 * MIB, HEAP " hg", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x40000000, 5, SNAPSHOT_ANON);
    pages(maker, 0x40200000, 3, 1, SNAPSHOT_ANON, 0);
    pages(maker, 0x40800000, 1, 1, SNAPSHOT_ZERO, 0);
    small(maker, 0x40a00000, 512, SNAPSHOT_ANON);
    pages(maker, 0x40c00000, 1, 1, SNAPSHOT_ANON, 0);
    area(maker, 0x80000000, 8 * MIB, SHARE, file, 0);
    pages(maker, 0x80000000, 2, 1, SNAPSHOT_OBJECT, 0);
    small(maker, 0x80400000, 9, SNAPSHOT_OBJECT);
    area(maker, 0x90000000, 4 * MIB, HEAP " wf hg", SNAPSHOT_NO_OBJECT, 0);
    pages(maker, 0x90000000, 2, 1, SNAPSHOT_ANON, 0);
    end(maker);
}

/* Hugetlb, 2 MiB and 1 GiB, shared and private. */
static void
make_hugetlb(struct maker *maker)
{
    struct snapshot_vma *vma;
    uint32_t file;

    begin(maker, "hugetlb");
    program(maker);
    file = object(maker, 31, SNAPSHOT_OBJECT_HUGETLB);
    vma = area(maker, 0x40000000, 8 * MIB, SHARE " de ht", file, 0);
    vma->page_shift = 21;
    pages(maker, 0x40000000, 3, 1, SNAPSHOT_OBJECT, 0);
    file = object(maker, 32, SNAPSHOT_OBJECT_HUGETLB);
    vma = area(maker, 0x50000000, 8 * MIB, HEAP " de ht", file, 0);
    vma->page_shift = 21;
    pages(maker, 0x50000000, 1, 1, SNAPSHOT_OBJECT, 0);
    pages(maker, 0x50400000, 2, 1, SNAPSHOT_ANON, 0);
    file = object(maker, 33, SNAPSHOT_OBJECT_HUGETLB);
    vma = area(maker, 4 * GIB, 2 * GIB, SHARE " de ht", file, 0);
    vma->page_shift = 30;
    pages(maker, 4 * GIB, 1, 2, SNAPSHOT_OBJECT, 0);
    end(maker);
}

/* Guard pages: among others, alone in their area, in a stack, in a file. */
static void
make_guard(struct maker *maker)
{
    uint32_t file;

    begin(maker, "guard");
    program(maker);
    file = object(maker, 41, SNAPSHOT_OBJECT_FILE);
    area(maker, 0x10000000, 64 * PAGE, HEAP " gu", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x10000000, 2, SNAPSHOT_ANON);
    small(maker, 0x10002000, 4, SNAPSHOT_GUARD);
    small(maker, 0x10006000, 1, SNAPSHOT_ANON);
    area(maker, 0x20000000, 4 * MIB, HEAP " gu", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x20000000 + 510 * PAGE, 4, SNAPSHOT_GUARD);
    area(maker, 0x30000000, 16 * PAGE, "rd mr mw me gu", file, 0);
    small(maker, 0x30000000, 1, SNAPSHOT_OBJECT);
    small(maker, 0x30001000, 1, SNAPSHOT_GUARD);
    area(maker, 0x7ffff000000, 32 * PAGE, HEAP " gd gu", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x7ffff000000, 1, SNAPSHOT_GUARD);
    small(maker, 0x7ffff000000 + 30 * PAGE, 2, SNAPSHOT_ANON);
    end(maker);
}

/* 5,000 mappings: files, heaps, and what a fork leaves out or wipes. */
static void
make_many(struct maker *maker)
{
    static const char *const kinds[] = {
        HEAP, "rd mr mw me", HEAP " wf", HEAP " dc", "mr mw me ac",
    };

    begin(maker, "vmas5000");
    for (uint64_t i = 0; i < 5000; i++) {
        const char *flags = kinds[i % 5];
        uint64_t start = 0x10000000 + i * 16 * PAGE;
        bool of_file = i % 5 == 1;
        uint32_t file = SNAPSHOT_NO_OBJECT;

        if (of_file)
            file = object(maker, 100 + i % 97, SNAPSHOT_OBJECT_FILE);
        area(maker, start, (1 + i % 8) * PAGE, flags, file,
             of_file ? i % 64 : 0);
        if (of_file)
            small(maker, start, 1, SNAPSHOT_OBJECT);
        else if (i % 3 == 0)
            small(maker, start, 1 + i % 2 * (i % 8 > 0), SNAPSHOT_ANON);
    }
    end(maker);
}

/* One of everything that a process may have and a test rarely meets. */
static void
make_flags(struct maker *maker)
{
    uint32_t file;

    begin(maker, "flags");
    program(maker);
    file = object(maker, 51, SNAPSHOT_OBJECT_FILE);
    area(maker, 0x10000000, 8 * PAGE, HEAP " lo", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x10000000, 8, SNAPSHOT_ANON);
    area(maker, 0x10010000, 8 * PAGE, HEAP " um uw", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x10010000, 2, SNAPSHOT_ANON);
    small(maker, 0x10012000, 1, SNAPSHOT_OTHER);
    area(maker, 0x10020000, 8 * PAGE, "rd wr mr mw me nr", SNAPSHOT_NO_OBJECT,
         0);
    small(maker, 0x10020000, 4, SNAPSHOT_ZERO);
    small(maker, 0x10024000, 1, SNAPSHOT_ANON);
    area(maker, 0x10030000, 8 * PAGE, HEAP " mg nh", SNAPSHOT_NO_OBJECT, 0);
    small(maker, 0x10030000, 3, SNAPSHOT_ANON);
    area(maker, 0x10040000, 8 * PAGE, SHARE, file, 2);
    small(maker, 0x10041000, 5, SNAPSHOT_OBJECT);
    area(maker, 0x10050000, 8 * PAGE, "rd wr sh mr mw me ms mm io de dd",
         object(maker, 52, SNAPSHOT_OBJECT_DEVICE), 0);
    pages(maker, 0x10050000, 2, 0, SNAPSHOT_RAW, 0x1000);
    small(maker, 0x10052000, 2, SNAPSHOT_OBJECT);
    area(maker, 0x10060000, 8 * PAGE, "rd wr sh mr mw me ms pf io dc de dd",
         object(maker, 53, SNAPSHOT_OBJECT_DEVICE), 0);
    pages(maker, 0x10060000, 8, 0, SNAPSHOT_RAW, 0x2000);
    area(maker, 0x7fff00000000, 4 * PAGE, "rd mr pf io de dd",
         object(maker, 0x7fff00000, SNAPSHOT_OBJECT_SPECIAL), 0);
    pages(maker, 0x7fff00000000, 4, 0, SNAPSHOT_RAW, 0);
    area(maker, 0x7fff00004000, 2 * PAGE, TEXT " de",
         object(maker, 0x7fff00004, SNAPSHOT_OBJECT_SPECIAL), 0);
    small(maker, 0x7fff00004000, 1, SNAPSHOT_OBJECT);
    end(maker);
}

int
main(int argc, char **argv)
{
    struct maker maker = {.directory = argv[1]};

    if (argc != 2) {
        fprintf(stderr, "usage: make_snapshots DIRECTORY\n");
        return 2;
    }
    make_swap(&maker);
    make_huge(&maker);
    make_hugetlb(&maker);
    make_guard(&maker);
    make_many(&maker);
    make_flags(&maker);
    return 0;
}
