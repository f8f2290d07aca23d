/* SPDX-License-Identifier: MIT */
/*
 * The hooks of mappings, each call: which are asked, of what, in which order,
 * what is charged by then, and what the brackets of a second MMU hold. Then
 * each of those that may refuse refuses, one after the other: the call answers
 * its error, and what was opened is closed, what was charged given back.
 */
#include "helper.h"

#include "space/vma.h"
#include <inttypes.h>

#define AT(page)    ((uint64_t)(page)*PAGE)
#define PAGE_OF(at) ((at) / PAGE)

/* ---- Hooks that write down --------------------------------------------- */

static struct {
    char text[1024];
    struct helper *helper;
    uint64_t committed; /* pages, before the call */
    unsigned asked;     /* of those that may refuse */
    unsigned refuse;    /* which of them does; 0: none */
    int64_t open;       /* mappings */
    int64_t brackets;
} seen;

__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
    size_t used = strlen(seen.text);
    va_list list;

    va_start(list, format);
    vsnprintf(seen.text + used, sizeof(seen.text) - used, format, list);
    va_end(list);
}

/* A mapping, and what is charged more, or less, than before the call. */
static void
say_vma(const char *what, const struct aspen_vma *vma)
{
    int64_t charged = (int64_t)(helper_committed(seen.helper) - seen.committed);

    say("%s%s %" PRIu64 "-%" PRIu64, seen.text[0] ? " " : "", what,
        PAGE_OF(vma->start), PAGE_OF(vma->end));
    if (charged)
        say(" %+" PRId64, charged);
}

static int
refuse(void)
{
    return ++seen.asked == seen.refuse ? -ASPEN_EPERM : 0;
}

static int
on_open(void *context, struct aspen_vma *vma)
{
    (void)context;
    say_vma("open", vma);
    int error = refuse();
    if (!error)
        seen.open++;
    return error;
}

static void
on_close(void *context, struct aspen_vma *vma)
{
    (void)context;
    say_vma("close", vma);
    seen.open--;
}

static int
on_may_split(void *context, const struct aspen_vma *vma, uint64_t address)
{
    (void)context;
    say_vma("split", vma);
    say(" at %" PRIu64, PAGE_OF(address));
    return refuse();
}

static const struct aspen_pager_ops pager = {
    .read = helper_pager_read,
    .write = helper_pager_write,
    .open = on_open,
    .close = on_close,
    .may_split = on_may_split,
};

static void
on_start(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    if (end == mm->address_limit)
        say("%s(all", seen.text[0] ? " " : "");
    else
        say("%s(%" PRIu64 "-%" PRIu64, seen.text[0] ? " " : "", PAGE_OF(start),
            PAGE_OF(end));
    seen.brackets++;
}

static void
on_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    (void)mm;
    (void)start;
    (void)end;
    say(")");
    seen.brackets--;
}

static const struct aspen_notifier_ops notifier = {
    .invalidate_start = on_start,
    .invalidate_end = on_end,
};

/* ---- The calls --------------------------------------------------------- */

/* Of a file: pages 100 to 110, private, which is charged; 120 to 124 to be
 * read alone, which is not; 130 to 134 shared. */
struct scene {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *file;
    struct aspen_mm *child;
};

static int
try_map(struct scene *s, uint64_t page, uint64_t pages, uint64_t flags)
{
    struct aspen_mmap_args args = {.address = AT(page),
                                   .length_bytes = AT(pages),
                                   .vm_flags = flags,
                                   .flags = ASPEN_MAP_FIXED,
                                   .object = s->file};
    uint64_t address;

    return aspen_mmap(s->mm, &args, &address);
}

static int
map_private(struct scene *s)
{
    return try_map(s, 200, 4, RW);
}

static int
map_shared(struct scene *s)
{
    return try_map(s, 200, 4, RW | ASPEN_VM_SHARED);
}

/* Into the middle, of the same file: nothing it could be joined with. */
static int
map_over(struct scene *s)
{
    return try_map(s, 103, 4, RW | ASPEN_VM_SHARED);
}

static int
unmap_middle(struct scene *s)
{
    return aspen_munmap(s->mm, AT(103), AT(4));
}

