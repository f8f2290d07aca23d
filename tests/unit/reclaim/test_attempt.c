/* SPDX-License-Identifier: MIT */
/*
 * Calls that need page tables find no frame: pages leave, and the call is made
 * again; or none can, and nothing has changed.
 */
#define _GNU_SOURCE
#include "full.h"
#include "helper.h"
#include "slots.h"

#include <aspen_posix.h>

#include "frames/frames.h"
#include "paging/entry.h"

#define FAR_BY GIB
#define SLOTS  2048u
#define RAW    (FULL_FRAMES * 16) /* a number that is no RAM */

/* ---- The calls ------------------------------------------------------- */

/* Each is made at a new place (`number`), and needs tables there. */
struct row {
    const char *name;
    void (*prepare)(unsigned number); /* while memory is free; or NULL */
    int (*run)(unsigned number);
    void (*undo)(unsigned number); /* or NULL */
};

static struct aspen_mm *made; /* by the call */

static uint64_t
place(unsigned number)
{
    return FAR_AWAY / 2 + number * FAR_BY;
}

static void
map_two(unsigned number)
{
    uint8_t byte = 7;

    helper_map(full.mm, place(number), 2, RW);
    assert_int_equal(
        helper_write(&full.helper, full.mm, place(number), &byte, 1), 0);
}

static void
map_empty(unsigned number)
{
    helper_map(full.mm, place(number), 1024, RW);
}

static void
map_driver(unsigned number)
{
    (void)!aspen_mmap(full.mm,
                      &(struct aspen_mmap_args){
                          .address = place(number),
                          .length_bytes = 1024 * PAGE,
                          .vm_flags = RW | ASPEN_VM_SHARED | ASPEN_VM_PFNMAP,
                          .flags = ASPEN_MAP_FIXED,
                          .object = full.file,
                      },
                      &(uint64_t){0});
}

static int
run_create(unsigned number)
{
    (void)number;
    return aspen_mm_create(full.aspen, &made);
}

static int
run_fork(unsigned number)
{
    (void)number;
    return aspen_fork(full.mm, &made);
}

static void
put_made(unsigned number)
{
    (void)number;
    aspen_mm_put(made);
}

static int
run_exec(unsigned number)
{
    (void)number;
    return aspen_exec_prepare(full.mm, &made);
}

static void
abort_exec(unsigned number)
{
    (void)number;
    aspen_exec_abort(made);
}

/* To where there is no table yet. */
static int
run_mremap(unsigned number)
{
    return helper_remap(full.mm, place(number), 2 * PAGE, 2 * PAGE,
                        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                        place(number) + FAR_AWAY / 4);
}

static int
run_guards(unsigned number)
{
    return aspen_madvise(full.mm, place(number), 1024 * PAGE,
                         ASPEN_MADV_GUARD_INSTALL);
}

static int
run_insert_raw(unsigned number)
{
    return aspen_insert_raw(full.mm, place(number), RAW, 0);
}

static int
run_remap_raw(unsigned number)
{
    return aspen_remap_raw(full.mm, place(number), 1024 * PAGE, RAW);
}

static int
run_import(unsigned number)
{
    uint64_t done = 0;
    int error = aspen_import_pages(
        full.mm,
        &(struct aspen_import_pages){.address = place(number), .count = 64},
        &done);

    assert_int_equal(error ? 0 : 64, done);
    return error;
}

static const struct row tables[] = {
    {"mm_create", NULL, run_create, put_made},
    {"exec_prepare", NULL, run_exec, abort_exec},
    {"fork", map_two, run_fork, put_made},
    {"mremap", map_two, run_mremap, NULL},
    {"guards", map_empty, run_guards, NULL},
    {"insert_raw", map_driver, run_insert_raw, NULL},
    {"remap_raw", map_driver, run_remap_raw, NULL},
    {"import_pages", map_empty, run_import, NULL},
};

#define TABLES (sizeof(tables) / sizeof(tables[0]))

static void
prepare(const struct row *row, unsigned number)
{
    if (row->prepare)
        row->prepare(number);
}

static void
undo(const struct row *row, unsigned number)
{
    if (row->undo)
        row->undo(number);
}

