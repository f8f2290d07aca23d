/* SPDX-License-Identifier: MIT */
/* munmap: every way a range can lie across VMAs, and every step failing. */
#include "failing.h"
#include "helper.h"
#include "internal.h"

#include "rmap/rmap.h"
#include <pthread.h>
#include <sched.h>

#define AT(page) ((uint64_t)(page)*PAGE)

/* An object's hooks, which count. */
struct hooks {
    unsigned opened;
    unsigned closed;
    unsigned released;
    int refuse;
};

static int
hook_open(void *context, struct aspen_vma *vma)
{
    struct hooks *hooks = context;

    (void)vma;
    if (hooks->refuse)
        return hooks->refuse;
    hooks->opened++;
    return 0;
}

static void
hook_close(void *context, struct aspen_vma *vma)
{
    struct hooks *hooks = context;

    (void)vma;
    assert_int_equal(hooks->released, 0);
    hooks->closed++;
}

static void
hook_release(void *context)
{
    ((struct hooks *)context)->released++;
}

static const struct aspen_pager_ops pager = {
    .open = hook_open,
    .close = hook_close,
    .release = hook_release,
};

static struct hooks hooks; /* of the test that runs */

static int
setup(void **state)
{
    hooks = (struct hooks){0};
    return helper_space_setup(state);
}

static int
teardown(void **state)
{
    helper_space_teardown(state);
    assert_int_equal(hooks.opened, hooks.closed);
    return 0;
}

static void
fill(struct helper_space *s, uint64_t first, uint64_t last)
{
    for (uint64_t page = first; page <= last; page++)
        helper_put(&s->helper, s->mm, AT(page), (uint8_t)page);
}

static void
assert_filled(struct helper_space *s, uint64_t first, uint64_t last)
{
    struct aspen *aspen = s->helper.aspen;

    for (uint64_t page = first; page <= last; page++) {
        assert_int_equal(helper_get(&s->helper, s->mm, AT(page)),
                         (uint8_t)page);
        uint32_t frame = helper_frame(s->mm, AT(page));
        assert_int_equal(aspen_rmap_count(aspen, frame), 1);
    }
}

static void
assert_unmapped(struct helper_space *s, uint64_t first, uint64_t last)
{
    for (uint64_t page = first; page <= last; page++)
        assert_int_equal(aspen_fault(s->mm, AT(page), ASPEN_ACCESS_READ),
                         -ASPEN_EFAULT);
}

/* ---- Where the range lies ---------------------------------------------- */

static void
test_edges(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 20, RW);
    fill(s, 100, 119);
    helper_unmap(s->mm, AT(100), 2); /* its head */
    helper_assert_space(
        s->mm, "  vma  0x66000-0x78000 rw- private  anon 1  account\n");
    helper_unmap(s->mm, AT(117), 9); /* its tail, and beyond */
    helper_assert_space(
        s->mm, "  vma  0x66000-0x75000 rw- private  anon 1  account\n");
    helper_unmap(s->mm, AT(107), 3); /* a hole */
    helper_assert_space(
        s->mm, "  vma  0x66000-0x6b000 rw- private  anon 1  account\n"
               "  vma  0x6e000-0x75000 rw- private  anon 1  account\n");
    assert_filled(s, 102, 106);
    assert_filled(s, 110, 116);
    assert_unmapped(s, 100, 101);
    assert_unmapped(s, 107, 109);
    assert_unmapped(s, 117, 119);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
    assert_int_equal(helper_counters(s->mm).total_pages, 12);
    assert_int_equal(helper_counters(s->mm).data_pages, 12);
    assert_int_equal(helper_counters(s->mm).anon_pages, 12);
    assert_int_equal(helper_committed(&s->helper), 12);
    helper_assert_valid(&s->helper);

    helper_unmap(s->mm, AT(104), 9); /* tail of one, head of the next */
    helper_assert_space(
        s->mm, "  vma  0x66000-0x68000 rw- private  anon 1  account\n"
               "  vma  0x71000-0x75000 rw- private  anon 1  account\n");
    assert_filled(s, 102, 103);
    assert_filled(s, 113, 116);
    helper_unmap(s->mm, AT(0), 200); /* all */
    helper_assert_space(s->mm, "");
    assert_int_equal(helper_counters(s->mm).page_tables, 0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);
    assert_int_equal(helper_committed(&s->helper), 0);
    helper_unmap(s->mm, AT(0), 200); /* nothing */
}

