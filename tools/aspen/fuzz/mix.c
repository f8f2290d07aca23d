/* SPDX-License-Identifier: MIT */
/*
 * mix.c - operations by chance: in a window so small that they collide,
 * where the kernel has put things, at the heap, and at the edges of what there
 * is; a few with arguments that are wrong.
 *
 * Called by command.c and the libFuzzer driver. tests/tools/fuzz.sh breaks
 * first.
 */
#define _GNU_SOURCE
#include "host/processor.h"
#include "fuzz/session.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define WINDOW       ((uint64_t)0x551000000000)
#define WINDOW_PAGES 48u
#define LOW          ((uint64_t)0x40000000)
#define TOP          ((uint64_t)1 << PROCESSOR_ADDRESS_BITS)
#define NUMBER_MSEAL 462u

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct fuzz_advice fuzz_advices[FUZZ_ADVICES] = {
    {0, "MADV_NORMAL"},
    {1, "MADV_RANDOM"},
    {2, "MADV_SEQUENTIAL"},
    {3, "MADV_WILLNEED"},
    {4, "MADV_DONTNEED"},
    {4, "MADV_DONTNEED"},
    {8, "MADV_FREE"},
    {9, "MADV_REMOVE"},
    {10, "MADV_DONTFORK"},
    {11, "MADV_DOFORK"},
    {12, "MADV_MERGEABLE"},
    {13, "MADV_UNMERGEABLE"},
    {14, "MADV_HUGEPAGE"},
    {15, "MADV_NOHUGEPAGE"},
    {16, "MADV_DONTDUMP"},
    {17, "MADV_DODUMP"},
    {18, "MADV_WIPEONFORK"},
    {19, "MADV_KEEPONFORK"},
    {20, "MADV_COLD"},
    {21, "MADV_PAGEOUT"},
    {22, "MADV_POPULATE_READ"},
    {23, "MADV_POPULATE_WRITE"},
    {24, "MADV_DONTNEED_LOCKED"},
    {102, "MADV_GUARD_INSTALL"},
    {103, "MADV_GUARD_REMOVE"},
    {99, "no advice"},
};

/* ---- Choices ------------------------------------------------------------ */

static uint64_t
next_bits(struct fuzz_choices *choices, uint64_t bound)
{
    uint64_t value = 0;

    if (!choices->bytes) {
        choices->random = choices->random * UINT64_C(6364136223846793005) +
                          UINT64_C(1442695040888963407);
        return choices->random >> 33;
    }
    for (; bound > 1 && choices->left; bound >>= 8, choices->left--)
        value = value << 8 | *choices->bytes++;
    return value;
}

static uint64_t
below(struct fuzz_mix *mix, uint64_t bound)
{
    return next_bits(&mix->choices, bound) % bound;
}

static bool
one_in(struct fuzz_mix *mix, uint64_t count)
{
    return below(mix, count) == count - 1;
}

/* ---- Ranges ------------------------------------------------------------- */

static uint64_t
edge(struct fuzz_mix *mix)
{
    static const uint64_t edges[] = {
        0,
        FUZZ_PAGE,
        0xf000,
        0x15000,
        TOP - 16 * FUZZ_PAGE,
        TOP - 2 * FUZZ_PAGE,
        TOP - FUZZ_PAGE,
        TOP,
        UINT64_MAX & ~(FUZZ_PAGE - 1),
        UINT64_MAX - 3 * FUZZ_PAGE + 1,
    };

    return edges[below(mix, COUNT(edges))];
}

/* Where something was put, and a little beside it. */
static uint64_t
recent(struct fuzz_mix *mix)
{
    const struct fuzz_range *range;
    uint64_t pages;

    if (mix->recent_used == 0)
        return 0;
    range = &mix->recent[below(
        mix, mix->recent_used < FUZZ_RECENT ? mix->recent_used : FUZZ_RECENT)];
    pages = range->length / FUZZ_PAGE;
    if (one_in(mix, 3))
        return range->address + below(mix, pages + 2) * FUZZ_PAGE - FUZZ_PAGE;
    return range->address + (one_in(mix, 2) ? below(mix, 4) * FUZZ_PAGE : 0);
}

