/* SPDX-License-Identifier: MIT */
/*
 * scenes.c - what is done to spaces on one CPU: each kind of change once, in
 * order, with every page accessed after it; then all of them by chance.
 */
#include "bare.h"

#include <string.h>

#define NONE 0
#define R    ASPEN_VM_READ
#define RW   (ASPEN_VM_READ | ASPEN_VM_WRITE)
#define RX   (ASPEN_VM_READ | ASPEN_VM_EXEC)
#define RWX  (ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_EXEC)
#define X    ASPEN_VM_EXEC
#define W    ASPEN_VM_WRITE

static const uint64_t all_rights[] = {RW, R, RX, NONE, RWX, X, W};

/* Operations by chance; each is followed by some accesses. */
#ifndef BARE_STEPS
#define BARE_STEPS 1500u
#endif

uint64_t
chance(uint64_t below)
{
    static uint64_t state = 20261130;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

/* ---- In order -------------------------------------------------------------
 */

/* Pages of each kind with each set of rights, and some that are not there. */
static void
map_all(unsigned space)
{
    unsigned first = 0, turn = 0;

    while (first < MODEL_PAGES) {
        unsigned end = model_kind_end(first);
        unsigned count = end - first < 2 ? end - first : 2;
        if (turn < LENGTH(all_rights))
            model_map(space, first, count, all_rights[turn]);
        turn = (turn + 1) % (LENGTH(all_rights) + 1);
        first += count;
    }
}

static void
protect_all(unsigned space, uint64_t rights)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++)
        if (model[space].pages[i].mapped)
            model_protect(space, i, 1, rights);
}

static void
advise_all(unsigned space, enum aspen_advice advice, bool anonymous)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++)
        if (!anonymous || model[space].pages[i].kind == MODEL_ANON)
            model_advise(space, i, 1, advice);
}

static void
begin(void)
{
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (model[i].mm)
            model_end(i);
    model_create(0);
    map_all(0);
}

static void
fresh(void)
{
    begin();
    model_sweep(0, false); /* the page of zeroes, clean pages of files */
    model_sweep(0, true);
    model_sweep(0, true);
}

static void
protections(void)
{
    begin();
    model_sweep(0, true);
    for (unsigned i = 0; i < LENGTH(all_rights); i++) {
        protect_all(0, all_rights[i]);
        model_sweep(0, true);
    }
    /* From all to each. */
    for (unsigned i = 0; i < LENGTH(all_rights); i++) {
        protect_all(0, RWX);
        model_sweep(0, true);
        protect_all(0, all_rights[i]);
        model_sweep(0, true);
    }
}

static void
forks(void)
{
    begin();
    protect_all(0, RWX);
    model_sweep(0, true);
    model_fork(0, 1);
    model_sweep_all(false); /* read-only in both */
    model_sweep(1, true);   /* copied by the child */
    model_sweep(0, true);
    model_fork(1, 2);
    model_sweep(1, true); /* copied by the parent */
    model_sweep_all(true);
    protect_all(2, RX);
    model_sweep_all(true);
    model_end(1);
    model_sweep_all(true);
}

static void
advice(void)
{
    begin();
    protect_all(0, RWX);
    model_sweep(0, true);
    advise_all(0, ASPEN_MADV_DONTNEED, false);
    model_sweep(0, true);
    advise_all(0, ASPEN_MADV_COLD, false); /* the accessed bits go */
    model_sweep(0, true);
    advise_all(0, ASPEN_MADV_PAGEOUT, false); /* to swap, to the file */
    model_sweep(0, false);
    advise_all(0, ASPEN_MADV_PAGEOUT, false);
    model_sweep(0, true);
    advise_all(0, ASPEN_MADV_GUARD_INSTALL, true);
    model_sweep(0, true);
    advise_all(0, ASPEN_MADV_GUARD_REMOVE, true);
    model_sweep(0, true);
    MUST(aspen_object_sync(model_file, 0, UINT64_MAX / 2)); /* clean again */
    model_sweep(0, false);
    model_sweep(0, true);
}

static void
reclaim(void)
{
    begin();
    protect_all(0, RWX);
    model_sweep(0, true);
    for (unsigned i = 0; i < 6; i++) {
        kernel_reclaim(24);
        if (i < 3) /* what is cached as accessed is not any more */
            kernel_switch(NULL);
        model_sweep(0, i % 2);
        model_fork(0, 1);
        kernel_reclaim(24);
        model_sweep_all(i % 2);
        model_end(1);
    }
}

