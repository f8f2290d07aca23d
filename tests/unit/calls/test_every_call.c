/* SPDX-License-Identifier: MIT */
/*
 * test_every_call.c - each function of the public headers that can fail, at
 * each of its failpoints, once and onward: the semantic state is unchanged,
 * counts are balanced, the next call works.
 *
 * The table at the end names every such function; scripts/check/sources.sh
 * compares it with the headers. Other tests look at single calls more closely;
 * this one says that none was forgotten, and which kinds of step each has.
 */
#include "helper.h"

#define AT(page) ((uint64_t)(page)*PAGE)

/* Where things are in the space, in pages. */
enum {
    ANON = 100,      /* 10, of which 4 are touched */
    COW = 104,       /* of these, one that a child shares */
    ZERO = 106,      /* and one that was read */
    FILE_ = 120,     /* 10, of a file with hooks; the third was written */
    SHM = 140,       /* 4, shared */
    SHF = 150,       /* 4, of the file from its 20th, shared; one was written */
    LEFT = 160,      /* 2, then a gap of 2 */
    RIGHT = 164,     /* 2 */
    READ_ONLY = 180, /* 4 */
    MIXED = 190,     /* 4: nothing; nothing, writable; a page */
    HEAP = 500,      /* 4, of which none is touched */
    STACK = 1000,
    RAW = 2000,     /* 4, raw frames */
    DRIVEN = 2010,  /* 4, shared memory and raw frames */
    FREE = 2600,    /* nothing is there */
    EMPTY = 3000,   /* 10, nothing */
    SLOTS = 6000,   /* 64, swapped out but for the first */
    HUGE = 1 << 20, /* 512 */
};

#define MOVE (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)

struct every {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *file;
    struct aspen_object *shmem;
    struct aspen_object *charged;
    unsigned area;
    int64_t opened; /* mappings of the file, by its hooks */
    uint64_t done;  /* of an import that goes on where it stopped */
    struct aspen_mm *made_mm;
    struct aspen_object *made_object;
    uint32_t pinned[8]; /* frames */
    uint64_t pins;
    const struct call *call;
};

struct call {
    const char *function;
    const char *what;
    int (*run)(struct every *e, const struct call *call);
    unsigned kinds; /* of step that it has, as bits; 0: none at all */
    bool cached;
    bool progressive;
    uint64_t first; /* page */
    uint64_t pages;
    uint64_t flags; /* of the mapping, or the access */
    unsigned kind;  /* of import */
    bool file;
    bool elsewhere; /* aspen_mmap picks the place */
    uint64_t to;    /* mremap: the page wanted; new pages are `flags`, its
                       flags `kind` */
};

static int run_madvise(struct every *e, const struct call *call);
static int run_mremap(struct every *e, const struct call *call);

/* ---- A space with some of everything ----------------------------------- */

static int
file_read(void *context, uint64_t pgoff, void *page)
{
    (void)context;
    memset(page, (int)pgoff + 1, PAGE);
    return 0;
}

static int
file_open(void *context, struct aspen_vma *vma)
{
    struct every *e = context;
    (void)vma;
    e->opened++;
    return 0;
}

static void
file_close(void *context, struct aspen_vma *vma)
{
    struct every *e = context;
    (void)vma;
    e->opened--;
}

static int
file_write(void *context, uint64_t pgoff, const void *const pages[],
           uint64_t bytes)
{
    (void)context;
    (void)pgoff;
    (void)pages;
    (void)bytes;
    return 0;
}

static int
file_mkwrite(void *context, uint64_t pgoff)
{
    (void)context;
    (void)pgoff;
    return 0;
}

static int
file_resize(void *context, uint64_t size_bytes)
{
    (void)context;
    (void)size_bytes;
    return 0;
}

static int
file_punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    return 0;
}

static const struct aspen_pager_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .mkwrite = file_mkwrite,
    .resize = file_resize,
    .punch = file_punch,
    .open = file_open,
    .close = file_close,
};

static void
import(struct every *e, uint64_t first, uint64_t pages, uint64_t flags)
{
    struct aspen_import_vma vma = {
        .start = AT(first),
        .end = AT(first + pages),
        .flags = flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
    };
    assert_int_equal(aspen_import_vma(e->mm, &vma), 0);
}

/* Pages in one slot, whose count is full: one more needs memory. */
static void
import_swapped(struct every *e)
{
    struct aspen_import_pages pages = {.kind = ASPEN_IMPORT_SWAP, .count = 1};
    uint64_t done;

    assert_int_equal(aspen_swap_area_add(e->helper.aspen, 2000, &e->area), 0);
    import(e, SLOTS, 64, RW);
    for (unsigned i = 0; i < 62; i++) {
        pages.address = AT(SLOTS + i + 1);
        assert_int_equal(aspen_import_pages(e->mm, &pages, &done), 0);
    }
}

static void
protect(struct every *e, uint64_t first, uint64_t pages, uint64_t access)
{
    assert_int_equal(
        aspen_mprotect(e->mm, AT(first), AT(pages), access, ASPEN_PKEY_SAME),
        0);
}

