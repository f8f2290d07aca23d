/* SPDX-License-Identifier: MIT */
#include "every_call.h"
#include "slots.h"

#include "every_run.h"
#include <aspen_port.h>

static int
space_begins(void *context, struct aspen_mm *mm)
{
    struct every *e = context;
    (void)mm;
    e->spaces++;
    return 0;
}

static void
space_ends(void *context, struct aspen_mm *mm)
{
    struct every *e = context;
    (void)mm;
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        assert_int_equal(aspen_mm_deactivate(mm, cpu), 0);
    e->spaces--;
}

static const struct aspen_arch_ops arch_ops = {
    .mm_init = space_begins,
    .mm_exit = space_ends,
};

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
file_mkwrite(void *context, uint64_t offset_bytes)
{
    (void)context;
    (void)offset_bytes;
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
    .read = helper_pager_read,
    .write = helper_pager_write,
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
        .vm_flags = flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
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

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    uint8_t(*slots)[PAGE] = context;

    return slots_transfer(slots, io);
}

const struct aspen_swap_ops every_device = {.transfer = transfer};

static void
swap_out(struct every *e)
{
    static uint8_t slots[8][PAGE];
    unsigned type;

    assert_int_equal(aspen_swap_add(e->helper.aspen,
                                    &(struct aspen_swap_args){
                                        .pages = 8,
                                        .ops = &every_device,
                                        .context = slots,
                                    },
                                    &type),
                     0);
    helper_map(e->mm, AT(OUT), 4, RW);
    for (unsigned i = 0; i < 4; i++)
        helper_put(&e->helper, e->mm, AT(OUT + i), (uint8_t)i);
    assert_int_equal(aspen_madvise(e->mm, AT(OUT), AT(2), ASPEN_MADV_PAGEOUT),
                     0);
    assert_int_equal(helper_counters(e->mm).swap_pages, 2);
}

int
run_swap_area_add(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_swap_area_add(e->helper.aspen, 64, &e->area);
}

int
run_swap_add(struct every *e, const struct call *call)
{
    struct aspen_swap_args args = {
        .pages = 64,
        .flags = ASPEN_SWAP_CHECKSUM,
        .ops = &every_device,
    };
    (void)call;
    return aspen_swap_add(e->helper.aspen, &args, &e->area);
}

int
run_swap_remove(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_swap_remove(e->helper.aspen, 0);
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

void
every_setup(void *context)
{
    struct every *e = context;
    struct helper *h = &e->helper;
    const struct call *call = e->call;
    static const struct aspen_frame_range reserved = {RESERVED, 96};
    struct aspen_config config;

    memset(e, 0, sizeof(*e));
    e->call = call;
    aspen_config_init(&config);
    config.reserved = &reserved;
    config.reserved_ranges = 1;
    config.pkeys = ASPEN_PKEYS_MAX;
    config.execute_only = ASPEN_EXECUTE_ONLY_KEY;
    config.hooks.arch = &arch_ops;
    config.hooks.context = e;
    /* Guards, several mappings that move. */
    if (call->run == run_madvise || call->run == run_mremap)
        config.semantics = ASPEN_SEMANTICS_6_18;
    helper_create(h, &config);
    e->mm = helper_mm(h);
    e->file = helper_object(h, ASPEN_OBJECT_FILE, 64, &file_ops, e);
    e->shmem = helper_object(h, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);
    struct aspen_object_args charged = {.kind = ASPEN_OBJECT_SHMEM,
                                        .size_bytes = MIB,
                                        .flags = ASPEN_OBJECT_CHARGED};
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
    if (call->first == SLOTS)
        import_swapped(e);
    if (call->first == OUT)
        swap_out(e);
}

void
every_teardown(void *context)
{
    struct every *e = context;

    if (e->pins)
        helper_unpin(e->mm, e->pinned, e->pins, ASPEN_UNPIN_DIRTY);
    if (e->made_userfault)
        aspen_userfault_close(e->made_userfault);
    if (e->made_mm)
        aspen_mm_put(e->made_mm);
    if (e->made_object)
        aspen_object_put(e->made_object);
    aspen_mm_put(e->child);
    aspen_mm_put(e->mm);
    assert_int_equal(e->opened, 0);
    assert_int_equal(e->spaces, 0);
    aspen_object_put(e->file);
    aspen_object_put(e->shmem);
    aspen_object_put(e->charged);
    helper_destroy(&e->helper);
}

int
every_run(void *context)
{
    struct every *e = context;
    return e->call->run(e, e->call);
}

/* Whatever happened, the child has what it had. */
void
every_done(void *context)
{
    struct every *e = context;

    assert_int_equal(helper_get(&e->helper, e->child, AT(COW)), 4);
    assert_int_equal(helper_get(&e->helper, e->child, AT(FILE_ + 3)), 77);
}

/* ---- Calls that every_run.c has no room for ----------------------------- */

int
run_object_error(struct every *e, const struct call *call)
{
    uint32_t seen = 0;

    (void)call;
    return aspen_object_error(e->file, &seen);
}

int
run_reclaim_tick(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_reclaim_tick(e->helper.aspen) ? -ASPEN_EINVAL : 0;
}

int
run_migrate(struct every *e, const struct call *call)
{
    return aspen_migrate(e->helper.aspen, helper_frame(e->mm, AT(call->first)));
}

int
run_compact(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_compact(e->helper.aspen, 1);
}

int
run_compact_tick(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_compact_tick(e->helper.aspen, 1) ? -ASPEN_EINVAL : 0;
}

int
run_memory_failure(struct every *e, const struct call *call)
{
    return aspen_memory_failure(e->helper.aspen,
                                helper_frame(e->mm, AT(call->first)));
}

int
run_memory_offline(struct every *e, const struct call *call)
{
    return aspen_memory_offline(e->helper.aspen,
                                helper_frame(e->mm, AT(call->first)));
}