/* A part of something that is mapped, or a little more; false: nothing is. */
static bool
mapped_range(struct fuzz_mix *mix, uint64_t *a)
{
    const struct area *area;
    uint64_t pages, first;

    if (mix->areas->count < 2)
        return false;
    /* The first is the executor. */
    area = &mix->areas->list[1 + below(mix, mix->areas->count - 1)];
    pages = (area->end - area->start) / FUZZ_PAGE;
    first = one_in(mix, 3) ? 0 : below(mix, pages);
    a[0] = area->start + first * FUZZ_PAGE;
    a[1] = (one_in(mix, 3) ? pages - first : 1 + below(mix, pages - first)) *
           FUZZ_PAGE;
    if (one_in(mix, 8))
        a[1] += below(mix, 12) * FUZZ_PAGE;
    return true;
}

static uint64_t
aligned(struct fuzz_mix *mix)
{
    uint64_t kind = below(mix, 100);

    if (kind < 72)
        return WINDOW + below(mix, WINDOW_PAGES) * FUZZ_PAGE;
    if (kind < 88)
        return recent(mix);
    if (kind < 94)
        return (mix->brk & -FUZZ_PAGE) + (below(mix, 12) - 8) * FUZZ_PAGE;
    if (kind < 97)
        return LOW + below(mix, 16) * FUZZ_PAGE;
    return edge(mix);
}

/* With a tag, where addresses have some; elsewhere nothing is there. */
static uint64_t
any_address(struct fuzz_mix *mix)
{
    uint64_t address = aligned(mix);

    if (one_in(mix, 64))
        return address | (1 + below(mix, 255)) << 56;
    return one_in(mix, 32) ? address + 1 + below(mix, FUZZ_PAGE - 1) : address;
}

static uint64_t
any_length(struct fuzz_mix *mix)
{
    static const uint64_t odd[] = {
        0,
        1,
        TOP / 2,
        TOP,
        UINT64_MAX,
        UINT64_MAX - FUZZ_PAGE + 1,
        UINT64_MAX - FUZZ_PAGE + 2,
        FUZZ_ADDRESS_SPACE + FUZZ_PAGE,
        TOP - 2 * FUZZ_PAGE - WINDOW,
    };
    uint64_t kind = below(mix, 100);
    uint64_t length;

    if (kind >= 97)
        return odd[below(mix, COUNT(odd))];
    if (kind >= 95)
        length = (500 + below(mix, 560)) * FUZZ_PAGE;
    else if (kind >= 82)
        length = (1 + below(mix, WINDOW_PAGES)) * FUZZ_PAGE;
    else
        length = (1 + below(mix, 8)) * FUZZ_PAGE;
    return one_in(mix, 16) ? length - below(mix, FUZZ_PAGE) : length;
}

/* ---- Calls -------------------------------------------------------------- */

static uint64_t
any_prot(struct fuzz_mix *mix)
{
    static const uint64_t common[] = {0, 1, 3, 3, 3, 3, 5, 7};
    static const uint64_t all[] = {2,
                                   4,
                                   6,
                                   8,
                                   9,
                                   8 | 4,
                                   0x10,
                                   0x10 | 5,
                                   0x20 | 3,
                                   PROT_GROWSDOWN | 1,
                                   PROT_GROWSDOWN | 3,
                                   PROT_GROWSUP | 3,
                                   PROT_GROWSUP | PROT_GROWSDOWN | 3};

    return one_in(mix, 12) ? all[below(mix, COUNT(all))]
                           : common[below(mix, COUNT(common))];
}

/* Half of them where something is. */
static void
any_range(struct fuzz_mix *mix, uint64_t *a)
{
    if (one_in(mix, 2) && mapped_range(mix, a))
        return;
    a[0] = any_address(mix);
    a[1] = any_length(mix);
}