static void
test_pages_leave(void **state)
{
    (void)state;
    full_begin(256, NULL);
    for (unsigned i = 0; i < TABLES; i++) {
        prepare(&tables[i], i);
        full_fill();
        struct aspen_counters before = full_counts();
        print_message("%s\n", tables[i].name);
        assert_int_equal(tables[i].run(i), 0);
        struct aspen_counters after = full_counts();
        assert_true(after.reclaimed > before.reclaimed);
        assert_true(after.direct_stalls > before.direct_stalls);
        assert_int_equal(after.direct_stalls - before.direct_stalls,
                         after.direct_reclaims - before.direct_reclaims);
        helper_assert_valid(&full.helper);
        undo(&tables[i], i);
    }
    full_end();
}

/* And the same call works when there is memory. */
static void
refuse(const struct row *row, unsigned number)
{
    struct helper_state before;

    prepare(row, number);
    full_fill_for_good();
    helper_state_take(&full.helper, full.mm, &before);
    print_message("%s\n", row->name);
    assert_int_equal(row->run(number), -ASPEN_ENOMEM);
    helper_assert_state(&full.helper, full.mm, &before);
    helper_assert_valid(&full.helper);
    struct aspen_counters after = full_counts();
    assert_int_equal(after.direct_stalls, before.counters.direct_stalls + 1);
    assert_int_equal(after.direct_reclaims, before.counters.direct_reclaims);
    full_give_back();
    assert_int_equal(row->run(number), 0);
    undo(row, number);
}

static void
test_none_can_leave(void **state)
{
    (void)state;
    full_begin(256, NULL);
    for (unsigned i = 0; i < TABLES; i++)
        refuse(&tables[i], i);
    full_end();
}

/* There is no memory for contents that could leave. */
static void
test_tables_only(void **state)
{
    (void)state;
    struct aspen_config config = helper_config(256);
    struct aspen *aspen;
    struct aspen_mm *mm, *child = NULL;
    uint32_t taken[256];
    unsigned count = 0;

    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    aspen = helper_machine_from(&config);
    mm = helper_new_mm(aspen);
    while (!aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &taken[count]))
        count++;
    assert_int_equal(aspen_fork(mm, &child), -ASPEN_ENOMEM);
    assert_null(child);
    while (count)
        aspen_frame_put(aspen, taken[--count]);
    assert_int_equal(aspen_fork(mm, &child), 0);
    aspen_mm_put(child);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* ---- Many tables ----------------------------------------------------- */

#define REGIONS 700u

static uint8_t slots[SLOTS][4096];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static const struct aspen_swap_ops device = {.transfer = transfer};

/* A page in each of so many tables. */
static void
touch_regions(void)
{
    const uint64_t span = PAGE * 512;
    uint64_t at = helper_map(full.mm, GIB, REGIONS * 512, RW);

    for (uint64_t i = 0; i < REGIONS; i++)
        assert_int_equal(
            helper_write(&full.helper, full.mm, at + i * span, &i, 8), 0);
}

static void
assert_regions(struct aspen_mm *mm)
{
    uint64_t number;

    for (uint64_t i = 0; i < REGIONS; i++) {
        assert_int_equal(
            helper_read(&full.helper, mm, GIB + i * PAGE * 512, &number, 8), 0);
        assert_int_equal(number, i);
    }
}

/* More tables than 16 times 32: of each attempt nothing is left. */
static void
test_large_fork(void **state)
{
    (void)state;
    struct aspen_mm *child;

    full_begin(FULL_FRAMES, NULL);
    touch_regions();
    full_fill();
    assert_int_equal(aspen_fork(full.mm, &child), 0);
    struct aspen_counters counts = full_counts();
    assert_in_range(counts.reclaimed, REGIONS, 4 * REGIONS);
    assert_regions(child);
    aspen_mm_put(child);
    full_end();
}

/* The parent's own pages go to swap for the child's tables. */
static void
test_swapped_for_a_fork(void **state)
{
    (void)state;
    struct aspen_mm *child;
    unsigned type;

    full_begin(FULL_FRAMES, NULL);
    assert_int_equal(aspen_swap_add(full.aspen,
                                    &(struct aspen_swap_args){.pages = SLOTS,
                                                              .ops = &device},
                                    &type),
                     0);
    touch_regions();
    uint64_t at = helper_map(full.mm, 0, 1500, RW);
    for (uint64_t i = 0; i < 1500; i++)
        assert_int_equal(
            helper_write(&full.helper, full.mm, at + i * PAGE, &i, 8), 0);
    full_fill_for_good();
    assert_int_equal(aspen_fork(full.mm, &child), 0);
    assert_true(full_counts().swapped_out >= REGIONS);
    full_give_back();
    assert_regions(child);
    assert_regions(full.mm);
    aspen_mm_put(child);
    full_end();
}

/* ---- What ends it ---------------------------------------------------- */