/* Between two that are alike but for pages, one that may become like them. */
static void
mix(struct every *e)
{
    helper_map(e->mm, AT(MIXED), 4, RW | ASPEN_VM_NORESERVE);
    protect(e, MIXED + 2, 2, RW | ASPEN_VM_EXEC);
    helper_put(&e->helper, e->mm, AT(MIXED + 2), 1);
    protect(e, MIXED + 2, 2, R);
    protect(e, MIXED, 1, R);
}

static void
make_heap(struct every *e)
{
    struct aspen_layout layout;

    aspen_layout_read(e->mm, &layout);
    layout.brk_start = layout.brk = AT(HEAP);
    assert_int_equal(aspen_layout_set(e->mm, &layout), 0);
    assert_int_equal(aspen_brk(e->mm, AT(HEAP + 4), NULL), 0);
}

static void
setup(void *context)
{
    struct every *e = context;
    struct helper *h = &e->helper;
    const struct call *call = e->call;
    struct aspen_config config;

    memset(e, 0, sizeof(*e));
    e->call = call;
    aspen_config_init(&config);
    config.pkeys = ASPEN_PKEYS_MAX;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    /* Guards, several mappings that move. */
    if (call->run == run_madvise || call->run == run_mremap)
        config.semantics = ASPEN_SEMANTICS_6_18;
    helper_create(h, &config);
    e->mm = helper_mm(h);
    e->file = helper_object(h, ASPEN_OBJECT_FILE, 64, &file_ops, e);
    e->shmem = helper_object(h, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);
    struct aspen_object_args charged = {
        .kind = ASPEN_OBJECT_SHMEM, .size_bytes = MIB, .charged = true};
    assert_int_equal(aspen_object_create(h->aspen, &charged, &e->charged), 0);
    helper_map(e->mm, AT(ANON), 10, RW);
    for (unsigned i = 2; i < 6; i++)
        helper_put(h, e->mm, AT(ANON + i), (uint8_t)i);
    helper_get(h, e->mm, AT(ZERO));
    helper_map_object(e->mm, AT(FILE_), 10, RW, e->file, 0);
    helper_put(h, e->mm, AT(FILE_ + 3), 77);
    helper_map_object(e->mm, AT(SHF), 4, RW | ASPEN_VM_SHARED, e->file, 20);
    helper_put(h, e->mm, AT(SHF + 1), 55);
    helper_map_object(e->mm, AT(SHM), 4, RW | ASPEN_VM_SHARED, e->shmem, 0);
    helper_map(e->mm, AT(LEFT), 2, RW);
    helper_map(e->mm, AT(RIGHT), 2, RW);
    helper_map(e->mm, AT(READ_ONLY), 4, R);
    mix(e);
    make_heap(e);
    helper_map(e->mm, AT(STACK), 1, RW | ASPEN_VM_GROWSDOWN);
    import(e, RAW, 4, RW | ASPEN_VM_PFNMAP);
    helper_map_object(e->mm, AT(DRIVEN), 4,
                      RW | ASPEN_VM_SHARED | ASPEN_VM_MIXEDMAP, e->shmem, 30);
    import(e, EMPTY, 10, RW);
    if (call->run == run_madvise)
        import(e, EMPTY + 10, 600, R);
    import(e, HUGE, 512, RW);
    assert_int_equal(aspen_fork(e->mm, &e->child), 0);
    if (call->first != SLOTS)
        return;
    import_swapped(e);
}

static void
teardown(void *context)
{
    struct every *e = context;

    if (e->pins)
        aspen_unpin(e->mm, e->pinned, e->pins, true);
    if (e->made_mm)
        aspen_mm_put(e->made_mm);
    if (e->made_object)
        aspen_object_put(e->made_object);
    aspen_mm_put(e->child);
    aspen_mm_put(e->mm);
    assert_int_equal(e->opened, 0);
    aspen_object_put(e->file);
    aspen_object_put(e->shmem);
    aspen_object_put(e->charged);
    helper_destroy(&e->helper);
}

static int
run(void *context)
{
    struct every *e = context;
    return e->call->run(e, e->call);
}

/* Whatever happened, the child has what it had. */
static void
done(void *context)
{
    struct every *e = context;

    assert_int_equal(helper_get(&e->helper, e->child, AT(COW)), 4);
    assert_int_equal(helper_get(&e->helper, e->child, AT(FILE_ + 3)), 77);
}

/* ---- The calls --------------------------------------------------------- */

static int
run_mm_create(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_mm_create(e->helper.aspen, &e->made_mm);
}

/* All of an exec that can fail. */
static int
run_exec_prepare(struct every *e, const struct call *call)
{
    struct aspen_mm *next = e->child;
    (void)call;

    int error = aspen_exec_prepare(e->mm, &next);
    if (error)
        assert_ptr_equal(next, e->child);
    else
        aspen_exec_abort(next);
    return error;
}

static int
run_object_create(struct every *e, const struct call *call)
{
    struct aspen_object_args args = {.size_bytes = MIB};
    (void)call;
    return aspen_object_create(e->helper.aspen, &args, &e->made_object);
}

static int
run_swap_area_add(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_swap_area_add(e->helper.aspen, 64, &e->area);
}

