/* SPDX-License-Identifier: MIT */
/*
 * test_fault_errors.c - every error in the table of aspen/fault.h: a fault that
 * answers it, and the same signal in examples/kernel/mm/fault.c.
 */
#include "helper.h"
#include "internal.h"

#include "paging/entry.h"

#include <aspen_posix.h>

#define AT ((uint64_t)0x10000000)

/* ---- A fault for each ---------------------------------------------------- */

static int
nothing_mapped(struct helper_space *s)
{
    return aspen_fault(s->mm, AT, ASPEN_ACCESS_READ);
}

static int
not_allowed(struct helper_space *s)
{
    helper_map(s->mm, AT, 1, R);
    return aspen_fault(s->mm, AT, ASPEN_ACCESS_WRITE);
}

static int
key_rejected(struct helper_space *s)
{
    helper_import(s->mm, AT, 1, MAY_RW | (uint64_t)3 << ASPEN_VM_PKEY_SHIFT,
                  NULL, 0);
    return aspen_fault_with_rights(s->mm, AT, ASPEN_ACCESS_READ, UINT32_MAX);
}

static int pager_answers;

static int
pager_read(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes, (void)page;
    return pager_answers;
}

/* A file of two pages. */
static int
file_fault(struct helper_space *s, uint64_t page, unsigned access)
{
    static const struct aspen_pager_ops pager = {.read = pager_read};
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 2, &pager, NULL);

    helper_map_object(s->mm, AT, 4, R, file, 0);
    aspen_object_put(file);
    return aspen_fault(s->mm, AT + page * PAGE, access);
}

static int
beyond_the_end(struct helper_space *s)
{
    return file_fault(s, 2, ASPEN_ACCESS_READ);
}

static int
poisoned(struct helper_space *s)
{
    pager_answers = -ASPEN_EHWPOISON;
    return file_fault(s, 0, ASPEN_ACCESS_READ);
}

static int
disk_fails(struct helper_space *s)
{
    pager_answers = -ASPEN_EIO;
    return file_fault(s, 0, ASPEN_ACCESS_READ);
}

static int
would_wait(struct helper_space *s)
{
    return file_fault(s, 0, ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT);
}

static int
no_memory(struct helper_space *s)
{
    const struct aspen_failpoint_plan plan = {.number = 1,
                                              .mode = ASPEN_FAIL_ONWARD};

    helper_map(s->mm, AT, 1, RW);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
    int error = aspen_fault(s->mm, AT, ASPEN_ACCESS_WRITE);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
    return error;
}

/* A stack grows under a lock that a fatal signal ends the wait for. */
static int
killed(struct helper_space *s)
{
    helper_map(s->mm, AT, 1, RW | ASPEN_VM_GROWSDOWN);
    aspen_posix_set_fatal_signal(true);
    int error = aspen_fault(s->mm, AT - PAGE, ASPEN_ACCESS_WRITE);
    aspen_posix_set_fatal_signal(false);
    return error;
}

static int
reaped(struct helper_space *s)
{
    helper_map(s->mm, AT, 1, RW);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    return aspen_fault(s->mm, AT, ASPEN_ACCESS_READ);
}

static int
no_such_access(struct helper_space *s)
{
    helper_map(s->mm, AT, 1, RW);
    return aspen_fault(s->mm, AT, 1u << 30);
}

static int
swapped_out(struct helper_space *s)
{
    unsigned type;

    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 64, &type), 0);
    helper_import(s->mm, AT, 1, MAY_RW, NULL, 0);
    assert_int_equal(helper_import_pages(s->mm, AT, 1, ASPEN_IMPORT_SWAP, 0),
                     0);
    return aspen_fault(s->mm, AT, ASPEN_ACCESS_READ);
}

/* ---- The tables ---------------------------------------------------------- */

struct verdict {
    char error[24], signal[16], code[16];
};

struct table {
    struct verdict rows[20];
    unsigned count;
};

