/* SPDX-License-Identifier: MIT */
/* Faults: every kind of page, with contents, counters and every step failing.
 */
#include "failing.h"
#include "helper.h"

#include "frames/frames.h"
#include "space/vma.h"

struct pager {
    int error;
    unsigned reads;
    int balance; /* opened less closed */
    int open_error;
    struct aspen_mm *mm; /* if set: unmap this while the page is read */
    uint64_t unmap;
    const struct aspen_mmap_args *replace; /* or map this instead */
};

/* ---- Anonymous --------------------------------------------------------- */

static void
test_anonymous(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 4, RW);
    uint32_t frame;

    assert_int_equal(aspen_translate(s->mm, a, ASPEN_ACCESS_READ, &frame),
                     -ASPEN_EFAULT);
    /* Reading maps the zero page, which nobody may write. */
    assert_int_equal(helper_get(&s->helper, s->mm, a), 0);
    assert_int_equal(helper_frame(s->mm, a), s->helper.aspen->zero_frame);
    assert_false(helper_can_write(s->mm, a));
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);

    helper_put(&s->helper, s->mm, a, 7);
    assert_int_not_equal(helper_frame(s->mm, a), s->helper.aspen->zero_frame);
    assert_int_equal(helper_counters(s->mm).anon_pages, 1);
    helper_put(&s->helper, s->mm, a + 3 * PAGE + 5, 9);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2);
    assert_int_equal(helper_get(&s->helper, s->mm, a), 7);
    assert_int_equal(helper_get(&s->helper, s->mm, a + 1), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, a + 3 * PAGE + 5), 9);
    /* The zero page is as it was. */
    assert_int_equal(helper_get(&s->helper, s->mm, a + 2 * PAGE), 0);

    struct aspen_frame *f =
        aspen_frame_at(s->helper.aspen, helper_frame(s->mm, a));
    assert_int_equal(aspen_frame_type(f), ASPEN_FRAME_ANON);
    assert_int_equal(aspen_frame_references(f), 1);
    assert_int_equal(aspen_frame_map_count(f), 1);
    assert_int_equal(aspen_frame_offset(f), a / PAGE);
    assert_ptr_equal((void *)(uintptr_t)f->owner,
                     aspen_vma_at(s->mm, a)->anon_vma);
}

static void
test_refused(void **state)
{
    struct helper_space *s = *state;
    uint64_t none = helper_map(s->mm, 0, 1, 0);
    uint64_t r = helper_map(s->mm, 0, 1, R);
    uint64_t w = helper_map(s->mm, 0, 1, ASPEN_VM_WRITE);
    uint64_t rx = helper_map(s->mm, 0, 1, RX);
    struct aspen_mm *mm = s->mm;

    assert_int_equal(aspen_fault(mm, 0x10000, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(mm, UINT64_MAX, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(mm, none, ASPEN_ACCESS_READ), -ASPEN_EACCES);
    assert_int_equal(aspen_fault(mm, r, ASPEN_ACCESS_WRITE), -ASPEN_EACCES);
    assert_int_equal(aspen_fault(mm, r, ASPEN_ACCESS_EXEC), -ASPEN_EACCES);
    assert_int_equal(aspen_fault(mm, rx, ASPEN_ACCESS_WRITE), -ASPEN_EACCES);
    assert_int_equal(aspen_fault(mm, rx, ASPEN_ACCESS_EXEC), 0);
    assert_int_equal(aspen_fault(mm, w, ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_fault(mm, w, 3), -ASPEN_EINVAL);
    assert_int_equal(aspen_fault(mm, w, 0), -ASPEN_EINVAL);
    assert_int_equal(helper_counters(mm).anon_pages, 0);
}

static void
test_guard_and_swap(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_vma vma = {
        .start = 0x100000,
        .end = 0x110000,
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages pages = {
        .address = 0x101000,
        .count = 1,
        .kind = ASPEN_IMPORT_GUARD,
        .swap_slot = UINT32_MAX,
    };
    uint64_t done;
    unsigned type;

    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 64, &type), 0);
    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
    pages.address = 0x102000;
    pages.kind = ASPEN_IMPORT_SWAP;
    pages.swap_slot = 7;
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);

    assert_int_equal(aspen_fault(s->mm, 0x101000, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, 0x101fff, ASPEN_ACCESS_WRITE),
                     -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, 0x102000, ASPEN_ACCESS_READ),
                     -ASPEN_EOPNOTSUPP);
    helper_put(&s->helper, s->mm, 0x103000, 1);
}