static int
run_import_vma(struct every *e, const struct call *call)
{
    struct aspen_import_vma vma = {
        .start = AT(call->first),
        .end = AT(call->first + call->pages),
        .flags = call->flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .object = call->file ? e->file : NULL,
        .has_anon_vma = true,
    };
    return aspen_import_vma(e->mm, &vma);
}

/* What an import that fails says it has done, it has done. */
static int
run_import_pages(struct every *e, const struct call *call)
{
    struct aspen_import_pages pages = {
        .address = AT(call->first + e->done),
        .count = call->first == HUGE ? 1 : call->pages - e->done,
        .level = call->first == HUGE,
        .kind = (enum aspen_import_kind)call->kind,
        .first_raw = 0x1000 + e->done,
        .swap_slot = call->pages > 1 ? (uint32_t)e->done : 0,
    };
    struct aspen_mm_counters before, after;
    uint64_t count = UINT64_MAX;

    aspen_mm_counters_read(e->mm, &before);
    int error = aspen_import_pages(e->mm, &pages, &count);
    aspen_mm_counters_read(e->mm, &after);
    if (error)
        assert_true(count < pages.count);
    else
        assert_int_equal(count, pages.count);
    if (call->kind == ASPEN_IMPORT_ANON && call->first != HUGE)
        assert_int_equal(after.anon_pages - before.anon_pages, count);
    if (call->kind == ASPEN_IMPORT_SWAP)
        assert_int_equal(after.swap_pages - before.swap_pages, count);
    e->done += count;
    return error;
}

static int
run_mmap(struct every *e, const struct call *call)
{
    struct aspen_mmap_args args = {
        .address = AT(call->first),
        .length_bytes = AT(call->pages),
        .vm_flags = call->flags,
        .place = call->elsewhere ? 0 : ASPEN_MAP_FIXED,
        .object = call->file ? e->file : NULL,
    };
    uint64_t address = 12345;

    int error = aspen_mmap(e->mm, &args, &address);
    if (error)
        assert_int_equal(address, 12345);
    return error;
}

static int
special_fault(void *context, struct aspen_mm *mm, uint64_t pgoff, uint64_t *raw)
{
    (void)context;
    (void)mm;
    *raw = 5000 + pgoff;
    return 0;
}

static const struct aspen_special special = {.name = "[special]",
                                             .fault = special_fault};

static int
run_map_special(struct every *e, const struct call *call)
{
    uint64_t address = 12345;

    int error = aspen_map_special(e->mm, 0, AT(call->pages), 0, call->flags,
                                  &special, &address);
    if (error)
        assert_int_equal(address, 12345);
    return error;
}

static int
run_munmap(struct every *e, const struct call *call)
{
    return aspen_munmap(e->mm, AT(call->first), AT(call->pages));
}

static int
run_mremap(struct every *e, const struct call *call)
{
    uint64_t address = 12345;

    int error =
        aspen_mremap(e->mm, AT(call->first), AT(call->pages), AT(call->flags),
                     call->kind, AT(call->to), &address);
    if (error)
        assert_int_equal(address, 12345);
    else if (call->kind & ASPEN_MREMAP_FIXED)
        assert_int_equal(address, AT(call->to));
    return error;
}

static int
run_msync(struct every *e, const struct call *call)
{
    return aspen_msync(e->mm, AT(call->first), AT(call->pages), ASPEN_MS_SYNC);
}

static int
run_insert_raw(struct every *e, const struct call *call)
{
    return aspen_insert_raw(e->mm, AT(call->first), 77, true);
}

static int
run_remap_raw(struct every *e, const struct call *call)
{
    return aspen_remap_raw(e->mm, AT(call->first), AT(call->pages), 77);
}

static int
run_insert_page(struct every *e, const struct call *call)
{
    return aspen_insert_page(e->mm, AT(call->first));
}

static int
run_object_resize(struct every *e, const struct call *call)
{
    return aspen_object_resize(call->file ? e->file : e->charged,
                               AT(call->pages) - 7);
}

static int
run_object_punch(struct every *e, const struct call *call)
{
    return aspen_object_punch(call->file ? e->file : e->shmem, AT(call->first),
                              AT(call->pages));
}

static int
run_object_read(struct every *e, const struct call *call)
{
    unsigned char bytes[64];
    uint64_t done;
    (void)call;
    return aspen_object_read(e->file, AT(40) - 32, bytes, 64, &done);
}

static int
run_object_write(struct every *e, const struct call *call)
{
    const unsigned char bytes[64] = {1};
    uint64_t done;
    (void)call;
    return aspen_object_write(e->file, AT(40) - 32, bytes, 64, &done);
}

static int
run_object_sync(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_object_sync(e->file, 0, UINT64_MAX);
}

static int
run_mprotect(struct every *e, const struct call *call)
{
    return aspen_mprotect(e->mm, AT(call->first), AT(call->pages), call->flags,
                          ASPEN_PKEY_SAME);
}

static int
run_mlock(struct every *e, const struct call *call)
{
    return aspen_mlock(e->mm, AT(call->first), AT(call->pages), call->flags);
}

