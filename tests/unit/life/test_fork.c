/* SPDX-License-Identifier: MIT */
/*
 * What a child holds: contents over three generations with writes between the
 * forks, in every order of exits; what is left out, wiped, shared; counters.
 */
#include "fork_parent.h"
#include "helper.h"
#include "paging/table.h"
#include "space/vma.h"

/* ---- Generations ------------------------------------------------------- */

#define SPACES  4
#define PAGES   6
#define PRIVATE (1 * MIB) /* the VMA of page p of fork_parent_many */

static uint64_t
page_at(unsigned page)
{
    return PRIVATE + page * 2 * PAGE;
}

/* Space 0 forks 1, 1 forks 2, 0 forks 3 again; between the forks each writes
 * to some pages. `expected` is what each must then read. */
struct family {
    struct fork_parent *parent;
    struct aspen_mm *mm[SPACES];
    unsigned char expected[SPACES][PAGES];
};

static void
write_pages(struct family *family, unsigned who, unsigned mask)
{
    for (unsigned page = 0; page < PAGES; page++) {
        if (!(mask & 1u << page))
            continue;
        unsigned char byte = (unsigned char)(16 * (who + 1) + page);
        helper_put(&family->parent->helper, family->mm[who], page_at(page),
                   byte);
        family->expected[who][page] = byte;
    }
}

static void
fork_one(struct family *family, unsigned from, unsigned to)
{
    assert_int_equal(aspen_fork(family->mm[from], &family->mm[to]), 0);
    memcpy(family->expected[to], family->expected[from], PAGES);
}

static void
check_pages(const struct family *family)
{
    for (unsigned who = 0; who < SPACES; who++)
        for (unsigned page = 0; family->mm[who] && page < PAGES; page++)
            assert_int_equal(helper_get(&family->parent->helper,
                                        family->mm[who], page_at(page)),
                             family->expected[who][page]);
}

static void
make_family(struct family *family)
{
    memset(family, 0, sizeof(*family));
    family->parent = fork_parent_many(PAGES);
    family->mm[0] = family->parent->mm;
    write_pages(family, 0, 0x3f);
    fork_one(family, 0, 1);
    write_pages(family, 0, 0x05);
    write_pages(family, 1, 0x06);
    fork_one(family, 1, 2);
    write_pages(family, 1, 0x12);
    write_pages(family, 2, 0x28);
    fork_one(family, 0, 3);
    write_pages(family, 3, 0x09);
    check_pages(family);
    helper_assert_valid(&family->parent->helper);
}

/* They leave in the order of the four digits of `order` in base 4; who is
 * left writes once more and still sees its own. */
static void
leave_in_order(const unsigned order[SPACES])
{
    struct family family;
    make_family(&family);
    for (unsigned i = 0; i < SPACES; i++) {
        unsigned who = order[i];
        if (who == 0)
            continue; /* leaves with the machine, at its place below */
        aspen_mm_put(family.mm[who]);
        family.mm[who] = NULL;
        check_pages(&family);
        write_pages(&family, 0, 0x21);
        check_pages(&family);
        helper_assert_valid(&family.parent->helper);
    }
    fork_parent_free(family.parent);
}

/* The first space leaves before its children do. */
static void
leave_parent_first(const unsigned order[SPACES])
{
    struct family family;
    make_family(&family);
    struct aspen_mm *survivor = NULL;
    for (unsigned i = 0; i < SPACES; i++) {
        unsigned who = order[i];
        if (i == SPACES - 1) {
            survivor = family.mm[who];
            break;
        }
        aspen_mm_put(family.mm[who]);
        family.mm[who] = NULL;
        check_pages(&family);
        for (unsigned left = 0; left < SPACES; left++)
            if (family.mm[left])
                write_pages(&family, left, 0x33);
        check_pages(&family);
        helper_assert_valid(&family.parent->helper);
    }
    family.parent->mm = survivor;
    fork_parent_free(family.parent);
}

static void
test_exit_orders(void **state)
{
    (void)state;
    unsigned orders = 0;
    for (unsigned code = 0; code < 256; code++) {
        unsigned order[SPACES] = {code & 3, code >> 2 & 3, code >> 4 & 3,
                                  code >> 6 & 3};
        unsigned seen = 0;
        for (unsigned i = 0; i < SPACES; i++)
            seen |= 1u << order[i];
        if (seen != 0xf)
            continue;
        leave_in_order(order);
        leave_parent_first(order);
        orders++;
    }
    print_message("%u orders of exit\n", orders);
    assert_int_equal(orders, 24);
}