static void
test_huge(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_vma vma = {
        .start = 2 * MIB,
        .end = 6 * MIB,
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages pages = {
        .address = 2 * MIB,
        .count = 1,
        .level = 1,
        .kind = ASPEN_IMPORT_ANON,
        .swap_slot = UINT32_MAX,
    };
    struct aspen_mm *child;
    uint64_t done;

    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
    /* Translated by its 4 KiB pieces; what would split it is refused. */
    assert_int_equal(helper_frame(s->mm, 2 * MIB + 5 * PAGE),
                     helper_frame(s->mm, 2 * MIB) + 5);
    assert_int_equal(aspen_munmap(s->mm, 2 * MIB + PAGE, PAGE),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_fault(child, 2 * MIB, ASPEN_ACCESS_WRITE),
                     -ASPEN_EOPNOTSUPP);
    aspen_mm_put(child);
    helper_unmap(s->mm, 2 * MIB, 512);
    helper_put(&s->helper, s->mm, 4 * MIB, 1);
}

/* ---- Copy-on-write ----------------------------------------------------- */

static void
test_fork_copies(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 3, RW);
    struct aspen_mm *child;

    helper_put(&s->helper, s->mm, a, 1);
    helper_put(&s->helper, s->mm, a + PAGE, 2);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_false(helper_can_write(s->mm, a));
    assert_false(helper_can_write(child, a));
    assert_int_equal(helper_frame(s->mm, a), helper_frame(child, a));

    helper_put(&s->helper, child, a, 11);
    assert_int_not_equal(helper_frame(s->mm, a), helper_frame(child, a));
    assert_int_equal(helper_get(&s->helper, s->mm, a), 1);
    assert_int_equal(helper_get(&s->helper, child, a), 11);
    assert_int_equal(helper_counters(child).anon_pages, 2);
    uint32_t frame = helper_frame(child, a);
    assert_ptr_equal(
        (void *)(uintptr_t)aspen_frame_at(s->helper.aspen, frame)->owner,
        aspen_vma_at(child, a)->anon_vma);
    helper_assert_valid(&s->helper);

    /* The parent's page is its own again: no copy. */
    frame = helper_frame(s->mm, a);
    helper_put(&s->helper, s->mm, a, 3);
    assert_int_equal(helper_frame(s->mm, a), frame);

    /* The child inherits the other when the parent goes. */
    helper_unmap(s->mm, a, 3);
    frame = helper_frame(child, a + PAGE);
    helper_put(&s->helper, child, a + PAGE, 12);
    assert_int_equal(helper_frame(child, a + PAGE), frame);
    assert_ptr_equal(
        (void *)(uintptr_t)aspen_frame_at(s->helper.aspen, frame)->owner,
        aspen_vma_at(child, a)->anon_vma);
    aspen_mm_put(child);
}

/* A page that somebody else holds is not taken over. */
static void
test_held_page_is_copied(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    struct aspen_mm *child;

    helper_put(&s->helper, s->mm, a, 1);
    uint32_t frame = helper_frame(s->mm, a);
    aspen_frame_get(aspen_frame_at(s->helper.aspen, frame));
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    aspen_mm_put(child);
    helper_put(&s->helper, s->mm, a, 2);
    assert_int_not_equal(helper_frame(s->mm, a), frame);
    aspen_frame_put(s->helper.aspen, frame);
}