/* Tables go, and come back elsewhere. */
static void
unmapping(void)
{
    begin();
    for (unsigned i = 0; i < 4; i++) {
        protect_all(0, RWX);
        model_sweep(0, true);
        model_unmap(0, 0, 20);
        model_unmap(0, 64, 8);
        model_unmap(0, 72, 8);
        model_sweep(0, true);
        kernel_settle();
        map_all(0);
    }
}

/* Raw memory alone has entries that are writable and clean: who sets flags
 * writes there without a fault. */
static void
raw(void)
{
    uint64_t address = 0x50000000, value = 0;
    struct aspen_object *device;

    begin();
    MUST(aspen_object_create(
        aspen,
        &(struct aspen_object_args){.kind = ASPEN_OBJECT_DEVICE,
                                    .size_bytes = PAGE},
        &device));
    MUST(aspen_mmap(model[0].mm,
                    &(struct aspen_mmap_args){
                        .address = address,
                        .length_bytes = PAGE,
                        .vm_flags = RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP,
                        .flags = ASPEN_MAP_FIXED,
                        .object = device,
                    },
                    &address));
    MUST(
        aspen_insert_raw(model[0].mm, address, kernel_raw, ASPEN_RAW_WRITABLE));
    kernel_switch(model[0].mm);
    memset(frame_pointer(kernel_raw), 0, PAGE); /* ours reads zeroes of it */
    MUST(probe_touch(model[0].mm, address, MMU_READ, &value, true));
    uint64_t faults = probe_faults;
    value = 1;
    MUST(probe_touch(model[0].mm, address, MMU_WRITE, &value, true));
    if ((probe_faults == faults) != machine.sets_flags)
        found("the first write to what is clean took %lu faults",
              probe_faults - faults);
    MUST(aspen_munmap(model[0].mm, address, PAGE));
    aspen_object_put(device);
}

/* ---- By chance ------------------------------------------------------------
 */

static unsigned
any_space(void)
{
    unsigned space;

    do
        space = (unsigned)chance(MODEL_SPACES);
    while (!model[space].mm);
    return space;
}

static void
any_call(void)
{
    static const enum aspen_advice advices[] = {
        ASPEN_MADV_DONTNEED, ASPEN_MADV_COLD, ASPEN_MADV_PAGEOUT,
        ASPEN_MADV_PAGEOUT, ASPEN_MADV_WILLNEED};
    unsigned space = any_space(), other = (unsigned)chance(MODEL_SPACES);
    unsigned first = (unsigned)chance(MODEL_PAGES);
    unsigned room = model_kind_end(first) - first;
    unsigned count = 1 + (unsigned)chance(room < 6 ? room : 6);
    uint64_t rights = all_rights[chance(LENGTH(all_rights))];

    switch (chance(12)) {
    case 0:
    case 1:
    case 2:
        model_protect(space, first, count, rights);
        break;
    case 3:
        model_unmap(space, first, count);
        break;
    case 4:
    case 5:
        model_map(space, first, count, rights);
        break;
    case 6:
    case 7:
        model_advise(space, first, count, advices[chance(LENGTH(advices))]);
        break;
    case 8:
        if (model[space].pages[first].kind == MODEL_ANON)
            model_advise(space, first, count,
                         chance(2) ? ASPEN_MADV_GUARD_INSTALL
                                   : ASPEN_MADV_GUARD_REMOVE);
        break;
    case 9:
        kernel_reclaim(1 + (unsigned)chance(16));
        break;
    case 10:
        if (!model[other].mm)
            model_fork(space, other);
        else if (other != space)
            model_end(other);
        break;
    default:
        model_write_file((unsigned)chance(16), chance(UINT32_MAX));
        if (chance(2))
            MUST(aspen_object_sync(model_file, 0, UINT64_MAX / 2));
    }
}

static void
by_chance(void)
{
    begin();
    for (unsigned step = 0; step < BARE_STEPS && found_so_far() < 10; step++) {
        any_call();
        for (unsigned i = 0; i < 8; i++)
            model_touch(any_space(), (unsigned)chance(MODEL_PAGES),
                        (enum mmu_access)chance(3));
        if (step % 64 == 63) {
            kernel_settle();
            model_sweep_all(step % 128 == 127);
        }
    }
}

const struct scene scenes_one[] = {
    {"pages as they are first accessed", fresh},
    {"protections", protections},
    {"forks and copies", forks},
    {"advice, swap, guards, write-back", advice},
    {"reclaim", reclaim},
    {"tables that go", unmapping},
    {"raw memory", raw},
    {"all by chance", by_chance},
    {0},
};