static void
mix_mmap(struct fuzz_mix *mix, uint64_t *a)
{
    static const uint64_t place[] = {
        MAP_FIXED, MAP_FIXED, MAP_FIXED,           MAP_FIXED,           0,
        0,         0,         MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE, 0x40};
    static const uint64_t extra[] = {
        MAP_NORESERVE, MAP_LOCKED,
        MAP_POPULATE,  MAP_GROWSDOWN,
        MAP_STACK,     MAP_POPULATE,
        0x4000000,     MAP_SYNC,
        0x80,          MAP_NONBLOCK | MAP_POPULATE,
    };
    uint64_t flags = place[below(mix, COUNT(place))];

    a[0] = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) || one_in(mix, 3)
               ? any_address(mix)
               : 0;
    a[1] = any_length(mix);
    a[2] = any_prot(mix) & ~(uint64_t)(PROT_GROWSDOWN | PROT_GROWSUP);
    if (one_in(mix, 50))
        flags |= one_in(mix, 2) ? MAP_SHARED_VALIDATE : below(mix, 8);
    else
        flags |= one_in(mix, 4) ? MAP_SHARED : MAP_PRIVATE;
    if (one_in(mix, 4))
        flags |= extra[below(mix, COUNT(extra))];
    a[4] = FUZZ_DESCRIPTOR + (mix->one_open ? 3 * below(mix, FUZZ_FILES)
                                            : below(mix, FUZZ_DESCRIPTORS));
    if (one_in(mix, 64))
        a[4] = UINT64_MAX;
    a[5] = below(mix, FUZZ_FILE_PAGES + 4) * FUZZ_PAGE;
    if (one_in(mix, 100))
        a[5] = one_in(mix, 2) ? 8 : UINT64_C(1) << 63;
    if (below(mix, 100) < 55)
        flags |= MAP_ANONYMOUS;
    else if (a[4] >= FUZZ_DESCRIPTOR + 3 * FUZZ_DISK)
        flags &= ~(uint64_t)MAP_SYNC; /* file systems have a say in it */
    a[3] = flags;
}

static void
mix_mremap(struct fuzz_mix *mix, uint64_t *a)
{
    static const uint64_t flags[] = {0, 1, 1, 1, 3, 3, 3, 3, 5, 7, 7, 2, 4, 8};

    a[3] = flags[below(mix, COUNT(flags))];
    a[2] = one_in(mix, 3) ? any_length(mix) : a[1];
    if (one_in(mix, 12))
        a[1] = 0;
    a[4] = any_address(mix);
}

static void
mix_remap_file_pages(struct fuzz_mix *mix, uint64_t *a)
{
    a[2] = one_in(mix, 12) ? any_prot(mix) : 0;
    a[3] = one_in(mix, 16) ? any_length(mix) : below(mix, FUZZ_FILE_PAGES + 4);
    a[4] = one_in(mix, 4) ? MAP_NONBLOCK : one_in(mix, 8) ? below(mix, 64) : 0;
}

static void
mix_brk(struct fuzz_mix *mix, uint64_t *a)
{
    a[0] = one_in(mix, 16) ? any_address(mix)
                           : mix->brk + (below(mix, 24) - 8) * FUZZ_PAGE +
                                 (one_in(mix, 4) ? below(mix, FUZZ_PAGE) : 0);
    a[1] = 0;
}

static void
mix_madvise(struct fuzz_mix *mix, uint64_t *a)
{
    uint64_t advice = below(mix, FUZZ_ADVICES);

    while (!(mix->abilities->advices >> advice & 1))
        advice = (advice + 1) % FUZZ_ADVICES;
    a[2] = (uint64_t)fuzz_advices[advice].number;
}

