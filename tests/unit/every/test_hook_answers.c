/* SPDX-License-Identifier: MIT */
/*
 * Hooks that answer an error, whichever: so does the call. Or a positive
 * number, as that of bytes which they have read: each counts as -ASPEN_EIO. And
 * the same call goes through once the hook has learned better. The core means
 * something by positive numbers of its own, so one that slips through is a page
 * that is said to be there, or no end.
 */
#include "helper.h"

#include <unistd.h>

#define AT ((uint64_t)0x10000000)

/* What all hooks answer at present. */
static int answer;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    (void)page;
    return answer;
}

static int
write_pages(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)pages;
    (void)length_bytes;
    return answer;
}

static int
at_offset(void *context, uint64_t offset_bytes)
{
    (void)context;
    (void)offset_bytes;
    return answer;
}

static int
punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    return answer;
}

static int
name_frame(void *context, uint64_t offset_bytes, unsigned access,
           struct aspen_device_frame *frame)
{
    (void)context;
    (void)access;
    frame->number = 0x100000 + offset_bytes / PAGE;
    return answer;
}

static int
open_vma(void *context, struct aspen_vma *vma)
{
    (void)context;
    (void)vma;
    return answer;
}

static int
may_split(void *context, const struct aspen_vma *vma, uint64_t address)
{
    (void)context;
    (void)vma;
    (void)address;
    return answer;
}

static int
name_special(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
             uint64_t *raw)
{
    (void)context;
    (void)mm;
    *raw = 0x100000 + offset_bytes / PAGE;
    return answer;
}

static int
move_special(void *context, struct aspen_mm *mm, uint64_t from, uint64_t to,
             uint64_t length_bytes)
{
    (void)context;
    (void)mm;
    (void)from;
    (void)to;
    (void)length_bytes;
    return answer;
}

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return answer;
}

static void
submit(void *context, struct aspen_swap_io *io)
{
    (void)context;
    aspen_swap_done(io, answer);
}

static int
mm_init(void *context, struct aspen_mm *mm)
{
    (void)context;
    (void)mm;
    return answer;
}

static int
fork_prepare(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)context;
    (void)parent;
    (void)child;
    return answer;
}

static int
fork_userfault(void *context, void *userfault, struct aspen_vma *parent,
               struct aspen_vma *child, void **cookie)
{
    (void)context;
    (void)userfault;
    (void)parent;
    (void)child;
    (void)cookie;
    return answer;
}

static const struct aspen_pager_ops reads = {.read = read_page};
static const struct aspen_pager_ops writes = {.read = read_page,
                                              .write = write_pages};
static const struct aspen_pager_ops allows = {.mkwrite = at_offset};
static const struct aspen_pager_ops resizes = {.resize = at_offset,
                                               .punch = punch};
static const struct aspen_pager_ops opens = {.open = open_vma};
static const struct aspen_pager_ops splits = {.may_split = may_split};
static const struct aspen_pager_ops names = {.fault = name_frame};
static const struct aspen_special special = {
    .name = "[special]", .fault = name_special, .mremap = move_special};
static const struct aspen_swap_ops transfers = {.transfer = transfer};
static const struct aspen_swap_ops submits = {.submit = submit};
static const struct aspen_arch_ops inits = {.mm_init = mm_init};
static const struct aspen_arch_ops prepares = {.fork_prepare = fork_prepare};
static const struct aspen_userfault_ops follows = {.fork_prepare =
                                                       fork_userfault};

struct site {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object; /* mapped shared at AT, 4 pages; or NULL */
};

/* ---- Calls that come by a hook ----------------------------------------- */

static int
do_fault(struct site *site)
{
    return aspen_fault(site->mm, AT, ASPEN_ACCESS_READ);
}

static int
do_write_fault(struct site *site)
{
    return aspen_fault(site->mm, AT, ASPEN_ACCESS_WRITE);
}

static int
do_read_memory(struct site *site)
{
    uint64_t done;
    char byte;

    return aspen_read_memory(site->mm, AT, &byte, 1, 0, &done);
}

static int
do_write_memory(struct site *site)
{
    uint64_t done;

    return aspen_write_memory(site->mm, AT, "x", 1, 0, &done);
}

static int
do_pin(struct site *site)
{
    uint32_t frame;

    int error = aspen_pin_range(site->mm, AT, PAGE, 0, &frame);
    if (!error)
        helper_unpin(site->mm, &frame, 1, 0);
    return error;
}

static int
do_futex(struct site *site)
{
    uint32_t word;

    return aspen_futex_load(site->mm, AT, &word);
}

static int
do_import(struct site *site)
{
    return helper_import_pages(site->mm, AT, 1, ASPEN_IMPORT_OBJECT, 0);
}

static int
do_object_read(struct site *site)
{
    uint64_t done;
    char byte;

    return aspen_object_read(site->object, 0, &byte, 1, &done);
}

static int
do_object_write(struct site *site)
{
    uint64_t done;

    return aspen_object_write(site->object, 0, "x", 1, &done);
}

static int
do_sync(struct site *site)
{
    int then = answer;
    uint64_t done;

    answer = 0;
    assert_int_equal(aspen_object_write(site->object, 0, "x", 1, &done), 0);
    answer = then;
    return aspen_msync(site->mm, AT, PAGE, ASPEN_MS_SYNC);
}

static int
do_resize(struct site *site)
{
    return aspen_object_resize(site->object, 3 * PAGE);
}

static int
do_punch(struct site *site)
{
    return aspen_object_punch(site->object, 0, PAGE);
}

static int
do_fork(struct site *site)
{
    struct aspen_mm *child;

    int error = aspen_fork(site->mm, &child);
    if (!error)
        aspen_mm_put(child);
    return error;
}