/* A chain of forks, each child writing: anon_vmas are reused, not piled up. */
static void
test_long_chain(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_many(2);
    struct aspen_mm *mm = parent->mm;
    for (unsigned generation = 1; generation <= 40; generation++) {
        struct aspen_mm *child;
        assert_int_equal(aspen_fork(mm, &child), 0);
        helper_put(&parent->helper, child, page_at(0),
                   (unsigned char)generation);
        aspen_mm_put(mm);
        mm = child;
        assert_int_equal(helper_get(&parent->helper, mm, page_at(0)),
                         generation);
        helper_assert_valid(&parent->helper);
    }
    struct aspen_counters counters;
    aspen_counters_read(parent->helper.aspen, &counters);
    /* Two VMAs; without reuse each would have 41. */
    assert_true(counters.anon_vmas <= 8);
    parent->mm = mm;
    fork_parent_free(parent);
}

/* ---- What the child gets ----------------------------------------------- */

static void
test_rich_child(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_rich();
    struct aspen_mm_counters before;
    struct aspen_mm_counters after;
    struct aspen_mm *child;

    aspen_mm_counters_read(parent->mm, &before);
    assert_int_equal(aspen_fork(parent->mm, &child), 0);
    helper_assert_valid(&parent->helper);
    aspen_mm_counters_read(child, &after);

    /* Left out: the DONTCOPY VMA. */
    assert_null(aspen_vma_at(child, 8 * MIB));
    assert_int_equal(after.vmas, before.vmas - 1);
    assert_int_equal(after.total_pages, before.total_pages - 8);
    /* Wiped: the VMA without pages, without anon_vma. */
    struct aspen_vma *wiped = aspen_vma_at(child, 9 * MIB);
    assert_non_null(wiped);
    assert_null(wiped->anon_vma);
    assert_int_equal(helper_get(&parent->helper, child, 9 * MIB), 0);
    /* Locked flags are not inherited. */
    assert_int_equal(after.locked_pages, 0);
    assert_true(before.locked_pages > 0);
    assert_false(aspen_vma_at(child, 5 * MIB)->flags & ASPEN_VM_LOCKED);
    /* Swap entries are counted, and put the child on the swap list. */
    assert_int_equal(after.swap_pages, before.swap_pages);
    struct aspen_counters counters;
    aspen_counters_read(parent->helper.aspen, &counters);
    assert_int_equal(counters.mms_swap_list, 2);
    assert_int_equal(counters.swap_references, 2 * before.swap_pages);
    /* Guards are copied, zero pages too. */
    assert_int_equal(aspen_fault(child, 14 * MIB + 4 * PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    /* Shared pages stay shared. */
    helper_put(&parent->helper, child, 12 * MIB, 77);
    assert_int_equal(helper_get(&parent->helper, parent->mm, 12 * MIB), 77);
    /* Private ones do not. */
    helper_put(&parent->helper, child, 10 * MIB + 4 * PAGE, 55);
    assert_int_equal(
        helper_get(&parent->helper, parent->mm, 10 * MIB + 4 * PAGE), 0);

    helper_assert_valid(&parent->helper);
    aspen_mm_put(child);
    helper_assert_valid(&parent->helper);
    fork_parent_free(parent);
}

static void
test_refused_parents(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_empty();
    struct aspen_mm *other;
    struct aspen_mm *child;

    /* A space whose last user has left, still held: EMPTY. */
    assert_int_equal(aspen_mm_create(parent->helper.aspen, &other), 0);
    aspen_mm_hold(other);
    aspen_mm_put(other);
    assert_int_equal(aspen_mm_state(other), ASPEN_MM_EMPTY);
    assert_int_equal(aspen_fork(other, &child), -ASPEN_EINVAL);
    assert_false(aspen_mm_get_live(other));
    aspen_mm_drop(other);
    helper_assert_valid(&parent->helper);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_orders),
        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_rich_child),
        cmocka_unit_test(test_refused_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
