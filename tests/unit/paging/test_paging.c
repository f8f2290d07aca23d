/* SPDX-License-Identifier: MIT */
/*
 * test_paging.c - tables, flushes, gather. Built once with the port's format
 * and once with AArch64's (test_paging_aarch64.c).
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <pthread.h>
#include <time.h>

#include "bare_machine.h"
#include "unit.h"

#include "frames/count.h"
#include "paging/gather.h"

#include "aspen_posix.h"

#define TOP (ASPEN_TABLE_LEVELS - 1)

/* The same digits in fewer bits, if the format has fewer. */
#define SOME(address) ((address) & (((uint64_t)1 << ASPEN_ADDRESS_BITS) - 1))

/* ---- A machine and a space by hand ------------------------------------- */

static uint32_t
new_table(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    uint32_t table;
    assert_int_equal(aspen_table_alloc(mm, address, level, &table), 0);
    return table;
}

static struct aspen_mm *
space_create(uint32_t frames)
{
    struct aspen *aspen = bare_create(frames, true);
    struct aspen_mm *mm = aspen_port_memory_alloc(sizeof(*mm));

    assert_non_null(mm);
    mm->aspen = aspen;
    mm->address_limit = ASPEN_ADDRESS_LIMIT;
    mm->root = new_table(mm, 0, TOP);
    mm->cpus[0] = 1; /* somebody hears of flushes */
    return mm;
}

static void
free_below(struct aspen_gather *gather, uint32_t table, unsigned level)
{
    struct aspen *aspen = gather->mm->aspen;
    uint64_t *entries = aspen_table_entries(aspen, table);

    for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++) {
        uint64_t entry = entries[i];
        entries[i] = 0;
        if (!aspen_entry_is_table(entry, level))
            continue;
        free_below(gather, (uint32_t)aspen_entry_frame(entry), level - 1);
        aspen_gather_table(gather, (uint32_t)aspen_entry_frame(entry));
    }
}

/* Tables go, leaves are forgotten; then nothing may be left. */
static void
space_destroy(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;
    struct aspen_gather gather;

    aspen_gather_begin(&gather, mm, true);
    free_below(&gather, mm->root, TOP);
    aspen_gather_end(&gather);
    aspen_tables_drain(aspen);
    assert_int_equal(mm->page_tables, 0);
    aspen_table_free(aspen, mm->root);
    assert_int_equal(aspen_count_sum(aspen, ASPEN_COUNT_TABLE), 0);
    bare_assert_frames(aspen);
    aspen_port_memory_free(mm, sizeof(*mm));
    bare_destroy(aspen);
}

/* ---- Tables ------------------------------------------------------------ */

static void
test_table_alloc(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen *aspen = mm->aspen;

    /* The memory is dirty from an earlier life. */
    memset((char *)aspen->config.direct_map + 4096, 0xa5, 255 * 4096);
    for (unsigned level = 0; level < ASPEN_TABLE_LEVELS; level++) {
        uint64_t address = SOME(0x123456789000);
        uint32_t table = new_table(mm, address, level);
        const struct aspen_frame *frame = aspen_frame_at(aspen, table);
        uint64_t first = aspen_align_down(address, aspen_table_span(level));

        assert_int_equal(aspen_frame_type(frame), ASPEN_FRAME_TABLE);
        assert_ptr_equal((void *)(uintptr_t)frame->owner, mm);
        assert_int_equal(aspen_frame_offset(frame), first >> 12 | level);
        assert_int_equal(aspen_frame_references(frame), 1);
        for (unsigned i = 0; i < ASPEN_TABLE_ENTRIES; i++)
            assert_int_equal(aspen_table_entries(aspen, table)[i], 0);
        assert_int_equal(aspen_count_sum(aspen, ASPEN_COUNT_TABLE), 2);
        aspen_table_free(aspen, table);
    }
    memset(aspen_table_entries(aspen, mm->root), 0, 4096);
    space_destroy(mm);
}