static int
run_munlock(struct every *e, const struct call *call)
{
    return aspen_munlock(e->mm, AT(call->first), AT(call->pages));
}

static int
run_pkey_alloc(struct every *e, const struct call *call)
{
    int pkey;

    return aspen_pkey_alloc(e->mm, (unsigned)call->flags, &pkey);
}

static int
run_pkey_free(struct every *e, const struct call *call)
{
    int pkey;
    (void)call;
    int error = aspen_pkey_alloc(e->mm, 0, &pkey);
    return error ? error : aspen_pkey_free(e->mm, pkey);
}

static int
run_import_pkeys(struct every *e, const struct call *call)
{
    const struct aspen_pkeys pkeys = {(uint32_t)call->flags, -1};

    return aspen_import_pkeys(e->mm, &pkeys);
}

static int
run_mlockall(struct every *e, const struct call *call)
{
    return aspen_mlockall(e->mm, (unsigned)call->flags);
}

static int
run_munlockall(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_munlockall(e->mm);
}

static int
run_madvise(struct every *e, const struct call *call)
{
    return aspen_madvise(e->mm, AT(call->first), AT(call->pages),
                         (enum aspen_advice)call->flags);
}

static int
run_process_madvise(struct every *e, const struct call *call)
{
    const struct aspen_advise_range range = {AT(call->first), AT(call->pages)};
    uint64_t done;

    return aspen_process_madvise(e->mm, &range, 1,
                                 (enum aspen_advice)call->flags, true, &done);
}

static int
run_brk(struct every *e, const struct call *call)
{
    uint64_t now = 0;

    int error = aspen_brk(e->mm, AT(call->first), &now);
    if (error && error != -ASPEN_EINTR)
        assert_int_equal(now, AT(HEAP + 4));
    return error;
}

static int
run_mseal(struct every *e, const struct call *call)
{
    return aspen_mseal(e->mm, AT(call->first), AT(call->pages));
}

static int
run_remap_file_pages(struct every *e, const struct call *call)
{
    return aspen_remap_file_pages(e->mm, AT(call->first), AT(call->pages),
                                  call->to, call->flags);
}

static int
run_name_anon(struct every *e, const struct call *call)
{
    return aspen_name_anon(e->mm, AT(call->first), AT(call->pages),
                           call->flags ? NULL : "every call");
}

static int
run_fault(struct every *e, const struct call *call)
{
    return aspen_fault(e->mm, AT(call->first), (unsigned)call->flags);
}

static int
run_fault_with_rights(struct every *e, const struct call *call)
{
    return aspen_fault_with_rights(e->mm, AT(call->first),
                                   (unsigned)call->flags, ASPEN_RIGHTS_START);
}

