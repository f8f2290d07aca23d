/* SPDX-License-Identifier: MIT */
/* Populating ranges: what each mode makes resident, passes over and answers;
 * faults that do not wait; a machine whose contents nobody looks at. */
#include "failing.h"
#include "helper.h"

#include "fault/populate.h"
#include "space/vma.h"

#define BASE ((uint64_t)0x10000000)

struct space {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *file;
    struct aspen_object *shmem;
    int error;         /* of the pager */
    uint64_t error_at; /* the page it is for */
    unsigned reads;
};

static int
pager_read(void *context, uint64_t offset_bytes, void *page)
{
    struct space *s = context;

    s->reads++;
    helper_pager_read(context, offset_bytes, page);
    return offset_bytes / PAGE == s->error_at ? s->error : 0;
}

static const struct aspen_pager_ops pager_ops = {.read = pager_read};

static void
create(struct space *s, const struct aspen_config *config)
{
    memset(s, 0, sizeof(*s));
    helper_create(&s->helper, config);
    s->mm = helper_mm(&s->helper);
    s->file = helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, &pager_ops, s);
    s->shmem = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 64, NULL, NULL);
}

static void
destroy(struct space *s)
{
    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    aspen_object_put(s->file);
    aspen_object_put(s->shmem);
    helper_destroy(&s->helper);
}

/* "w" writable, "r" readable, "." nothing, for each page. */
static void
assert_pages(struct space *s, const char *expected)
{
    char found[64] = "";

    for (size_t i = 0; expected[i]; i++)
        found[i] = helper_can_write(s->mm, BASE + i * PAGE)  ? 'w'
                   : helper_can_read(s->mm, BASE + i * PAGE) ? 'r'
                                                             : '.';
    assert_string_equal(found, expected);
}

/* ---- Modes ------------------------------------------------------------- */

enum { MMAP, LOCK, READ, WRITE, MODES };

/*
 * A mapping in the middle of others. `flags` of pages 2 and 3; pages 0, 1, 4
 * and 5 are private and writable; all six are populated.
 */
struct row {
    const char *name;
    bool hole;
    uint64_t flags;
    char object; /* f: file, s: shared memory */
    int pager_error;
    struct {
        int error;
        const char *pages;
    } expected[MODES];
};

#define SHARED ASPEN_VM_SHARED
static const struct row rows[] = {
    {.name = "private",
     .flags = RW,
     .expected = {{0, "wwwwww"}, {0, "wwwwww"}, {0, "rrrrrr"}, {0, "wwwwww"}}},
    {.name = "read-only",
     .flags = R,
     .expected = {{0, "wwrrww"},
                  {0, "wwrrww"},
                  {0, "rrrrrr"},
                  {-ASPEN_EINVAL, "ww...."}}},
    {.name = "write-only",
     .flags = ASPEN_VM_WRITE,
     .expected = {{0, "wwwwww"},
                  {0, "wwwwww"},
                  {-ASPEN_EINVAL, "rr...."},
                  {0, "wwwwww"}}},
    {.name = "execute only",
     .flags = ASPEN_VM_EXEC,
     .expected = {{0, "wwrrww"},
                  {0, "wwrrww"},
                  {-ASPEN_EINVAL, "rr...."},
                  {-ASPEN_EINVAL, "ww...."}}},
    {.name = "no access",
     .flags = 0,
     .expected = {{0, "ww..ww"},
                  {-ASPEN_ENOMEM, "ww...."},
                  {-ASPEN_EINVAL, "rr...."},
                  {-ASPEN_EINVAL, "ww...."}}},
    {.name = "a hole",
     .hole = true,
     .expected = {{0, "ww..ww"},
                  {-ASPEN_ENOMEM, "ww...."},
                  {-ASPEN_ENOMEM, "rr...."},
                  {-ASPEN_ENOMEM, "ww...."}}},
    {.name = "raw memory",
     .flags = RW | ASPEN_VM_PFNMAP,
     .expected = {{0, "ww..ww"},
                  {0, "ww..ww"},
                  {-ASPEN_EINVAL, "rr...."},
                  {-ASPEN_EINVAL, "ww...."}}},
    {.name = "locked on fault",
     .flags = RW | ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT,
     .expected = {{0, "ww..ww"}, {0, "wwwwww"}, {0, "rrrrrr"}, {0, "wwwwww"}}},
    {.name = "a private file",
     .flags = RW,
     .object = 'f',
     .expected = {{0, "wwwwww"}, {0, "wwwwww"}, {0, "rrrrrr"}, {0, "wwwwww"}}},
    {.name = "shared memory",
     .flags = RW | SHARED,
     .object = 's',
     .expected = {{0, "wwrrww"}, {0, "wwrrww"}, {0, "rrrrrr"}, {0, "wwwwww"}}},
    {.name = "a file that cannot be read",
     .flags = R,
     .object = 'f',
     .pager_error = -ASPEN_EIO,
     .expected = {{0, "wwr.ww"},
                  {-ASPEN_ENOMEM, "wwr..."},
                  {-ASPEN_EFAULT, "rrr..."},
                  {-ASPEN_EINVAL, "ww...."}}},
    {.name = "a file without memory to read it",
     .flags = RW,
     .object = 'f',
     .pager_error = -ASPEN_ENOMEM,
     .expected = {{0, "www.ww"},
                  {-ASPEN_EAGAIN, "www..."},
                  {-ASPEN_ENOMEM, "rrr..."},
                  {-ASPEN_ENOMEM, "www..."}}},
    {.name = "a poisoned page",
     .flags = RW,
     .object = 'f',
     .pager_error = -ASPEN_EHWPOISON,
     .expected = {{0, "www.ww"},
                  {-ASPEN_ENOMEM, "www..."},
                  {-ASPEN_EHWPOISON, "rrr..."},
                  {-ASPEN_EHWPOISON, "www..."}}},
};

