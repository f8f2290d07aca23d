/* SPDX-License-Identifier: MIT */
/* Limits, privileges and layouts of a space; reserves of the charge; the
 * counters that show peaks. */
#include "helper.h"

#include "machine/charge.h"
#include "space/limits.h"
#include "space/vma.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static int
setup_never(void **state)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.frames = 4096;
    config.overcommit = ASPEN_OVERCOMMIT_NEVER;
    config.overcommit_kbytes = 1000 * 4;
    config.admin_reserve_pages = 100;
    config.user_reserve_pages = 10;
    return helper_space_setup_with(state, &config);
}

static int
map(struct helper_space *s, uint64_t first, uint64_t pages, uint64_t flags)
{
    struct aspen_mmap_args args = {
        .address = AT(first),
        .length_bytes = AT(pages),
        .vm_flags = flags,
        .flags = ASPEN_MAP_FIXED,
    };
    uint64_t address;

    return aspen_mmap(s->mm, &args, &address);
}

static void
limit(struct helper_space *s, enum aspen_limit which, uint64_t bytes)
{
    assert_int_equal(aspen_limit_set(s->mm, which, bytes), 0);
    assert_int_equal(aspen_limit(s->mm, which), bytes);
}

/* ---- Limits ------------------------------------------------------------ */

static void
unknown_ones(void **state)
{
    struct helper_space *s = *state;

    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        assert_int_equal(aspen_limit(s->mm, (enum aspen_limit)i),
                         ASPEN_UNLIMITED);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMITS, 5), -ASPEN_EINVAL);
    assert_int_equal(aspen_limit(s->mm, ASPEN_LIMITS), ASPEN_UNLIMITED);
    assert_int_equal(aspen_privileges(s->mm), 0);
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGES + 1),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_privileges(s->mm), 0);
}

static void
all_mappings(void **state)
{
    struct helper_space *s = *state;

    limit(s, ASPEN_LIMIT_AS, AT(10) + 7);
    assert_int_equal(map(s, 100, 11, R), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 100, 10, R), 0);
    assert_int_equal(map(s, 200, 1, R), -ASPEN_ENOMEM);
    /* What is replaced makes room. */
    assert_int_equal(map(s, 105, 5, RW), 0);
    assert_int_equal(map(s, 105, 6, RW), -ASPEN_ENOMEM);
    limit(s, ASPEN_LIMIT_AS, AT(3));
    assert_int_equal(map(s, 105, 5, R), -ASPEN_ENOMEM);
    helper_unmap(s->mm, AT(100), 10);
    assert_int_equal(map(s, 105, 3, R), 0);
}

static void
data(void **state)
{
    struct helper_space *s = *state;

    limit(s, ASPEN_LIMIT_DATA, AT(10));
    assert_int_equal(map(s, 100, 20, R), 0);
    assert_int_equal(map(s, 200, 10, RW), 0);
    assert_int_equal(map(s, 300, 1, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 300, 1, RW | ASPEN_VM_GROWSDOWN), 0);
    assert_int_equal(map(s, 400, 1, RW | ASPEN_VM_NORESERVE), -ASPEN_ENOMEM);
    /* As Linux: at 0 the hard limit is what counts. */
    limit(s, ASPEN_LIMIT_DATA, 0);
    limit(s, ASPEN_LIMIT_DATA_HARD, AT(12));
    assert_int_equal(map(s, 400, 3, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 400, 2, RW), 0);
}

/* Each mapping that becomes data is asked about with those before it; the limit
 * of all counts no mapping twice. */
