/* SPDX-License-Identifier: MIT */
/*
 * Calls that need metadata find no frame for it, since the port's memory is the
 * machine's (port_memory.h), as a kernel's is: pages leave, and the call
 * is made again.
 */
#define _GNU_SOURCE
#include "full.h"
#include "helper.h"
#include "port_memory.h"

#include "beside.h"

#include <aspen/calls/swap.h>

struct row {
    const char *name;
    void (*prepare)(void); /* while memory is free; or NULL */
    int (*run)(unsigned number);
    void (*undo)(unsigned number); /* or NULL */
};

/* ---- The calls ------------------------------------------------------- */

static const uint64_t place = UINT64_C(100) << 30;

#define ROUNDS 300u
#define PIECES (2 * ROUNDS + 2)

static uint64_t piece; /* a mapping of PIECES pages, each call has two */

static uint64_t
piece_of(unsigned number)
{
    return piece + 2 * number * PAGE;
}

static int
run_mmap(unsigned number)
{
    return helper_try_map(full.mm, place + 2 * number * PAGE, PAGE, R,
                          ASPEN_MAP_FIXED, &(uint64_t){0});
}

static int
run_mprotect(unsigned number)
{
    return aspen_mprotect(full.mm, piece_of(number), PAGE, R, ASPEN_PKEY_SAME);
}

static int
run_munmap(unsigned number)
{
    return aspen_munmap(full.mm, piece_of(number), PAGE);
}

static int
run_flags(unsigned number)
{
    return aspen_madvise(full.mm, piece_of(number), PAGE, ASPEN_MADV_DONTFORK);
}

static int
run_mlock(unsigned number)
{
    return aspen_mlock(full.mm, piece_of(number), PAGE, ASPEN_MLOCK_ONFAULT);
}

static int
run_munlock(unsigned number)
{
    return aspen_munlock(full.mm, piece_of(number), PAGE);
}

static int
run_mseal(unsigned number)
{
    return aspen_mseal(full.mm, piece_of(number), PAGE);
}

static int
run_name(unsigned number)
{
    char name[16];

    snprintf(name, sizeof(name), "name %u", number);
    return aspen_name_anon(full.mm, piece_of(number), PAGE, name);
}

static int
run_grow(unsigned number)
{
    return helper_remap(full.mm, piece_of(number), PAGE, 2 * PAGE,
                        ASPEN_MREMAP_MAYMOVE, 0);
}

static int
run_import_vma(unsigned number)
{
    return aspen_import_vma(full.mm, &(struct aspen_import_vma){
                                         .start = place + 2 * number * PAGE,
                                         .end = place + (2 * number + 1) * PAGE,
                                         .vm_flags = MAY_RW,
                                     });
}

static struct aspen_object *objects[ROUNDS];

static int
run_object(unsigned number)
{
    return aspen_object_create(full.aspen,
                               &(struct aspen_object_args){.size_bytes = PAGE},
                               &objects[number]);
}

static void
put_objects(unsigned number)
{
    while (number--)
        aspen_object_put(objects[number]);
}

static struct aspen_group *groups[ROUNDS];

static int
run_group(unsigned number)
{
    return aspen_group_create(full.aspen, NULL, &groups[number]);
}

static void
put_groups(unsigned number)
{
    while (number--)
        aspen_group_put(groups[number]);
}

static int
transfer_nothing(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return -ASPEN_EIO;
}

/* It is gone again before anything could go there. */
static int
run_swap_add(unsigned number)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer_nothing};
    struct aspen_swap_args args = {.pages = 64, .ops = &ops};
    unsigned type;

    (void)number;
    int error = aspen_swap_add(full.aspen, &args, &type);
    return error ? error : aspen_swap_remove(full.aspen, type);
}

static void
map_pieces(void)
{
    piece = helper_map(full.mm, 0, PIECES, RW);
}

static void
lock_pieces(void)
{
    map_pieces();
    assert_int_equal(
        aspen_mlock(full.mm, piece, PIECES * PAGE, ASPEN_MLOCK_ONFAULT), 0);
}

static const struct row metadata[] = {
    {"mmap", NULL, run_mmap, NULL},
    {"munmap", map_pieces, run_munmap, NULL},
    {"mprotect", map_pieces, run_mprotect, NULL},
    {"madvise", map_pieces, run_flags, NULL},
    {"mlock", map_pieces, run_mlock, NULL},
    {"munlock", lock_pieces, run_munlock, NULL},
    {"mseal", map_pieces, run_mseal, NULL},
    {"name", map_pieces, run_name, NULL},
    {"mremap", map_pieces, run_grow, NULL},
    {"import_vma", NULL, run_import_vma, NULL},
    {"object_create", NULL, run_object, put_objects},
    {"group_create", NULL, run_group, put_groups},
    {"swap_add", NULL, run_swap_add, NULL},
};

#define METADATA (sizeof(metadata) / sizeof(metadata[0]))

/* As often as it takes until caches of objects are used up. */
static void
use_up(const struct row *row)
{
    uint64_t before, stalls = 0;

    full_begin(2048, NULL);
    home = &full.helper;
    if (row->prepare)
        row->prepare();
    for (unsigned i = 0; i < ROUNDS; i++) {
        full_fill();
        before = full_counts().direct_stalls;
        assert_int_equal(row->run(i), 0);
        stalls += full_counts().direct_stalls - before;
    }
    print_message("%s: %u stalls\n", row->name, (unsigned)stalls);
    assert_true(stalls > 0);
    if (row->undo)
        row->undo(ROUNDS);
    full_end();
    home = NULL;
}

static void
test_metadata(void **state)
{
    (void)state;
    for (unsigned i = 0; i < METADATA; i++)
        use_up(&metadata[i]);
}

/* What makes something takes pages out of mappings: TLBs are flushed, in a call
 * that beside.h has to know. */
static void
test_mapped(void **state)
{
    unsigned made = 0;

    (void)state;
    full_begin(2048, NULL);
    home = &full.helper;
    uint64_t bytes = aspen_object_size(full.file);
    uint64_t file = helper_map_object(full.mm, 0, bytes / PAGE,
                                      R | ASPEN_VM_SHARED, full.file, 0);
    for (uint64_t i = 0; full_counts().frames_free; i++)
        assert_int_equal(
            aspen_fault(full.mm, file + i * PAGE, ASPEN_ACCESS_READ), 0);
    uint64_t flushes = full_counts().tlb_flushes;
    while (full_counts().tlb_flushes == flushes) {
        assert_in_range(made, 0, ROUNDS - 1);
        assert_int_equal(run_group(made++), 0);
    }
    put_groups(made);
    assert_int_equal(aspen_munmap(full.mm, file, bytes), 0);
    full_end();
    home = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_metadata),
                                       cmocka_unit_test(test_mapped)};

    beside_public();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