static int
do_create(struct site *site)
{
    struct aspen_mm *mm;

    int error = aspen_mm_create(site->helper.aspen, &mm);
    if (!error)
        aspen_mm_put(mm);
    return error;
}

static int
do_unmap(struct site *site)
{
    return aspen_munmap(site->mm, AT, PAGE);
}

static int
do_move(struct site *site)
{
    return helper_remap(site->mm, AT, PAGE, PAGE,
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, 2 * AT);
}

static int
do_swap_remove(struct site *site)
{
    return aspen_swap_remove(site->helper.aspen, 0);
}

/* ---- Each hook --------------------------------------------------------- */

struct row {
    const char *name;
    int (*call)(struct site *site);
    const struct aspen_pager_ops *pager;
    uint64_t more_flags;               /* of the mapping */
    bool special;                      /* mapped at AT instead */
    const struct aspen_swap_ops *swap; /* and a page of AT is there */
    struct aspen_hooks hooks;
};

static const struct row rows[] = {
    {"read: fault", do_fault, .pager = &reads},
    {"read: copy", do_read_memory, .pager = &reads},
    {"read: pin", do_pin, .pager = &reads},
    {"read: futex", do_futex, .pager = &reads},
    {"read: import", do_import, .pager = &reads},
    {"read: object", do_object_read, .pager = &reads},
    {"write", do_sync, .pager = &writes},
    {"mkwrite: fault", do_write_fault, .pager = &allows},
    {"mkwrite: copy", do_write_memory, .pager = &allows},
    {"mkwrite: object", do_object_write, .pager = &allows},
    {"resize", do_resize, .pager = &resizes},
    {"punch", do_punch, .pager = &resizes},
    {"open", do_fork, .pager = &opens},
    {"may_split", do_unmap, .pager = &splits},
    {"fault", do_fault, .pager = &names, .more_flags = ASPEN_VM_PFNMAP},
    {"special: fault", do_fault, .special = true},
    {"special: mremap", do_move, .special = true},
    {"transfer: fault", do_fault, .swap = &transfers},
    {"transfer: remove", do_swap_remove, .swap = &transfers},
    {"submit: fault", do_fault, .swap = &submits},
    {"mm_init", do_create, .hooks = {.arch = &inits}},
    {"mm_init: fork", do_fork, .hooks = {.arch = &inits}},
    {"fork_prepare", do_fork, .hooks = {.arch = &prepares}},
    {"userfault", do_fork, .hooks = {.userfault = &follows}},
};

static void
map(struct site *site, const struct row *row)
{
    struct aspen_import_vma userfault = {.start = AT,
                                         .end = AT + PAGE,
                                         .vm_flags = MAY_RW,
                                         .flags = ASPEN_IMPORT_HAS_USERFAULT};
    uint64_t address;

    if (row->pager) {
        site->object = helper_object(&site->helper, ASPEN_OBJECT_FILE, 4,
                                     row->pager, NULL);
        helper_map_object(site->mm, AT, 4,
                          RW | ASPEN_VM_SHARED | row->more_flags, site->object,
                          0);
    } else if (row->special) {
        assert_int_equal(aspen_map_special(site->mm, AT, PAGE,
                                           ASPEN_MAP_FIXED_NOREPLACE, R,
                                           &special, &address),
                         0);
    } else if (row->hooks.userfault) {
        assert_int_equal(aspen_import_vma(site->mm, &userfault), 0);
    }
}

static void
swap_out(struct site *site, const struct aspen_swap_ops *ops)
{
    struct aspen_swap_args args = {.pages = 8, .ops = ops};
    unsigned type;

    assert_int_equal(aspen_swap_add(site->helper.aspen, &args, &type), 0);
    helper_map(site->mm, AT, 1, RW);
    helper_put(&site->helper, site->mm, AT, 1);
    assert_int_equal(aspen_madvise(site->mm, AT, PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(aspen_swap_used(site->helper.aspen, type), 1);
}

static void
check_row(const struct row *row, int number, int expected)
{
    struct aspen_config config = helper_config(1024);
    struct site site = {.object = NULL};

    answer = 0;
    config.hooks = row->hooks;
    helper_create(&site.helper, &config);
    site.mm = helper_mm(&site.helper);
    map(&site, row);
    if (row->swap)
        swap_out(&site, row->swap);
    answer = number;
    int error = row->call(&site);
    if (error != expected)
        fail_msg("%s answers %d: %d", row->name, number, error);
    helper_assert_valid(&site.helper);
    answer = 0;
    assert_int_equal(row->call(&site), 0);
    helper_assert_valid(&site.helper);
    aspen_mm_put(site.mm);
    if (site.object)
        aspen_object_put(site.object);
    helper_destroy(&site.helper);
}

static void
test_positive(void **state)
{
    static const int numbers[] = {1, 2, 3, 6, 64, 4096, INT32_MAX};
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
            check_row(&rows[i], numbers[n], -ASPEN_EIO);
}

/* Errors by which the core tells itself that it has to look again, too, are
 * none of a hook's. A call that does not end is killed. */
static void
test_negative(void **state)
{
    static const int numbers[] = {-ASPEN_EPERM,  -ASPEN_ENOENT, -ASPEN_EINTR,
                                  -ASPEN_EAGAIN, -ASPEN_EBUSY,  -ASPEN_EEXIST,
                                  -ASPEN_EINVAL, -ASPEN_ESRCH,  -4095};
    (void)state;

    alarm(20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
            check_row(&rows[i], numbers[n], numbers[n]);
    alarm(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positive),
        cmocka_unit_test(test_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