static void
data_by_mprotect(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(map(s, 100, 8, R), 0);
    assert_int_equal(map(s, 108, 1, R | ASPEN_VM_RAND_READ), 0);
    assert_int_equal(map(s, 109, 7, R), 0);
    limit(s, ASPEN_LIMIT_DATA, AT(12));
    limit(s, ASPEN_LIMIT_AS, AT(16 + 9));
    assert_int_equal(
        aspen_mprotect(s->mm, AT(100), AT(16), RW, ASPEN_PKEY_SAME),
        -ASPEN_ENOMEM);
    limit(s, ASPEN_LIMIT_DATA, AT(16));
    assert_int_equal(
        aspen_mprotect(s->mm, AT(100), AT(16), RW, ASPEN_PKEY_SAME), 0);
    /* As Linux: where nothing could be mapped, data is not asked about. */
    assert_int_equal(aspen_mprotect(s->mm, AT(100), AT(16), R, ASPEN_PKEY_SAME),
                     0);
    limit(s, ASPEN_LIMIT_DATA, AT(1));
    limit(s, ASPEN_LIMIT_AS, AT(16));
    assert_int_equal(
        aspen_mprotect(s->mm, AT(100), AT(16), RW, ASPEN_PKEY_SAME), 0);
}

static void
locked(void **state)
{
    struct helper_space *s = *state;
    const uint64_t flags = RW | ASPEN_VM_LOCKED;

    limit(s, ASPEN_LIMIT_MEMLOCK, AT(5));
    assert_int_equal(map(s, 100, 6, flags), -ASPEN_EAGAIN);
    assert_int_equal(map(s, 100, 5, flags), 0);
    assert_int_equal(map(s, 200, 1, flags), -ASPEN_EAGAIN);
    limit(s, ASPEN_LIMIT_MEMLOCK, 0);
    assert_int_equal(map(s, 200, 1, flags), -ASPEN_EPERM);
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGE_IPC_LOCK), 0);
    assert_int_equal(map(s, 200, 1, flags), 0);
    /* Locked is filled. */
    assert_int_equal(helper_counters(s->mm).locked_pages, 6);
    assert_int_equal(helper_counters(s->mm).anon_pages, 6);
}

static void
a_stack(void **state)
{
    struct helper_space *s = *state;
    const unsigned write = ASPEN_ACCESS_WRITE;

    limit(s, ASPEN_LIMIT_STACK, AT(8) + 1);
    helper_map(s->mm, AT(1000), 2, RW | ASPEN_VM_GROWSDOWN);
    assert_int_equal(aspen_fault(s->mm, AT(993), write), -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, AT(994), write), 0);
    limit(s, ASPEN_LIMIT_STACK, ASPEN_UNLIMITED);
    limit(s, ASPEN_LIMIT_AS, AT(10));
    assert_int_equal(aspen_fault(s->mm, AT(991), write), -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, AT(992), write), 0);
    helper_assert_space(
        s->mm,
        "  vma  0x3e0000-0x3ea000 rw- private  anon 1  growsdown account\n");
}

static void
a_locked_stack(void **state)
{
    struct helper_space *s = *state;
    const unsigned write = ASPEN_ACCESS_WRITE;

    limit(s, ASPEN_LIMIT_MEMLOCK, AT(4));
    helper_map(s->mm, AT(1000), 2, RW | ASPEN_VM_GROWSDOWN | ASPEN_VM_LOCKED);
    assert_int_equal(aspen_fault(s->mm, AT(997), write), -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, AT(998), write), 0);
}

static void
too_low(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(map(s, 15, 1, R), -ASPEN_EPERM);
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGE_SYS_RAWIO), 0);
    assert_int_equal(map(s, 15, 1, R), 0);
    assert_int_equal(map(s, 0, 1, R), 0);
}

static void
fork_hands_them_on(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout layout = {.mmap_base = AT(5000),
                                  .mmap_bottom = AT(1000),
                                  .stack_start = AT(3000)};
    struct aspen_layout child_layout;
    struct aspen_mm *child;

    limit(s, ASPEN_LIMIT_AS, AT(77));
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGE_SYS_ADMIN), 0);
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_limit(child, ASPEN_LIMIT_AS), AT(77));
    assert_int_equal(aspen_limit(child, ASPEN_LIMIT_STACK), ASPEN_UNLIMITED);
    assert_int_equal(aspen_privileges(child), ASPEN_PRIVILEGE_SYS_ADMIN);
    aspen_layout_read(child, &child_layout);
    assert_memory_equal(&child_layout, &layout, sizeof(layout));
    aspen_mm_put(child);
}

/* ---- Charge ------------------------------------------------------------ */