/* What a copy says it has done, it has done. */
static int
run_read_memory(struct every *e, const struct call *call)
{
    static uint8_t bytes[8 * 4096];
    uint64_t count = UINT64_MAX;

    memset(bytes, 0xee, sizeof(bytes));
    int error = aspen_read_memory(e->mm, AT(call->first) + 1, bytes,
                                  AT(call->pages), 0, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    for (uint64_t i = 0; i < AT(call->pages); i++)
        assert_int_equal(bytes[i] == 0xee, i >= count);
    return error;
}

static int
run_write_memory(struct every *e, const struct call *call)
{
    static const uint8_t bytes[8 * 4096];
    uint64_t count = UINT64_MAX;

    int error =
        aspen_write_memory(e->mm, AT(call->first) + 1, bytes, AT(call->pages),
                           (unsigned)call->flags, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    return error;
}

static int
run_populate(struct every *e, const struct call *call)
{
    uint64_t count = UINT64_MAX;

    int error = aspen_populate(e->mm, AT(call->first), AT(call->pages),
                               (unsigned)call->flags, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    return error;
}

static int
run_mincore(struct every *e, const struct call *call)
{
    uint8_t vector[16];
    return aspen_mincore(e->mm, AT(call->first), AT(call->pages), vector);
}

static int
run_pin_range(struct every *e, const struct call *call)
{
    struct aspen_mm_counters counters;

    int error = aspen_pin_range(e->mm, AT(call->first), AT(call->pages),
                                (unsigned)call->flags, e->pinned);
    e->pins = error ? 0 : call->pages;
    aspen_mm_counters_read(e->mm, &counters);
    assert_int_equal(counters.pinned_pages, e->pins);
    return error;
}

static int
run_fork(struct every *e, const struct call *call)
{
    (void)call;
    int error = aspen_fork(e->mm, &e->made_mm);
    if (error)
        assert_null(e->made_mm);
    return error;
}

/* ---- Those that pass no gate ------------------------------------------- */

/* A machine that does not exist yet has no plan: tests/unit/port/test_memory.c
 * lets the port fail instead. */
static int
run_create(struct every *e, const struct call *call)
{
    struct aspen_config config;
    struct aspen *aspen;
    (void)call;

    aspen_config_init(&config);
    config.frames = 64;
    config.direct_map = e->helper.direct_map;
    config.tables_only = true;
    int error = aspen_create(&config, &aspen);
    return error ? error : aspen_destroy(aspen);
}

static int
run_destroy(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_destroy(e->helper.aspen) == -ASPEN_EBUSY ? 0 : -ASPEN_EINVAL;
}

static int
run_translate_with_rights(struct every *e, const struct call *call)
{
    uint32_t frame;
    return aspen_translate_with_rights(e->mm, AT(call->first),
                                       (unsigned)call->flags,
                                       ASPEN_RIGHTS_START, &frame);
}

static int
run_translate(struct every *e, const struct call *call)
{
    uint32_t frame;
    return aspen_translate(e->mm, AT(call->first), (unsigned)call->flags,
                           &frame);
}

/* The validator takes memory from the port only: test_validate_memory.c. */
static int
run_validate(struct every *e, const struct call *call)
{
    struct aspen_finding finding;
    (void)call;
    return aspen_validate(e->helper.aspen, &finding);
}

static int
run_validate_mm(struct every *e, const struct call *call)
{
    struct aspen_finding finding;
    (void)call;
    return aspen_validate_mm(e->mm, &finding);
}

static int
run_limit_set(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_limit_set(e->mm, ASPEN_LIMIT_AS, MIB);
}

static int
run_privileges_set(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_privileges_set(e->mm, ASPEN_PRIVILEGES);
}

static int
run_layout_set(struct every *e, const struct call *call)
{
    struct aspen_layout layout;
    (void)call;
    aspen_layout_read(e->mm, &layout);
    layout.stack_start = AT(STACK);
    return aspen_layout_set(e->mm, &layout);
}

static int
run_layout_move(struct every *e, const struct call *call)
{
    (void)call;
    assert_int_equal(aspen_privileges_set(e->mm, ASPEN_PRIVILEGES), 0);
    return aspen_layout_move(e->mm, ASPEN_LAYOUT_STACK_START, AT(STACK));
}

/* Refused: the plan that counts us stands. */
static int
run_failpoints_set(struct every *e, const struct call *call)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE};
    (void)call;
    int error = aspen_failpoints_set(e->helper.aspen, &plan);
    return error == -ASPEN_EINVAL ? 0 : -ASPEN_EINVAL;
}

/* ---- All of them ------------------------------------------------------- */

#define K(step) 1u << ASPEN_STEP_##step
#define CALL(call, title, ...)                                                 \
    {                                                                          \
        .function = #call, .what = title, __VA_ARGS__                          \
    }

static const struct call calls[] = {
    CALL(aspen_create, "no gate", .run = run_create),
    CALL(aspen_destroy, "no gate", .run = run_destroy),
    CALL(aspen_failpoints_set, "no gate", .run = run_failpoints_set),
    CALL(aspen_limit_set, "no gate", .run = run_limit_set),
    CALL(aspen_privileges_set, "no gate", .run = run_privileges_set),
    CALL(aspen_layout_set, "no gate", .run = run_layout_set),
    CALL(aspen_layout_move, "no gate", .run = run_layout_move),
    CALL(aspen_translate, "no gate", .run = run_translate, .first = COW,
         .flags = ASPEN_ACCESS_READ),
    CALL(aspen_translate_with_rights, "no gate",
         .run = run_translate_with_rights, .first = COW,
         .flags = ASPEN_ACCESS_READ),
    CALL(aspen_validate, "no gate", .run = run_validate),
    CALL(aspen_validate_mm, "no gate", .run = run_validate_mm),
    CALL(aspen_swap_area_add, "an area", .run = run_swap_area_add,
         .kinds = K(SWAP)),
    CALL(aspen_mm_create, "a space", .run = run_mm_create,
         .kinds = K(MM) | K(PAGE_TABLE)),
    CALL(aspen_exec_prepare, "and abort", .run = run_exec_prepare,
         .kinds = K(MM) | K(PAGE_TABLE)),
    CALL(aspen_object_create, "an object", .run = run_object_create,
         .kinds = K(OBJECT)),
    CALL(aspen_import_vma, "anonymous", .run = run_import_vma, .first = 5000,
         .pages = 9, .flags = RW | ASPEN_VM_ACCOUNT,
         .kinds = K(VMA) | K(CHARGE) | K(ANON_VMA) | K(TREE_NODE)),
    CALL(aspen_import_vma, "a file", .run = run_import_vma, .first = 5000,
         .pages = 9, .flags = RW, .file = true,
         .kinds = K(VMA) | K(ANON_VMA) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_import_pages, "one page", .run = run_import_pages,
         .first = EMPTY, .pages = 1, .kind = ASPEN_IMPORT_ANON,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "pages", .run = run_import_pages, .first = EMPTY,
         .pages = 5, .kind = ASPEN_IMPORT_ANON, .progressive = true,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "a huge page", .run = run_import_pages,
         .first = HUGE, .pages = 1, .kind = ASPEN_IMPORT_ANON,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "a file's page", .run = run_import_pages,
         .first = FILE_, .pages = 1, .kind = ASPEN_IMPORT_OBJECT,
         .cached = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_import_pages, "a file's pages", .run = run_import_pages,
         .first = FILE_, .pages = 3, .kind = ASPEN_IMPORT_OBJECT,
         .cached = true, .progressive = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_import_pages, "the zero page", .run = run_import_pages,
         .first = EMPTY, .pages = 3, .kind = ASPEN_IMPORT_ZERO,
         .kinds = K(PAGE_TABLE)),
    CALL(aspen_import_pages, "a full slot", .run = run_import_pages,
         .first = SLOTS, .pages = 1, .kind = ASPEN_IMPORT_SWAP,
         .kinds = K(SWAP)),
    CALL(aspen_import_pages, "a guard", .run = run_import_pages, .first = EMPTY,
         .pages = 3, .kind = ASPEN_IMPORT_GUARD,
         .kinds = K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_import_pages, "raw frames", .run = run_import_pages,
         .first = RAW, .pages = 4, .kind = ASPEN_IMPORT_RAW,
         .kinds = K(PAGE_TABLE)),
    CALL(aspen_mmap, "somewhere", .run = run_mmap, .elsewhere = true,
         .pages = 3000, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_mmap, "a file", .run = run_mmap, .elsewhere = true, .pages = 30,
         .flags = R, .file = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(HOOK)),
    CALL(aspen_mmap, "merged with the one below", .run = run_mmap,
         .first = ANON + 10, .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mmap, "merged with both", .run = run_mmap, .first = LEFT + 2,
         .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mmap, "in the middle, to be executed alone", .run = run_mmap,
         .first = ANON + 1, .pages = 2, .flags = ASPEN_VM_EXEC,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mmap, "fixed, in the middle", .run = run_mmap, .first = ANON + 1,
         .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mmap, "fixed, a file in a file", .run = run_mmap,
         .first = FILE_ + 5, .pages = 2, .flags = R, .file = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mmap, "fixed, over several", .run = run_mmap, .first = ANON + 8,
         .pages = 20, .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK) |
                  K(CHARGE)),
    CALL(aspen_map_special, "code", .run = run_map_special, .pages = 2,
         .flags = RX, .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_map_special, "writable", .run = run_map_special, .pages = 2,
         .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(CHARGE)),
    CALL(aspen_mmap, "shared, of no object", .run = run_mmap, .elsewhere = true,
         .pages = 30, .flags = RW | ASPEN_VM_SHARED,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE) | K(VMA) | K(OBJECT)),
    CALL(aspen_insert_raw, "a raw frame", .run = run_insert_raw,
         .first = DRIVEN + 1, .kinds = K(PAGE_TABLE)),
    CALL(aspen_remap_raw, "raw frames", .run = run_remap_raw, .first = RAW,
         .pages = 4, .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_insert_page, "a page of the cache", .run = run_insert_page,
         .first = DRIVEN + 1, .cached = true,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(TREE_NODE) | K(INTERRUPT)),
    CALL(aspen_object_resize, "a file gets shorter", .run = run_object_resize,
         .file = true, .pages = 21, .kinds = K(HOOK) | K(TREE_NODE)),
    CALL(aspen_object_resize, "charged memory gets longer",
         .run = run_object_resize, .pages = 900,
         .kinds = K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_object_punch, "a file", .run = run_object_punch, .file = true,
         .first = 20, .pages = 3, .kinds = K(HOOK) | K(TREE_NODE)),
    CALL(aspen_object_punch, "shared memory", .run = run_object_punch,
         .first = 20, .pages = 3, .kinds = K(TREE_NODE)),
    CALL(aspen_object_read, "a file", .run = run_object_read, .cached = true,
         .progressive = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_object_write, "a file", .run = run_object_write, .cached = true,
         .progressive = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_object_sync, "a file", .run = run_object_sync,
         .progressive = true, .kinds = K(HOOK)),
    CALL(aspen_msync, "a shared file", .run = run_msync, .first = SHF,
         .pages = 4, .progressive = true, .kinds = K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, clean page of a shared file", .run = run_fault,
         .first = SHF + 2, .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault_with_rights, "write, what is not there",
         .run = run_fault_with_rights, .first = EMPTY,
         .flags = ASPEN_ACCESS_WRITE,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_munmap, "all of one", .run = run_munmap, .first = SHM,
         .pages = 4, .kinds = K(INTERRUPT) | K(TREE_NODE)),
    CALL(aspen_munmap, "a head", .run = run_munmap, .first = ANON, .pages = 5,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munmap, "a middle", .run = run_munmap, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munmap, "the middle of a file", .run = run_munmap,
         .first = FILE_ + 4, .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_munmap, "several", .run = run_munmap, .first = ANON + 8,
         .pages = 20,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mprotect, "a middle, to be executed alone", .run = run_mprotect,
         .first = ANON + 5, .pages = 2, .flags = ASPEN_VM_EXEC,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mprotect, "a middle", .run = run_mprotect, .first = ANON + 5,
         .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mprotect, "the middle of a file", .run = run_mprotect,
         .first = FILE_ + 4, .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mprotect, "a tail becomes charged", .run = run_mprotect,
         .first = READ_ONLY + 2, .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(CHARGE)),
    CALL(aspen_mprotect, "three become one", .run = run_mprotect,
         .first = MIXED + 1, .pages = 1, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(ANON_VMA)),
    CALL(aspen_mlock, "a middle", .run = run_mlock, .first = ANON + 7,
         .pages = 2, .progressive = true,
         .kinds =
             K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(FRAME)),
    CALL(aspen_mlock, "on fault", .run = run_mlock, .first = ANON + 7,
         .pages = 2, .flags = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munlock, "what is not locked", .run = run_munlock, .first = ANON,
         .pages = 2, .kinds = K(INTERRUPT)),
    CALL(aspen_pkey_alloc, "the first", .run = run_pkey_alloc),
    CALL(aspen_pkey_free, "the first", .run = run_pkey_free),
    CALL(aspen_import_pkeys, "two", .run = run_import_pkeys, .flags = 7),
    CALL(aspen_mlockall, "in future", .run = run_mlockall,
         .flags = ASPEN_MCL_FUTURE, .kinds = K(INTERRUPT)),
    CALL(aspen_mlockall, "all there is, on fault", .run = run_mlockall,
         .flags = ASPEN_MCL_CURRENT | ASPEN_MCL_ONFAULT, .kinds = K(INTERRUPT)),
    CALL(aspen_munlockall, "nothing", .run = run_munlockall,
         .kinds = K(INTERRUPT)),
    CALL(aspen_madvise, "flags of a middle", .run = run_madvise,
         .first = ANON + 5, .pages = 2, .flags = ASPEN_MADV_DONTFORK,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_madvise, "pages that go", .run = run_madvise, .first = ANON,
         .pages = 5, .flags = ASPEN_MADV_DONTNEED),
    CALL(aspen_madvise, "guards of one mapping", .run = run_madvise,
         .first = EMPTY, .pages = 5, .flags = ASPEN_MADV_GUARD_INSTALL,
         .kinds = K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_madvise, "guards of several", .run = run_madvise, .first = EMPTY,
         .pages = 510, .flags = ASPEN_MADV_GUARD_INSTALL,
         .kinds = K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_madvise, "guards gone", .run = run_madvise, .first = ANON,
         .pages = 10, .flags = ASPEN_MADV_GUARD_REMOVE),
    CALL(aspen_madvise, "a hole in shared memory", .run = run_madvise,
         .first = SHM, .pages = 2, .flags = ASPEN_MADV_REMOVE, .cached = true,
         .kinds = K(TREE_NODE)),
    CALL(aspen_madvise, "populated", .run = run_madvise, .first = EMPTY,
         .pages = 3, .flags = ASPEN_MADV_POPULATE_WRITE, .progressive = true,
         .kinds = K(INTERRUPT) | K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_process_madvise, "cold", .run = run_process_madvise,
         .first = ANON, .pages = 5, .flags = ASPEN_MADV_COLD),
    CALL(aspen_brk, "up", .run = run_brk, .first = HEAP + 9,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_brk, "down", .run = run_brk, .first = HEAP + 1,
         .kinds = K(INTERRUPT) | K(VMA) | K(TREE_NODE)),
    CALL(aspen_mremap, "moved", .run = run_mremap, .first = ANON, .pages = 10,
         .flags = 10, .kind = MOVE, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE)),
    /* `cached`: a cut that is undone may leave a tree node more. */
    CALL(aspen_mremap, "a middle, over others", .run = run_mremap,
         .cached = true, .first = ANON + 3, .pages = 4, .flags = 4,
         .kind = MOVE, .to = FILE_ + 3,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "a file's middle, larger", .run = run_mremap,
         .first = FILE_ + 2, .pages = 4, .flags = 8,
         .kind = ASPEN_MREMAP_MAYMOVE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "several smaller", .run = run_mremap, .cached = true,
         .first = ANON + 5, .pages = 20, .flags = 2, .kind = MOVE, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "three, over others", .run = run_mremap, .cached = true,
         .first = FILE_ + 3, .pages = 29, .flags = 29, .kind = MOVE,
         .to = FILE_ + 38,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "two, what was there stays", .run = run_mremap,
         .first = ANON + 4, .pages = 22 + (FILE_ - ANON - 10),
         .flags = 22 + (FILE_ - ANON - 10),
         .kind = MOVE | ASPEN_MREMAP_DONTUNMAP, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "what was there stays", .run = run_mremap, .first = ANON,
         .pages = 10, .flags = 10, .kind = MOVE | ASPEN_MREMAP_DONTUNMAP,
         .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mremap, "a second mapping", .run = run_mremap, .first = SHM,
         .pages = 0, .flags = 6, .kind = ASPEN_MREMAP_MAYMOVE,
         .kinds = K(INTERRUPT) | K(VMA) | K(TREE_NODE)),
    CALL(aspen_mremap, "larger, up to the next", .run = run_mremap,
         .first = LEFT, .pages = 2, .flags = 4,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mremap, "smaller", .run = run_mremap, .first = ANON, .pages = 10,
         .flags = 4,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(TREE_NODE)),
    CALL(aspen_mseal, "a middle", .run = run_mseal, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_remap_file_pages, "a file's middle", .run = run_remap_file_pages,
         .first = SHF + 1, .pages = 2, .to = 9, .flags = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(HOOK)),
    CALL(aspen_remap_file_pages, "shared memory's end",
         .run = run_remap_file_pages, .first = SHM + 2, .pages = 2, .to = 9,
         .flags = true, .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_name_anon, "a middle", .run = run_name_anon, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(NAME)),
    CALL(aspen_name_anon, "several", .run = run_name_anon, .first = LEFT,
         .pages = 2, .kinds = K(INTERRUPT) | K(NAME)),
    CALL(aspen_name_anon, "no name", .run = run_name_anon, .first = ANON,
         .pages = 10, .flags = true, .kinds = K(INTERRUPT)),
    CALL(aspen_fault, "read, nothing there", .run = run_fault, .first = EMPTY,
         .flags = ASPEN_ACCESS_READ, .kinds = K(PAGE_TABLE)),
    CALL(aspen_fault, "write, nothing there", .run = run_fault, .first = EMPTY,
         .flags = ASPEN_ACCESS_WRITE,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_fault, "write, zero page", .run = run_fault, .first = ZERO,
         .flags = ASPEN_ACCESS_WRITE, .kinds = K(FRAME)),
    CALL(aspen_fault, "write, copied", .run = run_fault, .first = COW,
         .flags = ASPEN_ACCESS_WRITE, .kinds = K(FRAME)),
    CALL(aspen_fault, "read, file", .run = run_fault, .first = FILE_ + 7,
         .flags = ASPEN_ACCESS_READ, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, file", .run = run_fault, .first = FILE_ + 7,
         .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, shared", .run = run_fault, .first = SHM,
         .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(TREE_NODE) | K(INTERRUPT)),
    CALL(aspen_fault, "write, stack", .run = run_fault, .first = STACK - 3,
         .flags = ASPEN_ACCESS_WRITE, .progressive = true,
         .kinds = K(CHARGE) | K(TREE_NODE) | K(INTERRUPT) | K(FRAME) |
                  K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_read_memory, "from a file", .run = run_read_memory,
         .first = FILE_ + 4, .pages = 3, .cached = true, .progressive = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_read_memory, "from zeroes", .run = run_read_memory,
         .first = EMPTY, .pages = 3, .progressive = true,
         .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_write_memory, "to copies and zeroes", .run = run_write_memory,
         .first = ANON + 3, .pages = 4, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT)),
    CALL(aspen_write_memory, "forced", .run = run_write_memory, .first = EMPTY,
         .pages = 2, .flags = ASPEN_MEMORY_FORCE, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_populate, "to write", .run = run_populate, .first = FILE_,
         .pages = 8, .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .progressive = true, .kinds = K(FRAME) | K(INTERRUPT) | K(HOOK)),
    CALL(aspen_populate, "to read", .run = run_populate, .first = EMPTY,
         .pages = 8, .flags = ASPEN_ACCESS_READ, .progressive = true,
         .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_mincore, "no gate", .run = run_mincore, .first = ANON,
         .pages = 10),
    CALL(aspen_pin_range, "to write", .run = run_pin_range, .first = ANON + 1,
         .pages = 8, .flags = ASPEN_PIN_WRITE, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT)),
    CALL(aspen_pin_range, "to read, a file", .run = run_pin_range,
         .first = FILE_, .pages = 8, .cached = true, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT) | K(HOOK)),
    CALL(aspen_fork, "some of everything", .run = run_fork, .first = SLOTS,
         .kinds = K(MM) | K(VMA) | K(TREE_NODE) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(HOOK) | K(INTERRUPT) | K(SWAP)),
};

