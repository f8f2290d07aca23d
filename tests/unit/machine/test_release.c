/* SPDX-License-Identifier: MIT */
/* What differs between releases of Linux: each row of src/machine/release.h is
 * asked at each level, and stands in docs/use/semantics.md. Beside the kernels
 * themselves: make check-kernels. */
#include "helper.h"

#include "space/vma.h"

#include <stdio.h>

#define BASE     (16 * MIB)
#define AT(page) (BASE + (uint64_t)(page)*PAGE)
#define ONTO     (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)
#define HUGE     (2 * MIB)

static int64_t
vmas(struct helper_space *s)
{
    return (int64_t)helper_counters(s->mm).vmas;
}

static struct aspen_vma *
vma_at(struct helper_space *s, uint64_t page)
{
    return aspen_vma_at(s->mm, AT(page));
}

static int
move(struct helper_space *s, uint64_t from, uint64_t pages, unsigned flags,
     uint64_t to)
{
    return helper_remap(s->mm, AT(from), pages * PAGE, pages * PAGE, flags,
                        AT(to));
}

static int
leave_behind(struct helper_space *s, uint64_t from, uint64_t pages, uint64_t to)
{
    return move(s, from, pages, ONTO | ASPEN_MREMAP_DONTUNMAP, to);
}

/* ---- mmap --------------------------------------------------------------- */

static int64_t
stack_is_not_huge(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW | ASPEN_VM_STACK);
    return (vma_at(s, 0)->flags & ASPEN_VM_NOHUGEPAGE) != 0;
}

static int64_t
places_huge_anonymous(struct helper_space *s)
{
    s->mm->layout.mmap_base = GIB + PAGE;
    return (int64_t)(helper_map(s->mm, 0, HUGE / PAGE, RW) % HUGE);
}

static int64_t
places_huge_at_the_end(struct helper_space *s)
{
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = HUGE,
                                     .placement = ASPEN_PLACEMENT_HUGE};
    struct aspen_object *object;

    s->mm->layout.mmap_base = GIB;
    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object), 0);
    uint64_t start = helper_map_object(s->mm, 0, HUGE / PAGE, R, object, 0);
    aspen_object_put(object);
    return (int64_t)(GIB - start);
}

/* Whose part page 1 becomes, when both its neighbours have pages. */
static int64_t
mmap_merges_below_first(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    helper_put(&s->helper, s->mm, AT(0), 1);
    helper_put(&s->helper, s->mm, AT(2), 1);
    helper_map(s->mm, AT(1), 1, RW);
    return (int64_t)(vma_at(s, 1)->start - AT(0));
}

/* When the upper alone has. */
static int64_t
mmap_joins_one_without_pages(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    helper_put(&s->helper, s->mm, AT(2), 1);
    helper_map(s->mm, AT(1), 1, RW);
    return vmas(s);
}

/* But what mremap puts there becomes part of the lower. */
static int64_t
mremap_joins_below_first(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    helper_put(&s->helper, s->mm, AT(0), 1);
    helper_put(&s->helper, s->mm, AT(2), 1);
    helper_map(s->mm, AT(8), 1, RW);
    assert_int_equal(move(s, 8, 1, ONTO, 1), 0);
    return (int64_t)(vma_at(s, 1)->start - AT(0));
}

static void
on_close(void *context, struct aspen_vma *vma)
{
    (void)context;
    (void)vma;
}

static int64_t
merges_what_closes(struct helper_space *s)
{
    static const struct aspen_pager_ops pager = {.close = on_close};
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, &pager, NULL);

    helper_map_object(s->mm, AT(0), 1, R, object, 0);
    helper_map_object(s->mm, AT(1), 1, R, object, 1);
    aspen_object_put(object);
    return vmas(s);
}

/* More than AS, of an object that nobody may write to. */
static int64_t
mmap_asks_seals_first(struct helper_space *s)
{
    struct aspen_object *object =
        helper_new_object(s->helper.aspen, ASPEN_OBJECT_SHMEM, 2 * PAGE);
    struct aspen_mmap_args args = {.length_bytes = 2 * PAGE,
                                   .vm_flags = RW | ASPEN_VM_SHARED,
                                   .object = object};

    assert_int_equal(aspen_object_deny_writable(object), 0);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_AS, PAGE), 0);
    int answer = aspen_mmap(s->mm, &args, &(uint64_t){0});
    aspen_object_put(object);
    return answer;
}

