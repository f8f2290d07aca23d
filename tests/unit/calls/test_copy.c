/* SPDX-License-Identifier: MIT */
/* Bytes into and out of spaces, for neighbours and for debuggers; which pages
 * are resident. Beside the host: test_copy_host.c. */
#include "helper.h"

#include "fault/hold.h"
#include "frames/pins.h"
#include "paging/table.h"

#define BASE ((uint64_t)0x10000000)

struct space {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *file;
    unsigned area;
    unsigned writes;
    uint8_t written; /* first byte of the last page that was */
};

static int
pager_read(void *context, uint64_t offset_bytes, void *page)
{
    helper_pager_read(context, offset_bytes, page);
    return offset_bytes / PAGE == 5 ? -ASPEN_EIO : 0;
}

static int
pager_write(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    struct space *s = context;

    (void)offset_bytes;
    (void)bytes;
    s->writes++;
    s->written = *(const uint8_t *)pages[0];
    return 0;
}

static const struct aspen_pager_ops pager_ops = {.read = pager_read,
                                                 .write = pager_write};

static void
create(struct space *s, const struct aspen_config *config)
{
    memset(s, 0, sizeof(*s));
    helper_create(&s->helper, config);
    s->mm = helper_mm(&s->helper);
    s->file = helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, &pager_ops, s);
    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 64, &s->area), 0);
}

static void
destroy(struct space *s)
{
    helper_assert_valid(&s->helper);
    if (s->child)
        aspen_mm_put(s->child);
    aspen_mm_put(s->mm);
    aspen_object_put(s->file);
    helper_destroy(&s->helper);
}

static void
import(struct space *s, uint64_t address, enum aspen_import_kind kind,
       unsigned level)
{
    struct aspen_import_pages pages = {
        .address = address,
        .count = 1,
        .level = level,
        .kind = kind,
        .first_raw = 0x1234,
        .swap_slot = 3,
    };
    uint64_t done;
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
}

static void
import_vma(struct space *s, uint64_t address, uint64_t pages, uint64_t flags)
{
    struct aspen_import_vma vma = {
        .start = address,
        .end = address + pages * PAGE,
        .vm_flags = flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
}

/* ---- Who may ----------------------------------------------------------- */

struct row {
    const char *name;
    uint64_t flags;
    char object; /* f: file */
    int in, out; /* of a neighbour */
    int in_forced, out_forced;
};

#define SHARED ASPEN_VM_SHARED
#define WRITE  ASPEN_VM_WRITE
#define FAULT  (-ASPEN_EFAULT)
static const struct row rows[] = {
    {"all", RW, 0, 0, 0, 0, 0},
    {"read-only", R, 0, 0, FAULT, 0, 0},
    {"write-only", WRITE, 0, FAULT, 0, 0, 0},
    {"executable", ASPEN_VM_EXEC, 0, FAULT, FAULT, 0, 0},
    {"no access", 0, 0, FAULT, FAULT, 0, 0},
    {"never to be written", R | ASPEN_VM_MAYREAD, 0, 0, FAULT, 0, FAULT},
    {"never to be read", ASPEN_VM_MAYEXEC, 0, FAULT, FAULT, FAULT, FAULT},
    {"a file", R, 'f', 0, FAULT, 0, 0},
    {"a shared file", RW | SHARED, 'f', 0, 0, 0, 0},
    {"a shared file, read-only", R | SHARED, 'f', 0, FAULT, 0, FAULT},
    {"raw memory", RW | ASPEN_VM_PFNMAP, 0, FAULT, FAULT, FAULT, FAULT},
    {"raw memory of a device", RW | ASPEN_VM_IO, 0, FAULT, FAULT, FAULT, FAULT},
};

static void
check_row(const struct row *row, unsigned flags)
{
    struct space s;
    uint8_t byte = 99;
    uint64_t done;
    int in = flags ? row->in_forced : row->in;
    int out = flags ? row->out_forced : row->out;

    create(&s, NULL);
    helper_map_object(s.mm, BASE, 1, row->flags,
                      row->object == 'f' ? s.file : NULL, 2);
    assert_int_equal(aspen_read_memory(s.mm, BASE, &byte, 1, flags, &done), in);
    assert_int_equal(done, in ? 0 : 1);
    assert_int_equal(byte, in ? 99 : row->object == 'f' ? 3 : 0);
    byte = 7;
    assert_int_equal(aspen_write_memory(s.mm, BASE, &byte, 1, flags, &done),
                     out);
    assert_int_equal(done, out ? 0 : 1);
    byte = 0;
    if (!out) {
        /* The program may do no more than before. */
        assert_int_equal(
            aspen_read_memory(s.mm, BASE, &byte, 1, ASPEN_MEMORY_FORCE, &done),
            0);
        assert_int_equal(byte, 7);
        if (!(row->flags & WRITE))
            assert_int_equal(aspen_fault(s.mm, BASE, ASPEN_ACCESS_WRITE),
                             -ASPEN_EACCES);
    }
    destroy(&s);
}

static void
test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].name);
        check_row(&rows[i], 0);
        check_row(&rows[i], ASPEN_MEMORY_FORCE);
    }
}