/* A copy is flushed, so that no TLB leads to the old page. */
static void
test_copy_flushes(void **state)
{
    struct helper_space *s = *state;
    uint64_t a = helper_map(s->mm, 0, 1, RW);
    struct aspen_mm *child;

    helper_put(&s->helper, s->mm, a, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    uint64_t before = helper_counters(child).tlb_flushes;
    helper_put(&s->helper, child, a, 2);
    assert_int_equal(helper_counters(child).tlb_flushes, before + 1);
    aspen_mm_put(child);
}

/* ---- Objects ----------------------------------------------------------- */

static int
pager_read(void *context, uint64_t offset_bytes, void *page)
{
    struct pager *pager = context;

    pager->reads++;
    struct aspen_mm *mm = pager->mm;
    uint64_t address;
    pager->mm = NULL;
    if (mm && pager->replace)
        assert_int_equal(aspen_mmap(mm, pager->replace, &address), 0);
    else if (mm)
        assert_int_equal(aspen_munmap(mm, pager->unmap, PAGE), 0);
    memset(page, (int)(0x40 + offset_bytes / PAGE), PAGE);
    return pager->error;
}

static int
pager_open(void *context, struct aspen_vma *vma)
{
    struct pager *pager = context;

    (void)vma;
    if (pager->open_error)
        return pager->open_error;
    pager->balance++;
    return 0;
}

static void
pager_close(void *context, struct aspen_vma *vma)
{
    (void)vma;
    ((struct pager *)context)->balance--;
}

static const struct aspen_pager_ops pager_ops = {
    .read = pager_read,
    .open = pager_open,
    .close = pager_close,
};

static void
test_private_file(void **state)
{
    struct helper_space *s = *state;
    static struct pager pager; /* lives as long as the mappings */
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, &pager_ops, &pager);
    uint64_t a = helper_map_object(s->mm, 0, 4, RW, object, 2);
    uint64_t b = helper_map_object(s->mm, 0, 4, R, object, 2);

    assert_int_equal(helper_get(&s->helper, s->mm, a), 0x42);
    assert_int_equal(helper_get(&s->helper, s->mm, b), 0x42);
    assert_int_equal(pager.reads, 1);
    assert_int_equal(helper_frame(s->mm, a), helper_frame(s->mm, b));
    assert_int_equal(helper_counters(s->mm).file_pages, 2);

    /* A write after a read, and a write at once. */
    helper_put(&s->helper, s->mm, a, 1);
    helper_put(&s->helper, s->mm, a + PAGE, 2);
    assert_int_equal(pager.reads, 2);
    assert_int_equal(helper_counters(s->mm).file_pages, 1);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2);
    assert_int_equal(helper_get(&s->helper, s->mm, a + 1), 0x42);
    assert_int_equal(helper_get(&s->helper, s->mm, b), 0x42);
    assert_int_equal(helper_get(&s->helper, s->mm, b + PAGE), 0x43);

    aspen_object_put(object);
    helper_unmap(s->mm, a, 4);
    helper_unmap(s->mm, b, 4);
    assert_int_equal(pager.balance, 0);
}

static void
test_shared(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    uint64_t a =
        helper_map_object(s->mm, 0, 4, RW | ASPEN_VM_SHARED, object, 0);
    uint64_t b =
        helper_map_object(s->mm, 0, 4, RW | ASPEN_VM_SHARED, object, 1);
    struct aspen_mm *child;

    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE), 0);
    assert_false(helper_can_write(s->mm, a + PAGE));
    helper_put(&s->helper, s->mm, a + PAGE, 5);
    assert_int_equal(helper_get(&s->helper, s->mm, b), 5);
    helper_put(&s->helper, s->mm, b + PAGE, 6);
    assert_int_equal(helper_get(&s->helper, s->mm, a + 2 * PAGE), 6);
    assert_int_equal(helper_counters(s->mm).shmem_pages, 4);
    assert_true(aspen_frame_at(s->helper.aspen, helper_frame(s->mm, b))->index &
                ASPEN_FRAME_DIRTY);

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_put(&s->helper, child, a + PAGE, 8);
    assert_int_equal(helper_get(&s->helper, s->mm, b), 8);
    aspen_mm_put(child);
    aspen_object_put(object);
}

static void
test_pager_errors(void **state)
{
    struct helper_space *s = *state;
    static struct pager pager; /* lives as long as the mappings */
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager_ops, &pager);
    uint64_t a = helper_map_object(s->mm, 0, 4, RW, object, 0);
    struct helper_state before;

    helper_state_take(&s->helper, s->mm, &before);
    pager.error = -ASPEN_EIO;
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), -ASPEN_EIO);
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_WRITE), -ASPEN_EIO);
    assert_int_equal(aspen_fault(s->mm, a + 2 * PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EFBIG);
    helper_assert_state(&s->helper, s->mm, &before);
    pager.error = 0;
    assert_int_equal(helper_get(&s->helper, s->mm, a), 0x40);
    aspen_object_put(object);
}

/* No lock is held while a pager reads: it may even unmap the area. */
static void
test_unmapped_meanwhile(void **state)
{
    struct helper_space *s = *state;
    static struct pager pager; /* lives as long as the mappings */
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager_ops, &pager);
    uint64_t a = helper_map_object(s->mm, 0, 2, RW, object, 0);

    aspen_object_put(object); /* the mapping holds the last reference */
    pager.mm = s->mm;
    pager.unmap = a;
    assert_int_equal(aspen_fault(s->mm, a, ASPEN_ACCESS_READ), -ASPEN_EFAULT);
    assert_int_equal(helper_get(&s->helper, s->mm, a + PAGE), 0x41);
    pager.mm = s->mm;
    pager.unmap = a + PAGE;
    helper_unmap(s->mm, a + PAGE, 1);
    pager.mm = NULL;
}

