/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the calls that Aspen is for. Flags have Linux's numbers here and
 * Aspen's there; results and errors pass through as they are.
 */
#include "sys/call.h"

#include "mm/space.h"
#include "sys/half.h"

#define PROT_READ  1u
#define PROT_WRITE 2u
#define PROT_EXEC  4u

#define MAP_PRIVATE         0x02u
#define MAP_SHARED_VALIDATE 0x03u
#define MAP_TYPE            0x0fu
#define MAP_FIXED           0x10u
#define MAP_ANONYMOUS       0x20u
#define MAP_32BIT           0x40u
#define MAP_GROWSDOWN       0x100u
#define MAP_LOCKED          0x2000u
#define MAP_NORESERVE       0x4000u
#define MAP_POPULATE        0x8000u
#define MAP_NONBLOCK        0x10000u
#define MAP_STACK           0x20000u
#define MAP_FIXED_NOREPLACE 0x100000u

static uint64_t
choose(uint64_t flags, uint64_t flag, uint64_t meaning)
{
    return flags & flag ? meaning : 0;
}

static uint64_t
access_of(uint64_t protection)
{
    return choose(protection, PROT_READ, ASPEN_VM_READ) |
           choose(protection, PROT_WRITE, ASPEN_VM_WRITE) |
           choose(protection, PROT_EXEC, ASPEN_VM_EXEC);
}

static unsigned
placement_of(uint64_t flags)
{
    return (unsigned)(choose(flags, MAP_FIXED, ASPEN_MAP_FIXED) |
                      choose(flags, MAP_FIXED_NOREPLACE,
                             ASPEN_MAP_FIXED_NOREPLACE) |
                      choose(flags, MAP_32BIT, ASPEN_MAP_32BIT) |
                      choose(flags, MAP_POPULATE, ASPEN_MAP_POPULATE) |
                      choose(flags, MAP_NONBLOCK, ASPEN_MAP_NONBLOCK));
}

/* What the file allows: a shared mapping of a file that is open for reading
 * alone can never be written. */
static int
map_file(const uint64_t *a, struct aspen_mmap_args *args, struct file *file)
{
    bool shared = args->vm_flags & ASPEN_VM_SHARED;

    if (!file->node->object)
        return -ENODEV;
    if (!file_reads(file) ||
        (shared && a[2] & PROT_WRITE && !file_writes(file)))
        return -EACCES;
    args->vm_flags |= ASPEN_VM_MAYREAD | ASPEN_VM_MAYEXEC;
    if (!shared || file_writes(file))
        args->vm_flags |= ASPEN_VM_MAYWRITE;
    args->object = file->node->object;
    args->offset_bytes = a[5];
    return 0;
}

/* Shared memory without a file is an object that nobody else knows. */
static int
map_shared(struct aspen_mmap_args *args)
{
    struct aspen_object_args shared = {
        .kind = ASPEN_OBJECT_SHMEM,
        .device = 1,
        .size_bytes = round_up(args->length_bytes, PAGE_BYTES),
        .name = "/dev/zero (deleted)",
        .flags = ASPEN_OBJECT_CHARGED | ASPEN_OBJECT_ANONYMOUS,
    };

    return aspen_object_create(machine, &shared, &args->object);
}

static long
map_object(const uint64_t *a, struct aspen_mmap_args *args)
{
    struct file *file = NULL;
    uint64_t address;
    int error;

    if (a[3] & MAP_ANONYMOUS) {
        error = args->vm_flags & ASPEN_VM_SHARED ? map_shared(args) : 0;
    } else {
        file = files_get((int)a[4]);
        error = file ? map_file(a, args, file) : -EBADF;
    }
    if (!error)
        error = aspen_mmap(current->mm, args, &address);
    if (!file && args->object)
        aspen_object_put(args->object);
    file_put(file);
    return error ? error : (long)address;
}

static long
sys_mmap(const uint64_t *a)
{
    uint64_t type = a[3] & MAP_TYPE;
    struct aspen_mmap_args args = {
        .address = a[0],
        .length_bytes = a[1],
        .vm_flags = access_of(a[2]) |
                    choose(a[3], MAP_GROWSDOWN, ASPEN_VM_GROWSDOWN) |
                    choose(a[3], MAP_LOCKED, ASPEN_VM_LOCKED) |
                    choose(a[3], MAP_NORESERVE, ASPEN_VM_NORESERVE) |
                    choose(a[3], MAP_STACK, ASPEN_VM_STACK),
        .flags = placement_of(a[3]),
    };

    if (!a[1] || !type || type > MAP_SHARED_VALIDATE || a[5] % PAGE_BYTES)
        return -EINVAL;
    if (type != MAP_PRIVATE)
        args.vm_flags |= ASPEN_VM_SHARED;
    return map_object(a, &args);
}

static long
sys_munmap(const uint64_t *a)
{
    return aspen_munmap(current->mm, a[0], a[1]);
}

static long
sys_mprotect(const uint64_t *a)
{
    uint64_t vm_flags =
        access_of(a[2]) | choose(a[2], 0x01000000, ASPEN_PROT_GROWSDOWN);

    return half_answers ? half_mprotect(current->mm, a[0], a[1], vm_flags)
                        : aspen_mprotect(current->mm, a[0], a[1], vm_flags,
                                         ASPEN_PKEY_SAME);
}

static long
sys_brk(const uint64_t *a)
{
    uint64_t now = 0;
    int error = aspen_brk(current->mm, a[0], &now);

    return error == -EINTR ? error : (long)now;
}

static long
sys_mremap(const uint64_t *a)
{
    struct aspen_mremap_args args = {
        .address = a[0],
        .old_bytes = a[1],
        .new_bytes = a[2],
        .flags = (unsigned)a[3],
        .new_address = a[4],
    };
    uint64_t address;
    int error = half_answers ? half_mremap(current->mm, &args, &address)
                             : aspen_mremap(current->mm, &args, &address);

    return error ? error : (long)address;
}

static long
sys_msync(const uint64_t *a)
{
    return aspen_msync(current->mm, a[0], a[1], (unsigned)a[2]);
}

static long
sys_madvise(const uint64_t *a)
{
    return aspen_madvise(current->mm, a[0], a[1], (enum aspen_advice)a[2]);
}

static long
sys_mlock(const uint64_t *a)
{
    return half_answers ? half_mlock(current->mm, a[0], a[1])
                        : aspen_mlock(current->mm, a[0], a[1], 0);
}

static long
sys_munlock(const uint64_t *a)
{
    return aspen_munlock(current->mm, a[0], a[1]);
}

const struct call memory_calls[] = {
    {9, sys_mmap},      {10, sys_mprotect}, {11, sys_munmap},  {12, sys_brk},
    {25, sys_mremap},   {26, sys_msync},    {28, sys_madvise}, {149, sys_mlock},
    {150, sys_munlock}, {0, NULL},
};
