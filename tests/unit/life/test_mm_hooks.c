/* SPDX-License-Identifier: MIT */
/*
 * From the first to the last that an embedder hears of a space: mm_init and
 * mm_exit, what a scanner hears, the kernel's half of its top table, and which
 * CPUs have it loaded.
 * Each step of fork failing is in test_fork_failing.c, which has these hooks,
 * too.
 */
#include "helper.h"

#include "paging/table.h"
#include "space/mm.h"

#define AT(page) ((uint64_t)(page)*PAGE)

/* Where no processor beside the test runs. */
#define CPU 0u

struct scene {
    struct helper_space space;
    unsigned begun;
    unsigned ended;
    unsigned left;            /* that scanners were told of */
    struct aspen_mm *instead; /* what is LIVE by then; NULL: nothing */
    uint64_t vmas_left;
    int error; /* of mm_init */
    struct aspen_mm *last;
    void *embedder; /* what mm_init found there */
    /* Of aspen_mm_switch(): what the hook saw. */
    unsigned loads;
    struct aspen_mm *from;
    struct aspen_mm *loaded;
    bool in_order;
};

/* A present entry, which leads to the zero page, that no table is. */
static uint64_t
kernel_entry(const struct aspen_mm *mm, unsigned i)
{
    (void)i;
    return aspen_entry_make_table(mm->aspen->zero_frame);
}

static uint64_t *
top_entries(const struct aspen_mm *mm)
{
    return aspen_table_entries(mm->aspen, mm->root);
}

static void
assert_kernels_half(const struct aspen_mm *mm)
{
    for (unsigned i = aspen_table_top_entries(mm->aspen);
         i < ASPEN_TABLE_ENTRIES; i++)
        assert_int_equal(top_entries(mm)[i], kernel_entry(mm, i));
}

static int
begins(void *context, struct aspen_mm *mm)
{
    struct scene *scene = context;

    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_BUILDING);
    for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++)
        assert_int_equal(top_entries(mm)[i], 0);
    if (scene->error)
        return scene->error;
    for (unsigned i = aspen_table_top_entries(mm->aspen);
         i < ASPEN_TABLE_ENTRIES; i++)
        top_entries(mm)[i] = kernel_entry(mm, i);
    scene->begun++;
    scene->last = mm;
    scene->embedder = aspen_mm_embedder(mm);
    return 0;
}

/* Nothing of it is left but what was there when it began. No lock is held: the
 * space's own is free. */
static void
ends(void *context, struct aspen_mm *mm)
{
    struct scene *scene = context;

    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_EMPTY);
    assert_int_equal(helper_counters(mm).vmas, 0);
    assert_int_equal(helper_counters(mm).page_tables, 0);
    for (unsigned i = 0; i < aspen_table_top_entries(mm->aspen); i++)
        assert_int_equal(top_entries(mm)[i], 0);
    assert_kernels_half(mm);
    if (scene->loaded == mm && aspen_mm_is_active(mm, CPU))
        assert_int_equal(aspen_mm_switch(CPU, mm, NULL), 0);
    scene->ended++;
}

/* Everything is there still, but nobody can become a user. */
static void
leaves(void *context, struct aspen_mm *mm)
{
    struct scene *scene = context;

    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_LIVE);
    assert_false(aspen_mm_get_if_alive(mm));
    if (scene->instead)
        assert_int_equal(aspen_mm_state(scene->instead), ASPEN_MM_LIVE);
    scene->vmas_left += helper_counters(mm).vmas;
    scene->left++;
}

static void
load(void *context, struct aspen_mm *mm)
{
    struct scene *scene = context;

    scene->loads++;
    scene->in_order &= (!mm || aspen_mm_is_active(mm, CPU)) &&
                       (!scene->from || aspen_mm_is_active(scene->from, CPU));
    scene->loaded = mm;
}

static const struct aspen_arch_ops arch = {
    .mm_init = begins,
    .mm_exit = ends,
    .mm_load = load,
};

static const struct aspen_scanner_ops scanner = {.exit = leaves};

static int
setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct aspen_config config;

    assert_non_null(scene);
    aspen_config_init(&config);
    config.kernel_start = HELPER_KERNEL_START;
    config.hooks.arch = &arch;
    config.hooks.scanner = &scanner;
    config.hooks.context = scene;
    scene->in_order = true;
    *state = scene;
    helper_space_create(&scene->space, &config);
    helper_map(scene->space.mm, AT(16), 4, RW);
    helper_put(&scene->space.helper, scene->space.mm, AT(17), 42);
    return 0;
}

static int
teardown(void **state)
{
    struct scene *scene = *state;

    helper_space_destroy(&scene->space);
    assert_int_equal(scene->begun, scene->ended);
    free(scene);
    return 0;
}

static void
assert_told(const struct scene *scene, unsigned begun, unsigned ended)
{
    assert_int_equal(scene->begun, begun);
    assert_int_equal(scene->ended, ended);
}

/* ---- mm_init and mm_exit ----------------------------------------------- */