/* ---- mprotect, madvise, names ------------------------------------------- */

static int64_t
read_only_is_not_charged(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    assert_int_equal(aspen_mprotect(s->mm, AT(0), PAGE, R, ASPEN_PKEY_SAME), 0);
    return (int64_t)helper_committed(&s->helper);
}

static int64_t
merges_either_anon_vma(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(1), 1, RW | ASPEN_VM_DONTCOPY);
    helper_put(&s->helper, s->mm, AT(0), 1);
    assert_int_equal(aspen_madvise(s->mm, AT(0), PAGE, ASPEN_MADV_DONTFORK), 0);
    return vmas(s);
}

/* Behind the hole is what would refuse. */
static int64_t
populate_stops_at_holes(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    helper_map(s->mm, AT(3), 1, R);
    int error =
        aspen_madvise(s->mm, AT(0), 4 * PAGE, ASPEN_MADV_POPULATE_WRITE);
    assert_true(helper_can_write(s->mm, AT(0)));
    return error;
}

/* Behind the hole nothing would. */
static int64_t
populate_goes_past_holes(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    assert_int_equal(
        aspen_madvise(s->mm, AT(0), 3 * PAGE, ASPEN_MADV_POPULATE_WRITE),
        -ASPEN_ENOMEM);
    return helper_can_write(s->mm, AT(2));
}

static int64_t
has_guards(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    return aspen_madvise(s->mm, AT(0), PAGE, ASPEN_MADV_GUARD_INSTALL);
}

static int64_t
advises_itself(struct helper_space *s)
{
    const struct aspen_advise_range range = {AT(0), PAGE};
    uint64_t done;

    helper_map(s->mm, AT(0), 1, RW);
    return aspen_process_madvise(s->mm, &range, 1, ASPEN_MADV_DONTNEED, 0,
                                 &done);
}

static int64_t
cuts_a_single_range(struct helper_space *s)
{
    const struct aspen_advise_range range = {AT(0), INT64_MAX};
    uint64_t done;

    helper_map(s->mm, AT(0), 1, RW);
    return aspen_process_madvise(s->mm, &range, 1, ASPEN_MADV_COLD, 0, &done);
}

static int64_t
names_shared_memory(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW | ASPEN_VM_SHARED);
    return aspen_name_anon(s->mm, AT(0), PAGE, "name");
}

/* ---- mremap ------------------------------------------------------------- */

/* Nothing, onto itself. */
static int64_t
mremap_checks_arguments_first(struct helper_space *s)
{
    return move(s, 0, 1, ONTO, 0);
}

/* DONTUNMAP: the same number of pages, not of bytes. */
static int64_t
mremap_compares_bytes(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    return helper_remap(s->mm, AT(0), PAGE - 1, PAGE,
                        ONTO | ASPEN_MREMAP_DONTUNMAP, AT(4));
}

/* What is replaced is not counted any more when growth is. */
static int64_t
mremap_counts_without_target(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(4), 2, R);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_AS, 3 * PAGE), 0);
    return helper_remap(s->mm, AT(0), PAGE, 2 * PAGE, ONTO, AT(4));
}

/* DONTUNMAP, too much for the limit, and no place for it: which is said? */
static int64_t
mremap_counts_before_placing(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_AS, PAGE), 0);
    return helper_remap(s->mm, AT(0), PAGE, PAGE,
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_DONTUNMAP, PAGE);
}

/* The same of what is locked. */
static int64_t
mremap_counts_locks_without_target(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW | ASPEN_VM_LOCKED);
    helper_map(s->mm, AT(4), 2, R | ASPEN_VM_LOCKED);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_MEMLOCK, 3 * PAGE), 0);
    return helper_remap(s->mm, AT(0), PAGE, 2 * PAGE, ONTO, AT(4));
}

/* And of data. */
static int64_t
mremap_counts_data_without_target(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(4), 2, RW);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_DATA, 3 * PAGE), 0);
    return helper_remap(s->mm, AT(0), PAGE, 2 * PAGE, ONTO, AT(4));
}

/* Is it the target that refuses, or that there are two mappings? */
static int64_t
mremap_looks_at_the_target(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(1), 1, R);
    helper_map(s->mm, AT(8), 1, R);
    assert_int_equal(aspen_mseal(s->mm, AT(8), PAGE), 0);
    return helper_remap(s->mm, AT(0), 2 * PAGE, 3 * PAGE, ONTO, AT(8));
}

