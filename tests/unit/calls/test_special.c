/* SPDX-License-Identifier: MIT */
/* Special mappings: their faults, names, hooks, and what cannot be done to
 * them; the names in maps. */
#include "failing.h"
#include "helper.h"

#include "space/vma.h"

#define AT(page) ((uint64_t)(page)*PAGE)

/* What the hooks of `code` answer and saw. */
struct hooks {
    unsigned closed;
    struct aspen_mm *keeps; /* nothing may close in this space */
    int error;              /* of the fault hook */
    uint64_t raw;
};

static int
on_fault(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
         uint64_t *raw)
{
    struct hooks *h = context;

    (void)mm;
    *raw = h->raw + offset_bytes / PAGE;
    return h->error;
}

static void
on_close(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct hooks *h = context;

    assert_ptr_not_equal(mm, h->keeps);
    assert_int_equal(end - start, AT(2));
    h->closed++;
}

static struct hooks hooks;
static const struct aspen_special code = {
    .name = "[vdso]", .fault = on_fault, .close = on_close, .context = &hooks};
static const struct aspen_special empty = {.name = "[vvar]"};

static int
setup(void **state)
{
    hooks = (struct hooks){.raw = 1 << 20};
    return helper_space_setup(state);
}

static uint64_t
map(struct helper_space *s, uint64_t page, const struct aspen_special *special,
    uint64_t flags)
{
    uint64_t address;

    assert_int_equal(aspen_map_special(s->mm, AT(page), AT(2),
                                       page ? ASPEN_MAP_FIXED_NOREPLACE : 0,
                                       flags, special, &address),
                     0);
    return address;
}

/* The names in maps, one after the other; "-" is none. */
static void
assert_names(struct helper_space *s, const char *expected)
{
    char *maps = helper_maps(s->mm);
    char names[1024] = "";

    for (char *line = strtok(maps, "\n"); line; line = strtok(NULL, "\n")) {
        strcat(names, strlen(line) > 73 ? line + 73 : "-");
        strcat(names, " ");
    }
    free(maps);
    assert_string_equal(names, expected);
}

/* ---- Tests ------------------------------------------------------------- */

static void
arguments(void **state)
{
    struct helper_space *s = *state;
    struct aspen_special unnamed = {.fault = on_fault};
    uint64_t a = 7;
    struct aspen_mm *mm = s->mm;

    assert_int_equal(aspen_map_special(mm, 0, PAGE, 0, R, NULL, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_map_special(mm, 0, PAGE, 0, R, &unnamed, &a),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_map_special(mm, 0, PAGE, 0, R | ASPEN_VM_SHARED, &code, &a),
        -ASPEN_EINVAL);
    assert_int_equal(
        aspen_map_special(mm, AT(100), PAGE, ASPEN_MAP_FIXED, R, &code, &a),
        -ASPEN_EINVAL);
    assert_int_equal(aspen_map_special(mm, 0, 0, 0, R, &code, &a),
                     -ASPEN_EINVAL);
    helper_map(mm, AT(101), 1, R);
    assert_int_equal(aspen_map_special(mm, AT(100), AT(2),
                                       ASPEN_MAP_FIXED_NOREPLACE, R, &code, &a),
                     -ASPEN_EEXIST);
    assert_int_equal(aspen_limit_set(mm, ASPEN_LIMIT_AS, AT(2)), 0);
    assert_int_equal(aspen_map_special(mm, 0, AT(2), 0, R, &code, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(a, 7);
}

static void
faults(void **state)
{
    struct helper_space *s = *state;
    const unsigned read = ASPEN_ACCESS_READ;
    uint32_t frame;

    map(s, 100, &code, RX);
    map(s, 200, &empty, R);
    assert_int_equal(aspen_fault(s->mm, AT(200), read), -ASPEN_EFBIG);
    hooks.error = -ASPEN_EAGAIN;
    assert_int_equal(aspen_fault(s->mm, AT(101), read), -ASPEN_EAGAIN);
    hooks.error = 0;
    hooks.raw = (uint64_t)1 << 60;
    assert_int_equal(aspen_fault(s->mm, AT(101), read), -ASPEN_EFBIG);
    hooks.raw = 1 << 20;
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_WRITE),
                     -ASPEN_EACCES);
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_EXEC), 0);
    /* It is there, and is no frame of the machine. */
    assert_int_equal(aspen_translate(s->mm, AT(101), read, &frame),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_translate(s->mm, AT(100), read, &frame),
                     -ASPEN_EFAULT);
}

