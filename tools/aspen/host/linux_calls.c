/* SPDX-License-Identifier: MIT */
/*
 * Each function below takes a call's six arguments as they came and does what
 * Linux does before its own mm code is reached: rounding of types (int,
 * unsigned long), flags that are ignored or refused, descriptors. All else is
 * asked of Aspen, in Aspen's words. The order of checks is Linux's: with two
 * arguments wrong, the answer tells which was looked at first.
 *
 * Called by the tools that compare; tests/host/test_linux_calls.c breaks first.
 */
#define _GNU_SOURCE
#include "host/linux_calls.h"
#include "host/processor.h"

#include <aspen/aspen.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define PAGE_BYTES ((uint64_t)4096)
#define VECTOR     4096u /* pages of mincore at a time */

/* Numbers and flags that older headers lack. */
#define NUMBER_MSEAL   462u
#define MAP_DROPPABLE_ 0x08u
#define PROT_SEM_      0x8u
#define MLOCK_ONFAULT_ 1u
#define MREMAP_ALL     7u
#define PROT_ACCESS    ((uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
#define PROT_GROWS_    ((uint64_t)PROT_GROWSDOWN | (uint64_t)PROT_GROWSUP)

/* Of prctl. */
#define SET_VMA_         0x53564d41
#define SET_VMA_NAME_    0u
#define SET_MM_AUXV_     12
#define SET_MM_EXE_FILE_ 13
#define SET_MM_MAP_      14
#define SET_MM_MAP_SIZE_ 15

/* What MAP_SHARED_VALIDATE lets pass (MAP_SYNC only where files can). */
#define MAP_VALIDATED                                                          \
    ((uint64_t)(MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE |         \
                MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE |  \
                MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |        \
                PROCESSOR_MAP_32BIT | PROCESSOR_MAP_ABOVE4G) |                 \
     (UINT64_C(63) << MAP_HUGE_SHIFT))

typedef bool call_function(const struct linux_space *space, const uint64_t *a,
                           int64_t *answer);

static bool
answered(int64_t *answer, int64_t value)
{
    *answer = value;
    return true;
}

/* Most calls do not look at an address's tag. */
static uint64_t
untagged(uint64_t address)
{
    return address & (uint64_t)((int64_t)(address << PROCESSOR_TAG_BITS) >>
                                PROCESSOR_TAG_BITS);
}

/* ---- mmap -------------------------------------------------------------- */

static uint64_t
access_of(uint64_t prot)
{
    uint64_t more = prot & processor_prots();

    return (more & PROCESSOR_PROT_BTI ? ASPEN_VM_BTI : 0) |
           (more & PROCESSOR_PROT_MTE ? ASPEN_VM_MTE : 0) |
           (prot & PROT_READ ? ASPEN_VM_READ : 0) |
           (prot & PROT_WRITE ? ASPEN_VM_WRITE : 0) |
           (prot & PROT_EXEC ? ASPEN_VM_EXEC : 0);
}

/* mmap(2) takes other bits of `prot` for nothing, but that PROT_EXEC is not
 * alone then. */
static unsigned
place_of(uint64_t prot, uint64_t flags)
{
    return (flags & MAP_FIXED ? ASPEN_MAP_FIXED : 0) |
           (flags & MAP_FIXED_NOREPLACE ? ASPEN_MAP_FIXED_NOREPLACE : 0) |
           (flags & PROCESSOR_MAP_32BIT ? ASPEN_MAP_32BIT : 0) |
           (flags & PROCESSOR_MAP_ABOVE4G ? ASPEN_MAP_ABOVE4G : 0) |
           (flags & MAP_POPULATE ? ASPEN_MAP_POPULATE : 0) |
           (flags & MAP_NONBLOCK ? ASPEN_MAP_NONBLOCK : 0) |
           (prot & ~PROT_ACCESS ? ASPEN_MAP_PLAIN_EXEC : 0);
}

static uint64_t
kind_of(uint64_t flags)
{
    return (flags & MAP_GROWSDOWN ? ASPEN_VM_GROWSDOWN : 0) |
           (flags & MAP_LOCKED ? ASPEN_VM_LOCKED : 0) |
           (flags & MAP_NORESERVE ? ASPEN_VM_NORESERVE : 0) |
           (flags & MAP_STACK ? ASPEN_VM_STACK : 0) |
           (flags & MAP_SYNC ? ASPEN_VM_SYNC : 0);
}