/* 1,000 pages by overcommit_kbytes; the sum stays below what is left. */
static void
reserves(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(aspen_charge_limit(s->helper.aspen), 1000);
    assert_int_equal(map(s, 1000, 900, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 1000, 899, RW), 0);
    /* Shared memory is charged to an object, for the space. */
    helper_unmap(s->mm, AT(1000), 899);
    assert_int_equal(map(s, 1000, 900, RW | ASPEN_VM_SHARED), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 1000, 899, RW | ASPEN_VM_SHARED), 0);
    helper_unmap(s->mm, AT(1000), 899);
    assert_int_equal(map(s, 1000, 899, RW), 0);
    assert_int_equal(map(s, 1000, 899, R), 0);
    /* 1/32 of 899 pages is more than the user's reserve of 10. */
    assert_int_equal(map(s, 3000, 890, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 3000, 889, RW), 0);
    helper_unmap(s->mm, AT(3000), 889);
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGE_SYS_ADMIN), 0);
    assert_int_equal(map(s, 3000, 990, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 3000, 989, RW), 0);
    helper_unmap(s->mm, AT(3000), 989);
    /* A small space keeps little for its user: 64 pages, 2. */
    helper_unmap(s->mm, AT(1000), 835);
    assert_int_equal(map(s, 3000, 998, RW), -ASPEN_ENOMEM);
    assert_int_equal(map(s, 3000, 997, RW), 0);
}

/* Each mapping that becomes writable is asked about, not all of them together.
 */
static void
guess_of_several(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(map(s, 10000, 3000, R), 0);
    assert_int_equal(map(s, 13000, 3000, 0), 0);
    assert_int_equal(
        aspen_mprotect(s->mm, AT(10000), AT(6000), RW, ASPEN_PKEY_SAME), 0);
    assert_int_equal(helper_committed(&s->helper), 6000);
    assert_int_equal(map(s, 20000, 6000, 0), 0);
    assert_int_equal(
        aspen_mprotect(s->mm, AT(20000), AT(6000), RW, ASPEN_PKEY_SAME),
        -ASPEN_ENOMEM);
    helper_unmap(s->mm, AT(10000), 6000);
}

/* ---- Counters ---------------------------------------------------------- */

static void
peaks(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(100), 20, RW);
    for (unsigned i = 0; i < 7; i++)
        helper_put(&s->helper, s->mm, AT(100 + i), 1);
    helper_unmap(s->mm, AT(100), 15);
    helper_map(s->mm, AT(200), 3, R);
    assert_int_equal(helper_counters(s->mm).total_pages, 8);
    assert_int_equal(helper_counters(s->mm).peak_pages, 20);
    assert_int_equal(helper_counters(s->mm).anon_pages, 0);
    assert_int_equal(helper_counters(s->mm).peak_resident_pages, 7);
}

/* ---- Layout ------------------------------------------------------------ */

static const struct aspen_layout good = {
    .mmap_base = AT(100000),
    .mmap_bottom = AT(50000),
    .code_start = AT(100),
    .code_end = AT(110),
    .data_start = AT(120),
    .data_end = AT(130),
    .brk_start = AT(140),
    .brk = AT(150) + 5,
    .stack_start = AT(90000) + 3,
    .arg_start = AT(90001),
    .arg_end = AT(90001) + 50,
    .env_start = AT(90001) + 50,
    .env_end = AT(90001) + 50,
};

static int
set(struct helper_space *s, const struct aspen_layout *layout)
{
    return aspen_layout_set(s->mm, layout);
}

static void
layouts(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout now, wrong;
    uint64_t *const fields[] = {
        &wrong.code_start, &wrong.code_end, &wrong.data_start, &wrong.data_end,
        &wrong.brk_start,  &wrong.brk,      &wrong.arg_start,  &wrong.arg_end,
        &wrong.env_start,  &wrong.env_end,  &wrong.stack_start};

    assert_int_equal(set(s, &good), 0);
    for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        wrong = good;
        *fields[i] = AT(1); /* too low */
        assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
        *fields[i] = s->mm->address_limit;
        assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
        if (fields[i] == &wrong.stack_start)
            continue;
        *fields[i] = 0; /* half of a pair */
        assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
        *fields[i] = i % 2 ? AT(17) : AT(95000); /* in the wrong order */
        assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    }
    wrong = good;
    wrong.code_end = wrong.code_start;
    assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    wrong = good;
    wrong.mmap_base++;
    assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    wrong = good;
    wrong.mmap_bottom = s->mm->address_limit + PAGE;
    assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    wrong = good; /* searches need both: they are not "not known" */
    wrong.mmap_base = 0;
    assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    wrong = good;
    wrong.mmap_bottom = 0;
    assert_int_equal(set(s, &wrong), -ASPEN_EINVAL);
    aspen_layout_read(s->mm, &now);
    assert_memory_equal(&now, &good, sizeof(good));
}

