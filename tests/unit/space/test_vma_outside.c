/* SPDX-License-Identifier: MIT */
/*
 * Mappings as an embedder sees them (aspen/vma.h), in the hooks of a pager and
 * under the mmap lock; and the pointer that it may keep in each. What a pointer
 * does to neighbours in all orders of calls is in test_merge_exact.c.
 */
#include "failing.h"
#include "helper.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define FILE_AT  100u /* pages of a file, from its 5th on */

/* What a hook keeps of each mapping of the file. */
struct record {
    struct aspen_mm *mm;
    const struct record *origin; /* what was there before */
};

struct scene {
    struct helper_space space;
    struct aspen_object *file;
    unsigned records;
    unsigned splits;
    uint64_t split_at;
    /* Of the last mapping that was opened. */
    struct aspen_mm *mm;
    uint64_t start, end, flags, offset_bytes;
    const struct record *origin;
    struct aspen_vma *next;
};

static int
open_mapping(void *context, struct aspen_vma *vma)
{
    struct scene *scene = context;
    struct record *record = calloc(1, sizeof(*record));

    assert_non_null(record);
    assert_ptr_equal(aspen_vma_object(vma), scene->file);
    assert_string_equal(aspen_vma_name(vma), "a file");
    scene->mm = aspen_vma_mm(vma);
    scene->start = aspen_vma_start(vma);
    scene->end = aspen_vma_end(vma);
    scene->flags = aspen_vma_flags(vma);
    scene->offset_bytes = aspen_vma_offset_bytes(vma);
    scene->origin = aspen_vma_embedder(vma);
    scene->next = aspen_vma_next(vma);
    if (scene->next)
        assert_ptr_equal(aspen_vma_mm(scene->next), scene->mm);
    record->mm = scene->mm;
    record->origin = scene->origin;
    aspen_vma_embedder_set(vma, record);
    scene->records++;
    return 0;
}

/* Each with its own: none is forgotten, none is met twice. */
static void
close_mapping(void *context, struct aspen_vma *vma)
{
    struct scene *scene = context;
    struct record *record = aspen_vma_embedder(vma);

    assert_non_null(record);
    assert_ptr_equal(record->mm, aspen_vma_mm(vma));
    assert_true(aspen_vma_start(vma) < aspen_vma_end(vma));
    assert_ptr_equal(aspen_vma_object(vma), scene->file);
    aspen_vma_embedder_set(vma, NULL);
    free(record);
    scene->records--;
}

static int
may_split(void *context, const struct aspen_vma *vma, uint64_t address)
{
    struct scene *scene = context;
    const struct record *record = aspen_vma_embedder(vma);

    assert_ptr_equal(record->mm, aspen_vma_mm(vma));
    assert_true(aspen_vma_start(vma) < address && address < aspen_vma_end(vma));
    scene->splits++;
    scene->split_at = address;
    return 0;
}

static const struct aspen_pager_ops pager = {
    .read = helper_pager_read,
    .open = open_mapping,
    .close = close_mapping,
    .may_split = may_split,
};

static void
create(void *context)
{
    struct scene *scene = context;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = AT(64),
                                     .name = "a file",
                                     .pager = &pager,
                                     .context = scene};

    memset(scene, 0, sizeof(*scene));
    helper_space_create(&scene->space, NULL);
    assert_int_equal(
        aspen_object_create(scene->space.helper.aspen, &args, &scene->file), 0);
    helper_map_object(scene->space.mm, AT(FILE_AT), 10, RW, scene->file, 5);
}

static void
destroy(void *context)
{
    struct scene *scene = context;

    aspen_object_put(scene->file);
    helper_space_destroy(&scene->space);
    assert_int_equal(scene->records, 0);
}

static int
setup(void **state)
{
    create(*state = malloc(sizeof(struct scene)));
    return 0;
}

static int
teardown(void **state)
{
    destroy(*state);
    free(*state);
    return 0;
}

static void
assert_opened(const struct scene *scene, struct aspen_mm *mm, unsigned first,
              unsigned pages, unsigned offset)
{
    assert_ptr_equal(scene->mm, mm);
    assert_int_equal(scene->start, AT(first));
    assert_int_equal(scene->end, AT(first + pages));
    assert_int_equal(scene->offset_bytes, AT(offset));
    assert_int_equal(scene->flags & (ASPEN_VM_ACCESS | ASPEN_VM_SHARED), RW);
}

/* ---- Seen -------------------------------------------------------------- */