static void
test_several(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 4, RW);
    helper_map(s->mm, AT(104), 4, R);
    helper_map(s->mm, AT(110), 4, RX);
    helper_map(s->mm, AT(114), 4, RW | ASPEN_VM_LOCKED);
    fill(s, 100, 103);
    fill(s, 114, 117);
    assert_int_equal(helper_counters(s->mm).locked_pages, 4);
    helper_unmap(s->mm, AT(102), 14);
    helper_assert_space(
        s->mm, "  vma  0x64000-0x66000 rw- private  anon 1  account\n"
               "  vma  0x74000-0x76000 rw- private  anon 2  account locked\n");
    assert_filled(s, 100, 101);
    assert_filled(s, 116, 117);
    assert_int_equal(helper_counters(s->mm).locked_pages, 2);
    assert_int_equal(helper_counters(s->mm).exec_pages, 0);
    assert_int_equal(helper_counters(s->mm).data_pages, 4);
}

/* Tables go with the last page that they could map, and not before. */
static void
test_tables(void **state)
{
    struct helper_space *s = *state;
    uint64_t top = (uint64_t)1 << (ASPEN_ADDRESS_BITS - 1);

    helper_map(s->mm, GIB, 4 * 512, RW);
    helper_map(s->mm, top, 1, RW);
    for (unsigned i = 0; i < 4; i++)
        helper_put(&s->helper, s->mm, GIB + i * 2 * MIB, 1);
    helper_put(&s->helper, s->mm, top, 1);
    assert_int_equal(helper_counters(s->mm).page_tables,
                     PATH_TABLES - 1 + 4 + PATH_TABLES);
    helper_unmap(s->mm, GIB + 2 * MIB, 2 * 512 - 1);
    assert_int_equal(helper_counters(s->mm).page_tables,
                     PATH_TABLES - 1 + 3 + PATH_TABLES);
    helper_unmap(s->mm, GIB + 6 * MIB - PAGE, 1);
    assert_int_equal(helper_counters(s->mm).page_tables,
                     PATH_TABLES - 1 + 2 + PATH_TABLES);
    helper_unmap(s->mm, GIB, 4 * 512);
    assert_int_equal(helper_counters(s->mm).page_tables, PATH_TABLES);
    assert_int_equal(helper_get(&s->helper, s->mm, top), 1);
    helper_unmap(s->mm, top, 1);
    assert_int_equal(helper_counters(s->mm).page_tables, 0);

    /* The very top, where a table reaches beyond what a user may map. */
    uint64_t last = s->mm->address_limit - PAGE;
    helper_map(s->mm, last, 1, RW);
    helper_put(&s->helper, s->mm, last, 1);
    helper_unmap(s->mm, last, 1);
    assert_int_equal(helper_counters(s->mm).page_tables, 0);
}

static void
test_arguments(void **state)
{
    struct helper_space *s = *state;
    uint64_t limit = s->mm->address_limit;

    assert_int_equal(aspen_munmap(s->mm, 1, PAGE), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, 0, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, limit, PAGE), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, PAGE, limit), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, PAGE, UINT64_MAX), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, limit + PAGE, 1), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, 0, limit), 0);
    helper_map(s->mm, AT(100), 2, RW);
    assert_int_equal(aspen_munmap(s->mm, AT(100), 1), 0); /* rounded up */
    helper_assert_space(s->mm,
                        "  vma  0x65000-0x66000 rw- private  anon  account\n");
}