static void
test_walk(void **unused)
{
    (void)unused;
    static const uint64_t addresses[] = {0,
                                         0x1000,
                                         0x200000,
                                         0x40000000,
                                         SOME(0x7f1234567000),
                                         ASPEN_ADDRESS_LIMIT - 4096};
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(addresses); i++) {
        uint64_t address = addresses[i];
        struct aspen_slot found;

        assert_int_equal(aspen_table_walk_alloc(mm, address, 0, &slot), 0);
        assert_int_equal(slot.level, 0);
        assert_int_equal(aspen_table_walk(mm, address, &found), 0);
        assert_ptr_equal(found.entry, slot.entry);
        assert_int_equal(found.table, slot.table);
        uint64_t leaf = aspen_entry_make_leaf(i, 0, ASPEN_ENTRY_READ);
        *slot.entry = leaf;
        assert_int_equal(aspen_table_walk(mm, address + 4095, &found), leaf);
        assert_ptr_equal(found.entry, slot.entry);
        assert_int_equal(mm->page_tables,
                         aspen_count_sum(mm->aspen, ASPEN_COUNT_TABLE) - 1);
    }
    space_destroy(mm);
}

/* Where tables end, and where a leaf stands above. */
static void
test_walk_stops(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;
    struct aspen_slot large;

    assert_int_equal(aspen_table_walk(mm, 0x40000000, &slot), 0);
    assert_int_equal(slot.level, TOP);
    assert_int_equal(slot.table, mm->root);
    for (unsigned level = 2; level > 0; level--) {
        uint64_t address = aspen_entry_span(level) * 5;
        uint64_t leaf = aspen_entry_make_leaf(
            (uint64_t)1 << (ASPEN_TABLE_SHIFT * level), level, 0);

        assert_int_equal(aspen_table_walk_alloc(mm, address, level, &large), 0);
        assert_int_equal(large.level, level);
        *large.entry = leaf;
        assert_int_equal(aspen_table_walk(mm, address + 0x3000, &slot), leaf);
        assert_int_equal(slot.level, level);
        uint64_t tables = mm->page_tables;
        assert_int_equal(aspen_table_walk_alloc(mm, address, 0, &slot),
                         -ASPEN_EEXIST);
        assert_ptr_equal(slot.entry, large.entry);
        assert_int_equal(slot.level, level);
        assert_int_equal(mm->page_tables, tables);
    }
    space_destroy(mm);
}

static void
plan(struct aspen *aspen, enum aspen_fail_mode mode, uint64_t number)
{
    memset(&aspen->failpoints, 0, sizeof(aspen->failpoints));
    aspen->failpoints.counting = true;
    aspen->failpoints.plan.mode = mode;
    aspen->failpoints.plan.number = number;
}

static void
test_walk_fails(void **unused)
{
    (void)unused;
    struct aspen_slot slot;

    for (unsigned onward = 0; onward < 2; onward++)
        for (unsigned n = 1; n <= TOP; n++) {
            struct aspen_mm *mm = space_create(256);

            plan(mm->aspen, onward ? ASPEN_FAIL_ONWARD : ASPEN_FAIL_ONCE, n);
            assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot),
                             -ASPEN_ENOMEM);
            assert_int_equal(mm->page_tables, n - 1);
            assert_int_equal(aspen_count_sum(mm->aspen, ASPEN_COUNT_TABLE), n);
            assert_int_equal(
                mm->aspen->failpoints.counts.by_step[ASPEN_STEP_PAGE_TABLE], n);
            plan(mm->aspen, ASPEN_FAIL_NEVER, 0);
            assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
            assert_int_equal(mm->page_tables, TOP);
            space_destroy(mm);
        }
}

/* Somebody else makes the same tables while we allocate ours. */
static void
be_quicker(void *context, enum aspen_step step, uint64_t number)
{
    struct aspen_mm *mm = context;
    struct aspen_slot slot;

    (void)number;
    assert_int_equal(step, ASPEN_STEP_PAGE_TABLE);
    mm->aspen->failpoints.plan.observer = NULL;
    assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
    *slot.entry = aspen_entry_make_leaf(77, 0, ASPEN_ENTRY_READ);
}

