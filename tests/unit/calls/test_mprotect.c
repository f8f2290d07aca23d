/* SPDX-License-Identifier: MIT */
/* mprotect: every case of split and merge, what entries allow, charge, and
 * every step failing. test_mmap_host.c compares with the host. */
#include "helper.h"
#include "internal.h"
#include "space/vma.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define SAME     ASPEN_PKEY_SAME

static int
protect(struct helper_space *s, uint64_t first, uint64_t pages, uint64_t access)
{
    return aspen_mprotect(s->mm, AT(first), AT(pages), access, SAME);
}

/* ---- Split and merge --------------------------------------------------- */

/*
 * Two letters say what four pages from 0x100 on are and become: p is --- and
 * the rest as it looks. `touched`: pages that hold something before.
 */
struct shape {
    const char *name;
    const char *before; /* one letter a page: r, w or p; '.': a hole */
    const char *touched;
    unsigned first; /* of the change */
    unsigned pages;
    char access;
    const char *after; /* in the notation */
};

static uint64_t
access_of(char letter)
{
    return letter == 'w' ? RW : letter == 'r' ? R : 0;
}

/* Linux's cases by the letters in the drawing of its vma_merge(). */
static const struct shape shapes[] = {
    {"all of one", "wwww", "", 0, 4, 'r',
     "  vma  0x100000-0x104000 r-- private  anon\n"},
    {"a head", "wwww", "", 0, 2, 'r',
     "  vma  0x100000-0x102000 r-- private  anon\n"
     "  vma  0x102000-0x104000 rw- private  anon  account\n"},
    {"a tail", "wwww", "", 2, 2, 'r',
     "  vma  0x100000-0x102000 rw- private  anon  account\n"
     "  vma  0x102000-0x104000 r-- private  anon\n"},
    {"a middle", "wwww", "", 1, 2, 'r',
     "  vma  0x100000-0x101000 rw- private  anon  account\n"
     "  vma  0x101000-0x103000 r-- private  anon\n"
     "  vma  0x103000-0x104000 rw- private  anon  account\n"},
    {"the boundary below moves up", "rwww", "", 1, 1, 'r',
     "  vma  0x100000-0x102000 r-- private  anon\n"
     "  vma  0x102000-0x104000 rw- private  anon  account\n"},
    {"the boundary above moves down", "wwwr", "", 2, 1, 'r',
     "  vma  0x100000-0x102000 rw- private  anon  account\n"
     "  vma  0x102000-0x104000 r-- private  anon\n"},
    {"one with the one below", "rwpp", "", 1, 1, 'r',
     "  vma  0x100000-0x102000 r-- private  anon\n"
     "  vma  0x102000-0x104000 --- private  anon\n"},
    {"one with the one above", "pwrr", "", 1, 1, 'r',
     "  vma  0x100000-0x101000 --- private  anon\n"
     "  vma  0x101000-0x104000 r-- private  anon\n"},
    {"one with both", "rwrr", "", 1, 1, 'r',
     "  vma  0x100000-0x104000 r-- private  anon\n"},
    {"one with both, touched", "wrww", "0123", 1, 1, 'w',
     "  vma  0x100000-0x104000 rw- private  anon 1  account\n"},
    {"many become one", "rwpw", "", 0, 4, 'w',
     "  vma  0x100000-0x104000 rw- private  anon  account\n"},
    {"many become one below", "rwpw", "", 1, 3, 'r',
     "  vma  0x100000-0x104000 r-- private  anon\n"},
    {"two touched apart stay two", "wpww", "", 1, 1, 'p',
     "  vma  0x100000-0x101000 rw- private  anon  account\n"
     "  vma  0x101000-0x102000 --- private  anon\n"
     "  vma  0x102000-0x104000 rw- private  anon  account\n"},
    {"nothing changes, nothing joins", "wwrr", "", 0, 2, 'w',
     "  vma  0x100000-0x102000 rw- private  anon  account\n"
     "  vma  0x102000-0x104000 r-- private  anon\n"},
};