/* The arguments beyond address and length. */
static void
mix_arguments(struct fuzz_mix *mix, struct linux_call *call)
{
    uint64_t *a = call->arguments;

    switch (call->number) {
    case SYS_mmap:
        mix_mmap(mix, a);
        break;
    case SYS_mremap:
        mix_mremap(mix, a);
        break;
    case SYS_remap_file_pages:
        mix_remap_file_pages(mix, a);
        break;
    case SYS_brk:
        mix_brk(mix, a);
        break;
    case SYS_madvise:
        mix_madvise(mix, a);
        break;
    case SYS_mprotect:
        a[2] = any_prot(mix);
        break;
    case SYS_pkey_mprotect:
        a[2] = any_prot(mix);
        a[3] = one_in(mix, 8) ? 16 + below(mix, 4) : below(mix, 5) - 1;
        break;
    case SYS_pkey_alloc:
        a[0] = one_in(mix, 16);
        a[1] = one_in(mix, 8) ? below(mix, 6) & PROCESSOR_PKEY_RIGHTS : 0;
        break;
    case SYS_pkey_free: /* of 0: docs/use/semantics.md, Deviations */
        a[0] = one_in(mix, 8) ? UINT64_MAX - below(mix, 2) : 1 + below(mix, 4);
        break;
    case SYS_mlock:
        if (mix->locks_on_fault) {
            call->number = SYS_mlock2;
            a[2] = MLOCK_ONFAULT;
        }
        break;
    case SYS_mlock2:
        a[2] = mix->locks_on_fault ? MLOCK_ONFAULT
                                   : below(mix, one_in(mix, 8) ? 4 : 2);
        break;
    case SYS_msync:
        a[2] = below(mix, 9);
        break;
    case SYS_mlockall:
        a[0] = below(mix, 9);
        break;
    case NUMBER_MSEAL:
        a[2] = one_in(mix, 8);
        break;
    default:
        break;
    }
}

/* ---- Operations --------------------------------------------------------- */

static const struct weight {
    unsigned weight;
    enum fuzz_kind kind;
    uint64_t number;
} weights[] = {
    {22, FUZZ_CALL, SYS_mmap},
    {10, FUZZ_CALL, SYS_munmap},
    {12, FUZZ_CALL, SYS_mprotect},
    {4, FUZZ_CALL, SYS_pkey_mprotect},
    {2, FUZZ_CALL, SYS_pkey_alloc},
    {1, FUZZ_CALL, SYS_pkey_free},
    {10, FUZZ_CALL, SYS_mremap},
    {2, FUZZ_CALL, SYS_remap_file_pages},
    {12, FUZZ_CALL, SYS_madvise},
    {3, FUZZ_CALL, SYS_brk},
    {2, FUZZ_CALL, SYS_mlock},
    {2, FUZZ_CALL, SYS_mlock2},
    {3, FUZZ_CALL, SYS_munlock},
    {1, FUZZ_CALL, SYS_mlockall},
    {1, FUZZ_CALL, SYS_munlockall},
    {3, FUZZ_CALL, SYS_mincore},
    {3, FUZZ_CALL, SYS_msync},
    {1, FUZZ_CALL, NUMBER_MSEAL},
    {8, FUZZ_READ, 0},
    {20, FUZZ_WRITE, 0},
    {1, FUZZ_FORK, 0},
    {1, FUZZ_EXIT, 0},
    {1, FUZZ_RESIZE, 0},
    {1, FUZZ_PUNCH, 0},
    {1, FUZZ_LIMIT, 0},
    {2, FUZZ_RIGHTS, 0},
};

static const struct weight *
any_weight(struct fuzz_mix *mix)
{
    unsigned sum = 0;
    uint64_t at;

    for (size_t i = 0; i < COUNT(weights); i++)
        sum += weights[i].weight;
    at = below(mix, sum);
    for (size_t i = 0;; i++) {
        if (at < weights[i].weight)
            return &weights[i];
        at -= weights[i].weight;
    }
}

static unsigned
any_process(struct fuzz_mix *mix)
{
    unsigned process = (unsigned)below(mix, FUZZ_PROCESSES + 3);

    return process < FUZZ_PROCESSES && mix->processes >> process & 1 ? process
                                                                     : 0;
}

static void
mix_limit(struct fuzz_mix *mix, uint64_t *a)
{
    static const uint64_t sizes[] = {0,       FUZZ_PAGE, 65536,
                                     1 << 20, 8 << 20,   FUZZ_ADDRESS_SPACE};

    a[0] = below(mix, ASPEN_LIMIT_DATA_HARD);
    a[1] = sizes[below(mix, COUNT(sizes))];
}