static void
test_lost_race(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(256);
    struct aspen_slot slot;

    plan(mm->aspen, ASPEN_FAIL_NEVER, 0);
    mm->aspen->failpoints.plan.observer = be_quicker;
    mm->aspen->failpoints.plan.observer_context = mm;
    assert_int_equal(aspen_table_walk_alloc(mm, 0x5000, 0, &slot), 0);
    assert_int_equal(aspen_entry_frame(*slot.entry), 77);
    assert_int_equal(mm->page_tables, TOP);
    assert_int_equal(aspen_count_sum(mm->aspen, ASPEN_COUNT_TABLE), 1 + TOP);
    space_destroy(mm);
}

/* Everybody wants the same tables at the same time; each address gets one. */
static void *
walk_everywhere(void *argument)
{
    struct aspen_mm *mm = argument;
    struct aspen_slot slot;

    for (uint64_t i = 0; i < 200; i++)
        if (aspen_table_walk_alloc(mm, i * aspen_entry_span(TOP), 0, &slot))
            return argument;
    return NULL;
}

static void
test_racing_walks(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(4096);

    assert_int_equal(unit_run_threads(4, walk_everywhere, mm), 0);
    assert_int_equal(mm->page_tables, TOP * 200);
    assert_int_equal(aspen_count_sum(mm->aspen, ASPEN_COUNT_TABLE),
                     1 + TOP * 200);
    space_destroy(mm);
}

/* ---- Flushes ----------------------------------------------------------- */

struct flushes {
    struct aspen_mm *mm;
    unsigned count;
    unsigned with_tables;
    unsigned levels; /* of the last one, as the next */
    uint64_t start;
    uint64_t end;
    uint64_t generation;
    uint32_t watched; /* a frame or table that may go only afterwards */
};

static void
observe(void *context, const struct aspen_tlb_flush *flush)
{
    struct flushes *flushes = context;

    assert_ptr_equal(flush->mm, flushes->mm);
    assert_int_equal(flush->root, flushes->mm->root);
    if (flushes->watched)
        assert_true(aspen_frame_references(aspen_frame_at(
                        flushes->mm->aspen, flushes->watched)) > 0);
    flushes->count++;
    flushes->with_tables += flush->tables;
    flushes->start = flush->start;
    flushes->end = flush->end;
    flushes->levels = flush->levels;
    flushes->generation = flush->generation;
}

static void
test_flush(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(64);
    struct flushes flushes = {.mm = mm};

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_tlb_flush(mm, 0x1000, 0x5000, 3, true);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.with_tables, 1);
    assert_int_equal(flushes.levels, 3);
    assert_int_equal(flushes.start, 0x1000);
    assert_int_equal(flushes.end, 0x5000);
    assert_int_equal(flushes.generation, 1);
    assert_int_equal(aspen_mm_tlb_generation(mm), 1);
    assert_int_equal(aspen_count_sum(mm->aspen, ASPEN_COUNT_TLB_FLUSH), 1);

    /* With nobody to hear of it the generation is raised all the same. */
    mm->cpus[0] = 0;
    aspen_tlb_flush(mm, 0x1000, 0x5000, 1, false);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(aspen_mm_tlb_generation(mm), 2);
    mm->cpus[(ASPEN_PORT_CPUS - 1) / 64] = (uint64_t)1
                                           << (ASPEN_PORT_CPUS - 1) % 64;
    aspen_tlb_flush(mm, 0x1000, 0x5000, 1, false);
    assert_int_equal(flushes.count, 2);
    assert_int_equal(flushes.generation, 3);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* ---- Gather ------------------------------------------------------------ */

/* A frame that one entry maps. */
static uint32_t
mapped_frame(struct aspen *aspen)
{
    uint32_t frame;
    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    aspen_frame_at(aspen, frame)->counts += ASPEN_FRAME_MAP;
    return frame;
}

static void
unmap(struct aspen_gather *gather, uint32_t frame, uint64_t address)
{
    if (aspen_gather_is_full(gather))
        aspen_gather_continue(gather);
    aspen_gather_leaf(gather, address, 0);
    aspen_gather_frame(gather, frame);
}

static void
test_gather_nothing(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(64);

    for (unsigned quiet = 0; quiet < 2; quiet++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, quiet);
        aspen_gather_flush(&gather);
        aspen_gather_end(&gather);
        assert_int_equal(mm->tlb_generation, 0);
    }
    space_destroy(mm);
}