static void
test_found(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *mm = scene->space.mm;
    struct aspen_special special = {.name = "[special]"};
    uint64_t at;

    helper_map(mm, AT(16), 4, R);
    helper_map(mm, AT(20), 2, RW | ASPEN_VM_GROWSDOWN);
    assert_int_equal(aspen_name_anon(mm, AT(16), AT(4), "named"), 0);
    assert_int_equal(aspen_map_special(mm, AT(200), PAGE,
                                       ASPEN_MAP_FIXED_NOREPLACE, RX, &special,
                                       &at),
                     0);

    aspen_mm_read_lock(mm);
    struct aspen_vma *vma = aspen_vma_find(mm, 0);
    assert_ptr_equal(aspen_vma_find(mm, AT(20) - 1), vma);
    assert_ptr_equal(aspen_vma_mm(vma), mm);
    assert_int_equal(aspen_vma_start(vma), AT(16));
    assert_int_equal(aspen_vma_end(vma), AT(20));
    assert_int_equal(aspen_vma_flags(vma) & ASPEN_VM_ACCESS, R);
    assert_null(aspen_vma_object(vma));
    assert_int_equal(aspen_vma_offset_bytes(vma), AT(16));
    assert_string_equal(aspen_vma_name(vma), "named");
    assert_null(aspen_vma_embedder(vma));

    vma = aspen_vma_next(vma);
    assert_int_equal(aspen_vma_start(vma), AT(20));
    assert_true(aspen_vma_flags(vma) & ASPEN_VM_GROWSDOWN);
    assert_null(aspen_vma_name(vma));

    vma = aspen_vma_next(vma);
    assert_ptr_equal(aspen_vma_object(vma), scene->file);
    assert_int_equal(aspen_vma_offset_bytes(vma), AT(5));
    assert_string_equal(aspen_vma_name(vma), "a file");

    vma = aspen_vma_next(vma);
    assert_string_equal(aspen_vma_name(vma), "[special]");
    assert_null(aspen_vma_next(vma));
    assert_null(aspen_vma_find(mm, AT(201)));
    assert_null(aspen_vma_find(mm, UINT64_MAX));
    aspen_mm_read_unlock(mm);
    assert_int_equal(aspen_munmap(mm, AT(200), PAGE), 0);
}

/* ---- In hooks ---------------------------------------------------------- */

static void
test_in_hooks(void **state)
{
    struct scene *scene = *state;
    struct helper_space *s = &scene->space;
    struct aspen_mm *mm = s->mm, *child;

    assert_opened(scene, mm, FILE_AT, 10, 5);
    assert_null(scene->origin);
    assert_null(scene->next);

    /* What was there goes on as its head; the tail is new, and finds the
     * head's record. */
    assert_int_equal(aspen_munmap(mm, AT(FILE_AT + 4), AT(2)), 0);
    assert_int_equal(scene->splits, 2);
    assert_int_equal(scene->split_at, AT(FILE_AT + 6));
    assert_opened(scene, mm, FILE_AT + 6, 4, 11);
    assert_non_null(scene->origin);
    assert_int_equal(scene->records, 2);

    assert_int_equal(helper_remap(mm, AT(FILE_AT), AT(4), AT(4),
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  AT(300)),
                     0);
    assert_opened(scene, mm, 300, 4, 5);
    assert_int_equal(scene->records, 2);

    /* What the parent has behind it is not the child's. */
    assert_int_equal(aspen_mlock(mm, AT(300), AT(4), 0), 0);
    helper_map(mm, AT(400), 1, R);
    assert_int_equal(aspen_fork(mm, &child), 0);
    assert_opened(scene, child, 300, 4, 5);
    assert_null(scene->next);
    assert_int_equal(scene->records, 4);
    aspen_mm_put(child);
    assert_int_equal(scene->records, 2);
}

/* Each step fails of calls that open, cut and close: so many records as there
 * are mappings, and each in its own. */

static int
run_fork(void *context)
{
    struct scene *scene = context;
    struct aspen_mm *child;

    int error = aspen_fork(scene->space.mm, &child);
    if (!error)
        aspen_mm_put(child);
    assert_int_equal(scene->records, 1);
    return error;
}

static int
run_munmap(void *context)
{
    struct scene *scene = context;

    int error = aspen_munmap(scene->space.mm, AT(FILE_AT + 4), AT(2));
    assert_int_equal(scene->records, error ? 1 : 2);
    return error;
}

