/* SPDX-License-Identifier: MIT */
/*
 * mmap: arguments, limits, charge, replacing; every step failing. Places and
 * merges: tests/unit/ranges/test_place.c, test_merge.c.
 */
#include "failing.h"
#include "helper.h"

#include "rmap/rmap.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static uint64_t
map_over(struct aspen_mm *mm, uint64_t address, uint64_t pages, uint64_t flags)
{
    uint64_t result;

    assert_int_equal(helper_try_map(mm, address, pages * PAGE, flags,
                                    ASPEN_MAP_FIXED, &result),
                     0);
    return result;
}

/* ---- Arguments --------------------------------------------------------- */

static void
test_arguments(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    uint64_t a;
    const unsigned fixed = ASPEN_MAP_FIXED;

    assert_int_equal(helper_try_map(mm, 0, 0, RW, 0, &a), -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, 0, UINT64_MAX, RW, 0, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, 0, mm->address_limit, RW, 0, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, AT(100) + 1, PAGE, RW, fixed, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, AT(15), PAGE, RW, fixed, &a),
                     -ASPEN_EPERM);
    /* Where Linux looks at the length first, only AArch64 counts what is
     * below the lowest address. */
    assert_int_equal(helper_try_map(mm, 0, mm->address_limit, RW, fixed, &a),
                     ASPEN_LENGTH_BELOW_LOWEST ? -ASPEN_EPERM : -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, mm->address_limit, PAGE, RW, fixed, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(
        helper_try_map(mm, AT(100), mm->address_limit, RW, fixed, &a),
        -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, 0, PAGE, RW, 128, &a), -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, 0, PAGE,
                                    RW | ASPEN_VM_SHARED | ASPEN_VM_GROWSDOWN,
                                    0, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, 0, PAGE, ASPEN_VM_ACCOUNT, 0, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, 0, PAGE, ASPEN_VM_HUGETLB, 0, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(helper_try_map(mm, 0, PAGE, RW | ASPEN_VM_MAYREAD, 0, &a),
                     -ASPEN_EACCES);
    helper_assert_space(mm, "");
    assert_int_equal(helper_try_map(mm, AT(16), 1, RW, fixed, &a), 0);
    helper_assert_space(mm,
                        "  vma  0x10000-0x11000 rw- private  anon  account\n");
}

static void
test_object_arguments(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, NULL, NULL);
    struct aspen_mmap_args args = {.length_bytes = PAGE, .vm_flags = R};
    uint64_t a;

    args.object = object;
    args.offset_bytes = 1;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), -ASPEN_EINVAL);
    args.offset_bytes = (uint64_t)0 - PAGE;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), -ASPEN_EOVERFLOW);
    args.offset_bytes = 0;
    args.vm_flags = RW | ASPEN_VM_GROWSDOWN;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), -ASPEN_EINVAL);
    args.vm_flags = RW | ASPEN_VM_WIPEONFORK;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), -ASPEN_EINVAL);
    /* The MAY flags are the caller's: a file that is open for reading. */
    args.vm_flags = R | ASPEN_VM_MAYREAD | ASPEN_VM_SHARED;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), 0);
    assert_int_equal(object->writable_shared, 0);
    assert_false(aspen_vma_at(s->mm, a)->flags & ASPEN_VM_MAYWRITE);
    args.vm_flags = R | ASPEN_VM_SHARED;
    assert_int_equal(aspen_mmap(s->mm, &args, &a), 0);
    assert_int_equal(object->writable_shared, 1);
    aspen_object_put(object);
}

/* ---- Charge and limits ------------------------------------------------- */