static int
unmap_ends(struct scene *s)
{
    return aspen_munmap(s->mm, AT(108), AT(14));
}

static int
unmap_all(struct scene *s)
{
    return aspen_munmap(s->mm, AT(90), AT(100));
}

static int
protect_middle(struct scene *s)
{
    return aspen_mprotect(s->mm, AT(103), AT(4), R, -1);
}

static int
protect_more(struct scene *s)
{
    return aspen_mprotect(s->mm, AT(121), AT(2), RW, -1);
}

static int
dont_fork(struct scene *s)
{
    return aspen_madvise(s->mm, AT(100), AT(5), ASPEN_MADV_DONTFORK);
}

static int
discard(struct scene *s)
{
    return aspen_madvise(s->mm, AT(101), AT(5), ASPEN_MADV_DONTNEED);
}

static int
lock(struct scene *s)
{
    return aspen_mlock(s->mm, AT(107), AT(3), ASPEN_MLOCK_ONFAULT);
}

static int
grow(struct scene *s)
{
    return helper_remap(s->mm, AT(100), AT(10), AT(12), 0, 0);
}

static int
grow_elsewhere(struct scene *s)
{
    return helper_remap(s->mm, AT(100), AT(10), AT(50),
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(200));
}

static int
shrink(struct scene *s)
{
    return helper_remap(s->mm, AT(100), AT(10), AT(6), 0, 0);
}

static int
move_whole(struct scene *s)
{
    return helper_remap(s->mm, AT(100), AT(10), AT(10),
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(200));
}

static int
move_middle(struct scene *s)
{
    return helper_remap(s->mm, AT(103), AT(4), AT(4),
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(200));
}

static int
move_over(struct scene *s)
{
    return helper_remap(s->mm, AT(103), AT(4), AT(4),
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(131));
}

static int
duplicate(struct scene *s)
{
    return helper_remap(s->mm, AT(130), 0, AT(4),
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(200));
}

static int
import(struct scene *s)
{
    struct aspen_import_vma vma = {.start = AT(200),
                                   .end = AT(204),
                                   .vm_flags = MAY_RW | ASPEN_VM_ACCOUNT,
                                   .object = s->file};

    return aspen_import_vma(s->mm, &vma);
}

static int
fork_space(struct scene *s)
{
    return aspen_fork(s->mm, &s->child);
}

static const struct row {
    const char *name;
    int (*run)(struct scene *s);
    const char *expected;
} rows[] = {
    {"mmap", map_private, "open 200-204 +4"},
    {"mmap, shared", map_shared, "open 200-204"},
    {"mmap over the middle", map_over,
     "split 100-110 at 103 split 100-110 at 107 open 103-107"
     " open 107-110 open 103-107 (103-107) close 103-107"},
    {"munmap of the middle", unmap_middle,
     "split 100-110 at 103 split 100-110 at 107 open 103-107"
     " open 107-110 (103-107) close 103-107"},
    {"munmap of two ends", unmap_ends,
     "split 100-110 at 108 split 120-124 at 122 open 108-110"
     " open 120-122 (108-122) close 108-110 close 120-122"},
    {"munmap", unmap_all, "(90-190) close 100-110 close 120-124 close 130-134"},
    {"mprotect of the middle", protect_middle,
     "split 100-110 at 103 split 100-110 at 107 open 103-107"
     " open 107-110 (103-107)"},
    {"mprotect that charges", protect_more,
     "split 120-124 at 121 split 120-124 at 123 open 121-123 +2"
     " open 123-124 +2 (121-123)"},
    {"madvise that cuts", dont_fork, "split 100-110 at 105 open 100-105"},
    {"madvise", discard, "(101-106)"},
    {"mlock", lock, "split 100-110 at 107 open 107-110"},
    {"mremap that grows", grow, ""},
    {"mremap that grows elsewhere", grow_elsewhere,
     "open 200-250 +40 (100-110) (100-110) close 100-110 +40"},
    {"mremap that shrinks", shrink,
     "split 100-110 at 106 open 106-110 (106-110) close 106-110"},
    {"mremap that moves", move_whole,
     "open 200-210 (100-110) (100-110) close 100-110"},
    {"mremap of the middle", move_middle,
     "split 100-110 at 103 split 100-110 at 107"
     " split 100-110 at 103 split 100-110 at 107 open 100-103"
     " open 107-110 open 200-204 (103-107) (103-107)"
     " close 103-107"},
    {"mremap of the middle over another", move_over,
     "split 130-134 at 131 split 130-134 at 131"
     " split 100-110 at 103 split 100-110 at 107"
     " split 100-110 at 103 split 100-110 at 107 open 100-103"
     " open 107-110 split 130-134 at 131 open 131-134"
     " open 131-135 (131-135) close 131-134 (103-107) (103-107)"
     " close 103-107"},
    {"mremap of nothing, a second mapping", duplicate, "open 200-204"},
    {"import", import, "open 200-204 +4"},
    {"fork", fork_space,
     "(all open 100-110 +10 open 120-124 +10 open 130-134 +10)"},
};