/* Each batch is flushed before it is freed; what is left of it at the end. */
static void
test_gather_frames(void **unused)
{
    (void)unused;
    enum { COUNT = 1000 };
    struct aspen_mm *mm = space_create(2048);
    struct flushes flushes = {.mm = mm};
    uint64_t free_before = aspen_frames_free_count(mm->aspen);
    uint32_t frames[COUNT];
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    for (unsigned i = 0; i < COUNT; i++)
        frames[i] = mapped_frame(mm->aspen);
    aspen_gather_begin(&gather, mm, false);
    for (unsigned i = 0; i < COUNT; i++) {
        /* When this one overflows the batch, the batch is flushed first. */
        if (i % ASPEN_GATHER_FRAMES == 0 && i)
            flushes.watched = frames[i - ASPEN_GATHER_FRAMES];
        unmap(&gather, frames[i], 0x100000 + i * 0x1000ul);
    }
    assert_int_equal(flushes.count, (COUNT - 1) / ASPEN_GATHER_FRAMES);
    flushes.watched = frames[COUNT - 1];
    aspen_gather_end(&gather);
    assert_int_equal(flushes.count, (COUNT - 1) / ASPEN_GATHER_FRAMES + 1);
    assert_int_equal(flushes.with_tables, 0);
    assert_int_equal(flushes.end, 0x100000 + COUNT * 0x1000ul);
    assert_int_equal(aspen_frames_free_count(mm->aspen), free_before);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* The entry that is cleared when a full batch goes must be flushed with it or
 * after it, never forgotten. */
static void
test_gather_covers_all(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(1024);
    struct flushes flushes = {.mm = mm};
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_gather_begin(&gather, mm, false);
    for (unsigned i = 0; i < ASPEN_GATHER_FRAMES; i++)
        unmap(&gather, mapped_frame(mm->aspen), 0x100000 + i * 0x1000ul);
    assert_int_equal(flushes.count, 0);
    uint32_t last = mapped_frame(mm->aspen);
    flushes.watched = last;
    unmap(&gather, last, 0x900000);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.start, 0x100000);
    assert_int_equal(flushes.end, 0x100000 + ASPEN_GATHER_FRAMES * 0x1000ul);
    aspen_gather_end(&gather);
    assert_int_equal(flushes.count, 2);
    assert_int_equal(flushes.start, 0x900000);
    assert_int_equal(flushes.end, 0x901000);
    assert_int_equal(aspen_frame_references(aspen_frame_at(mm->aspen, last)),
                     0);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* A table linked at `address`, cut off and gathered. */
static uint32_t
cut_table(struct aspen_gather *gather, uint64_t address)
{
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(gather->mm, address, 1, &slot), 0);
    uint32_t table = new_table(gather->mm, address, 0);
    gather->mm->page_tables++;
    *slot.entry = aspen_entry_make_table(table);
    *slot.entry = 0;
    aspen_gather_leaf(gather, address, 0);
    aspen_gather_table(gather, table);
    return table;
}

static void
test_gather_quiet(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(1024);
    struct flushes flushes = {.mm = mm};
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe, &flushes);
    aspen_gather_begin(&gather, mm, true);
    for (unsigned i = 0; i < 500; i++)
        unmap(&gather, mapped_frame(mm->aspen), i * 0x1000ul);
    uint32_t table = cut_table(&gather, 0x200000);
    flushes.watched = table;
    assert_int_equal(flushes.count, 0);
    aspen_gather_end(&gather);
    assert_int_equal(flushes.count, 1);
    assert_int_equal(flushes.with_tables, 1);
    assert_int_equal(flushes.start, 0);
    assert_true(flushes.end >= 500 * 0x1000);
    assert_true(aspen_frame_is_zero(aspen_frame_at(mm->aspen, table)));
    assert_int_equal(aspen_tables_waiting(mm->aspen), 0);
    aspen_posix_observe_tlb(NULL, NULL);
    space_destroy(mm);
}

