/* SPDX-License-Identifier: MIT */
/*
 * any_calls.c - random calls of test_any_threads.c.
 */
#include "any_calls.h"

#include "beside.h"

static unsigned
below(struct task *t, unsigned n)
{
    return (unsigned)unit_below(&t->random, n);
}

/* ---- Objects ----------------------------------------------------------- */

static int
punch_hook(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context, (void)offset_bytes, (void)length_bytes;
    return 0;
}

const struct aspen_pager_ops any_device_ops = {.fault = helper_device_frame};
const struct aspen_pager_ops any_file_ops = {.read = helper_pager_read,
                                             .write = helper_pager_write,
                                             .punch = punch_hook};

/* ---- Where ------------------------------------------------------------- */

/* Areas far from each other, each across two tables: tables come and go. */
static uint64_t
address_of(unsigned page)
{
    return (1 + page / PAGES) * GIB - PAGES / 2 * PAGE + page % PAGES * PAGE;
}

static struct aspen_mm *
any_mm(struct task *t)
{
    if (t->child && below(t, 3) == 0)
        return t->child;
    return t->whole->mm[below(t, SPACES)];
}

struct where {
    struct aspen_mm *mm;
    uint64_t address;
    uint64_t bytes;
};

static struct where
any_where(struct task *t)
{
    unsigned page = below(t, AREAS * PAGES);
    return (struct where){any_mm(t), address_of(page),
                          (1 + below(t, PAGES - page % PAGES)) * PAGE};
}

static struct aspen_object *
any_file(struct task *t)
{
    return t->whole->files[below(t, FILES)];
}

/* ---- Calls ------------------------------------------------------------- */