static void
test_told_once(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child, *next;

    assert_told(scene, 1, 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_ptr_equal(scene->last, child);
    assert_told(scene, 2, 0);
    aspen_mm_get(child);
    aspen_mm_put(child);
    assert_told(scene, 2, 0);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    assert_ptr_equal(scene->last, next);
    helper_map(next, AT(16), 2, RW);
    helper_put(&s->helper, next, AT(16), 1);
    aspen_exec_abort(next);
    assert_told(scene, 3, 1);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    aspen_exec_commit(child, next);
    assert_told(scene, 4, 2);
    aspen_mm_put(next);
    assert_told(scene, 4, 3);
}

/* Of what was never LIVE no scanner knows anything. */
static void
test_scanners_told_once(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child, *next;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    helper_map(next, AT(16), 2, RW);
    aspen_exec_abort(next);
    assert_int_equal(scene->left, 0);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    helper_map(next, AT(16), 2, RW);
    helper_map(next, AT(20), 2, R);
    scene->instead = next;
    aspen_exec_commit(child, next);
    scene->instead = NULL;
    assert_int_equal(scene->left, 1);
    assert_int_equal(scene->vmas_left, 1);
    aspen_mm_put(next);
    assert_int_equal(scene->left, 2);
    assert_int_equal(scene->vmas_left, 3);
}

/* Whoever has pinned pages keeps the structure, which nobody hears of. */
static void
test_pins_stay(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child;
    uint32_t frame;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(
        aspen_pin_range(child, AT(17), PAGE, ASPEN_PIN_WRITE, &frame), 0);
    aspen_mm_put(child);
    assert_told(scene, 2, 1);
    assert_int_equal(helper_counts(s->helper.aspen).mms, 2);
    helper_unpin(child, &frame, 1, 0);
    assert_told(scene, 2, 1);
    assert_int_equal(helper_counts(s->helper.aspen).mms, 1);
}

static void
test_refused(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct helper_state before;
    struct aspen_mm *untouched = s->mm, *mm = untouched;

    helper_state_take(&s->helper, s->mm, &before);
    scene->error = -ASPEN_EPERM;
    assert_int_equal(aspen_mm_create(s->helper.aspen, &mm), -ASPEN_EPERM);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(aspen_exec_prepare(s->mm, &mm), -ASPEN_EPERM);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(aspen_fork(s->mm, &mm), -ASPEN_EPERM);
    helper_assert_state(&s->helper, s->mm, &before);
    scene->error = 0;
    assert_ptr_equal(mm, untouched);
    assert_told(scene, 1, 0);
    helper_assert_valid(&s->helper);
}

/* A step before or behind mm_init fails: so many ends as begins. */
static void
test_failing(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    int error = -1;

    for (unsigned call = 0; call < 3; call++, error = -1)
        for (uint64_t n = 1; error; n++) {
            struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE,
                                                .number = n};
            struct aspen_mm *mm;
            assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
            error = call == 0   ? aspen_mm_create(s->helper.aspen, &mm)
                    : call == 1 ? aspen_fork(s->mm, &mm)
                                : aspen_exec_prepare(s->mm, &mm);
            assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
            if (!error)
                aspen_mm_put(mm);
            assert_int_equal(scene->begun, scene->ended + 1);
            assert_true(n < 100);
        }
    assert_true(scene->begun > 10);
    assert_int_equal(scene->left, 2); /* all but the last call's */
}

/* A child begins with its parent's pointer; exec begins with none. */
static void
test_pointer(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child, *next;

    assert_null(scene->embedder);
    aspen_mm_embedder_set(s->mm, scene);
    assert_ptr_equal(aspen_mm_embedder(s->mm), scene);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_ptr_equal(scene->embedder, scene);
    assert_ptr_equal(aspen_mm_embedder(child), scene);
    aspen_mm_embedder_set(child, &child);
    assert_ptr_equal(aspen_mm_embedder(s->mm), scene);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    assert_null(scene->embedder);
    assert_null(aspen_mm_embedder(next));
    aspen_exec_commit(child, next);
    assert_null(aspen_mm_embedder(next));
    aspen_mm_put(next);
}

/* ---- The kernel's half ------------------------------------------------- */

static void
assert_finds(struct helper *helper, struct aspen_mm *mm, unsigned entry,
             const char *check)
{
    struct aspen_finding finding;
    uint64_t was = top_entries(mm)[entry];

    top_entries(mm)[entry] = aspen_entry_make_table(mm->root);
    int result = aspen_validate(helper->aspen, &finding);
    top_entries(mm)[entry] = was;
    assert_int_equal(result, check != NULL);
    if (check)
        assert_string_equal(finding.check, check);
}