static void
every_fault_step(void **state)
{
    struct helper_space *s = *state;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE};
    struct aspen_failpoint_counts counts;
    unsigned failed = 0;

    map(s, 100, &code, RX);
    do {
        plan.number++;
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
        int error = aspen_fault(s->mm, AT(100), ASPEN_ACCESS_READ);
        aspen_failpoints_read(s->helper.aspen, &counts);
        assert_int_equal(error != 0, counts.failed > 0);
        failed += counts.failed > 0;
    } while (counts.failed);
    assert_true(failed >= 3); /* the hook, and page tables */
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
}

static void
whole_or_not_at_all(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mmap_args over = {.address = AT(101),
                                   .length_bytes = AT(5),
                                   .vm_flags = R,
                                   .flags = ASPEN_MAP_FIXED};
    struct aspen_mm *child;
    uint64_t a;

    map(s, 100, &code, RX);
    map(s, 102, &code, RX); /* never merged */
    helper_assert_space(s->mm,
                        "  vma  0x64000-0x66000 r-x private  anon  special\n"
                        "  vma  0x66000-0x68000 r-x private  anon  special\n");
    assert_int_equal(aspen_munmap(s->mm, AT(100), PAGE), -ASPEN_EINVAL);
    assert_int_equal(aspen_munmap(s->mm, AT(99), AT(4)), -ASPEN_EINVAL);
    assert_int_equal(aspen_mprotect(s->mm, AT(101), PAGE, R, -1),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mmap(s->mm, &over, &a), -ASPEN_EINVAL);
    assert_int_equal(hooks.closed, 0);
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_READ), 0);

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_fault(child, AT(101), ASPEN_ACCESS_READ), 0);
    aspen_mm_put(child);
    assert_int_equal(hooks.closed, 2);
    assert_int_equal(aspen_munmap(s->mm, AT(100), AT(2)), 0);
    assert_int_equal(hooks.closed, 3);
    assert_int_equal(aspen_mprotect(s->mm, AT(102), AT(2), R, -1), 0);
    assert_names(s, "[vdso] ");
}

static void
locks_do_not_bind_it(void **state)
{
    struct helper_space *s = *state;

    s->mm->def_flags = ASPEN_VM_LOCKED;
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_MEMLOCK, 0), 0);
    uint64_t address = map(s, 0, &code, RX);
    assert_false(aspen_vma_at(s->mm, address)->flags & ASPEN_VM_LOCKED);
    s->mm->def_flags = 0;
}

/* In Linux's order: special, heap, stack, the mapping's own. */
static void
names(void **state)
{
    struct helper_space *s = *state;
    struct aspen_layout layout;

    map(s, 100, &empty, R | ASPEN_VM_PFNMAP);
    map(s, 102, &code, RX);
    helper_map(s->mm, AT(200), 4, RW);
    helper_map(s->mm, AT(300), 4, RW | ASPEN_VM_GROWSDOWN);
    helper_map(s->mm, AT(400), 4, RW);
    helper_map(s->mm, AT(900), 4, RW | ASPEN_VM_GROWSDOWN);
    assert_names(s, "[vvar] [vdso] - - - [stack] ");

    aspen_layout_read(s->mm, &layout);
    layout.brk_start = AT(199);
    layout.brk = AT(202);
    layout.stack_start = AT(303) + 8;
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_names(s, "[vvar] [vdso] [heap] [stack] - - ");
    layout.brk_start = AT(200);
    layout.brk = AT(200);         /* as empty as Linux's after exec */
    layout.stack_start = AT(404); /* the end counts */
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_names(s, "[vvar] [vdso] - - [stack] - ");
    layout.stack_start = AT(400); /* and the start */
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_names(s, "[vvar] [vdso] - - [stack] - ");
    layout.brk_start = AT(100);
    layout.brk = AT(204);
    layout.stack_start = AT(500);
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_names(s, "[vvar] [vdso] [heap] - - - ");
}