static void
test_charge(void **state)
{
    (void)state;
    struct aspen_config config;
    struct helper helper;
    struct helper_state before;
    uint64_t a;

    aspen_config_init(&config);
    config.frames = 1000;
    config.overcommit = ASPEN_OVERCOMMIT_NEVER;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    helper_map(mm, AT(1000), 300, RW);
    helper_map(mm, AT(2000), 300, R);
    helper_map(mm, AT(3000), 100, RW | ASPEN_VM_NORESERVE); /* not honoured */
    assert_int_equal(helper_committed(&helper), 400);
    helper_state_take(&helper, mm, &before);
    assert_int_equal(helper_try_map(mm, 0, AT(100), RW, 0, &a), -ASPEN_ENOMEM);
    helper_assert_state(&helper, mm, &before);

    /* What is replaced counts. */
    assert_int_equal(
        helper_try_map(mm, AT(1100), AT(300), RW, ASPEN_MAP_FIXED, &a),
        -ASPEN_ENOMEM);
    helper_assert_state(&helper, mm, &before);
    map_over(mm, AT(1100), 299, RW);
    assert_int_equal(helper_committed(&helper), 499);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

static void
test_noreserve(void **state)
{
    struct helper_space *s = *state;
    uint64_t a;

    helper_map(s->mm, AT(100), 4, RW | ASPEN_VM_NORESERVE);
    assert_int_equal(helper_committed(&s->helper), 0);
    map_over(s->mm, AT(102), 4, RW);
    assert_int_equal(helper_committed(&s->helper), 4);
    map_over(s->mm, AT(100), 3, R);
    assert_int_equal(helper_committed(&s->helper), 3);
    /* guess refuses what cannot be at all */
    assert_int_equal(helper_try_map(s->mm, 0, AT(5000), RW, 0, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(
        helper_try_map(s->mm, 0, AT(5000), RW | ASPEN_VM_NORESERVE, 0, &a), 0);
}

static void
test_map_count(void **state)
{
    (void)state;
    struct aspen_config config;
    struct helper helper;
    uint64_t a;

    aspen_config_init(&config);
    config.map_count_max = 3;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    /* As Linux: refused when there are more than the limit already. */
    for (uint64_t i = 0; i < 4; i++)
        helper_map(mm, AT(100 + 2 * i), 1, RW);
    assert_int_equal(helper_try_map(mm, 0, PAGE, RW, 0, &a), -ASPEN_ENOMEM);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

static void
test_locked(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 4, RW | ASPEN_VM_LOCKED);
    assert_int_equal(helper_counters(s->mm).locked_pages, 4);
    s->mm->def_flags = ASPEN_VM_LOCKED;
    helper_map(s->mm, AT(104), 4, RW);
    helper_assert_space(
        s->mm, "  vma  0x64000-0x6c000 rw- private  anon 1  account locked\n");
    assert_int_equal(helper_counters(s->mm).locked_pages, 8);
    helper_map(s->mm, AT(200), 1, R | ASPEN_VM_PFNMAP);
    assert_int_equal(helper_counters(s->mm).locked_pages, 8);
    assert_int_equal(aspen_fault(s->mm, AT(200), ASPEN_ACCESS_READ),
                     -ASPEN_EFBIG);
}

/* ---- Filled at once ---------------------------------------------------- */

static void
test_populate(void **state)
{
    struct helper_space *s = *state;
    const unsigned fill = ASPEN_MAP_POPULATE;
    uint64_t a;

    assert_int_equal(helper_try_map(s->mm, 0, AT(4), RW, fill, &a), 0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 4);
    assert_int_equal(
        helper_try_map(s->mm, 0, AT(4), RW, fill | ASPEN_MAP_NONBLOCK, &a), 0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 4);
    /* What cannot be had is passed over. */
    assert_int_equal(helper_try_map(s->mm, 0, AT(4), 0, fill, &a), 0);
    assert_int_equal(helper_try_map(s->mm, 0, AT(4),
                                    RW | ASPEN_VM_LOCKONFAULT | ASPEN_VM_LOCKED,
                                    0, &a),
                     0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 4);
    assert_int_equal(
        helper_try_map(s->mm, 0, AT(4), RW | ASPEN_VM_LOCKED, 0, &a), 0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 8);
    helper_unmap(s->mm, a, 4);
}

/* A step that fails before the mapping is there fails the call; one after it
 * leaves the mapping, and pages missing. */
static void
test_populate_steps(void **state)
{
    struct helper_space *s = *state;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONWARD};
    struct aspen_failpoint_counts counts;
    struct helper_state before;
    unsigned refused = 0, missing = 0;

    helper_map(s->mm, AT(100), 1, R);
    helper_state_take(&s->helper, s->mm, &before);
    do {
        uint64_t a;
        plan.number++;
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
        int error =
            helper_try_map(s->mm, AT(200), AT(3), RW, ASPEN_MAP_POPULATE, &a);
        aspen_failpoints_read(s->helper.aspen, &counts);
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
        refused += error != 0;
        missing += !error && helper_counters(s->mm).anon_pages < 3;
        assert_int_equal(helper_counters(s->mm).vmas, error ? 1 : 2);
        if (!error)
            helper_unmap(s->mm, AT(200), 3);
        helper_assert_state(&s->helper, s->mm, &before);
    } while (counts.failed);
    assert_true(refused >= 4);
    assert_true(missing >= 4);
}

/* ---- Replacing --------------------------------------------------------- */

static void
test_replace(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;

    helper_map(mm, AT(100), 10, RW);
    for (uint64_t page = 100; page < 110; page++)
        helper_put(&s->helper, mm, AT(page), (uint8_t)page);
    map_over(mm, AT(103), 2, R);
    helper_assert_space(
        mm, "  vma  0x64000-0x67000 rw- private  anon 1  account\n"
            "  vma  0x67000-0x69000 r-- private  anon\n"
            "  vma  0x69000-0x6e000 rw- private  anon 1  account\n");
    assert_int_equal(helper_get(&s->helper, mm, AT(103)), 0);
    assert_int_equal(helper_get(&s->helper, mm, AT(102)), 102);
    assert_int_equal(helper_get(&s->helper, mm, AT(105)), 105);

    /* The same over the same: one mapping, new contents. */
    map_over(mm, AT(103), 2, RW);
    helper_assert_space(
        mm, "  vma  0x64000-0x6e000 rw- private  anon 1  account\n");
    map_over(mm, AT(106), 2, RW);
    helper_assert_space(
        mm, "  vma  0x64000-0x6e000 rw- private  anon 1  account\n");
    assert_int_equal(helper_get(&s->helper, mm, AT(106)), 0);
    assert_int_equal(helper_get(&s->helper, mm, AT(108)), 108);
    assert_int_equal(helper_counters(mm).vmas, 1);
    assert_int_equal(helper_counters(mm).anon_pages, 6);
    assert_int_equal(helper_committed(&s->helper), 10);
    map_over(mm, AT(98), 20, RW);
    helper_assert_space(mm,
                        "  vma  0x62000-0x76000 rw- private  anon  account\n");
    assert_int_equal(helper_counters(mm).anon_pages, 0);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct helper_space space;
    struct aspen_mm *child;
    struct aspen_object *object;
    struct aspen_mmap_args args;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;
    struct helper_space *s = &f->space;

    s->mm = helper_mm(&s->helper);
    f->object = helper_object(&s->helper, ASPEN_OBJECT_FILE, 64, NULL, NULL);
    helper_map(s->mm, AT(100), 10, RW);
    helper_put(&s->helper, s->mm, AT(104), 4);
    helper_map_object(s->mm, AT(112), 8, RW, f->object, 0);
    helper_put(&s->helper, s->mm, AT(114), 14);
    helper_map(s->mm, AT(130), 2, RW);
    helper_map(s->mm, AT(134), 2, RW);
    helper_put(&s->helper, s->mm, AT(135), 15);
    if (f->args.object)
        f->args.object = f->object;
    assert_int_equal(aspen_fork(s->mm, &f->child), 0);
}

static int
fail_run(void *context)
{
    struct failing *f = context;
    uint64_t address;
    return aspen_mmap(f->space.mm, &f->args, &address);
}

static void
fail_done(void *context)
{
    struct failing *f = context;
    struct helper_space *s = &f->space;

    assert_int_equal(helper_get(&s->helper, f->child, AT(104)), 4);
    assert_int_equal(helper_get(&s->helper, f->child, AT(114)), 14);
    if (f->args.address)
        assert_int_equal(helper_get(&s->helper, s->mm, f->args.address), 0);
    helper_put(&s->helper, s->mm, AT(135), 16);
    assert_int_equal(helper_get(&s->helper, f->child, AT(135)), 15);
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;

    aspen_mm_put(f->space.mm);
    aspen_mm_put(f->child);
    aspen_object_put(f->object);
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
        unsigned vmas; /* allocated */
        bool object;
    } cases[] = {
        {"new", 0, 1000, 1, false},
        {"merged with the one below", 110, 1, 0, false},
        {"merged with both", 132, 2, 0, false},
        {"over a hole", 103, 4, 2, false},
        {"over both edges", 106, 10, 2, false},
        {"over everything", 90, 60, 1, false},
        {"object over a hole", 103, 4, 3, true},
    };

    helper_create(&f.space.helper, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        each.name = cases[i].name;
        f.args = (struct aspen_mmap_args){
            .address = AT(cases[i].first),
            .length_bytes = AT(cases[i].pages),
            .vm_flags = RW,
            .flags = cases[i].first ? ASPEN_MAP_FIXED : 0,
            .object = cases[i].object ? (void *)&f : NULL,
        };
        assert_int_equal(helper_failed_steps(&each, ASPEN_STEP_VMA),
                         cases[i].vmas);
        helper_fail_every_step(&each);
    }
    helper_destroy(&f.space.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_arguments),
        helper_space_test(test_object_arguments),
        cmocka_unit_test(test_charge),
        helper_space_test(test_noreserve),
        cmocka_unit_test(test_map_count),
        helper_space_test(test_locked),
        helper_space_test(test_populate),
        helper_space_test(test_populate_steps),
        helper_space_test(test_replace),
        cmocka_unit_test(test_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