static void
run_row(const struct row *row, unsigned mode)
{
    struct space s;
    uint64_t done = 12345;

    create(&s, NULL);
    s.error = row->pager_error;
    s.error_at = 3;
    helper_map(s.mm, BASE, 2, RW);
    helper_map(s.mm, BASE + 4 * PAGE, 2, RW);
    if (!row->hole)
        helper_map_object(s.mm, BASE + 2 * PAGE, 2, row->flags,
                          row->object == 'f'   ? s.file
                          : row->object == 's' ? s.shmem
                                               : NULL,
                          2);
    print_message("%s, mode %u\n", row->name, mode);
    assert_int_equal(aspen_populate_range(s.mm, BASE, BASE + 6 * PAGE,
                                          (enum aspen_populate_mode)mode,
                                          &done),
                     row->expected[mode].error);
    assert_pages(&s, row->expected[mode].pages);
    const char *first_missing = strchr(row->expected[mode].pages, '.');
    if (!row->expected[mode].error)
        assert_int_equal(done, 6 * PAGE);
    else
        assert_int_equal(
            done, (uint64_t)(first_missing - row->expected[mode].pages) * PAGE);
    destroy(&s);
}

static void
test_modes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned mode = 0; mode < MODES; mode++)
            run_row(&rows[i], mode);
}

/* What is there is passed over, also where it is read-only; many pages take
 * several holds of the lock. */
static void
test_many(void **state)
{
    (void)state;
    struct space s;
    struct aspen_mm *child;
    uint64_t done;

    create(&s, NULL);
    helper_map(s.mm, BASE, 2000, RW);
    for (uint64_t i = 0; i < 2000; i += 3)
        helper_put(&s.helper, s.mm, BASE + i * PAGE, (uint8_t)i);
    assert_int_equal(aspen_populate_range(s.mm, BASE, BASE + 2000 * PAGE,
                                          ASPEN_POPULATE_WRITE, &done),
                     0);
    assert_int_equal(done, 2000 * PAGE);
    assert_int_equal(helper_counters(s.mm).anon_pages, 2000);
    assert_int_equal(aspen_fork(s.mm, &child), 0);
    assert_int_equal(aspen_populate_range(child, BASE, BASE + 1700 * PAGE,
                                          ASPEN_POPULATE_LOCK, NULL),
                     0);
    assert_true(helper_can_write(child, BASE + 1699 * PAGE));
    assert_false(helper_can_write(child, BASE + 1700 * PAGE));
    for (uint64_t i = 0; i < 2000; i += 3)
        assert_int_equal(helper_get(&s.helper, child, BASE + i * PAGE),
                         (uint8_t)i);
    aspen_mm_put(child);
    destroy(&s);
}

static void
test_empty_range(void **state)
{
    (void)state;
    struct space s;
    uint64_t done = 5;

    create(&s, NULL);
    assert_int_equal(
        aspen_populate_range(s.mm, BASE, BASE, ASPEN_POPULATE_LOCK, &done), 0);
    assert_int_equal(done, 0);
    /* A space without any VMA. */
    assert_int_equal(aspen_populate_range(s.mm, 0, s.mm->address_limit,
                                          ASPEN_POPULATE_MMAP, &done),
                     0);
    assert_int_equal(done, s.mm->address_limit);
    destroy(&s);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct space space;
    enum aspen_populate_mode mode;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;

    create(&f->space, NULL);
    helper_map(f->space.mm, BASE, 2, RW);
    helper_map_object(f->space.mm, BASE + 2 * PAGE, 2, RW, f->space.file, 0);
}