static bool
is_shared(uint64_t flags)
{
    uint64_t type = flags & MAP_TYPE;

    return type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
}

/* What mprotect may add later to a mapping of the file. */
static uint64_t
may_flags(uint64_t flags, const struct linux_file *file)
{
    bool writable = !is_shared(flags) || (file->writable && !file->sealed);

    return ASPEN_VM_MAYREAD | (writable ? ASPEN_VM_MAYWRITE : 0) |
           (file->executable ? ASPEN_VM_MAYEXEC : 0);
}

/* What Linux asks of type and file once it has a place: 0 or the error. */
static int
check_type(const struct linux_space *space, uint64_t prot, uint64_t flags,
           const struct linux_file *file)
{
    uint64_t known = (MAP_VALIDATED & ~space->unknown_flags) |
                     (file->refuses_sync ? MAP_SYNC : 0);
    uint64_t type = flags & MAP_TYPE;

    if (type == MAP_SHARED_VALIDATE && flags & MAP_ANONYMOUS)
        return -EINVAL;
    if (type != MAP_PRIVATE && !is_shared(flags))
        return -EINVAL;
    if (type == MAP_SHARED_VALIDATE && flags & ~known)
        return -EOPNOTSUPP;
    if (is_shared(flags) && prot & PROT_WRITE && !file->writable)
        return -EACCES;
    if (!file->readable)
        return -EACCES;
    return prot & PROT_EXEC && !file->executable ? -EPERM : 0;
}

/* What it asks of the file then. */
static int
check_file(uint64_t prot, uint64_t flags, const struct linux_file *file)
{
    if (file->unmappable)
        return -ENODEV;
    if (flags & MAP_GROWSDOWN)
        return -EINVAL;
    return file->sealed && is_shared(flags) && prot & PROT_WRITE ? -EPERM : 0;
}

int
linux_refuse_sync(void *context, struct aspen_vma *vma)
{
    (void)context;
    return aspen_vma_flags(vma) & ASPEN_VM_SYNC ? -ASPEN_EOPNOTSUPP : 0;
}

/*
 * A mapping that is refused once it has a place: what is refused before that
 * is answered first. Aspen is asked for an access that may not be, which it
 * refuses at that point.
 */
static int
refuse_placed(struct aspen_mm *mm, struct aspen_mmap_args *args, int refusal)
{
    uint64_t address;
    int error;

    args->vm_flags &= ~(ASPEN_VM_ACCESS | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE);
    args->vm_flags |= ASPEN_VM_READ | ASPEN_VM_MAYEXEC;
    error = aspen_mmap(mm, args, &address);
    return error == -ASPEN_EACCES ? refusal : error;
}

static int
find_file(const struct linux_space *space, int descriptor,
          struct linux_file *file)
{
    if (!space->find_file)
        return -EBADF;
    return space->find_file(space->context, descriptor, file);
}

/* Files end before 2^63; for what cannot be mapped at all any offset will do
 * that does not wrap. */
