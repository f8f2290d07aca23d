/* SPDX-License-Identifier: MIT */
/* Calls that take an object's pages out of mappings, where a huge page is
 * mapped of which only a part would go: an error, and all is as it was. Private
 * copies that stay are in nobody's way. */
#include "helper.h"

#define BASE ((uint64_t)0x40000000)
#define HUGE (2 * MIB)
#define AT   (HUGE / PAGE) /* the huge page is the object's second */

/* What the call is told of the object: [first, end) in pages. */
enum call { UNMAP, UNMAP_COPIES, PUNCH, RESIZE };

struct row {
    const char *name;
    enum aspen_import_kind leaf;
    enum call call;
    uint64_t first;
    uint64_t end; /* not RESIZE */
    int error;
    bool gone; /* the leaf, afterwards */
};

static const struct row rows[] = {
    {"raw, its first page", ASPEN_IMPORT_RAW, UNMAP, AT, AT + 1,
     -ASPEN_EOPNOTSUPP, false},
    {"raw, its last page", ASPEN_IMPORT_RAW, UNMAP, 2 * AT - 1, 2 * AT,
     -ASPEN_EOPNOTSUPP, false},
    {"raw, inside", ASPEN_IMPORT_RAW, UNMAP, AT + 3, AT + 4, -ASPEN_EOPNOTSUPP,
     false},
    {"raw, from below", ASPEN_IMPORT_RAW, UNMAP, 0, AT + 1, -ASPEN_EOPNOTSUPP,
     false},
    {"raw, and above", ASPEN_IMPORT_RAW, UNMAP, AT + 1, 3 * AT,
     -ASPEN_EOPNOTSUPP, false},
    {"raw, all but copies", ASPEN_IMPORT_RAW, UNMAP, AT, 2 * AT, 0, true},
    {"raw, all", ASPEN_IMPORT_RAW, UNMAP_COPIES, 0, 3 * AT, 0, true},
    {"raw, beside", ASPEN_IMPORT_RAW, UNMAP, 2 * AT, 3 * AT, 0, false},
    {"a copy, inside", ASPEN_IMPORT_ANON, UNMAP_COPIES, AT + 3, AT + 4,
     -ASPEN_EOPNOTSUPP, false},
    {"a copy that stays", ASPEN_IMPORT_ANON, UNMAP, AT + 3, AT + 4, 0, false},
    {"a copy, all", ASPEN_IMPORT_ANON, UNMAP_COPIES, AT, 2 * AT, 0, true},
    {"a copy, punched", ASPEN_IMPORT_ANON, PUNCH, AT + 3, AT + 4, 0, false},
    {"a copy, cut off inside", ASPEN_IMPORT_ANON, RESIZE, AT + 3, 0,
     -ASPEN_EOPNOTSUPP, false},
    {"a copy, cut off", ASPEN_IMPORT_ANON, RESIZE, AT, 0, 0, true},
    {"a copy, all stays", ASPEN_IMPORT_ANON, RESIZE, 2 * AT, 0, 0, false},
    {"a copy beyond the end", ASPEN_IMPORT_ANON, RESIZE, 5 * AT, 0, 0, false},
};

struct scene {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object;
};

static void
create(struct scene *s, const struct row *row)
{
    bool raw = row->leaf == ASPEN_IMPORT_RAW;
    struct aspen_import_pages pages = {
        .address = BASE + HUGE,
        .count = 1,
        .level = 1,
        .kind = row->leaf,
        .first_raw = 0x100000,
    };
    uint64_t done;

    helper_create(&s->helper, NULL);
    s->mm = helper_mm(&s->helper);
    s->object =
        helper_object(&s->helper, raw ? ASPEN_OBJECT_DEVICE : ASPEN_OBJECT_FILE,
                      3 * AT, NULL, NULL);
    helper_import(s->mm, BASE, 3 * AT,
                  raw ? MAY_RW | ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE |
                            ASPEN_VM_PFNMAP
                      : MAY_RW,
                  s->object, 0);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
}

static int
call(struct scene *s, const struct row *row)
{
    uint64_t start = row->first * PAGE;
    uint64_t bytes = (row->end - row->first) * PAGE;

    switch (row->call) {
    case UNMAP:
    case UNMAP_COPIES:
        return aspen_object_unmap(
            s->object, start, bytes,
            row->call == UNMAP_COPIES ? ASPEN_OBJECT_UNMAP_COPIES : 0);
    case PUNCH:
        return aspen_object_punch(s->object, start, bytes);
    case RESIZE:
        return aspen_object_resize(s->object, start);
    }
    return 0;
}

static bool
leaf_is_there(struct scene *s)
{
    char *text = helper_dump(s->mm, true);
    bool there = strstr(text, "40200000") != NULL;

    free(text);
    return there;
}

static void
test_rows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct helper_state before;
        struct scene s;

        printf("%s\n", rows[i].name);
        create(&s, &rows[i]);
        assert_true(leaf_is_there(&s));
        helper_state_take(&s.helper, s.mm, &before);
        assert_int_equal(call(&s, &rows[i]), rows[i].error);
        if (rows[i].error)
            helper_assert_state(&s.helper, s.mm, &before);
        assert_int_equal(leaf_is_there(&s), !rows[i].gone);
        helper_assert_valid(&s.helper);
        aspen_mm_put(s.mm);
        aspen_object_put(s.object);
        helper_destroy(&s.helper);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