static int64_t
mremap_moves_several(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(1), 1, R);
    return move(s, 0, 2, ONTO, 8);
}

static void
leave_apart(struct helper_space *s)
{
    s->helper.aspen->config.flags |= ASPEN_CONFIG_DONTUNMAP_APART;
}

static int64_t
dontunmap_merges_others(struct helper_space *s)
{
    leave_apart(s);
    helper_map(s->mm, AT(0), 1, RW);
    helper_map(s->mm, AT(2), 1, RW);
    assert_int_equal(leave_behind(s, 0, 1, 1), 0);
    return vmas(s);
}

/* What is on the target's other side is not what it moves from. */
static int64_t
dontunmap_down_in_itself(struct helper_space *s)
{
    leave_apart(s);
    helper_map(s->mm, AT(0), 6, RW);
    assert_int_equal(leave_behind(s, 4, 2, 1), 0);
    return vmas(s);
}

static int64_t
dontunmap_up_in_itself(struct helper_space *s)
{
    leave_apart(s);
    helper_map(s->mm, AT(0), 6, RW);
    assert_int_equal(leave_behind(s, 0, 2, 3), 0);
    return vmas(s);
}

/* ---- Files, texts -------------------------------------------------------- */

static int64_t
growth_clears_the_tail(struct helper_space *s)
{
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 1, NULL, NULL);

    assert_int_equal(aspen_object_resize(object, 100), 0);
    helper_map_object(s->mm, AT(0), 1, RW | ASPEN_VM_SHARED, object, 0);
    helper_put(&s->helper, s->mm, AT(0) + 100, 7);
    assert_int_equal(aspen_object_resize(object, 200), 0);
    aspen_object_put(object);
    return helper_get(&s->helper, s->mm, AT(0) + 100);
}

/* A hole behind the end, in the last page; and one before it. */
static int64_t
punch_clears_the_tail(struct helper_space *s)
{
    static const uint64_t holes[] = {300, 20};
    int64_t seen = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct aspen_object *object =
            helper_object(&s->helper, ASPEN_OBJECT_FILE, 1, NULL, NULL);
        assert_int_equal(aspen_object_resize(object, 100), 0);
        helper_map_object(s->mm, AT(i), 1, RW | ASPEN_VM_SHARED, object, 0);
        helper_put(&s->helper, s->mm, AT(i) + 200, 7);
        assert_int_equal(aspen_object_punch(object, PAGE, PAGE), 0);
        assert_int_equal(helper_get(&s->helper, s->mm, AT(i) + 200), 7);
        assert_int_equal(aspen_object_punch(object, holes[i], 9), 0);
        aspen_object_put(object);
        seen += helper_get(&s->helper, s->mm, AT(i) + 200);
    }
    return seen;
}

static int64_t
shows_lock_on_fault(struct helper_space *s)
{
    helper_map(s->mm, AT(0), 1, RW | ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT);
    char *text = helper_smaps(s->mm);
    bool shown = strstr(text, " lf ") != NULL;
    free(text);
    return shown;
}

/* ---- The table ----------------------------------------------------------- */

#define LEVELS ((unsigned)ASPEN_SEMANTICS_6_18 + 1)