static uint64_t
offset_of(const struct linux_file *file, uint64_t length, uint64_t offset)
{
    uint64_t bytes = (length + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

    return file->unmappable && offset <= UINT64_MAX - bytes ? 0 : offset;
}

static bool
call_mmap(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    uint64_t prot = a[2], flags = a[3], address = 0;
    struct linux_file file = {
        .readable = true, .writable = true, .executable = true};
    bool anonymous = flags & MAP_ANONYMOUS;
    int error;

    if (a[5] % PAGE_BYTES)
        return answered(answer, -EINVAL);
    if (anonymous &&
        (flags & MAP_HUGETLB || (flags & MAP_TYPE) == MAP_DROPPABLE_))
        return false;
    if (!anonymous) {
        error = find_file(space, (int)a[4], &file);
        if (error)
            return answered(answer, error);
        if (flags & MAP_HUGETLB)
            return answered(answer, -EINVAL);
    }

    struct aspen_mmap_args args = {
        .address = a[0],
        .length_bytes = a[1],
        .vm_flags = access_of(prot) | kind_of(flags) |
                    (is_shared(flags) ? ASPEN_VM_SHARED : 0) |
                    (anonymous ? 0 : may_flags(flags, &file)),
        .flags = place_of(prot, flags & ~space->unknown_flags),
        .object = file.object,
        .offset_bytes = anonymous ? 0 : offset_of(&file, a[1], a[5]),
    };
    error = check_type(space, prot, flags, &file);
    if (!error && !anonymous)
        error = check_file(prot, flags, &file);
    error = error ? refuse_placed(space->mm, &args, error)
                  : aspen_mmap(space->mm, &args, &address);
    return answered(answer, error ? error : (int64_t)address);
}

static bool
call_munmap(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    return answered(answer, aspen_munmap(space->mm, untagged(a[0]), a[1]));
}

/* ---- mprotect ---------------------------------------------------------- */

static int
protect(struct aspen_mm *mm, const uint64_t *a, int pkey)
{
    uint64_t prot = a[2], grows = prot & PROT_GROWS_;

    if (grows == PROT_GROWS_)
        return -EINVAL;
    /* Bits that are no access are refused where a key that is none is. */
    if (prot & ~(PROT_ACCESS | PROT_SEM_ | PROT_GROWS_ | processor_prots()))
        pkey = ASPEN_PKEYS_MAX;
    return aspen_mprotect(
        mm, untagged(a[0]), a[1],
        access_of(prot) | (prot & PROT_SEM_ ? ASPEN_PROT_PLAIN_EXEC : 0) |
            (grows & PROT_GROWSDOWN ? ASPEN_PROT_GROWSDOWN : 0) |
            (grows & PROT_GROWSUP ? ASPEN_PROT_GROWSUP : 0),
        pkey);
}

static bool
call_mprotect(const struct linux_space *space, const uint64_t *a,
              int64_t *answer)
{
    return answered(answer, protect(space->mm, a, ASPEN_PKEY_SAME));
}

static bool
call_pkey_mprotect(const struct linux_space *space, const uint64_t *a,
                   int64_t *answer)
{
    return answered(answer, space->no_pkey_calls
                                ? -ENOSYS
                                : protect(space->mm, a, (int)a[3]));
}

static bool
call_pkey_alloc(const struct linux_space *space, const uint64_t *a,
                int64_t *answer)
{
    int pkey = 0, error;

    if (space->no_pkey_calls)
        return answered(answer, -ENOSYS);
    if (a[0] || a[1] > UINT32_MAX)
        return answered(answer, -EINVAL);
    error = aspen_pkey_alloc(space->mm, (unsigned)a[1], &pkey);
    return answered(answer, error ? error : pkey);
}

static bool
call_pkey_free(const struct linux_space *space, const uint64_t *a,
               int64_t *answer)
{
    return answered(answer, space->no_pkey_calls
                                ? -ENOSYS
                                : aspen_pkey_free(space->mm, (int)a[0]));
}

static bool
call_mseal(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    return answered(
        answer, a[2] ? -EINVAL : aspen_mseal(space->mm, untagged(a[0]), a[1]));
}

/* ---- mremap, remap_file_pages, brk
 * ------------------------------------------------------- */

static bool
call_mremap(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    uint64_t address = 0;
    int error;

    if (a[3] & ~(uint64_t)MREMAP_ALL)
        return answered(answer, -EINVAL);
    error = aspen_mremap(space->mm,
                         &(struct aspen_mremap_args){
                             .address = untagged(a[0]),
                             .old_bytes = a[1],
                             .new_bytes = a[2],
                             .flags = (unsigned)a[3],
                             .new_address = a[4],
                         },
                         &address);
    return answered(answer, error ? error : (int64_t)address);
}

/* The access it may be asked for is none; flags but one are ignored. The offset
 * is in pages: what no file reaches is refused as the last page there can be.
 */
static bool
call_remap_file_pages(const struct linux_space *space, const uint64_t *a,
                      int64_t *answer)
{
    const uint64_t last = UINT64_MAX / PAGE_BYTES;
    uint64_t pgoff = a[3];

    if (a[2] || pgoff + a[1] / PAGE_BYTES < pgoff)
        return answered(answer, -EINVAL);
    return answered(answer, aspen_remap_file_pages(
                                space->mm, a[0], a[1],
                                (pgoff < last ? pgoff : last) * PAGE_BYTES,
                                a[4] & MAP_NONBLOCK ? ASPEN_MAP_NONBLOCK : 0));
}

/* Its errors are told by the end that stays. */
static bool
call_brk(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    uint64_t now = 0;
    int error = aspen_brk(space->mm, a[0], &now);

    return answered(answer, error == -EINTR ? error : (int64_t)now);
}

/* ---- Locking ----------------------------------------------------------- */

static bool
call_mlock(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    return answered(answer, aspen_mlock(space->mm, untagged(a[0]), a[1], 0));
}

static bool
call_mlock2(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    if ((unsigned)a[2] & ~MLOCK_ONFAULT_)
        return answered(answer, -EINVAL);
    return answered(answer,
                    aspen_mlock(space->mm, untagged(a[0]), a[1],
                                (int)a[2] != 0 ? ASPEN_MLOCK_ONFAULT : 0));
}

static bool
call_munlock(const struct linux_space *space, const uint64_t *a,
             int64_t *answer)
{
    return answered(answer, aspen_munlock(space->mm, untagged(a[0]), a[1]));
}

static bool
call_mlockall(const struct linux_space *space, const uint64_t *a,
              int64_t *answer)
{
    return answered(answer, aspen_mlockall(space->mm, (unsigned)a[0]));
}

static bool
call_munlockall(const struct linux_space *space, const uint64_t *a,
                int64_t *answer)
{
    (void)a;
    return answered(answer, aspen_munlockall(space->mm));
}

/* ---- Advice, residency, write-back ------------------------------------- */

static bool
call_madvise(const struct linux_space *space, const uint64_t *a,
             int64_t *answer)
{
    return answered(answer, aspen_madvise(space->mm, untagged(a[0]), a[1],
                                          (enum aspen_advice)(int)a[2]));
}

/* In parts: the length comes from outside, a hole ends it early. */
static int
ask_residency(struct aspen_mm *mm, uint64_t address, uint64_t length)
{
    uint8_t part[VECTOR];
    uint64_t bytes;
    int error = 0;

    if (length == 0) /* the address counts all the same */
        return aspen_mincore(mm, address, 0, part);
    if (address % PAGE_BYTES)
        return -EINVAL;
    if (address + length < address)
        return -ENOMEM;
    for (; length && !error; address += bytes, length -= bytes) {
        bytes = VECTOR * PAGE_BYTES;
        if (bytes > length)
            bytes = length;
        error = aspen_mincore(mm, address, bytes, part);
    }
    return error;
}

static bool
call_mincore(const struct linux_space *space, const uint64_t *a,
             int64_t *answer)
{
    return answered(
        answer, space->vector ? aspen_mincore(space->mm, untagged(a[0]), a[1],
                                              space->vector)
                              : ask_residency(space->mm, untagged(a[0]), a[1]));
}

static bool
call_msync(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    return answered(
        answer, aspen_msync(space->mm, untagged(a[0]), a[1], (unsigned)a[2]));
}

/* ---- prctl ------------------------------------------------------------- */

/* The name at `address`: 0, -EFAULT, -EINVAL. */
static int
read_name(const struct linux_space *space, uint64_t address,
          char name[ASPEN_NAME_BYTES])
{
    size_t length =
        space->read(space->context, address, name, ASPEN_NAME_BYTES);

    if (memchr(name, 0, length))
        return 0;
    return length == ASPEN_NAME_BYTES ? -EINVAL : -EFAULT;
}

static bool
call_set_vma(const struct linux_space *space, const uint64_t *a,
             int64_t *answer)
{
    char name[ASPEN_NAME_BYTES];
    int error = a[1] == SET_VMA_NAME_ ? aspen_name_anon(space->mm, 0, 0, NULL)
                                      : -EINVAL;

    if (error) /* another thing to be set; or there are no names */
        return answered(answer, error);
    if (a[4] && !space->read)
        return false;
    if (a[4])
        error = read_name(space, a[4], name);
    return answered(answer, error ? error
                                  : aspen_name_anon(space->mm, a[2], a[3],
                                                    a[4] ? name : NULL));
}

/* PR_SET_MM_MAP: the layout as a whole, as the program has it in memory. */
struct mm_map {
    uint64_t addresses[11];
    uint64_t auxv;
    uint32_t auxv_bytes;
    uint32_t executable;
};

static int
set_map(struct aspen_mm *mm, const struct mm_map *map)
{
    const uint64_t *at = map->addresses;
    struct aspen_layout layout;

    /* Here 0 is an address, and too low for one. */
    for (unsigned i = 0; i < 11; i++)
        if (at[i] == 0)
            return -EINVAL;
    aspen_layout_read(mm, &layout);
    layout.code_start = at[0];
    layout.code_end = at[1];
    layout.data_start = at[2];
    layout.data_end = at[3];
    layout.brk_start = at[4];
    layout.brk = at[5];
    layout.stack_start = at[6];
    layout.arg_start = at[7];
    layout.arg_end = at[8];
    layout.env_start = at[9];
    layout.env_end = at[10];
    return aspen_layout_set(mm, &layout);
}

static bool
call_set_mm_map(const struct linux_space *space, const uint64_t *a,
                int64_t *answer)
{
    struct mm_map map;

    if (a[3] != sizeof(map))
        return answered(answer, -EINVAL);
    if (!space->read)
        return false;
    if (space->read(space->context, a[2], &map, sizeof(map)) != sizeof(map))
        return answered(answer, -EFAULT);
    if (map.auxv_bytes || map.executable != UINT32_MAX)
        return false;
    return answered(answer, set_map(space->mm, &map));
}

/* The auxiliary vector and the executable are nothing of Aspen's. */
static bool
call_set_mm(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    int part = (int)a[1];
    bool whole = part == SET_MM_MAP_ || part == SET_MM_MAP_SIZE_;

    if (a[4] || (a[3] && part != SET_MM_AUXV_ && !whole))
        return answered(answer, -EINVAL);
    if (part == SET_MM_MAP_)
        return call_set_mm_map(space, a, answer);
    if (part == SET_MM_MAP_SIZE_ || part == SET_MM_AUXV_ ||
        part == SET_MM_EXE_FILE_)
        return false;
    return answered(answer, aspen_layout_move(
                                space->mm, (enum aspen_layout_part)part, a[2]));
}

static bool
call_prctl(const struct linux_space *space, const uint64_t *a, int64_t *answer)
{
    if ((int)a[0] == SET_VMA_)
        return call_set_vma(space, a, answer);
    return (int)a[0] == PR_SET_MM && call_set_mm(space, a, answer);
}

/* ---- The table --------------------------------------------------------- */

static const struct known {
    uint64_t number;
    const char *name;
    call_function *make;
} calls[] = {
    {SYS_mmap, "mmap", call_mmap},
    {SYS_munmap, "munmap", call_munmap},
    {SYS_mprotect, "mprotect", call_mprotect},
    {SYS_pkey_mprotect, "pkey_mprotect", call_pkey_mprotect},
    {SYS_pkey_alloc, "pkey_alloc", call_pkey_alloc},
    {SYS_pkey_free, "pkey_free", call_pkey_free},
    {NUMBER_MSEAL, "mseal", call_mseal},
    {SYS_mremap, "mremap", call_mremap},
    {SYS_remap_file_pages, "remap_file_pages", call_remap_file_pages},
    {SYS_brk, "brk", call_brk},
    {SYS_mlock, "mlock", call_mlock},
    {SYS_mlock2, "mlock2", call_mlock2},
    {SYS_munlock, "munlock", call_munlock},
    {SYS_mlockall, "mlockall", call_mlockall},
    {SYS_munlockall, "munlockall", call_munlockall},
    {SYS_madvise, "madvise", call_madvise},
    {SYS_mincore, "mincore", call_mincore},
    {SYS_msync, "msync", call_msync},
    {SYS_prctl, "prctl", call_prctl},
};

static const struct known *
find_call(uint64_t number)
{
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

bool
linux_call_make(const struct linux_space *space, const struct linux_call *call,
                int64_t *answer)
{
    const struct known *known = find_call(call->number);

    return known && known->make(space, call->arguments, answer);
}

bool
linux_is_error(int64_t answer)
{
    return answer < 0 && answer > -4096;
}

const char *
linux_call_name(uint64_t number)
{
    const struct known *known = find_call(number);

    return known ? known->name : NULL;
}

uint64_t
linux_call_number(const char *name)
{
    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    return UINT64_MAX;
}

/* ---- Protection keys ---------------------------------------------------- */

bool
linux_call_is_execute_only(const struct linux_call *call)
{
    const uint64_t *a = call->arguments;

    switch (call->number) {
    case SYS_mmap:
        return a[2] == PROT_EXEC;
    case SYS_mprotect:
        return (a[2] & ~PROT_GROWS_) == PROT_EXEC;
    case SYS_pkey_mprotect:
        return (a[2] & ~PROT_GROWS_) == PROT_EXEC && (int32_t)a[3] == -1;
    default:
        return call->number == SYS_remap_file_pages;
    }
}

int
linux_next_pkey(const struct aspen_pkeys *pkeys)
{
    for (int pkey = 1; pkey < ASPEN_PKEYS_MAX; pkey++)
        if (!(pkeys->given_out >> pkey & 1))
            return pkey;
    return 0;
}