/* Lines that `format` finds three words in, or two. */
static struct table
read_table(const char *path, const char *format)
{
    struct table table = {.count = 0};
    char line[256];
    FILE *file = fopen(path, "r");

    if (!file)
        fail_msg("%s: run this from the top of the project", path);
    while (fgets(line, sizeof(line), file)) {
        struct verdict row = {.error = ""};
        if (sscanf(line, format, row.error, row.signal, row.code) < 2)
            continue;
        if (strncmp(row.signal, "SIG", 3))
            strcpy(row.signal, "0");
        if (strncmp(row.code, "SEGV", 4) && strncmp(row.code, "BUS", 3))
            strcpy(row.code, "0");
        assert_true(table.count < ASPEN_ARRAY_SIZE(table.rows));
        table.rows[table.count++] = row;
    }
    fclose(file);
    return table;
}

static const struct verdict *
find(const struct table *table, const char *error)
{
    for (unsigned i = 0; i < table->count; i++)
        if (!strcmp(table->rows[i].error, error))
            return &table->rows[i];
    return NULL;
}

static struct table
documented(void)
{
    return read_table("include/aspen/fault.h",
                      " * -ASPEN_%23[A-Z]%*[ ]%15s %15s");
}

static const struct {
    const char *name;
    int error;
    int (*fault)(struct helper_space *s);
} faults[] = {
    {"EFAULT", ASPEN_EFAULT, nothing_mapped},
    {"EACCES", ASPEN_EACCES, not_allowed},
    {"EKEYREJECTED", ASPEN_EKEYREJECTED, key_rejected},
    {"EFBIG", ASPEN_EFBIG, beyond_the_end},
    {"EHWPOISON", ASPEN_EHWPOISON, poisoned},
    {"ENOMEM", ASPEN_ENOMEM, no_memory},
    {"ESRCH", ASPEN_ESRCH, reaped},
    {"EINTR", ASPEN_EINTR, killed},
    {"EAGAIN", ASPEN_EAGAIN, would_wait},
    {"EINVAL", ASPEN_EINVAL, no_such_access},
    {"EOPNOTSUPP", ASPEN_EOPNOTSUPP, swapped_out},
};

static void
test_each_is_answered(void **state)
{
    struct aspen_config config = helper_config(4096);
    struct table table = documented();
    (void)state;

    config.pkeys = ASPEN_ENTRY_PKEYS > 1 ? ASPEN_ENTRY_PKEYS : 0;
    config.direct_map = NULL;
    assert_int_equal(table.count, ASPEN_ARRAY_SIZE(faults));
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(faults); i++) {
        struct helper_space s;
        print_message("%s\n", faults[i].name);
        assert_non_null(find(&table, faults[i].name));
        if (faults[i].fault == key_rejected && !config.pkeys)
            continue;
        helper_space_create(&s, &config);
        assert_int_equal(faults[i].fault(&s), -faults[i].error);
        helper_space_destroy(&s);
    }
}

static void
test_of_the_pager(void **state)
{
    struct helper_space s;
    (void)state;

    helper_space_create(&s, NULL);
    assert_int_equal(disk_fails(&s), -ASPEN_EIO);
    helper_space_destroy(&s);
}

/* What the kernel does not name is SIGBUS, BUS_ADRERR there. */
static void
test_kernel_agrees(void **state)
{
    struct table kernel =
        read_table("examples/kernel/mm/fault.c",
                   " {ASPEN_%23[A-Z], %15[A-Z0-9], %15[A-Z_0-9]},");
    struct table table = documented();
    unsigned found = 0;
    (void)state;

    for (unsigned i = 0; i < table.count; i++) {
        struct verdict expected = table.rows[i];
        const struct verdict *row = find(&kernel, expected.error);
        print_message("%s\n", expected.error);
        found += row != NULL;
        assert_string_equal(row ? row->signal : "SIGBUS", expected.signal);
        assert_string_equal(row ? row->code : "BUS_ADRERR", expected.code);
    }
    assert_true(found > 5);
    assert_int_equal(found, kernel.count);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_answered),
        cmocka_unit_test(test_of_the_pager),
        cmocka_unit_test(test_kernel_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