/* A sealed mapping refuses before the tables' end does. */
static void
test_call_limit_sealed(void **state)
{
    struct aspen_config config;
    struct helper_space s;
    uint64_t address;

    (void)state;
    aspen_config_init(&config);
    config.address_limit = (uint64_t)1 << 37;
    config.call_limit = ((uint64_t)1 << 56) - PAGE;
    config.semantics = ASPEN_SEMANTICS_6_18;
    helper_space_create(&s, &config);
    struct aspen_mmap_args args = {
        .address = s.mm->address_limit - 2 * PAGE,
        .length_bytes = 4 * PAGE,
        .vm_flags = RW,
        .flags = ASPEN_MAP_FIXED,
    };
    helper_map(s.mm, args.address, 1, RW);
    assert_int_equal(aspen_mmap(s.mm, &args, &address), -ASPEN_ENOMEM);
    assert_int_equal(aspen_mseal(s.mm, args.address, PAGE), 0);
    assert_int_equal(aspen_mmap(s.mm, &args, &address), -ASPEN_EPERM);
    args.address += PAGE;
    assert_int_equal(aspen_mmap(s.mm, &args, &address), -ASPEN_ENOMEM);
    assert_int_equal(s.mm->map_count, 1);
    helper_space_destroy(&s);
}

/* 57-bit addresses: what lies above the page tables may be named. */
static void
test_call_limit(void **state)
{
    const uint64_t top = ((uint64_t)1 << 56) - PAGE;
    const unsigned onto = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED;
    struct aspen_config config;
    struct helper_space s;
    uint64_t address;

    (void)state;
    for (unsigned level = 0; level <= ASPEN_SEMANTICS_6_18; level++) {
        aspen_config_init(&config);
        config.address_limit = (uint64_t)1 << 37;
        config.call_limit = top;
        config.semantics = (enum aspen_semantics)level;
        helper_space_create(&s, &config);
        uint64_t limit = s.mm->address_limit;
        assert_int_equal(aspen_munmap(s.mm, limit, PAGE), 0);
        assert_int_equal(aspen_munmap(s.mm, top - PAGE, PAGE), 0);
        assert_int_equal(aspen_munmap(s.mm, top, PAGE), -ASPEN_EINVAL);
        assert_int_equal(aspen_munmap(s.mm, PAGE, top), -ASPEN_EINVAL);
        helper_map(s.mm, AT(100), 2, RW);
        assert_int_equal(aspen_munmap(s.mm, AT(101), limit), 0);
        helper_assert_space(
            s.mm, "  vma  0x64000-0x65000 rw- private  anon  account\n");
        /* Too much of the old range; the same beyond the top. */
        assert_int_equal(helper_remap(s.mm, AT(100), limit, PAGE, 0, 0), 0);
        assert_int_equal(helper_remap(s.mm, AT(100), top, PAGE, 0, 0),
                         -ASPEN_EINVAL);
        /* A place that the page tables do not reach, and none at all. */
        assert_int_equal(helper_remap(s.mm, AT(100), PAGE, PAGE, onto, limit),
                         -ASPEN_ENOMEM);
        assert_int_equal(helper_remap(s.mm, AT(100), PAGE, PAGE, onto, top),
                         -ASPEN_EINVAL);
        struct aspen_mmap_args map = {.address = limit - PAGE + 1,
                                      .length_bytes = 4 * PAGE,
                                      .flags = ASPEN_MAP_FIXED};
        assert_int_equal(aspen_mmap(s.mm, &map, &address), -ASPEN_EINVAL);
        struct aspen_mmap_args long_map = {.address = AT(200),
                                           .length_bytes = limit + PAGE,
                                           .flags = ASPEN_MAP_FIXED};
        assert_int_equal(aspen_mmap(s.mm, &long_map, &address), -ASPEN_ENOMEM);
        map.address--;
        assert_int_equal(aspen_mmap(s.mm, &map, &address), -ASPEN_ENOMEM);
        helper_assert_space(
            s.mm, "  vma  0x64000-0x65000 rw- private  anon  account\n");
        helper_space_destroy(&s);
    }
}