/* The same object at another offset, another object: the page that was read
 * is not the one that is wanted any more. */
static void
test_replaced_meanwhile(void **state)
{
    struct helper_space *s = *state;
    static struct pager pager; /* lives as long as the mappings */
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, &pager_ops, &pager);
    struct aspen_object *other =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    struct aspen_mmap_args args = {
        .length_bytes = PAGE,
        .vm_flags = RW,
        .flags = ASPEN_MAP_FIXED,
    };

    for (unsigned i = 0; i < 3; i++) {
        args.address = helper_map_object(s->mm, 0, 1, RW, object, i);
        args.object = i == 0 ? object : i == 1 ? other : NULL;
        args.offset_bytes = i == 0 ? 7 * PAGE : i * PAGE;
        pager.mm = s->mm;
        pager.replace = &args;
        assert_int_equal(helper_get(&s->helper, s->mm, args.address),
                         i == 0 ? 0x47 : 0);
        helper_unmap(s->mm, args.address, 1);
    }
    aspen_object_put(object);
    aspen_object_put(other);
}

/* ---- Stacks ------------------------------------------------------------ */

static void
test_stack_grows(void **state)
{
    struct helper_space *s = *state;
    uint64_t top = 0x40000000;
    uint64_t below = helper_map(s->mm, top - 600 * PAGE, 1, RW);

    helper_map(s->mm, top, 2, RW | ASPEN_VM_GROWSDOWN);
    helper_put(&s->helper, s->mm, top - 10 * PAGE, 3);
    helper_assert_space(
        s->mm, "  vma  0x3fda8000-0x3fda9000 rw- private  anon  account\n"
               "  vma  0x3fff6000-0x40002000 rw- private  anon 1  growsdown "
               "account\n");
    assert_int_equal(helper_counters(s->mm).stack_pages, 12);
    assert_int_equal(helper_counters(s->mm).total_pages, 13);

    /* 256 pages stay free between it and what is mapped below. */
    assert_int_equal(aspen_fault(s->mm, below + 256 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_EFAULT);
    helper_put(&s->helper, s->mm, below + 257 * PAGE, 4);
    assert_int_equal(helper_get(&s->helper, s->mm, top - 10 * PAGE), 3);
    /* Nothing else grows. */
    assert_int_equal(aspen_fault(s->mm, below - PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_EFAULT);
}

/* Each growth stores in the tree, and leaves no more dead nodes than any call
 * does. */
static void
test_stack_growths_leave_few_nodes(void **state)
{
    struct helper_space *s = *state;
    uint64_t top = 0x40000000;
    uint64_t most = 0;

    helper_map(s->mm, top, 1, RW | ASPEN_VM_GROWSDOWN);
    for (uint64_t i = 1; i <= 5000; i++) {
        assert_int_equal(aspen_fault(s->mm, top - i * PAGE, ASPEN_ACCESS_READ),
                         0);
        uint64_t waiting = aspen_tree_pool_waiting(&s->helper.aspen->tree_pool);
        if (waiting > most)
            most = waiting;
    }
    print_message("%llu dead nodes at most\n", (unsigned long long)most);
    assert_true(most <= s->helper.aspen->tree_pool.waiting_max);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *object;
    struct pager pager;
    uint64_t address;
    unsigned access;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;
    f->mm = helper_mm(&f->helper);
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;

    if (f->child)
        aspen_mm_put(f->child);
    aspen_mm_put(f->mm);
    if (f->object)
        aspen_object_put(f->object);
    f->child = NULL;
    f->object = NULL;
}

static int
fail_run(void *context)
{
    struct failing *f = context;
    return aspen_fault(f->mm, f->address, f->access);
}

static void
setup_anonymous(void *context)
{
    struct failing *f = context;

    fail_setup(f);
    f->address = helper_map(f->mm, 0, 4, RW);
}

static void
setup_after_read(void *context)
{
    struct failing *f = context;

    setup_anonymous(f);
    assert_int_equal(helper_get(&f->helper, f->mm, f->address), 0);
}

static void
setup_forked(void *context)
{
    struct failing *f = context;

    setup_anonymous(f);
    helper_put(&f->helper, f->mm, f->address, 5);
    assert_int_equal(aspen_fork(f->mm, &f->child), 0);
}

static void
done_forked(void *context)
{
    struct failing *f = context;

    assert_int_equal(helper_get(&f->helper, f->mm, f->address), 5);
    helper_put(&f->helper, f->mm, f->address, 6);
    assert_int_equal(helper_get(&f->helper, f->child, f->address), 5);
}

static void
setup_private_file(void *context)
{
    struct failing *f = context;

    fail_setup(f);
    f->object =
        helper_object(&f->helper, ASPEN_OBJECT_FILE, 4, &pager_ops, &f->pager);
    f->address = helper_map_object(f->mm, 0, 4, RW, f->object, 0);
}

static void
setup_shared(void *context)
{
    struct failing *f = context;

    fail_setup(f);
    f->object = helper_object(&f->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    f->address =
        helper_map_object(f->mm, 0, 4, RW | ASPEN_VM_SHARED, f->object, 0);
}

static void
setup_stack(void *context)
{
    struct failing *f = context;

    fail_setup(f);
    f->address =
        helper_map(f->mm, 0x40000000, 1, RW | ASPEN_VM_GROWSDOWN) - 5 * PAGE;
}

static void
test_every_step(void **state)
{
    (void)state;
    struct failing f = {.access = ASPEN_ACCESS_WRITE};
    struct helper_failing each = {
        .helper = &f.helper,
        .mm = &f.mm,
        .run = fail_run,
        .teardown = fail_teardown,
        .context = &f,
    };

    helper_create(&f.helper, NULL);
    each.name = "write to anonymous memory";
    each.setup = setup_anonymous;
    /* Tables, a frame, an anon_vma and a link; each once and onward. */
    assert_int_equal(helper_fail_every_step(&each), 2 * (PATH_TABLES + 3));
    each.name = "write to the zero page";
    each.setup = setup_after_read;
    assert_int_equal(helper_fail_every_step(&each), 2 * 3);
    each.name = "copy on write";
    each.setup = setup_forked;
    each.done = done_forked;
    assert_int_equal(helper_fail_every_step(&each), 2 * 1);
    each.done = NULL;
    each.name = "growing stack"; /* it stays grown when the page fails */
    each.setup = setup_stack;
    each.progressive = true;
    helper_fail_every_step(&each);
    each.progressive = false;
    each.cached = true;
    each.name = "write to a private file";
    each.setup = setup_private_file;
    assert_true(helper_fail_every_step(&each) >= 2 * 9);
    each.name = "write to shared memory";
    each.setup = setup_shared;
    helper_fail_every_step(&each);
    f.access = ASPEN_ACCESS_READ;
    each.name = "read of shared memory";
    helper_fail_every_step(&each);
    each.name = "read of a private file";
    each.setup = setup_private_file;
    helper_fail_every_step(&each);
    each.cached = false;
    each.name = "read of anonymous memory";
    each.setup = setup_anonymous;
    assert_int_equal(helper_fail_every_step(&each), 2 * PATH_TABLES);
    assert_int_equal(f.pager.balance, 0);
    helper_destroy(&f.helper);
}

/* Without memory behind frames nothing is zeroed or copied, and nothing
 * changes. */
static void
test_tables_only(void **state)
{
    (void)state;
    struct aspen_config config;
    struct helper helper;
    struct helper_state before;

    aspen_config_init(&config);
    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    uint64_t a = helper_map(mm, 0, 1, RW);
    helper_state_take(&helper, mm, &before);
    assert_int_equal(aspen_fault(mm, a, ASPEN_ACCESS_WRITE), -ASPEN_EOPNOTSUPP);
    helper_assert_state(&helper, mm, &before);
    assert_int_equal(aspen_fault(mm, a, ASPEN_ACCESS_READ), 0);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_anonymous),
        helper_space_test(test_refused),
        helper_space_test(test_guard_and_swap),
        helper_space_test(test_huge),
        helper_space_test(test_fork_copies),
        helper_space_test(test_held_page_is_copied),
        helper_space_test(test_copy_flushes),
        helper_space_test(test_private_file),
        helper_space_test(test_shared),
        helper_space_test(test_pager_errors),
        helper_space_test(test_unmapped_meanwhile),
        helper_space_test(test_replaced_meanwhile),
        helper_space_test(test_stack_grows),
        helper_space_test(test_stack_growths_leave_few_nodes),
        cmocka_unit_test(test_every_step),
        cmocka_unit_test(test_tables_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