static void
make_shape(struct helper_space *s, const struct shape *shape)
{
    /* As one area, so that page offsets go on. */
    for (unsigned i = 0; i < 4; i++)
        if (shape->before[i] != '.')
            helper_map(s->mm, AT(0x100 + i), 1, RW);
    for (const char *page = shape->touched; *page; page++)
        helper_put(&s->helper, s->mm, AT(0x100 + *page - '0'), (uint8_t)*page);
    for (unsigned i = 0; i < 4; i++)
        if (shape->before[i] != '.' && shape->before[i] != 'w')
            assert_int_equal(
                protect(s, 0x100 + i, 1, access_of(shape->before[i])), 0);
}

static void
test_shapes(void **state)
{
    struct helper_space *s = *state;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape *shape = &shapes[i];
        print_message("%s\n", shape->name);
        make_shape(s, shape);
        assert_int_equal(protect(s, 0x100 + shape->first, shape->pages,
                                 access_of(shape->access)),
                         0);
        helper_assert_space(s->mm, shape->after);
        helper_assert_valid(&s->helper);
        assert_int_equal(protect(s, 0x100, 4, R), 0);
        for (const char *page = shape->touched; *page; page++)
            assert_int_equal(
                helper_get(&s->helper, s->mm, AT(0x100 + *page - '0')), *page);
        helper_unmap(s->mm, AT(0x100), 4);
    }
}

/* Thousands of VMAs become one, for two tree nodes or so. */
static void
test_many(void **state)
{
    enum { N = 4000 };
    struct helper_space *s = *state;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    struct aspen_failpoint_counts counts;

    helper_map(s->mm, AT(0x1000), N, RW);
    for (unsigned i = 0; i < N; i += 2)
        assert_int_equal(protect(s, 0x1000 + i, 1, R), 0);
    assert_int_equal(s->mm->map_count, N);
    if (aspen_failpoints_available())
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
    assert_int_equal(protect(s, 0x1000, N, R), 0);
    aspen_failpoints_read(s->helper.aspen, &counts);
    assert_int_equal(s->mm->map_count, 1);
    assert_true(counts.crossings < 64);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
}

/* Pages of a VMA that was forked would be looked for in all of the family. */
static void
test_family(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(0x100), 4, RW);
    helper_put(&s->helper, s->mm, AT(0x101), 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    struct aspen_mm *parent = s->mm;
    s->mm = child;
    helper_map(s->mm, AT(0x104), 2, R);
    /* Its own mapping has no anon_vma, the inherited one has two links. */
    assert_int_equal(protect(s, 0x104, 2, RW), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x104000 rw- private  anon 1  account\n"
               "  vma  0x104000-0x106000 rw- private  anon  account\n");
    s->mm = parent;
    aspen_mm_put(child);
}

/* ---- What is allowed then ---------------------------------------------- */

static void
test_access(void **state)
{
    struct helper_space *s = *state;
    uint8_t byte = 9;
    uint32_t frame;

    helper_map(s->mm, AT(0x100), 4, RW);
    helper_put(&s->helper, s->mm, AT(0x101), 7);
    assert_int_equal(protect(s, 0x100, 4, R), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(0x101)), 7);
    assert_int_equal(
        aspen_translate(s->mm, AT(0x101), ASPEN_ACCESS_WRITE, &frame),
        -ASPEN_EFAULT);
    assert_int_equal(helper_write(&s->helper, s->mm, AT(0x101), &byte, 1),
                     -ASPEN_EACCES);
    assert_int_equal(protect(s, 0x100, 4, 0), 0);
    assert_int_equal(
        aspen_translate(s->mm, AT(0x101), ASPEN_ACCESS_READ, &frame),
        -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, AT(0x101), ASPEN_ACCESS_READ),
                     -ASPEN_EACCES);
    assert_int_equal(protect(s, 0x100, 4, RX), 0);
    assert_true(helper_can_execute(s->mm, AT(0x101)));
    assert_int_equal(protect(s, 0x100, 4, RW), 0);
    helper_put(&s->helper, s->mm, AT(0x101), byte);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(0x101)), byte);
}