/* ---- What is written, and to whom -------------------------------------- */

/* A debugger's write to a shared page, read-only: a copy, which the child and
 * the file do not see; the next one goes to the same page. */
static void
test_forced_copy(void **state)
{
    (void)state;
    struct space s;
    uint64_t done;
    uint32_t frame, again;

    create(&s, NULL);
    helper_map_object(s.mm, BASE, 1, RX, s.file, 0);
    helper_get(&s.helper, s.mm, BASE);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(aspen_write_memory(s.mm, BASE, "\xcc", 1,
                                            ASPEN_MEMORY_FORCE, &done),
                         0);
        assert_int_equal(helper_get(&s.helper, s.mm, BASE), 0xcc);
        assert_int_equal(
            aspen_translate(s.mm, BASE, ASPEN_ACCESS_WRITE, &frame),
            -ASPEN_EFAULT);
        assert_true(helper_can_execute(s.mm, BASE));
        frame = helper_frame(s.mm, BASE);
        if (i)
            assert_int_equal(frame, again);
        again = frame;
    }
    assert_int_equal(aspen_fork(s.mm, &s.child), 0);
    assert_int_equal(
        aspen_write_memory(s.mm, BASE, "\x90", 1, ASPEN_MEMORY_FORCE, &done),
        0);
    assert_int_equal(helper_get(&s.helper, s.child, BASE), 0xcc);
    assert_int_equal(helper_get(&s.helper, s.mm, BASE), 0x90);
    destroy(&s);
}

static void
test_across(void **state)
{
    (void)state;
    enum { BYTES = 600 * 4096 };
    struct space s;
    uint8_t *bytes = malloc(BYTES);
    uint8_t *back = malloc(BYTES);
    uint64_t done;

    assert_true(bytes && back);
    create(&s, NULL);
    helper_map(s.mm, BASE, 300, RW);
    helper_map(s.mm, BASE + 300 * PAGE, 300, RW | ASPEN_VM_DONTDUMP);
    for (unsigned i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 4096);
    assert_int_equal(
        aspen_write_memory(s.mm, BASE + 5, bytes, BYTES - 5, 0, &done), 0);
    assert_int_equal(done, BYTES - 5);
    assert_int_equal(
        aspen_read_memory(s.mm, BASE + 5, back, BYTES - 5, 0, &done), 0);
    assert_memory_equal(bytes, back, BYTES - 5);
    /* The hole at the end, and nothing at all. */
    assert_int_equal(aspen_read_memory(s.mm, BASE + 5, back, BYTES, 0, &done),
                     -ASPEN_EFAULT);
    assert_int_equal(done, BYTES - 5);
    assert_int_equal(aspen_read_memory(s.mm, 1, back, 0, 0, &done), 0);
    assert_int_equal(aspen_read_memory(s.mm, UINT64_MAX, back, 2, 0, &done),
                     -ASPEN_EFAULT);
    assert_int_equal(done, 0);
    assert_int_equal(aspen_read_memory(s.mm, BASE, back, 2, 8, &done),
                     -ASPEN_EINVAL);
    destroy(&s);
    free(bytes);
    free(back);
}

/* The error of a pager comes as it is, with what was copied before. */
static void
test_pager_fails(void **state)
{
    (void)state;
    struct space s;
    uint8_t back[3 * 4096];
    uint64_t done;

    create(&s, NULL);
    helper_map_object(s.mm, BASE, 8, R, s.file, 0);
    assert_int_equal(
        aspen_read_memory(s.mm, BASE + 4 * PAGE, back, 3 * PAGE, 0, &done),
        -ASPEN_EIO);
    assert_int_equal(done, PAGE);
    assert_int_equal(back[PAGE - 1], 5);
    helper_map_object(s.mm, BASE + 8 * PAGE, 2, R, s.file, 7);
    assert_int_equal(
        aspen_read_memory(s.mm, BASE + 8 * PAGE, back, 2 * PAGE, 0, &done),
        -ASPEN_EFAULT);
    assert_int_equal(done, PAGE);
    destroy(&s);
}

