/* SPDX-License-Identifier: MIT */
/*
 * A call finds no memory, drops its lock, and is made again: what it found the
 * first time is nothing to it then, since others have come in between. They
 * come when the machine is asked what time it is: there the call holds nothing
 * (machine/pressure.c), and waits for pages to leave.
 */
#define _GNU_SOURCE
#include "full.h"
#include "helper.h"
#include "port_memory.h"

#define ROUNDS 300u
#define PIECES (3 * ROUNDS)

static uint64_t piece; /* a mapping of PIECES pages; each round has three */
static void (*comes)(unsigned number); /* somebody else, once; or NULL */
static unsigned coming;                /* in which round */
static unsigned came;                  /* how often */

static uint64_t
clock_read(void *context)
{
    void (*other)(unsigned number) = comes;
    (void)context;

    comes = NULL;
    if (other) {
        came++;
        other(coming);
    }
    return 0;
}

/* ---- The calls ---------------------------------------------------------- */

static uint64_t
piece_of(unsigned number)
{
    return piece + (uint64_t)3 * number * PAGE;
}

static int
run_flags(unsigned number)
{
    return aspen_madvise(full.mm, piece_of(number), 2 * PAGE,
                         ASPEN_MADV_DONTFORK);
}

static int
run_mlock(unsigned number)
{
    return aspen_mlock(full.mm, piece_of(number), 2 * PAGE,
                       ASPEN_MLOCK_ONFAULT);
}

static int
run_munlock(unsigned number)
{
    return aspen_munlock(full.mm, piece_of(number), 2 * PAGE);
}

static int
run_mseal(unsigned number)
{
    return aspen_mseal(full.mm, piece_of(number), 2 * PAGE);
}

static int
run_mprotect(unsigned number)
{
    return aspen_mprotect(full.mm, piece_of(number), 2 * PAGE, R,
                          ASPEN_PKEY_SAME);
}

static int
run_name(unsigned number)
{
    char name[16];

    snprintf(name, sizeof(name), "name %u", number);
    return aspen_name_anon(full.mm, piece_of(number), 2 * PAGE, name);
}

struct row {
    const char *name;
    int (*run)(unsigned number);
    bool locked; /* all of it is, before */
    bool holes;  /* are heard of in the end */
};

static const struct row rows[] = {
    {"madvise", run_flags, false, true},
    {"mlock", run_mlock, false, false},
    {"munlock", run_munlock, true, false},
    {"mseal", run_mseal, false, false},
    {"mprotect", run_mprotect, false, false},
    {"name", run_name, false, true},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct row *running;

/* ---- Who comes in between ----------------------------------------------- */

/* The very same call. */
static void
do_the_same(unsigned number)
{
    assert_int_equal(running->run(number), 0);
}

/* The hole at the start is none any more. */
static void
fill_hole(unsigned number)
{
    assert_int_equal(helper_try_map(full.mm, piece_of(number), PAGE, RW,
                                    ASPEN_MAP_FIXED, &(uint64_t){0}),
                     0);
}

/* ---- Rounds ------------------------------------------------------------- */

static void
begin(const struct row *row)
{
    static const struct aspen_memory_ops memory = {.clock = clock_read};
    struct aspen_config config = helper_config(2048);

    config.hooks.memory = &memory;
    full_begin(2048, &config);
    home = &full.helper;
    piece = helper_map(full.mm, 0, PIECES, RW);
    if (row->locked)
        assert_int_equal(
            aspen_mlock(full.mm, piece, PIECES * PAGE, ASPEN_MLOCK_ONFAULT), 0);
    running = row;
    came = 0;
}

static void
end(void)
{
    print_message("%s: others came %u times\n", running->name, came);
    assert_true(came > 0);
    full_end();
    home = NULL;
}

/* Nothing is left to be done. */
static void
test_same(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        begin(&rows[i]);
        for (coming = 0; coming < ROUNDS; coming++) {
            full_fill();
            comes = do_the_same;
            assert_int_equal(running->run(coming), 0);
            comes = NULL;
        }
        end();
    }
}

/* A hole was met at first, and is there no more. */
static void
test_hole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROWS; i++) {
        if (!rows[i].holes)
            continue;
        begin(&rows[i]);
        for (coming = 0; coming < ROUNDS; coming++) {
            unsigned before = came;
            assert_int_equal(aspen_munmap(full.mm, piece_of(coming), PAGE), 0);
            full_fill();
            comes = fill_hole;
            int answer = running->run(coming);
            comes = NULL;
            assert_int_equal(answer, came > before ? 0 : -ASPEN_ENOMEM);
        }
        end();
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_hole)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