/* Mostly all, or what a program starts with; the executor keeps its key 0. */
static void
mix_rights(struct fuzz_mix *mix, uint64_t *a)
{
    a[0] = one_in(mix, 2)   ? ASPEN_RIGHTS_ALL
           : one_in(mix, 2) ? ASPEN_RIGHTS_START
                            : below(mix, UINT64_C(1) << 32) & ~UINT64_C(3);
}

static void
mix_file(struct fuzz_mix *mix, enum fuzz_kind kind, uint64_t *a)
{
    a[0] = below(mix, FUZZ_FILES);
    a[1] = below(mix, FUZZ_FILE_PAGES + 8) * FUZZ_PAGE;
    if (one_in(mix, 3))
        a[1] += below(mix, FUZZ_PAGE);
    if (kind == FUZZ_PUNCH)
        a[2] =
            below(mix, 4) * FUZZ_PAGE + below(mix, 2) * below(mix, FUZZ_PAGE);
}

static void
mix_access(struct fuzz_mix *mix, uint64_t *a)
{
    do
        any_range(mix, a);
    while (a[0] >= TOP && mix->choices.random);
    a[0] &= -FUZZ_PAGE;
    a[0] += one_in(mix, 8) ? below(mix, FUZZ_PAGE) : below(mix, 8);
    a[1] = below(mix, 256);
}

static void
mix_any(struct fuzz_mix *mix, struct fuzz_op *op)
{
    const struct weight *weight = any_weight(mix);
    uint64_t *a = op->call.arguments;

    *op = (struct fuzz_op){
        .kind = weight->kind,
        .process = any_process(mix),
        .call.number = weight->number,
    };
    switch (op->kind) {
    case FUZZ_CALL:
        any_range(mix, a);
        mix_arguments(mix, &op->call);
        break;
    case FUZZ_READ:
    case FUZZ_WRITE:
        mix_access(mix, a);
        break;
    case FUZZ_FORK:
        a[0] = 1 + below(mix, FUZZ_PROCESSES - 1);
        break;
    case FUZZ_RESIZE:
    case FUZZ_PUNCH:
        mix_file(mix, op->kind, a);
        break;
    case FUZZ_LIMIT:
        mix_limit(mix, a);
        break;
    case FUZZ_RIGHTS:
        mix_rights(mix, a);
        break;
    case FUZZ_EXIT:
    case FUZZ_KINDS:
        break;
    }
}

void
fuzz_mix_begin(struct fuzz_mix *mix, const struct fuzz_abilities *abilities,
               const struct areas *areas)
{
    mix->areas = areas;
    mix->abilities = abilities;
    mix->recent_used = 0;
    mix->brk = UINT64_C(0x555555600000);
    mix->processes = 1;
    mix->locks_on_fault = one_in(mix, 2);
    mix->one_open = one_in(mix, 2);
}

void
fuzz_mix_next(struct fuzz_mix *mix, struct fuzz_op *op)
{
    do
        mix_any(mix, op);
    while (mix->choices.random &&
           (fuzz_op_is_forbidden(op, mix->processes) ||
            (op->call.number == NUMBER_MSEAL && !mix->abilities->mseal) ||
            (op->kind == FUZZ_RIGHTS && !mix->abilities->pkey)));
}

void
fuzz_mix_answered(struct fuzz_mix *mix, const struct fuzz_op *op,
                  int64_t answer)
{
    const uint64_t *a = op->call.arguments;
    bool mmap = op->call.number == SYS_mmap;

    mix->processes = fuzz_op_processes(op, mix->processes, answer);
    if (op->kind != FUZZ_CALL || answer <= 0)
        return;
    if (op->call.number == SYS_brk)
        mix->brk = (uint64_t)answer;
    if ((mmap || op->call.number == SYS_mremap) && (uint64_t)answer != a[0])
        mix->recent[mix->recent_used++ % FUZZ_RECENT] =
            (struct fuzz_range){(uint64_t)answer, mmap ? a[1] : a[2]};
}