/* What is copied into a shared mapping is written back, each time. */
static void
test_written_back(void **state)
{
    (void)state;
    struct space s;
    uint64_t done;

    create(&s, NULL);
    helper_map_object(s.mm, BASE, 2, RW | SHARED, s.file, 0);
    for (uint8_t i = 1; i < 4; i++) {
        assert_int_equal(aspen_write_memory(s.mm, BASE + PAGE, &i, 1, 0, &done),
                         0);
        assert_int_equal(aspen_object_sync(s.file, 0, 8 * PAGE), 0);
        assert_int_equal(s.writes, i);
        assert_int_equal(s.written, i);
    }
    destroy(&s);
}

/* A debugger makes a stack grow, a neighbour does not. */
static void
test_stack(void **state)
{
    (void)state;
    struct space s;
    uint64_t done;

    create(&s, NULL);
    helper_map(s.mm, BASE, 1, RW | ASPEN_VM_GROWSDOWN);
    assert_int_equal(
        aspen_write_memory(s.mm, BASE - 2 * PAGE, "x", 1, 0, &done),
        -ASPEN_EFAULT);
    assert_int_equal(aspen_write_memory(s.mm, BASE - 2 * PAGE, "x", 1,
                                        ASPEN_MEMORY_FORCE, &done),
                     0);
    assert_int_equal(helper_counters(s.mm).stack_pages, 3);
    assert_int_equal(helper_get(&s.helper, s.mm, BASE - 2 * PAGE), 'x');
    destroy(&s);
}

static void
test_huge(void **state)
{
    (void)state;
    struct space s;
    uint64_t done;
    uint8_t byte;

    create(&s, NULL);
    import_vma(&s, 2 * MIB, 512, RW);
    import(&s, 2 * MIB, ASPEN_IMPORT_ANON, 1);
    assert_int_equal(
        aspen_write_memory(s.mm, 2 * MIB + 9 * PAGE - 1, "ab", 2, 0, &done), 0);
    assert_int_equal(
        aspen_read_memory(s.mm, 2 * MIB + 9 * PAGE, &byte, 1, 0, &done), 0);
    assert_int_equal(byte, 'b');
    destroy(&s);
}

/* A copy into a huge page that fork has made read-only goes to that page, and
 * it is its entry's alone, whoever else holds it. */
static void
test_huge_held(void **state)
{
    (void)state;
    const uint64_t at = 2 * MIB + 9 * PAGE;
    struct aspen_hold hold;
    struct space s;
    uint32_t frame;

    create(&s, NULL);
    import_vma(&s, 2 * MIB, 512, R);
    import(&s, 2 * MIB, ASPEN_IMPORT_ANON, 1);
    uint32_t head = helper_frame(s.mm, 2 * MIB);
    struct aspen_frame *page = aspen_frame_at(s.helper.aspen, head);
    aspen_hold_begin(&hold, s.mm, ASPEN_ACCESS_WRITE, ASPEN_HOLD_FORCE);
    assert_int_equal(aspen_hold_page(&hold, at, &frame), 0);
    assert_int_equal(frame, head + 9);
    assert_int_equal(aspen_frame_references(page), 2);
    assert_true(aspen_frame_is_exclusive(page));
    aspen_hold_put(&hold, frame);
    aspen_hold_end(&hold);
    assert_true(aspen_frame_is_exclusive(page));
    destroy(&s);
}

static void
test_no_contents(void **state)
{
    (void)state;
    struct aspen_config config;
    struct space s;
    uint8_t bytes[2] = {1, 2};
    uint64_t done;

    aspen_config_init(&config);
    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    create(&s, &config);
    helper_map(s.mm, BASE, 2, RW);
    assert_int_equal(aspen_read_memory(s.mm, BASE, bytes, 2, 0, &done),
                     -ASPEN_EOPNOTSUPP);
    destroy(&s);
    config.flags |= ASPEN_CONFIG_CONTENTS_IGNORED;
    create(&s, &config);
    helper_map(s.mm, BASE, 2, RW);
    assert_int_equal(
        aspen_write_memory(s.mm, BASE + PAGE - 1, bytes, 2, 0, &done), 0);
    assert_int_equal(
        aspen_read_memory(s.mm, BASE + PAGE - 1, bytes, 2, 0, &done), 0);
    assert_int_equal(bytes[0] | bytes[1], 0);
    assert_int_equal(helper_counters(s.mm).anon_pages, 2);
    destroy(&s);
}