static bool
killed_by_now(void *context, unsigned order, unsigned attempt)
{
    (void)context;
    (void)order;
    (void)attempt;
    aspen_posix_set_fatal_signal(true);
    return false;
}

/* Pages have left by then. */
static void
kill_meanwhile(int (*run)(unsigned number))
{
    static const struct aspen_memory_ops hooks = {.low = killed_by_now};
    struct aspen_config config = helper_config(256);
    uint64_t done, before;
    uint8_t byte;

    made = NULL;
    config.hooks.memory = &hooks;
    full_begin(256, &config);
    full_touch(place(0));
    full_fill_for_good();
    full_give_one();
    assert_int_equal(aspen_object_read(full.file, 0, &byte, 1, &done), 0);
    before = aspen_hash_mm(full.mm, ASPEN_HASH_SEMANTIC);
    assert_int_equal(run(0), -ASPEN_EINTR);
    aspen_posix_set_fatal_signal(false);
    assert_null(made);
    assert_int_equal(full_counts().reclaimed, 1);
    assert_int_equal(aspen_hash_mm(full.mm, ASPEN_HASH_SEMANTIC), before);
    helper_assert_valid(&full.helper);
    full_give_back();
    full_end();
}

static void
test_killed_meanwhile(void **state)
{
    (void)state;
    kill_meanwhile(run_fork);
    kill_meanwhile(run_create); /* which takes no lock that would say so */
}

/* A failure that was planned is no refusal, however full memory is. */
static void
test_plans_hold(void **state)
{
    (void)state;
    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONWARD};

    full_begin(256, NULL);
    for (unsigned i = 0; i < TABLES; i++) {
        prepare(&tables[i], i);
        full_fill();
        uint64_t stalls = full_counts().direct_stalls;
        assert_int_equal(aspen_failpoints_set(full.aspen, &plan), 0);
        int error = tables[i].run(i);
        assert_int_equal(aspen_failpoints_set(full.aspen, NULL), 0);
        assert_true(error == -ASPEN_ENOMEM || error == -ASPEN_EINTR);
        assert_int_equal(full_counts().direct_stalls, stalls);
        helper_assert_valid(&full.helper);
    }
    full_end();
}

/* ---- A group that is full -------------------------------------------- */

#define PINNED 40u

/* Of what fork copies at once the child's group is charged. */
static void
fork_in_group(bool has_more)
{
    struct full *s = &full;
    struct aspen_group *group;
    struct aspen_group_counters before, after;
    struct aspen_mm *child = NULL;
    uint32_t frames[PINNED];

    full_begin(FULL_FRAMES, NULL);
    assert_int_equal(aspen_group_create(s->helper.aspen, NULL, &group), 0);
    assert_int_equal(aspen_group_enter(s->mm, group), 0);
    uint64_t at = helper_map(s->mm, 0, PINNED, RW);
    assert_int_equal(
        aspen_pin_range(s->mm, at, PINNED * PAGE, ASPEN_PIN_WRITE, frames), 0);
    uint64_t read = helper_map_object(s->mm, 0, 2 * PINNED, R, full.file, 0);
    for (uint64_t i = 0; has_more && i < 2 * PINNED; i++)
        assert_int_equal(aspen_fault(s->mm, read + i * PAGE, ASPEN_ACCESS_READ),
                         0);
    aspen_group_counters_read(group, &before);
    assert_int_equal(
        aspen_group_limit_set(group, ASPEN_GROUP_MAX, before.pages), 0);
    int error = aspen_fork(s->mm, &child);
    aspen_group_counters_read(group, &after);
    assert_int_equal(error, has_more ? 0 : -ASPEN_ENOMEM);
    assert_true(after.pages <= before.pages);
    if (has_more)
        assert_in_range(after.pages, 2 * PINNED, before.pages);
    assert_int_equal(after.events[ASPEN_GROUP_EVENT_OOM], !has_more);
    helper_assert_valid(&s->helper);
    if (child)
        aspen_mm_put(child);
    helper_unpin(s->mm, frames, PINNED, 0);
    aspen_group_put(group);
    full_end();
}

static void
test_group(void **state)
{
    (void)state;
    fork_in_group(true);
    fork_in_group(false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_leave),
        cmocka_unit_test(test_none_can_leave),
        cmocka_unit_test(test_tables_only),
        cmocka_unit_test(test_large_fork),
        cmocka_unit_test(test_swapped_for_a_fork),
        cmocka_unit_test(test_killed_meanwhile),
        cmocka_unit_test(test_plans_hold),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