static void
a_layout_keeps_to_the_limit(void **state)
{
    struct helper_space *s = *state;

    limit(s, ASPEN_LIMIT_DATA, AT(20) + 4);
    assert_int_equal(set(s, &good), -ASPEN_EINVAL);
    limit(s, ASPEN_LIMIT_DATA, AT(20) + 5);
    assert_int_equal(set(s, &good), 0);
}

static int
move(struct helper_space *s, enum aspen_layout_part part, uint64_t address)
{
    return aspen_layout_move(s->mm, part, address);
}

static void
parts_of_a_layout(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout wanted = good, now;

    assert_int_equal(set(s, &good), 0);
    helper_map(s->mm, AT(95000), 1, R);
    assert_int_equal(move(s, ASPEN_LAYOUT_BRK, good.brk), -ASPEN_EPERM);
    assert_int_equal(aspen_privileges_set(s->mm, ASPEN_PRIVILEGE_SYS_RESOURCE),
                     0);
    assert_int_equal(move(s, 0, good.brk), -ASPEN_EINVAL);
    assert_int_equal(move(s, ASPEN_LAYOUT_ENV_END + 1, good.brk),
                     -ASPEN_EINVAL);
    assert_int_equal(move(s, ASPEN_LAYOUT_BRK, 0), -ASPEN_EINVAL);
    assert_int_equal(move(s, ASPEN_LAYOUT_BRK, s->mm->address_limit),
                     -ASPEN_EINVAL);
    assert_int_equal(move(s, ASPEN_LAYOUT_BRK, good.brk_start - 1),
                     -ASPEN_EINVAL);
    limit(s, ASPEN_LIMIT_DATA, AT(20) + 5);
    assert_int_equal(move(s, ASPEN_LAYOUT_BRK, good.brk + 1), -ASPEN_EINVAL);
    /* There has to be something where stack and arguments are, or above. */
    assert_int_equal(move(s, ASPEN_LAYOUT_STACK_START, AT(95001)),
                     -ASPEN_EFAULT);
    assert_int_equal(move(s, ASPEN_LAYOUT_ENV_END, AT(95001)), -ASPEN_EFAULT);
    aspen_layout_read(s->mm, &now);
    assert_memory_equal(&now, &wanted, sizeof(wanted));
    assert_int_equal(
        move(s, ASPEN_LAYOUT_STACK_START, wanted.stack_start = AT(95000)), 0);
    assert_int_equal(move(s, ASPEN_LAYOUT_ENV_END, wanted.env_end = AT(94000)),
                     0);
    assert_int_equal(
        move(s, ASPEN_LAYOUT_CODE_END, wanted.code_end = good.code_end + 5), 0);
    aspen_layout_read(s->mm, &now);
    assert_memory_equal(&now, &wanted, sizeof(wanted));
}

/* As Linux has them on these processors. */
#ifdef ASPEN_PAGING_FORMAT_AARCH64_H
#define STACK_RANDOM_PAGES 0x3ffff
#define BOTTOM             ((uint64_t)1 << 46)
#elif defined(ASPEN_PAGING_FORMAT_RISCV_H)
#define STACK_RANDOM_PAGES 0x3ffff
#define BOTTOM                                                                 \
    (ASPEN_TABLE_LEVELS == 3 ? UINT64_C(0x1555556000)                          \
                             : UINT64_C(0x2aaaaaaab000))
#else
#define STACK_RANDOM_PAGES 0x3fffff
#define BOTTOM             UINT64_C(0x2aaaaaaab000)
#endif