/* A page that a child has as well does not become writable by mprotect. */
static void
test_shared_with_child(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(0x100), 1, RW);
    helper_put(&s->helper, s->mm, AT(0x100), 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(protect(s, 0x100, 1, R), 0);
    assert_int_equal(protect(s, 0x100, 1, RW), 0);
    helper_put(&s->helper, s->mm, AT(0x100), 2);
    assert_int_equal(helper_get(&s->helper, child, AT(0x100)), 1);
    aspen_mm_put(child);
}

static void
test_flushes(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm_counters before, after;

    helper_map(s->mm, AT(0x100), 64, RW);
    for (unsigned i = 0; i < 64; i++)
        helper_put(&s->helper, s->mm, AT(0x100 + i), 1);
    aspen_mm_counters_read(s->mm, &before);
    assert_int_equal(protect(s, 0x100, 64, R), 0);
    aspen_mm_counters_read(s->mm, &after);
    assert_int_equal(after.tlb_flushes, before.tlb_flushes + 1);
    /* Nothing is taken away: nothing to flush. */
    helper_map(s->mm, AT(0x200), 64, RW);
    assert_int_equal(protect(s, 0x200, 64, R), 0);
    aspen_mm_counters_read(s->mm, &before);
    assert_int_equal(after.tlb_flushes, before.tlb_flushes);
}

/* ---- Charge ------------------------------------------------------------ */

static void
test_charge(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100), 8, R);
    assert_int_equal(helper_committed(&s->helper), 0);
    assert_int_equal(protect(s, 0x102, 4, RW), 0);
    assert_int_equal(helper_committed(&s->helper), 4);
    /* It has no pages: the charge goes. Once it has one it stays. */
    assert_int_equal(protect(s, 0x102, 4, R), 0);
    assert_int_equal(helper_committed(&s->helper), 0);
    helper_assert_space(s->mm, "  vma  0x100000-0x108000 r-- private  anon\n");
    assert_int_equal(protect(s, 0x102, 4, RW), 0);
    helper_put(&s->helper, s->mm, AT(0x103), 1);
    assert_int_equal(protect(s, 0x102, 4, R), 0);
    assert_int_equal(helper_committed(&s->helper), 4);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 r-- private  anon\n"
               "  vma  0x102000-0x106000 r-- private  anon 1  account\n"
               "  vma  0x106000-0x108000 r-- private  anon\n");
}

/* ---- Refused ----------------------------------------------------------- */

/* What the lower one is refused is heard before what the upper one is, as by
 * Linux 6.18 (asked with 4 TiB below a file that is open to be read). */
static void
test_charge_first(void **state)
{
    struct helper_space *s = *state;
    const uint64_t never = R | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD;
    const uint64_t pages = helper_counts(s->helper.aspen).frames_total + 1;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 1, NULL, NULL);

    helper_map(s->mm, AT(0x100), pages, 0);
    helper_map_object(s->mm, AT(0x100 + pages), 1, never, object, 0);
    assert_int_equal(protect(s, 0x100, pages + 1, RW), -ASPEN_ENOMEM);
    assert_int_equal(protect(s, 0x101, pages, RW), -ASPEN_EACCES);
    helper_map_object(s->mm, AT(0xff), 1, never, object, 0);
    assert_int_equal(protect(s, 0xff, pages + 1, RW), -ASPEN_EACCES);
    assert_int_equal(helper_counts(s->helper.aspen).committed_pages, 0);
    aspen_object_put(object);
}