/* The kinds that a call crosses when nothing fails. */
static unsigned
kinds_of(struct every *e)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    struct aspen_failpoint_counts counts;
    unsigned kinds = 0;

    setup(e);
    assert_int_equal(aspen_failpoints_set(e->helper.aspen, &plan), 0);
    assert_int_equal(run(e), 0);
    aspen_failpoints_read(e->helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(e->helper.aspen, NULL), 0);
    teardown(e);
    for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++)
        kinds |= (unsigned)(counts.by_step[step] > 0) << step;
    return kinds;
}

static void
test_call(void **state)
{
    struct every e = {.call = *state};
    char name[100];

    snprintf(name, sizeof(name), "%s, %s", e.call->function, e.call->what);
    unsigned kinds = kinds_of(&e);
    for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++)
        if ((kinds ^ e.call->kinds) & 1u << step)
            fail_msg("%s: %s a step of kind %s", name,
                     kinds & 1u << step ? "has" : "has not",
                     aspen_step_name((enum aspen_step)step));
    if (kinds == 0)
        return;
    struct helper_failing each = {
        .name = name,
        .helper = &e.helper,
        .mm = &e.mm,
        .setup = setup,
        .run = run,
        .done = done,
        .teardown = teardown,
        .context = &e,
        .cached = e.call->cached,
        .progressive = e.call->progressive,
    };
    helper_fail_every_step(&each);
}

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int
main(void)
{
    struct CMUnitTest tests[CALLS];

    for (size_t i = 0; i < CALLS; i++)
        tests[i] = (struct CMUnitTest){.name = calls[i].function,
                                       .test_func = test_call,
                                       .initial_state = (void *)&calls[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