static void
choices(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout_choice choice = {.random_bytes = AT(10)};
    struct aspen_layout layout = {.brk = 3};
    const uint64_t top = aspen_mm_window(s->mm);
    const uint64_t gap = AT(256);

    limit(s, ASPEN_LIMIT_STACK, MIB); /* 128 MiB are the least */
    assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout), 0);
    assert_int_equal(layout.mmap_base, top - 128 * MIB - AT(10));
    assert_int_equal(layout.mmap_bottom, BOTTOM + AT(10));
    assert_false(layout.bottom_up);
    assert_int_equal(layout.brk, 3);
    limit(s, ASPEN_LIMIT_STACK, GIB);
    choice.flags = ASPEN_LAYOUT_CHOICE_RANDOM_STACK;
    assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout), 0);
    assert_int_equal(layout.mmap_base,
                     top - GIB - gap - AT(STACK_RANDOM_PAGES) - AT(10));
    limit(s, ASPEN_LIMIT_STACK, ASPEN_UNLIMITED); /* 5/6 are the most */
    choice.flags |= ASPEN_LAYOUT_CHOICE_BOTTOM_UP;
    assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout), 0);
    assert_true(layout.bottom_up);
    assert_int_equal(layout.mmap_base,
                     (top - top / 6 * 5 - AT(10) + PAGE - 1) / PAGE * PAGE);
    choice.flags = ASPEN_LAYOUT_CHOICE_FLAGS + 1;
    assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout),
                     -ASPEN_EINVAL);
    assert_true(layout.bottom_up);
}

/* What Linux can draw at most is as given; all that is more counts as that. */
static void
choices_stay_in_user_space(void **state)
{
    struct helper_space *s = *state;
    const uint64_t top = aspen_mm_window(s->mm);
    const uint64_t most = top / 8 / PAGE * PAGE;
    struct aspen_layout_choice choice = {.random_bytes = most};
    struct aspen_layout expected = {.brk = 0}, layout = {.brk = 0};

    assert_int_equal(aspen_layout_choose(s->mm, &choice, &expected), 0);
    assert_int_equal(expected.mmap_base,
                     (top - top / 6 * 5 - most + PAGE - 1) / PAGE * PAGE);
    assert_int_equal(expected.mmap_bottom, BOTTOM + most);
    assert_int_equal(set(s, &expected), 0);
    for (unsigned bit = 45; bit < 64; bit++) {
        choice.random_bytes = UINT64_C(1) << bit;
        assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout), 0);
        assert_memory_equal(&layout, &expected, sizeof(layout));
    }
    choice.random_bytes = UINT64_MAX;
    assert_int_equal(aspen_layout_choose(s->mm, &choice, &layout), 0);
    assert_memory_equal(&layout, &expected, sizeof(layout));
}

static void
bottom_up(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout layout = {
        .mmap_base = AT(1000), .mmap_bottom = AT(500), .bottom_up = true};

    assert_int_equal(set(s, &layout), 0);
    assert_int_equal(helper_map(s->mm, 0, 3, R), AT(500));
    assert_int_equal(helper_map(s->mm, 0, 3, RW), AT(503));
    assert_int_equal(helper_map(s->mm, AT(400), 1, R), AT(400));
    layout.bottom_up = false;
    assert_int_equal(set(s, &layout), 0);
    assert_int_equal(helper_map(s->mm, 0, 3, R), AT(997));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(unknown_ones),
        helper_space_test(all_mappings),
        helper_space_test(data),
        helper_space_test(data_by_mprotect),
        helper_space_test(locked),
        helper_space_test(a_stack),
        helper_space_test(a_locked_stack),
        helper_space_test(too_low),
        helper_space_test(fork_hands_them_on),
        helper_space_test(guess_of_several),
        cmocka_unit_test_setup_teardown(reserves, setup_never,
                                        helper_space_teardown),
        helper_space_test(peaks),
        helper_space_test(layouts),
        helper_space_test(a_layout_keeps_to_the_limit),
        helper_space_test(parts_of_a_layout),
        helper_space_test(choices),
        helper_space_test(choices_stay_in_user_space),
        helper_space_test(bottom_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