static void
do_map(struct task *t)
{
    struct where w = any_where(t);
    struct aspen_mmap_args args = {
        .address = w.address,
        .length_bytes = w.bytes,
        .vm_flags = below(t, 8) ? RW : R,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t at;

    if (below(t, 3)) {
        unsigned file = below(t, FILES);
        args.object = t->whole->files[file];
        args.offset_bytes = below(t, FILE_PAGES - PAGES) * PAGE;
        if (file == DEVICE)
            args.vm_flags |= below(t, 2) ? ASPEN_VM_PFNMAP | ASPEN_VM_SHARED
                                         : ASPEN_VM_MIXEDMAP | ASPEN_VM_SHARED;
    }
    if (below(t, 2))
        args.vm_flags |= ASPEN_VM_SHARED;
    if (below(t, 4) == 0)
        args.flags |= ASPEN_MAP_POPULATE;
    (void)!aspen_mmap(w.mm, &args, &at);
}

static void
do_unmap(struct task *t)
{
    struct where w = any_where(t);
    (void)!aspen_munmap(w.mm, w.address, w.bytes);
}

static void
do_protect(struct task *t)
{
    static const uint64_t flags[] = {RW, R, 0, RW, RW, RX};
    struct where w = any_where(t);
    (void)!aspen_mprotect(w.mm, w.address, w.bytes, flags[below(t, 6)],
                          ASPEN_PKEY_SAME);
}

static void
do_fault(struct task *t)
{
    struct where w = any_where(t);
    for (uint64_t i = 0; i < w.bytes; i += PAGE)
        (void)!aspen_fault(w.mm, w.address + i,
                           below(t, 2) ? ASPEN_ACCESS_WRITE
                                       : ASPEN_ACCESS_READ);
}

static void
do_access(struct task *t)
{
    struct where w = any_where(t);
    uint64_t value = t->number;

    for (uint64_t i = 0; i < w.bytes; i += PAGE) {
        bool write = below(t, 2);
        for (unsigned tries = 0; tries < 20; tries++) {
            if (beside_try(t->number, w.mm, w.address + i + 8 * t->number,
                           write ? MMU_WRITE : MMU_READ, &value, 8))
                break;
            if (aspen_fault(w.mm, w.address + i,
                            write ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ))
                break;
        }
    }
}

static void
do_advise(struct task *t)
{
    static const enum aspen_advice advice[] = {
        ASPEN_MADV_DONTNEED,
        ASPEN_MADV_FREE,
        ASPEN_MADV_COLD,
        ASPEN_MADV_PAGEOUT,
        ASPEN_MADV_WILLNEED,
        ASPEN_MADV_REMOVE,
        ASPEN_MADV_POPULATE_READ,
        ASPEN_MADV_POPULATE_WRITE,
        ASPEN_MADV_GUARD_INSTALL,
        ASPEN_MADV_GUARD_REMOVE,
        ASPEN_MADV_DONTFORK,
        ASPEN_MADV_DOFORK,
        ASPEN_MADV_RANDOM,
        ASPEN_MADV_NORMAL,
        ASPEN_MADV_WIPEONFORK,
        ASPEN_MADV_KEEPONFORK,
        ASPEN_MADV_DONTNEED_LOCKED,
    };
    struct where w = any_where(t);
    (void)!aspen_madvise(w.mm, w.address, w.bytes,
                         advice[below(t, sizeof(advice) / sizeof(*advice))]);
}

static void
do_remap(struct task *t)
{
    struct where w = any_where(t);
    unsigned page = below(t, AREAS * PAGES);
    uint64_t other = (1 + below(t, PAGES - page % PAGES)) * PAGE;
    unsigned how = below(t, 4);
    uint64_t at;
    struct aspen_mremap_args args = {
        .address = w.address,
        .old_bytes = w.bytes,
        .new_bytes = how == 2 ? other : w.bytes,
        .flags = ASPEN_MREMAP_MAYMOVE | (how ? ASPEN_MREMAP_FIXED : 0) |
                 (how == 3 ? ASPEN_MREMAP_DONTUNMAP : 0),
        .new_address = address_of(page),
    };
    if (how == 0)
        args.new_bytes = other;
    if (aspen_mremap(w.mm, &args, &at) == 0 && how == 0 &&
        (at < address_of(0) || at > address_of(AREAS * PAGES)))
        (void)!aspen_munmap(w.mm, at, args.new_bytes);
}

static void
do_fork(struct task *t)
{
    if (t->child) {
        aspen_mm_put(t->child);
        t->child = NULL;
    } else if (!aspen_fork(t->whole->mm[below(t, SPACES)], &t->child)) {
        assert_int_equal(aspen_mm_activate(t->child, t->number), 0);
    } else
        t->child = NULL;
}

static void
do_copy(struct task *t)
{
    struct where w = any_where(t);
    char bytes[3 * PAGE];
    uint64_t done, length = w.bytes < sizeof(bytes) ? w.bytes : sizeof(bytes);
    unsigned flags = below(t, 2) ? ASPEN_MEMORY_FORCE : 0;

    memset(bytes, 1, sizeof(bytes));
    if (below(t, 2))
        (void)!aspen_read_memory(w.mm, w.address, bytes, length, flags, &done);
    else
        (void)!aspen_write_memory(w.mm, w.address, bytes, length, flags, &done);
}

static void
do_pin(struct task *t)
{
    struct held *held = &t->held[below(t, HELD)];
    struct where w = any_where(t);

    if (held->count) {
        assert_int_equal(aspen_unpin(held->mm, held->frames, held->count,
                                     below(t, 2) ? ASPEN_UNPIN_DIRTY : 0),
                         0);
        held->count = 0;
        return;
    }
    unsigned pages = (unsigned)(w.bytes / PAGE);
    pages = pages > 4 ? 4 : pages;
    if (!aspen_pin_range(w.mm, w.address, pages * PAGE,
                         below(t, 2) ? ASPEN_PIN_WRITE : 0, held->frames)) {
        held->mm = w.mm;
        held->count = pages;
    }
}

static void
do_object(struct task *t)
{
    struct aspen_object *file = any_file(t);
    uint64_t first = below(t, FILE_PAGES) * PAGE;
    uint64_t bytes = (1 + below(t, 6)) * PAGE, done;
    char buffer[PAGE];

    memset(buffer, 2, sizeof(buffer));
    switch (below(t, 8)) {
    case 0:
        (void)!aspen_object_resize(file, (8 + below(t, FILE_PAGES - 8)) * PAGE +
                                             below(t, 2) * 100);
        break;
    case 1:
        (void)!aspen_object_punch(file, first + below(t, 2) * 50, bytes);
        break;
    case 2:
        (void)!aspen_object_sync(file, first, bytes);
        break;
    case 3:
        (void)!aspen_object_drop(file, first, bytes, &done);
        break;
    case 4:
        (void)!aspen_object_unmap(file, first, bytes, below(t, 2));
        break;
    case 5:
        (void)!aspen_object_write(file, first + 10, buffer, PAGE, &done);
        break;
    case 6:
        (void)!aspen_object_read(file, first + 10, buffer, PAGE, &done);
        break;
    default:
        if (!aspen_object_deny_writable(file))
            assert_int_equal(aspen_object_allow_writable(file), 0);
    }
}

static void
do_lock(struct task *t)
{
    struct where w = any_where(t);
    unsigned how = below(t, 6);

    if (how < 2)
        (void)!aspen_mlock(w.mm, w.address, w.bytes, how);
    else if (how == 2)
        (void)!aspen_munlockall(w.mm);
    else
        (void)!aspen_munlock(w.mm, w.address, w.bytes);
}

static void
do_import(struct task *t)
{
    static const enum aspen_import_kind kinds[] = {
        ASPEN_IMPORT_ANON, ASPEN_IMPORT_OBJECT, ASPEN_IMPORT_ZERO,
        ASPEN_IMPORT_GUARD, ASPEN_IMPORT_RAW};
    struct where w = any_where(t);
    struct aspen_import_pages pages = {
        .address = w.address,
        .count = 1 + below(t, 3),
        .kind = kinds[below(t, 5)],
        .first_raw = RAW,
        .dirty = below(t, 2),
    };
    uint64_t done;
    (void)!aspen_import_pages(w.mm, &pages, &done);
}

/* A file that ends with its mappings. */
static void
do_short_file(struct task *t)
{
    struct where w = any_where(t);
    struct aspen_object_args file = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = w.bytes,
                                     .pager = &any_file_ops};
    struct aspen_mmap_args args = {
        .address = w.address,
        .length_bytes = w.bytes,
        .vm_flags = RW | (below(t, 2) ? ASPEN_VM_SHARED : 0),
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t at;

    if (aspen_object_create(t->whole->helper.aspen, &file, &args.object))
        return;
    (void)!aspen_mmap(w.mm, &args, &at);
    aspen_object_put(args.object);
}

static void
do_small(struct task *t)
{
    struct where w = any_where(t);
    struct aspen_futex_key key;
    uint64_t done;
    uint32_t word;

    switch (below(t, 8)) {
    case 0:
        (void)!aspen_msync(w.mm, w.address, w.bytes, ASPEN_MS_SYNC);
        break;
    case 1:
        (void)!aspen_populate(
            w.mm, w.address, w.bytes,
            below(t, 2) ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ, &done);
        break;
    case 2:
        (void)!aspen_name_anon(w.mm, w.address, w.bytes,
                               below(t, 2) ? "name" : NULL);
        break;
    case 3:
        (void)!aspen_futex_add(w.mm, w.address, 1, &word);
        break;
    case 4:
        if (!aspen_futex_key_get(w.mm, w.address, ASPEN_FUTEX_SHARED, &key))
            aspen_futex_key_put(&key);
        break;
    case 5:
        (void)!aspen_insert_raw(w.mm, w.address, RAW + below(t, 50),
                                below(t, 2));
        break;
    case 6:
        (void)!aspen_remap_raw(w.mm, w.address, w.bytes, RAW + below(t, 50));
        break;
    default:
        (void)!aspen_insert_page(w.mm, w.address);
    }
}

/* What only looks. */
static void
do_ask(struct task *t)
{
    struct where w = any_where(t);
    struct aspen_mm_counters counters;
    uint8_t vector[PAGES];

    switch (below(t, 5)) {
    case 0:
        (void)!aspen_mincore(w.mm, w.address, w.bytes, vector);
        break;
    case 1:
        aspen_mm_counters_read(w.mm, &counters);
        assert_in_range(counters.anon_pages, 0, MUCH);
        assert_in_range(counters.file_pages, 0, MUCH);
        assert_in_range(counters.shmem_pages, 0, MUCH);
        assert_in_range(counters.peak_resident_pages, 0, MUCH);
        break;
    case 2:
        (void)aspen_hash_mm(w.mm, ASPEN_HASH_COUNTS);
        break;
    case 3:
        free(helper_smaps(w.mm));
        break;
    default:
        free(helper_dump(w.mm, true));
    }
}

static void
do_exec(struct task *t)
{
    struct aspen_mm *next;

    if (!t->child || aspen_exec_prepare(t->child, &next))
        return;
    if (below(t, 2)) {
        aspen_exec_abort(next);
        return;
    }
    aspen_exec_commit(t->child, next);
    t->child = next;
    assert_int_equal(aspen_mm_activate(next, t->number), 0);
}

static const struct {
    void (*call)(struct task *t);
    unsigned weight;
} calls[] = {
    {do_map, 6},    {do_unmap, 2},  {do_protect, 4}, {do_fault, 8},
    {do_access, 8}, {do_advise, 8}, {do_remap, 5},   {do_fork, 3},
    {do_copy, 4},   {do_pin, 4},    {do_object, 5},  {do_short_file, 2},
    {do_lock, 2},   {do_import, 3}, {do_small, 4},   {do_ask, 2},
    {do_exec, 1},
};

void
any_call(struct task *t)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        sum += calls[i].weight;
    unsigned n = below(t, sum);
    for (unsigned i = 0;; i++) {
        if (n < calls[i].weight) {
            calls[i].call(t);
            return;
        }
        n -= calls[i].weight;
    }
}

void
any_end(struct task *t)
{
    for (unsigned i = 0; i < HELD; i++) {
        if (t->held[i].count)
            assert_int_equal(aspen_unpin(t->held[i].mm, t->held[i].frames,
                                         t->held[i].count, 0),
                             0);
        t->held[i].count = 0;
    }
    if (t->child)
        aspen_mm_put(t->child);
}