static void
test_arguments(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    struct helper_state before;
    const uint64_t grows = ASPEN_PROT_GROWSDOWN;

    helper_map(mm, AT(0x100), 4, RW);
    helper_map(mm, AT(0x106), 4, R | ASPEN_VM_MAYREAD);
    helper_map(mm, AT(0x200), 4, RW | ASPEN_VM_GROWSDOWN);
    helper_state_take(&s->helper, mm, &before);
    assert_int_equal(aspen_mprotect(mm, AT(0x100) + 1, PAGE, R, SAME),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), PAGE, 8, SAME),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), PAGE, R, 16), -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), PAGE, R, -2), -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x200), PAGE,
                                    R | grows | ASPEN_PROT_GROWSUP, SAME),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), PAGE, R | grows, SAME),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_mprotect(mm, AT(0x200), PAGE, R | ASPEN_PROT_GROWSUP, SAME),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), 0, R, SAME), 0);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), UINT64_MAX, R, SAME),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), UINT64_MAX / 2, R, SAME),
                     -ASPEN_ENOMEM);
    assert_int_equal(protect(s, 0x100, 5, R), -ASPEN_ENOMEM); /* a hole */
    assert_int_equal(protect(s, 0xff, 2, R), -ASPEN_ENOMEM);
    assert_int_equal(protect(s, 0x104, 1, R), -ASPEN_ENOMEM);
    assert_int_equal(protect(s, 0x106, 4, RW), -ASPEN_EACCES);
    helper_assert_state(&s->helper, mm, &before);
    /* From the start of the stack. */
    assert_int_equal(aspen_mprotect(mm, AT(0x202), PAGE, R | grows, SAME), 0);
    helper_assert_space(
        mm, "  vma  0x100000-0x104000 rw- private  anon  account\n"
            "  vma  0x106000-0x10a000 r-- private  anon\n"
            "  vma  0x200000-0x203000 r-- private  anon  growsdown\n"
            "  vma  0x203000-0x204000 rw- private  anon  growsdown account\n");
}

static void
append(void *context, const char *text, size_t length)
{
    strncat(context, text, length);
}

/* Tags are of memory that is no file's: a device's is none, shared memory is.
 */
static void
test_tags(void **state)
{
    static const struct {
        enum aspen_object_kind kind;
        int answer;
    } rows[] = {{ASPEN_OBJECT_FILE, -ASPEN_EINVAL},
                {ASPEN_OBJECT_DEVICE, -ASPEN_EINVAL},
                {ASPEN_OBJECT_SHMEM, 0}};
    struct helper_space *s = *state;
    uint64_t address;

    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(rows); i++) {
        struct aspen_mmap_args args = {
            .address = AT(0x200),
            .length_bytes = PAGE,
            .vm_flags = R | ASPEN_VM_SHARED,
            .object = helper_object(&s->helper, rows[i].kind, 8, NULL, NULL),
        };
        assert_int_equal(aspen_mmap(s->mm, &args, &address), 0);
        assert_int_equal(aspen_mprotect(s->mm, address, PAGE, R | ASPEN_VM_MTE,
                                        ASPEN_PKEY_SAME),
                         rows[i].answer);
        args.vm_flags |= ASPEN_VM_MTE;
        assert_int_equal(aspen_mmap(s->mm, &args, &address), rows[i].answer);
        aspen_object_put(args.object);
    }
}