static void
test_left_alone(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    unsigned entries = aspen_table_top_entries(s->helper.aspen);
    struct aspen_mm *child, *next;

    assert_int_equal(entries, HELPER_KERNEL_START ? ASPEN_TABLE_ENTRIES / 2
                                                  : ASPEN_TABLE_ENTRIES);
    uint64_t hash = aspen_hash_mm(s->mm, ASPEN_HASH_COUNTS);
    if (HELPER_KERNEL_START)
        top_entries(s->mm)[entries] = 0;
    assert_true(aspen_hash_mm(s->mm, ASPEN_HASH_COUNTS) == hash);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_kernels_half(child);
    if (HELPER_KERNEL_START)
        top_entries(s->mm)[entries] = kernel_entry(s->mm, entries);
    helper_put(&s->helper, child, AT(17), 43);
    assert_int_equal(aspen_munmap(child, 0, ASPEN_ADDRESS_LIMIT), 0);
    assert_kernels_half(child);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    assert_kernels_half(next);
    helper_assert_valid(&s->helper);
    aspen_exec_commit(child, next);
    assert_kernels_half(next);
    helper_assert_valid(&s->helper);

    /* What is wrong in the user's half is found as ever, and in what lies
     * between the halves. */
    assert_finds(&s->helper, next, 3, "table.place");
    assert_finds(&s->helper, next, entries - 1, "table.place");
    if (HELPER_KERNEL_START) {
        assert_finds(&s->helper, next, entries, NULL);
        assert_finds(&s->helper, next, ASPEN_TABLE_ENTRIES - 1, NULL);
    }
    aspen_mm_put(next);
}

/* ---- Switching --------------------------------------------------------- */

static void
switch_to(struct scene *scene, struct aspen_mm *to)
{
    unsigned loads = scene->loads;

    scene->from = scene->loaded;
    assert_int_equal(aspen_mm_switch(CPU, scene->from, to), 0);
    assert_ptr_equal(scene->loaded, to);
    assert_int_equal(scene->loads - loads, scene->from != to);
    assert_true(scene->in_order);
    if (scene->from && scene->from != to)
        assert_false(aspen_mm_is_active(scene->from, CPU));
    if (to)
        assert_true(aspen_mm_is_active(to, CPU));
}

static void
test_in_order(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    switch_to(scene, NULL);
    switch_to(scene, s->mm);
    switch_to(scene, s->mm);
    switch_to(scene, child);
    switch_to(scene, NULL);
    switch_to(scene, child);
    switch_to(scene, s->mm);
    assert_int_equal(aspen_mm_switch(ASPEN_PORT_CPUS, s->mm, child),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mm_switch(UINT32_MAX, s->mm, NULL), -ASPEN_EINVAL);
    assert_int_equal(aspen_mm_switch(UINT32_MAX, NULL, NULL), -ASPEN_EINVAL);
    assert_ptr_equal(scene->loaded, s->mm);
    switch_to(scene, NULL);
    aspen_mm_put(child);
}

/* A CPU goes on with the tables of a space that ends meanwhile: the one that
 * ends it, or another one. */
static void
test_lazy(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *child, *next;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    switch_to(scene, child);
    scene->from = child;
    aspen_mm_put(child);
    assert_null(scene->loaded);
    assert_true(scene->in_order);

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    switch_to(scene, child);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    aspen_exec_commit(child, next);
    assert_null(scene->loaded);
    switch_to(scene, next);
    switch_to(scene, NULL);
    aspen_mm_put(next);
}

/* Bugs, each in a process of its own. */

static void
put_while_loaded(void *context)
{
    struct scene *scene = context;
    struct aspen_mm *mm = helper_mm(&scene->space.helper);

    if (aspen_mm_switch(CPU, NULL, mm) == 0)
        scene->loaded = NULL; /* so nobody sends the CPU away */
    aspen_mm_put(mm);
}

static void
abort_while_loaded(void *context)
{
    struct scene *scene = context;
    struct aspen_mm *next;

    if (aspen_exec_prepare(scene->space.mm, &next) ||
        aspen_mm_switch(CPU, NULL, next))
        return;
    scene->loaded = NULL;
    aspen_exec_abort(next);
}

static void
leave_where_it_is_not(void *context)
{
    struct scene *scene = context;

    (void)!aspen_mm_switch(CPU, scene->space.mm, NULL);
}

static void
enter_what_has_ended(void *context)
{
    struct scene *scene = context;
    struct aspen_mm *mm = helper_mm(&scene->space.helper);

    aspen_mm_hold(mm);
    aspen_mm_put(mm);
    (void)!aspen_mm_switch(CPU, NULL, mm);
}

static void
test_bugs(void **state)
{
    struct scene *scene = *state;

    assert_true(unit_panics(put_while_loaded, scene));
    assert_true(unit_panics(abort_while_loaded, scene));
    assert_true(unit_panics(leave_where_it_is_not, scene));
    assert_true(unit_panics(enter_what_has_ended, scene));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_told_once),  TEST(test_scanners_told_once),
        TEST(test_pins_stay),  TEST(test_refused),
        TEST(test_pointer),    TEST(test_failing),
        TEST(test_left_alone), TEST(test_in_order),
        TEST(test_lazy),       TEST(test_bugs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