/* ---- Residency --------------------------------------------------------- */

static void
test_mincore(void **state)
{
    (void)state;
    struct space s;
    uint8_t vector[10];
    const uint8_t expected[8] = {0, 1, 1, 0, 0, 0, 0, 1};

    create(&s, NULL);
    /* Nothing, zeroes, a page, swapped out, a guard. */
    import_vma(&s, BASE, 5, RW);
    helper_get(&s.helper, s.mm, BASE + PAGE);
    helper_put(&s.helper, s.mm, BASE + 2 * PAGE, 1);
    import(&s, BASE + 3 * PAGE, ASPEN_IMPORT_SWAP, 0);
    import(&s, BASE + 4 * PAGE, ASPEN_IMPORT_GUARD, 0);
    /* Raw memory. */
    import_vma(&s, BASE + 5 * PAGE, 1, RW | ASPEN_VM_PFNMAP);
    import(&s, BASE + 5 * PAGE, ASPEN_IMPORT_RAW, 0);
    /* A file: of these the second was read through another mapping. */
    helper_map_object(s.mm, BASE + 6 * PAGE, 2, R, s.file, 0);
    helper_map_object(s.mm, BASE + 20 * PAGE, 1, R, s.file, 1);
    helper_get(&s.helper, s.mm, BASE + 20 * PAGE);
    memset(vector, 9, sizeof(vector));
    assert_int_equal(aspen_mincore(s.mm, BASE, 8 * PAGE - 5, vector), 0);
    assert_memory_equal(vector, expected, 8);
    assert_int_equal(vector[8], 9);
    memset(vector, 9, sizeof(vector));
    assert_int_equal(aspen_mincore(s.mm, BASE + 5 * PAGE, 4 * PAGE, vector),
                     -ASPEN_ENOMEM);
    assert_memory_equal(vector, expected + 5, 3);
    assert_int_equal(vector[3], 9);
    assert_int_equal(aspen_mincore(s.mm, BASE + 1, PAGE, vector),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_mincore(s.mm, BASE, 0, vector), 0);
    assert_int_equal(aspen_mincore(s.mm, BASE, UINT64_MAX, vector),
                     -ASPEN_ENOMEM);
    destroy(&s);
}

/* Over many tables, and more than one hold of the lock. */
static void
test_mincore_many(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct space s;
    uint8_t *vector = malloc(MANY);

    assert_non_null(vector);
    create(&s, NULL);
    helper_map(s.mm, BASE, MANY, RW | ASPEN_VM_NORESERVE);
    for (unsigned i = 0; i < MANY; i += 997)
        helper_put(&s.helper, s.mm, BASE + i * PAGE, 1);
    assert_int_equal(aspen_mincore(s.mm, BASE, MANY * PAGE, vector), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(vector[i], i % 997 == 0);
    import_vma(&s, 2 * GIB, 512, RW);
    import(&s, 2 * GIB, ASPEN_IMPORT_ANON, 1);
    assert_int_equal(aspen_mincore(s.mm, 2 * GIB + PAGE, 511 * PAGE, vector),
                     0);
    for (unsigned i = 0; i < 511; i++)
        assert_int_equal(vector[i], 1);
    destroy(&s);
    free(vector);
}

static void
test_populate(void **state)
{
    (void)state;
    struct space s;
    uint64_t done;

    create(&s, NULL);
    helper_map(s.mm, BASE, 3, RW);
    assert_int_equal(aspen_populate(s.mm, BASE, PAGE + 1, 0, &done), 0);
    assert_int_equal(done, 2 * PAGE);
    assert_int_equal(aspen_populate(s.mm, BASE + 1, PAGE, 0, &done),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_populate(s.mm, BASE, PAGE, 3, &done), -ASPEN_EINVAL);
    assert_int_equal(aspen_populate(s.mm, BASE, UINT64_MAX, 0, &done),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_populate(s.mm, BASE, 4 * PAGE, ASPEN_ACCESS_READ, &done),
        -ASPEN_ENOMEM);
    assert_int_equal(done, 3 * PAGE);
    destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_forced_copy),
        cmocka_unit_test(test_across),       cmocka_unit_test(test_pager_fails),
        cmocka_unit_test(test_written_back), cmocka_unit_test(test_stack),
        cmocka_unit_test(test_huge),         cmocka_unit_test(test_huge_held),
        cmocka_unit_test(test_no_contents),  cmocka_unit_test(test_mincore),
        cmocka_unit_test(test_mincore_many), cmocka_unit_test(test_populate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