static const struct row {
    const char *name; /* of the header; NULL: more of the one before */
    int64_t (*ask)(struct helper_space *s);
    int64_t answers[LEVELS];
} rows[] = {
    {"stack_is_not_huge", stack_is_not_huge, {0, 1, 1}},
    {"places_huge_anonymous", places_huge_anonymous, {PAGE, 0, 0}},
    {"places_huge_at_the_end", places_huge_at_the_end, {2 * HUGE, HUGE, HUGE}},
    {"mmap_merges_below_first", mmap_merges_below_first, {PAGE, 0, 0}},
    {NULL, mmap_joins_one_without_pages, {2, 1, 1}},
    {NULL, mremap_joins_below_first, {0, 0, 0}},
    {"merges_what_closes", merges_what_closes, {2, 1, 1}},
    {"mmap_asks_seals_first",
     mmap_asks_seals_first,
     {-ASPEN_ENOMEM, -ASPEN_ENOMEM, -ASPEN_EPERM}},
    {"read_only_is_not_charged", read_only_is_not_charged, {1, 0, 0}},
    {"merges_either_anon_vma", merges_either_anon_vma, {2, 2, 1}},
    {"populate_stops_at_holes",
     populate_stops_at_holes,
     {-ASPEN_EINVAL, -ASPEN_ENOMEM, -ASPEN_ENOMEM}},
    {NULL, populate_goes_past_holes, {1, 0, 0}},
    {"has_guards", has_guards, {-ASPEN_EINVAL, -ASPEN_EINVAL, 0}},
    {"advises_itself", advises_itself, {-ASPEN_EINVAL, -ASPEN_EINVAL, 0}},
    {"cuts_a_single_range",
     cuts_a_single_range,
     {-ASPEN_EFAULT, -ASPEN_ENOMEM, -ASPEN_ENOMEM}},
    {"names_shared_memory", names_shared_memory, {-ASPEN_EBADF, 0, 0}},
    {"mremap_checks_arguments_first",
     mremap_checks_arguments_first,
     {-ASPEN_EFAULT, -ASPEN_EFAULT, -ASPEN_EINVAL}},
    {NULL, mremap_compares_bytes, {-ASPEN_EINVAL, -ASPEN_EINVAL, 0}},
    {NULL, mremap_counts_without_target, {0, 0, -ASPEN_ENOMEM}},
    {NULL,
     mremap_counts_before_placing,
     {-ASPEN_ENOMEM, -ASPEN_ENOMEM, -ASPEN_EPERM}},
    {NULL, mremap_counts_locks_without_target, {0, 0, -ASPEN_EAGAIN}},
    {NULL, mremap_counts_data_without_target, {0, 0, -ASPEN_ENOMEM}},
    {NULL,
     mremap_looks_at_the_target,
     {-ASPEN_EPERM, -ASPEN_EPERM, -ASPEN_EFAULT}},
    {"mremap_moves_several",
     mremap_moves_several,
     {-ASPEN_EFAULT, -ASPEN_EFAULT, 0}},
    {"dontunmap_merges_others", dontunmap_merges_others, {3, 2, 2}},
    {NULL, dontunmap_down_in_itself, {3, 2, 2}},
    {NULL, dontunmap_up_in_itself, {3, 2, 2}},
    {"growth_clears_the_tail", growth_clears_the_tail, {7, 0, 0}},
    {"punch_clears_the_tail", punch_clears_the_tail, {0, 14, 14}},
    {"shows_lock_on_fault", shows_lock_on_fault, {0, 1, 1}},
};

static int64_t
ask(const struct row *row, unsigned level)
{
    struct aspen_config config;
    struct helper_space s;

    aspen_config_init(&config);
    config.semantics = (enum aspen_semantics)level;
    helper_space_create(&s, &config);
    int64_t answer = row->ask(&s);
    helper_assert_valid(&s.helper);
    helper_space_destroy(&s);
    return answer;
}

static void
test_levels(void **state)
{
    (void)state;
    unsigned wrong = 0;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(rows); i++)
        for (unsigned level = 0; level < LEVELS; level++) {
            int64_t answer = ask(&rows[i], level);
            if (answer == rows[i].answers[level])
                continue;
            print_error("row %zu (%s), level %u: %lld, not %lld\n", i,
                        rows[i].name ? rows[i].name : "more", level,
                        (long long)answer, (long long)rows[i].answers[level]);
            wrong++;
        }
    assert_int_equal(wrong, 0);
}

/* ---- The header and the document ---------------------------------------- */

static char *
read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, MIB);

    assert_non_null(text);
    if (!file)
        fail_msg("%s: run the tests from the project's folder", path);
    assert_true(fread(text, 1, MIB - 1, file) > 0);
    fclose(file);
    return text;
}

static bool
is_asked(const char *name)
{
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(rows); i++)
        if (rows[i].name && strcmp(rows[i].name, name) == 0)
            return true;
    return false;
}

static void
test_all_rows(void **state)
{
    (void)state;
    char *header = read_file("src/machine/release.h");
    char *document = read_file("docs/use/semantics.md");
    unsigned found = 0, named = 0;
    char name[64], cell[80];

    for (char *at = header; (at = strstr(at, "\nASPEN_RELEASE_ROW")); at++) {
        assert_int_equal(sscanf(strchr(at, '('), "(%63[a-z_]", name), 1);
        if (!is_asked(name))
            fail_msg("%s is not asked here", name);
        snprintf(cell, sizeof(cell), "| `%s` |", name);
        if (!strstr(document, cell))
            fail_msg("%s is not in docs/use/semantics.md", name);
        found++;
    }
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(rows); i++)
        named += rows[i].name != NULL;
    assert_int_equal(found, named);
    free(header);
    free(document);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_all_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