static int
run_mremap(void *context)
{
    struct scene *scene = context;

    int error =
        helper_remap(scene->space.mm, AT(FILE_AT + 4), AT(2), AT(2),
                     ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED, AT(300));
    assert_int_equal(scene->records, error ? 1 : 3);
    return error;
}

static void
test_failing(void **state)
{
    static const struct {
        const char *name;
        int (*run)(void *context);
    } calls[] = {
        {"fork", run_fork},
        {"munmap of a middle", run_munmap},
        {"mremap of a middle", run_mremap},
    };
    struct scene scene;
    (void)state;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct helper_failing failing = {
            .name = calls[i].name,
            .helper = &scene.space.helper,
            .mm = &scene.space.mm,
            .setup = create,
            .run = calls[i].run,
            .teardown = destroy,
            .context = &scene,
        };
        assert_true(helper_fail_every_step(&failing) > 0);
    }
}

/* ---- The pointer ------------------------------------------------------- */

static void
set_pointer(struct aspen_mm *mm, unsigned page, void *embedder)
{
    aspen_mm_read_lock(mm);
    aspen_vma_embedder_set(aspen_vma_find(mm, AT(page)), embedder);
    aspen_mm_read_unlock(mm);
}

static void *
pointer(struct aspen_mm *mm, unsigned page)
{
    aspen_mm_read_lock(mm);
    void *embedder = aspen_vma_embedder(aspen_vma_find(mm, AT(page)));
    aspen_mm_read_unlock(mm);
    return embedder;
}

static void
test_pointer(void **state)
{
    struct scene *scene = *state;
    struct aspen_mm *mm = scene->space.mm, *child;

    helper_map(mm, AT(16), 4, RW);
    set_pointer(mm, 16, scene);
    helper_map(mm, AT(20), 4, RW);
    assert_int_equal(helper_counters(mm).vmas, 3);
    set_pointer(mm, 20, scene); /* the same */
    assert_int_equal(aspen_mprotect(mm, AT(16), AT(8), R, ASPEN_PKEY_SAME), 0);
    assert_int_equal(helper_counters(mm).vmas, 3);

    /* Parts have it, and do not become one again either. */
    assert_int_equal(aspen_mprotect(mm, AT(17), AT(1), RW, ASPEN_PKEY_SAME), 0);
    assert_int_equal(aspen_mprotect(mm, AT(17), AT(1), R, ASPEN_PKEY_SAME), 0);
    assert_int_equal(helper_counters(mm).vmas, 5);
    for (unsigned page = 16; page < 24; page++)
        assert_ptr_equal(pointer(mm, page), scene);

    assert_int_equal(aspen_fork(mm, &child), 0);
    assert_ptr_equal(pointer(child, 17), scene);
    set_pointer(child, 17, child);
    assert_ptr_equal(pointer(mm, 17), scene);
    aspen_mm_put(child);

    /* It grows with it, and moves with it. */
    assert_int_equal(
        helper_remap(mm, AT(20), AT(4), AT(6), ASPEN_MREMAP_MAYMOVE, 0), 0);
    assert_ptr_equal(pointer(mm, 25), scene);
    assert_int_equal(helper_remap(mm, AT(20), AT(6), AT(6),
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  AT(500)),
                     0);
    assert_ptr_equal(pointer(mm, 500), scene);

    /* What comes below has none, and stays apart. */
    helper_map(mm, AT(496), 4, R);
    assert_int_equal(helper_counters(mm).vmas, 6);
    assert_null(pointer(mm, 499));
    assert_ptr_equal(pointer(mm, 500), scene);
    assert_int_equal(aspen_munmap(mm, AT(496), AT(4)), 0);

    /* Without it they are one again as soon as a call looks. */
    for (unsigned page = 16; page < 20; page++)
        set_pointer(mm, page, NULL);
    assert_int_equal(aspen_mprotect(mm, AT(16), AT(4), RW, ASPEN_PKEY_SAME), 0);
    assert_int_equal(helper_counters(mm).vmas, 3);
}

static void
set_unlocked(void *context)
{
    struct scene *scene = context;
    struct aspen_mm *mm = scene->space.mm;

    aspen_mm_read_lock(mm);
    struct aspen_vma *vma = aspen_vma_find(mm, 0);
    aspen_mm_read_unlock(mm);
    aspen_vma_embedder_set(vma, NULL);
}

static void
test_bug(void **state)
{
    assert_true(unit_panics(set_unlocked, *state));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_found),   TEST(test_in_hooks), cmocka_unit_test(test_failing),
        TEST(test_pointer), TEST(test_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