/* A reader under RCU keeps tables; what comes meanwhile is collected. What is
 * seen inside the reader is judged after it, or a failure would hang. */
static void
test_gather_tables_wait(void **unused)
{
    (void)unused;
    enum { ROUNDS = 10 };
    struct aspen_mm *mm = space_create(1024);
    struct aspen *aspen = mm->aspen;
    struct aspen_frame seen[ROUNDS];
    uint64_t waiting[ROUNDS];
    uint32_t cut[ROUNDS];

    aspen_port_rcu_read_lock();
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, false);
        (void)cut_table(&gather, i * 0x400000ul);
        cut[i] = cut_table(&gather, i * 0x400000ul + 0x200000);
        aspen_gather_end(&gather);
        waiting[i] = aspen_tables_waiting(aspen);
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        seen[i] = *aspen_frame_at(aspen, cut[i]);
    aspen_port_rcu_read_unlock();

    assert_int_equal(mm->tlb_generation, ROUNDS);
    assert_int_equal(aspen_count_sum(aspen, ASPEN_COUNT_TABLE),
                     1 + mm->page_tables);
    aspen_tables_drain(aspen);
    assert_int_equal(aspen_tables_waiting(aspen), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(waiting[i], 2 * (i + 1));
        assert_int_equal(aspen_frame_type(&seen[i]), ASPEN_FRAME_TABLE);
        assert_int_equal(seen[i].owner, 0);
        assert_true(aspen_frame_is_zero(aspen_frame_at(aspen, cut[i])));
    }
    space_destroy(mm);
}

/* Reads for so long that far more tables come than may wait. */
static void *
read_long(void *argument)
{
    const struct timespec hold = {.tv_nsec = 40 * 1000 * 1000};

    while (!aspen_load((uint32_t *)argument)) {
        aspen_port_rcu_read_lock();
        nanosleep(&hold, NULL);
        aspen_port_rcu_read_unlock();
    }
    return NULL;
}

/* Memory that waits is bounded. */
static void
test_waiting_is_bounded(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(16384);
    uint64_t most = 0;
    uint32_t stop = 0;
    pthread_t reader;

    assert_int_equal(pthread_create(&reader, NULL, read_long, &stop), 0);
    for (unsigned i = 0; i < 4000; i++) {
        struct aspen_gather gather;
        aspen_gather_begin(&gather, mm, false);
        (void)cut_table(&gather, i % 512 * 0x200000ul);
        aspen_gather_end(&gather);
        aspen_tables_settle(mm->aspen);
        most = aspen_max_u64(most, aspen_tables_waiting(mm->aspen));
    }
    aspen_store(&stop, 1u);
    pthread_join(reader, NULL);
    print_message("at most %lu tables waited\n", (unsigned long)most);
    assert_true(most <= 16384 / 8);
    space_destroy(mm);
}

/* Tables are cut off by several threads while callbacks free others. */
static void *
cut_many(void *argument)
{
    struct aspen_mm *mm = argument;

    for (unsigned i = 0; i < 2000; i++) {
        struct aspen_gather gather;
        uint32_t table;
        if (aspen_table_alloc(mm, 0, 0, &table))
            return argument;
        aspen_fetch_add_relaxed(&mm->page_tables, 1);
        aspen_gather_begin(&gather, mm, false);
        aspen_gather_table(&gather, table);
        aspen_gather_end(&gather);
        aspen_tables_settle(mm->aspen);
    }
    return NULL;
}

static void
test_waiting_threads(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create(16384);

    assert_int_equal(unit_run_threads(3, cut_many, mm), 0);
    aspen_tables_drain(mm->aspen);
    assert_int_equal(aspen_count_sum(mm->aspen, ASPEN_COUNT_TABLE), 1);
    space_destroy(mm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_alloc),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_walk_stops),
        cmocka_unit_test(test_walk_fails),
        cmocka_unit_test(test_lost_race),
        cmocka_unit_test(test_racing_walks),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_gather_nothing),
        cmocka_unit_test(test_gather_frames),
        cmocka_unit_test(test_gather_covers_all),
        cmocka_unit_test(test_gather_quiet),
        cmocka_unit_test(test_gather_tables_wait),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_waiting_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
