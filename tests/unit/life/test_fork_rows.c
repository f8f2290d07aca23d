/* SPDX-License-Identifier: MIT */
/*
 * docs/design/fork.md against fork itself: every row that names crossings is
 * crossed and made to fail in each kind it names, and no crossing is without a
 * row.
 */
#define _GNU_SOURCE
#include "fork_parent.h"
#include "helper.h"
#include "paging/entry.h"

#define ROWS      20
#define STEPS_MAX 4096

/* Bit k of named[r]: row r names crossings of kind k. */
struct table {
    unsigned rows;
    unsigned named[ROWS];
};

static unsigned
kinds_in(const char *cell, size_t length)
{
    unsigned kinds = 0;
    for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++) {
        const char *name = aspen_step_name((enum aspen_step)step);
        const char *found = memmem(cell, length, name, strlen(name));
        /* "vma" is also a part of "anon_vma". */
        if (found && (found == cell || found[-1] != '_'))
            kinds |= 1u << step;
    }
    return kinds;
}

/* Lines of the table: | number | text | crossings | ... */
static struct table
read_table(void)
{
    struct table table = {0};
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen("docs/design/fork.md", "re");

    if (!file)
        fail_msg(
            "docs/design/fork.md: run the tests from the project's folder");
    while (getline(&line, &size, file) > 0) {
        unsigned row;
        if (sscanf(line, "| %u |", &row) != 1)
            continue;
        assert_true(row < ROWS);
        char *text = strchr(strchr(line + 1, '|') + 1, '|') + 1;
        table.named[row] = kinds_in(text, (size_t)(strchr(text, '|') - text));
        table.rows++;
    }
    free(line);
    fclose(file);
    return table;
}

struct recording {
    enum aspen_step steps[STEPS_MAX];
    uint64_t count;
};

static void
observe(void *context, enum aspen_step step, uint64_t number)
{
    struct recording *recording = context;
    assert_true(number <= STEPS_MAX);
    recording->steps[number - 1] = step;
    recording->count = number;
}

/* Fork with a plan; returns how many crossings failed. */
static uint64_t
run(struct fork_parent *parent, struct recording *recording,
    enum aspen_fail_mode mode, uint64_t number)
{
    struct aspen_failpoint_plan plan = {mode, number, observe, recording};
    struct aspen_failpoint_counts counts;
    struct aspen_mm *child = NULL;

    assert_int_equal(aspen_failpoints_set(parent->helper.aspen, &plan), 0);
    int error = aspen_fork(parent->mm, &child);
    aspen_failpoints_read(parent->helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(parent->helper.aspen, NULL), 0);
    assert_int_equal(error != 0, counts.failed != 0);
    if (child)
        aspen_mm_put(child);
    return counts.failed;
}

static void
test_every_row(void **state)
{
    (void)state;
    static struct recording recording;
    static struct recording failing;
    static struct fork_label labels[STEPS_MAX];
    struct table table = read_table();
    struct fork_parent *parent = fork_parent_rich();
    unsigned hit[ROWS] = {0};
    unsigned levels = 0; /* of page tables that could not be had */

    assert_int_equal(table.rows, ROWS);
    run(parent, &recording, ASPEN_FAIL_NEVER, 0);
    assert_true(
        fork_label_steps(parent, recording.steps, recording.count, labels));
    for (uint64_t n = 1; n <= recording.count; n++) {
        if (!run(parent, &failing, ASPEN_FAIL_ONCE, n))
            continue;
        hit[labels[n - 1].row] |= 1u << recording.steps[n - 1];
        if (labels[n - 1].row == 16 &&
            recording.steps[n - 1] == ASPEN_STEP_PAGE_TABLE)
            levels |= 1u << labels[n - 1].level;
    }
    /* Each level below the top one, which is row 0. */
    assert_int_equal(levels, (1u << (ASPEN_TABLE_LEVELS - 1)) - 1);

    unsigned pairs = 0;
    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++) {
            unsigned bit = 1u << step;
            const char *name = aspen_step_name((enum aspen_step)step);
            if (table.named[row] & bit && !(hit[row] & bit))
                fail_msg("row %u never failed as %s", row, name);
            if (!(table.named[row] & bit) && hit[row] & bit)
                fail_msg("docs/design/fork.md: row %u lacks %s", row, name);
            pairs += (hit[row] & bit) != 0;
        }
    }
    print_message(
        "%u rows and kinds failed, each as docs/design/fork.md says\n", pairs);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