static void
test_sealed(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_vma sealed = {
        .start = AT(110), .end = AT(112), .vm_flags = R | ASPEN_VM_SEALED};
    struct aspen_mmap_args over = {
        .address = AT(111),
        .length_bytes = AT(4),
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t address;

    helper_map(s->mm, AT(100), 4, RW);
    assert_int_equal(aspen_import_vma(s->mm, &sealed), 0);
    assert_int_equal(aspen_munmap(s->mm, AT(100), AT(12)), -ASPEN_EPERM);
    assert_int_equal(aspen_mmap(s->mm, &over, &address), -ASPEN_EPERM);
    helper_assert_space(s->mm,
                        "  vma  0x64000-0x68000 rw- private  anon  account\n"
                        "  vma  0x6e000-0x70000 r-- private  anon  sealed\n");
}

/* Who lies lowest is heard first: what cannot be cut below a seal, the limit
 * before the seal of what a hole would be in. */
static void
test_who_refuses_first(void **state)
{
    (void)state;
    const struct aspen_special special = {.name = "[test]"};
    struct aspen_config config;
    struct helper helper;
    struct helper_state before;
    uint64_t address;

    aspen_config_init(&config);
    config.map_count_max = 2;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    assert_int_equal(aspen_map_special(mm, AT(100), AT(2),
                                       ASPEN_MAP_FIXED_NOREPLACE, R, &special,
                                       &address),
                     0);
    helper_map(mm, AT(102), 4, RW);
    assert_int_equal(aspen_mseal(mm, AT(102), AT(4)), 0);
    helper_state_take(&helper, mm, &before);
    assert_int_equal(aspen_mseal(mm, AT(101), AT(4)), -ASPEN_EINVAL);
    assert_int_equal(aspen_mseal(mm, AT(101), AT(6)), -ASPEN_ENOMEM);
    assert_int_equal(aspen_munmap(mm, AT(101), AT(2)), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(mm, AT(100), AT(3)), -ASPEN_EPERM);
    assert_int_equal(aspen_munmap(mm, AT(103), AT(1)), -ASPEN_ENOMEM);
    assert_int_equal(aspen_munmap(mm, AT(103), AT(4)), -ASPEN_EPERM);
    helper_assert_state(&helper, mm, &before);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

/* A hole makes one more VMA, which the limit may not allow; anything else
 * makes none. */
static void
test_map_count(void **state)
{
    (void)state;
    struct aspen_config config;
    struct helper helper;
    struct helper_state before;

    aspen_config_init(&config);
    config.map_count_max = 2;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    helper_map(mm, AT(100), 8, RW);
    helper_map(mm, AT(110), 8, RW);
    helper_state_take(&helper, mm, &before);
    assert_int_equal(aspen_munmap(mm, AT(102), AT(1)), -ASPEN_ENOMEM);
    helper_assert_state(&helper, mm, &before);
    helper_unmap(mm, AT(106), 6);
    helper_assert_space(mm,
                        "  vma  0x64000-0x6a000 rw- private  anon  account\n"
                        "  vma  0x70000-0x76000 rw- private  anon  account\n");
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

/* ---- Objects ----------------------------------------------------------- */

static void
test_object(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 32, &pager, &hooks);

    helper_map_object(s->mm, AT(100), 20, RW | ASPEN_VM_SHARED, object, 5);
    aspen_object_put(object);
    fill(s, 100, 119);
    helper_unmap(s->mm, AT(104), 4);
    helper_unmap(s->mm, AT(100), 1);
    helper_unmap(s->mm, AT(119), 1);
    helper_assert_space(s->mm,
                        "  vma  0x65000-0x68000 rw- shared  shmem 1+0x6000\n"
                        "  vma  0x6c000-0x77000 rw- shared  shmem 1+0xd000\n");
    assert_filled(s, 101, 103);
    assert_filled(s, 108, 118);
    assert_int_equal(object->i_mmap.count, 2);
    assert_int_equal(object->writable_shared, 2);
    assert_int_equal(hooks.opened - hooks.closed, 2);

    /* A refused part: the error comes through and nothing changed. */
    struct helper_state before;
    helper_state_take(&s->helper, s->mm, &before);
    hooks.refuse = -ASPEN_EPERM;
    assert_int_equal(aspen_munmap(s->mm, AT(110), AT(1)), -ASPEN_EPERM);
    assert_int_equal(aspen_munmap(s->mm, AT(103), AT(6)), -ASPEN_EPERM);
    hooks.refuse = 0;
    helper_assert_state(&s->helper, s->mm, &before);
    assert_filled(s, 101, 103);

    helper_unmap(s->mm, AT(100), 20);
    assert_int_equal(hooks.released, 1);
}

/* Pages of a forked family stay found after each of them splits. */
static void
test_forked(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_mm *child;

    helper_map(s->mm, AT(100), 10, RW);
    fill(s, 100, 109);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_unmap(s->mm, AT(102), 2);
    helper_unmap(child, AT(105), 2);
    helper_unmap(child, AT(100), 1);
    for (uint64_t page = 100; page < 110; page++) {
        struct aspen_mm *mm = page == 102 || page == 103 ? child : s->mm;
        bool both = page == 101 || page == 104 || page >= 107;
        uint32_t frame = helper_frame(mm, AT(page));
        assert_int_equal(aspen_rmap_count(aspen, frame), both ? 2 : 1);
    }
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
    assert_filled(s, 104, 109);
}

/* A space that exit or a failed fork left. */
static void
test_empty_space(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mmap_args args = {.length_bytes = PAGE};
    uint64_t address;

    aspen_mm_get(s->mm);
    aspen_mm_hold(s->mm);
    aspen_mm_put(s->mm);
    aspen_mm_put(s->mm);
    assert_int_equal(aspen_mm_state(s->mm), ASPEN_MM_EMPTY);
    assert_int_equal(aspen_munmap(s->mm, 0, AT(100)), 0);
    assert_int_equal(aspen_mmap(s->mm, &args, &address), -ASPEN_EINVAL);
    assert_int_equal(aspen_fault(s->mm, AT(100), ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    aspen_mm_drop(s->mm);
    s->mm = helper_mm(&s->helper);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct helper_space space;
    struct aspen_mm *child;
    struct hooks hooks;
    struct aspen_object *object;
    uint64_t first;
    uint64_t pages;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;
    struct helper_space *s = &f->space;

    s->mm = helper_mm(&s->helper);
    f->hooks = (struct hooks){0};
    f->object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 32, &pager, &f->hooks);
    helper_map(s->mm, AT(100), 10, RW);
    helper_map_object(s->mm, AT(110), 10, RW, f->object, 0);
    fill(s, 102, 105);
    fill(s, 113, 116);
    assert_int_equal(aspen_fork(s->mm, &f->child), 0);
}

static int
fail_run(void *context)
{
    struct failing *f = context;
    return aspen_munmap(f->space.mm, AT(f->first), AT(f->pages));
}

static void
fail_done(void *context)
{
    struct failing *f = context;

    assert_unmapped(&f->space, f->first, f->first + f->pages - 1);
    assert_int_equal(helper_get(&f->space.helper, f->child, AT(103)), 103);
    assert_int_equal(helper_get(&f->space.helper, f->child, AT(114)), 114);
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;

    aspen_mm_put(f->space.mm);
    aspen_mm_put(f->child);
    aspen_object_put(f->object);
    assert_int_equal(f->hooks.opened, f->hooks.closed);
}

static void
test_every_step(void **state)
{
    (void)state;
    struct failing f = {0};
    struct helper_failing each = {
        .helper = &f.space.helper,
        .mm = &f.space.mm,
        .setup = fail_setup,
        .run = fail_run,
        .done = fail_done,
        .teardown = fail_teardown,
        .context = &f,
    };
    static const struct {
        const char *name;
        uint64_t first;
        uint64_t pages;
        unsigned parts; /* VMAs that are split off */
    } cases[] = {
        {"all of one", 100, 10, 0}, {"head", 99, 5, 1},
        {"tail", 105, 5, 1},        {"hole", 103, 2, 2},
        {"both edges", 104, 11, 2}, {"hole of a file", 114, 1, 2},
        {"everything", 90, 60, 0},
    };

    helper_create(&f.space.helper, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        each.name = cases[i].name;
        f.first = cases[i].first;
        f.pages = cases[i].pages;
        assert_int_equal(helper_failed_steps(&each, ASPEN_STEP_VMA),
                         cases[i].parts);
        assert_int_equal(helper_failed_steps(&each, ASPEN_STEP_INTERRUPT), 1);
        helper_fail_every_step(&each);
    }
    helper_destroy(&f.space.helper);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Too many dead nodes do not pile up behind whoever stores: it would wait. */
static void
test_dead_nodes_are_bounded(void **state)
{
    (void)state;
    struct aspen_config config = helper_config(256);
    struct helper helper;
    uint64_t most = 0;

    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t address = helper_map(mm, 0, 1 + i % 5, RW);
        helper_unmap(mm, address, 1 + i % 5);
        uint64_t waiting = aspen_tree_pool_waiting(&helper.aspen->tree_pool);
        if (waiting > most)
            most = waiting;
    }
    print_message("%llu dead nodes at most\n", (unsigned long long)most);
    assert_true(most <= helper.aspen->tree_pool.waiting_max);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

/* ---- Many tables ------------------------------------------------------- */

#define MANY 1100u /* more tables than may wait for a grace period */

struct many {
    struct aspen_mm *mm;
    uint32_t reading; /* atomic: somebody reads under RCU */
    uint32_t enough;  /* atomic */
};

static void *
read_until_enough(void *context)
{
    struct many *many = context;

    aspen_port_rcu_read_lock();
    aspen_store(&many->reading, 1u);
    while (!aspen_load(&many->enough))
        sched_yield();
    aspen_port_rcu_read_unlock();
    return NULL;
}

static void *
unmap_many(void *context)
{
    struct many *many = context;

    helper_unmap(many->mm, AT(512), (uint64_t)MANY * 512);
    return NULL;
}

/* Who frees many tables waits for their grace period, but nobody with it: the
 * mmap lock is free by then. */
static void
test_nobody_waits_along(void **state)
{
    struct many many = {.mm = NULL};
    struct helper helper;
    pthread_t reader, caller;
    (void)state;

    helper_create(&helper, NULL);
    many.mm = helper_mm(&helper);
    helper_map(many.mm, AT(512), (uint64_t)MANY * 512, RW | ASPEN_VM_NORESERVE);
    for (unsigned i = 1; i <= MANY; i++)
        helper_put(&helper, many.mm, AT(512 * i), 1);
    assert_int_equal(pthread_create(&reader, NULL, read_until_enough, &many),
                     0);
    while (!aspen_load(&many.reading))
        sched_yield();
    assert_int_equal(pthread_create(&caller, NULL, unmap_many, &many), 0);
    while (helper_counters(many.mm).vmas)
        sched_yield();
    aspen_store(&many.enough, 1u);
    pthread_join(reader, NULL);
    pthread_join(caller, NULL);
    aspen_mm_put(many.mm);
    helper_destroy(&helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_edges),
        TEST(test_several),
        TEST(test_tables),
        TEST(test_arguments),
        cmocka_unit_test(test_call_limit),
        cmocka_unit_test(test_call_limit_sealed),
        TEST(test_sealed),
        cmocka_unit_test(test_dead_nodes_are_bounded),
        cmocka_unit_test(test_nobody_waits_along),
        cmocka_unit_test(test_who_refuses_first),
        cmocka_unit_test(test_map_count),
        TEST(test_object),
        TEST(test_forked),
        TEST(test_empty_space),
        cmocka_unit_test(test_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