static int
fail_run(void *context)
{
    struct failing *f = context;
    uint64_t done;
    int error = aspen_populate_range(f->space.mm, BASE, BASE + 4 * PAGE,
                                     f->mode, &done);

    /* What it says it has done is there. */
    for (uint64_t i = 0; f->mode != ASPEN_POPULATE_MMAP && i * PAGE < done; i++)
        assert_true(helper_can_read(f->space.mm, BASE + i * PAGE));
    assert_true(error == 0 || error == -ASPEN_EINTR ||
                (f->mode == ASPEN_POPULATE_LOCK
                     ? error == -ASPEN_EAGAIN || error == -ASPEN_ENOMEM
                     : error == -ASPEN_ENOMEM || error == -ASPEN_EFAULT));
    return error;
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;
    destroy(&f->space);
}

static void
test_every_step(void **state)
{
    (void)state;
    struct failing f;
    struct helper_failing each = {
        .name = "populate",
        .helper = &f.space.helper,
        .mm = &f.space.mm,
        .setup = fail_setup,
        .run = fail_run,
        .teardown = fail_teardown,
        .context = &f,
        .progressive = true,
    };

    for (unsigned mode = ASPEN_POPULATE_LOCK; mode < MODES; mode++) {
        f.mode = (enum aspen_populate_mode)mode;
        assert_true(helper_fail_every_step(&each) >= 2 * 10);
    }
}

/* ---- Faults that do not wait ------------------------------------------- */

static void
test_nowait(void **state)
{
    (void)state;
    const unsigned read = ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT;
    const unsigned write = ASPEN_ACCESS_WRITE | ASPEN_ACCESS_NOWAIT;
    struct space s;

    create(&s, NULL);
    helper_map(s.mm, BASE, 1, RW);
    helper_map_object(s.mm, BASE + PAGE, 2, RW, s.file, 0);
    helper_map_object(s.mm, BASE + 3 * PAGE, 1, RW | SHARED, s.shmem, 0);
    assert_int_equal(aspen_fault(s.mm, BASE, write), 0);
    assert_int_equal(aspen_fault(s.mm, BASE + PAGE, read), -ASPEN_EAGAIN);
    assert_int_equal(aspen_fault(s.mm, BASE + PAGE, write), -ASPEN_EAGAIN);
    assert_int_equal(s.reads, 0);
    assert_pages(&s, "w...");
    /* Once the page is there nobody is asked; nobody has to read zeroes. */
    assert_int_equal(helper_get(&s.helper, s.mm, BASE + PAGE), 1);
    assert_int_equal(aspen_fault(s.mm, BASE + PAGE, write), 0);
    assert_int_equal(aspen_fault(s.mm, BASE + 3 * PAGE, write), 0);
    assert_pages(&s, "ww.w");
    assert_int_equal(aspen_fault(s.mm, BASE, ASPEN_ACCESS_NOWAIT),
                     -ASPEN_EINVAL);
    destroy(&s);
}

/* ---- No contents ------------------------------------------------------- */

/* The frames' memory cannot be touched but for page tables: faults, forks and
 * copies work, and no pager is asked. */
static void
test_contents_ignored(void **state)
{
    (void)state;
    struct aspen_config config;
    struct aspen_mm *child;
    struct space s;

    aspen_config_init(&config);
    assert_int_equal(config.flags, 0);
    config.flags = ASPEN_CONFIG_CONTENTS_IGNORED |
                   ASPEN_CONFIG_TABLES_ONLY; /* goes after it */
    create(&s, &config);
    helper_map(s.mm, BASE, 2, RW);
    helper_map_object(s.mm, BASE + 2 * PAGE, 2, RW, s.file, 0);
    memset(s.helper.direct_map, 0x5a, PAGE);
    assert_int_equal(aspen_populate_range(s.mm, BASE, BASE + 4 * PAGE,
                                          ASPEN_POPULATE_WRITE, NULL),
                     0);
    assert_pages(&s, "wwww");
    assert_int_equal(aspen_fork(s.mm, &child), 0);
    assert_int_equal(aspen_fault(child, BASE, ASPEN_ACCESS_WRITE), 0);
    assert_int_equal(helper_counters(child).anon_pages, 4);
    assert_int_equal(s.reads, 0);
    assert_int_equal(aspen_fault(s.mm, BASE + 9 * PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    aspen_mm_put(child);
    /* Nobody wrote to a page: the zero page is what we made of it. */
    assert_int_equal(*(uint8_t *)s.helper.direct_map, 0x5a);
    destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_empty_range),
        cmocka_unit_test(test_every_step),
        cmocka_unit_test(test_nowait),
        cmocka_unit_test(test_contents_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