static void
map_last(void *context)
{
    struct helper_space *s = context;

    s->mm = helper_mm(&s->helper);
    helper_map(s->mm, AT(100), 2, RW);
    helper_put(&s->helper, s->mm, AT(100), 1);
    map(s, 200, &code, RX);
}

static int
fork_once(void *context)
{
    struct helper_space *s = context;
    struct aspen_mm *child;

    int error = aspen_fork(s->mm, &child);
    if (!error)
        aspen_mm_put(child);
    return error;
}

static void
drop_space(void *context)
{
    struct helper_space *s = context;

    aspen_mm_put(s->mm);
    s->mm = NULL;
}

/* Nothing is left of a child whose last mapping is special, wherever fork
 * fails. */
static void
every_fork_step(void **state)
{
    struct helper_space *s = *state;
    struct helper_failing each = {
        .name = "fork, special last",
        .helper = &s->helper,
        .mm = &s->mm,
        .setup = map_last,
        .run = fork_once,
        .teardown = drop_space,
        .context = s,
    };

    aspen_mm_put(s->mm);
    assert_true(helper_fail_every_step(&each) > 0);
    s->mm = helper_mm(&s->helper);
}

/*
 * Three of them, among others, and one that is no child's. Fork fails at each
 * step: those of the child that are made by then close in the child, each once,
 * the others never; the parent's stay what they are.
 */
static void
fork_fails_around_it(void **state)
{
    struct helper_space *s = *state;
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE};
    unsigned made = 0;
    unsigned seen = 0; /* bit n: n of them were made */
    uint32_t frame;
    int error;

    for (uint64_t page = 100; page < 106; page += 2)
        map(s, page, &code, RX);
    map(s, 106, &code, RX | ASPEN_VM_DONTCOPY);
    helper_map(s->mm, AT(99), 1, RW);
    helper_map(s->mm, AT(110), 1, RW);
    helper_put(&s->helper, s->mm, AT(110), 1);
    assert_int_equal(aspen_fault(s->mm, AT(102), ASPEN_ACCESS_READ), 0);
    char *before = helper_dump(s->mm, false);
    hooks.keeps = s->mm;
    do {
        plan.number++;
        hooks.closed = 0;
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
        error = fork_once(s);
        assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
        helper_assert_valid(&s->helper);
        assert_true(hooks.closed >= made && hooks.closed <= made + 1);
        made = hooks.closed;
        seen |= 1u << made;
        char *after = helper_dump(s->mm, false);
        assert_string_equal(before, after);
        free(after);
        assert_int_equal(
            aspen_translate(s->mm, AT(102), ASPEN_ACCESS_READ, &frame),
            -ASPEN_EOPNOTSUPP); /* still there */
        assert_int_equal(aspen_fault(s->mm, AT(104), ASPEN_ACCESS_READ), 0);
    } while (error);
    assert_int_equal(seen, 0xf);
    hooks.keeps = NULL;
    free(before);
}

/* Known from elsewhere: the same, but for its close hook's assertion. */
static void
imported(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_vma vma = {
        .start = AT(100),
        .end = AT(102),
        .vm_flags = MAY_RW & ~(ASPEN_VM_WRITE | ASPEN_VM_MAYWRITE),
        .special = &code,
    };

    assert_int_equal(aspen_import_vma(s->mm, &vma), -ASPEN_EINVAL);
    vma.vm_flags |= ASPEN_VM_SPECIAL | ASPEN_VM_DONTEXPAND;
    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    assert_names(s, "[vdso] ");
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_mlock(s->mm, AT(100), AT(2), false), 0);
    assert_int_equal(aspen_munmap(s->mm, AT(100), AT(2)), 0);
    assert_int_equal(hooks.closed, 1);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(arguments),           TEST(faults),   TEST(every_fault_step),
        TEST(whole_or_not_at_all), TEST(names),    TEST(locks_do_not_bind_it),
        TEST(every_fork_step),     TEST(imported), TEST(fork_fails_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