/* PROT_BTI goes with the next access, PROT_MTE stays, and is no file's. */
static void
test_kinds_of_aarch64(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, NULL, NULL);
    const uint64_t kinds = ASPEN_VM_BTI | ASPEN_VM_MTE;
    struct helper_state before;
    uint64_t address;
    char text[4096] = "";

    helper_map(s->mm, AT(0x100), 4, RX | kinds);
    aspen_inspect_smaps(s->mm, append, text);
    assert_non_null(strstr(text, " ex mr mw me bt mt"));
    helper_map(s->mm, AT(0x104), 2, RX | ASPEN_VM_BTI);
    assert_int_equal(s->mm->map_count, 2);
    assert_int_equal(protect(s, 0x102, 2, RX), 0); /* MTE alone */
    assert_int_equal(s->mm->map_count, 3);
    assert_int_equal(protect(s, 0x100, 6, RX | ASPEN_VM_MTE), 0);
    assert_int_equal(s->mm->map_count, 1);
    assert_int_equal(protect(s, 0x100, 6, RX | ASPEN_VM_BTI), 0);
    assert_int_equal(aspen_vma_find(s->mm, AT(0x100))->flags & kinds, kinds);

    helper_map_object(s->mm, AT(0x200), 4, R, file, 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(protect(s, 0x202, 1, R | ASPEN_VM_MTE), -ASPEN_EINVAL);
    assert_int_equal(
        aspen_mmap(s->mm,
                   &(struct aspen_mmap_args){.length_bytes = PAGE,
                                             .vm_flags = R | ASPEN_VM_MTE,
                                             .object = file},
                   &address),
        -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(protect(s, 0x202, 1, R | ASPEN_VM_BTI), 0);
    aspen_object_put(file);
}

static void
test_limit(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100), 4, R);
    helper_map(s->mm, AT(0x104), 4, R | ASPEN_VM_NORESERVE);
    helper_map(s->mm, AT(0x200), 2, RW);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_DATA, AT(8)), 0);
    assert_int_equal(protect(s, 0x100, 8, RW), -ASPEN_ENOMEM); /* the sum */
    assert_int_equal(s->mm->map_count, 3);
    assert_int_equal(protect(s, 0x100, 6, RW), 0);
    assert_int_equal(protect(s, 0x106, 1, RW), -ASPEN_ENOMEM);
    assert_int_equal(protect(s, 0x106, 1, 0), 0);
}

static void
test_map_count(void **state)
{
    struct aspen_config config;
    struct helper helper;
    (void)state;

    aspen_config_init(&config);
    config.map_count_max = 3;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    helper_map(mm, AT(0x100), 8, RW);
    assert_int_equal(aspen_mprotect(mm, AT(0x102), PAGE, R, SAME), 0);
    assert_int_equal(aspen_mprotect(mm, AT(0x105), PAGE, R, SAME),
                     -ASPEN_ENOMEM);
    assert_int_equal(mm->map_count, 3);

    /* What cannot be split is heard before who is above it and refuses; unless
     * that is not to be split. (Asked of Linux 6.18.) */
    helper_unmap(mm, AT(0x100), 8);
    struct aspen_object *object =
        helper_object(&helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    helper_map(mm, AT(0x100), 2, R);
    helper_map_object(mm, AT(0x102), 1, R | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD,
                      object, 0);
    helper_map(mm, AT(0x200), 1, R);
    assert_int_equal(aspen_mprotect(mm, AT(0x101), AT(2), RW, SAME),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_mprotect(mm, AT(0x100), AT(3), RW, SAME),
                     -ASPEN_EACCES);
    assert_int_equal(mm->map_count, 3);
    helper_unmap(mm, AT(0x200), 1);
    assert_int_equal(aspen_mprotect(mm, AT(0x101), AT(2), RW, SAME),
                     -ASPEN_EACCES);

    /* What is joined first makes room for what is split then. */
    helper_unmap(mm, AT(0x100), 3);
    helper_map(mm, AT(0x100), 1, RW);
    helper_map(mm, AT(0x101), 1, R);
    helper_map_object(mm, AT(0x102), 2, R, object, 0);
    assert_int_equal(aspen_mprotect(mm, AT(0x101), AT(2), RW, SAME), 0);
    assert_int_equal(mm->map_count, 3);
    aspen_mm_put(mm);
    aspen_object_put(object);
    helper_destroy(&helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_shapes),
        helper_space_test(test_many),
        helper_space_test(test_family),
        helper_space_test(test_access),
        helper_space_test(test_shared_with_child),
        helper_space_test(test_flushes),
        helper_space_test(test_charge),
        helper_space_test(test_charge_first),
        helper_space_test(test_arguments),
        helper_space_test(test_tags),
        helper_space_test(test_kinds_of_aarch64),
        helper_space_test(test_limit),
        helper_space_test(test_map_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