/* ---- One call ---------------------------------------------------------- */

static void
make(struct scene *s)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.hooks.notifier = &notifier;
    memset(&seen, 0, sizeof(seen));
    *s = (struct scene){.child = NULL};
    helper_create(&s->helper, &config);
    s->mm = helper_mm(&s->helper);
    seen.helper = &s->helper;
    s->file = helper_object(&s->helper, ASPEN_OBJECT_FILE, 64, &pager, NULL);
    helper_map_object(s->mm, AT(100), 10, RW, s->file, 0);
    helper_map_object(s->mm, AT(120), 4, R, s->file, 20);
    helper_map_object(s->mm, AT(130), 4, RW | ASPEN_VM_SHARED, s->file, 30);
    for (uint64_t page = 100; page < 110; page += 3)
        helper_put(&s->helper, s->mm, AT(page), 1);
    helper_put(&s->helper, s->mm, AT(131), 1);
    assert_int_equal(seen.open, 3);
}

static int
call(struct scene *s, const struct row *row, unsigned refused)
{
    seen.text[0] = 0;
    seen.committed = helper_committed(&s->helper);
    seen.asked = 0;
    seen.refuse = refused;
    int error = row->run(s);
    seen.refuse = 0;
    assert_int_equal(seen.brackets, 0);
    return error;
}

static void
unmake(struct scene *s)
{
    if (s->child)
        aspen_mm_put(s->child);
    aspen_mm_put(s->mm);
    assert_int_equal(seen.open, 0);
    assert_int_equal(helper_committed(&s->helper), 0);
    aspen_object_put(s->file);
    helper_destroy(&s->helper);
}

/* ---- Tests ------------------------------------------------------------- */

static void
in_this_order(void **state)
{
    struct scene s;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(&s);
        assert_int_equal(call(&s, &rows[i], 0), 0);
        if (strcmp(seen.text, rows[i].expected) != 0)
            fail_msg("%s: %s", rows[i].name, seen.text);
        unmake(&s);
    }
}

static void
at_exit(void **state)
{
    struct scene s;
    (void)state;

    make(&s);
    seen.text[0] = 0;
    seen.committed = helper_committed(&s.helper);
    aspen_mm_put(s.mm);
    /* What is charged goes at the end, at once. */
    assert_string_equal(seen.text,
                        "(all) close 100-110 close 120-124 close 130-134");
    aspen_object_put(s.file);
    helper_destroy(&s.helper);
}

/* Returns how many hooks were asked by the whole call. */
static unsigned
refuse_each(const struct row *row)
{
    struct helper_state before;
    unsigned refused = 0;
    struct scene s;

    make(&s);
    int64_t open = seen.open;
    helper_state_take(&s.helper, s.mm, &before);
    while (call(&s, row, ++refused) == -ASPEN_EPERM) {
        assert_int_equal(seen.asked, refused);
        assert_int_equal(seen.open, open);
        helper_assert_state(&s.helper, s.mm, &before);
        helper_assert_valid(&s.helper);
    }
    assert_int_equal(seen.asked, refused - 1);
    unmake(&s);
    return seen.asked;
}

static void
each_may_refuse(void **state)
{
    unsigned refusals = 0;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        refusals += refuse_each(&rows[i]);
    print_message("%u refusals\n", refusals);
    assert_true(refusals > 40);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_this_order),
        cmocka_unit_test(at_exit),
        cmocka_unit_test(each_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
