/* SPDX-License-Identifier: MIT */
/* What mmap makes one with its neighbours, and what not. */
#include "helper.h"

#include "rmap/rmap.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static void
test_merge(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;

    helper_map(mm, AT(100), 4, RW);
    helper_map(mm, AT(104), 4, RW); /* after */
    helper_map(mm, AT(96), 4, RW);  /* before */
    helper_assert_space(mm,
                        "  vma  0x60000-0x6c000 rw- private  anon  account\n");
    helper_map(mm, AT(110), 4, RW);
    helper_map(mm, AT(108), 2, RW); /* between */
    helper_assert_space(mm,
                        "  vma  0x60000-0x72000 rw- private  anon  account\n");
    assert_int_equal(helper_counters(mm).vmas, 1);
    assert_int_equal(helper_counters(mm).total_pages, 18);
    assert_int_equal(helper_committed(&s->helper), 18);

    helper_map(mm, AT(114), 1, R); /* other flags */
    helper_map(mm, AT(115), 1, R | ASPEN_VM_DONTCOPY);
    helper_map(mm, AT(116), 1, R | ASPEN_VM_DONTCOPY | ASPEN_VM_DONTEXPAND);
    helper_map(mm, AT(117), 1, R | ASPEN_VM_DONTCOPY | ASPEN_VM_DONTEXPAND);
    helper_assert_space(mm,
                        "  vma  0x60000-0x72000 rw- private  anon  account\n"
                        "  vma  0x72000-0x73000 r-- private  anon\n"
                        "  vma  0x73000-0x74000 r-- private  anon  dontcopy\n"
                        "  vma  0x74000-0x75000 r-- private  anon  dontcopy\n"
                        "  vma  0x75000-0x76000 r-- private  anon  dontcopy\n");
}

static void
test_merge_object(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);
    struct aspen_mm *mm = s->mm;
    struct aspen_object *other =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);

    helper_map_object(mm, AT(100), 2, R, object, 10);
    helper_map_object(mm, AT(102), 2, R, object, 12);
    helper_map_object(mm, AT(98), 2, R, object, 8);
    helper_map_object(mm, AT(104), 2, R, object, 15); /* not contiguous */
    helper_map_object(mm, AT(106), 2, R, other, 17);
    helper_map(mm, AT(108), 2, R);
    helper_assert_space(mm,
                        "  vma  0x62000-0x68000 r-- private  shmem 1+0x8000\n"
                        "  vma  0x68000-0x6a000 r-- private  shmem 1+0xf000\n"
                        "  vma  0x6a000-0x6c000 r-- private  shmem 1+0x11000\n"
                        "  vma  0x6c000-0x6e000 r-- private  anon\n");
    assert_int_equal(object->i_mmap.count, 2);
    assert_int_equal(object->references, 3);
    helper_put(&s->helper, mm,
               helper_map_object(mm, 0, 1, RW | ASPEN_VM_SHARED, object, 13),
               9);
    assert_int_equal(helper_get(&s->helper, mm, AT(103)), 9);
    aspen_object_put(other);
    aspen_object_put(object);
}

/* Pages stay found when the VMAs around them become one. */
static void
test_merge_pages(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_mm *mm = s->mm;
    const uint64_t touched[] = {100, 105, 103};
    const char *const one[] = {
        "  vma  0x64000-0x6a000 rw- private  anon  account\n",
        "  vma  0x64000-0x6a000 rw- private  anon 1  account\n",
        "  vma  0x64000-0x6a000 rw- private  anon 2  account\n",
    };

    /* below, above: neither, one, the other, or both touched first. Touched
     * both, they have an anon_vma each and stay two. */
    for (unsigned mask = 0; mask < 4; mask++) {
        uint32_t frame;
        helper_map(mm, AT(100), 2, RW);
        helper_map(mm, AT(104), 2, RW);
        for (unsigned i = 0; i < 2; i++)
            if (mask & 1u << i)
                helper_put(&s->helper, mm, AT(touched[i]), 1);
        helper_map(mm, AT(102), 2, RW);
        if (mask == 3)
            helper_assert_space(
                mm, "  vma  0x64000-0x68000 rw- private  anon 3  account\n"
                    "  vma  0x68000-0x6a000 rw- private  anon 4  account\n");
        else
            helper_assert_space(mm, one[mask]);
        assert_int_equal(aspen_vma_at(mm, AT(100))->anon_vma != NULL,
                         mask != 0);
        for (unsigned i = 0; i < 3; i++) {
            helper_put(&s->helper, mm, AT(touched[i]), 2);
            assert_int_equal(
                aspen_translate(mm, AT(touched[i]), ASPEN_ACCESS_READ, &frame),
                0);
            assert_int_equal(aspen_rmap_count(aspen, frame), 1);
        }
        helper_assert_valid(&s->helper);
        helper_unmap(mm, AT(100), 6);
    }
}

/* Touched after they stand side by side, neighbours share an anon_vma, so
 * that what is mapped between them makes one of all. */
static void
test_merge_same_anon_vma(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;

    helper_map(mm, AT(100), 6, RW);
    helper_put(&s->helper, mm, AT(100), 1);
    helper_put(&s->helper, mm, AT(105), 1);
    helper_unmap(mm, AT(102), 2);
    helper_assert_space(
        mm, "  vma  0x64000-0x66000 rw- private  anon 1  account\n"
            "  vma  0x68000-0x6a000 rw- private  anon 1  account\n");
    helper_map(mm, AT(102), 2, RW);
    helper_assert_space(
        mm, "  vma  0x64000-0x6a000 rw- private  anon 1  account\n");
}

/* What was forked does not take a mapping without an anon_vma of its own. */
static void
test_merge_forked(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(100), 2, RW);
    helper_put(&s->helper, s->mm, AT(100), 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_map(s->mm, AT(102), 2, RW);
    helper_map(child, AT(102), 2, RW);
    helper_assert_space(
        s->mm, "  vma  0x64000-0x68000 rw- private  anon 1  account\n");
    helper_assert_space(child,
                        "  vma  0x64000-0x66000 rw- private  anon 2  account\n"
                        "  vma  0x66000-0x68000 rw- private  anon  account\n");
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
}

static int
never_opened(void *context, struct aspen_vma *vma)
{
    (void)vma;
    ++*(int *)context;
    return 0;
}

static void
closed(void *context, struct aspen_vma *vma)
{
    (void)vma;
    --*(int *)context;
}

/* A VMA whose object wants to hear of its end does not end by a merge. */
static void
test_merge_close_hook(void **state)
{
    static const struct aspen_pager_ops pager = {.open = never_opened,
                                                 .close = closed};
    struct helper_space *s = *state;
    int open = 0;

    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 64, &pager, &open);
    helper_map_object(s->mm, AT(100), 2, R, object, 0);
    helper_map_object(s->mm, AT(104), 2, R, object, 4);
    helper_map_object(s->mm, AT(102), 2, R, object, 2);
    helper_assert_space(s->mm,
                        "  vma  0x64000-0x68000 r-- private  file 1+0x0\n"
                        "  vma  0x68000-0x6a000 r-- private  file 1+0x4000\n");
    assert_int_equal(open, 2);
    helper_unmap(s->mm, AT(100), 6);
    assert_int_equal(open, 0);
    aspen_object_put(object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_merge),
        helper_space_test(test_merge_object),
        helper_space_test(test_merge_pages),
        helper_space_test(test_merge_same_anon_vma),
        helper_space_test(test_merge_forked),
        helper_space_test(test_merge_close_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
