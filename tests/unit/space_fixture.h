/* SPDX-License-Identifier: MIT */
/*
 * space_fixture.h - what the tests of the space layer share: a machine, a
 * comparison of everything it counts, and a loop that makes an operation fail
 * at each of its failpoints.
 */
#ifndef SPACE_FIXTURE_H
#define SPACE_FIXTURE_H

#include "paging/table.h"
#include "space/anon_vma.h"
#include "space/charge.h"
#include "object/object.h"
#include "object/page_cache.h"
#include "space/rmap.h"
#include "space/swap_map.h"
#include <aspen/aspen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ull
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define RW                                                                     \
    (ASPEN_VM_READ | ASPEN_VM_WRITE | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE |   \
     ASPEN_VM_MAYEXEC)

static inline void *
direct_map_create(uint32_t frames)
{
    void *map = mmap(NULL, frames * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(map != MAP_FAILED);
    return map;
}

static inline struct aspen_config
config_of(uint32_t frames)
{
    struct aspen_config config;
    aspen_config_init(&config);
    config.frames = frames;
    config.direct_map = direct_map_create(frames);
    return config;
}

static inline struct aspen *
machine_create_from(const struct aspen_config *config)
{
    struct aspen *aspen = NULL;
    assert_int_equal(aspen_create(config, &aspen), 0);
    return aspen;
}

static inline struct aspen *
machine_create(uint32_t frames)
{
    struct aspen_config config = config_of(frames);
    return machine_create_from(&config);
}

static inline void
machine_destroy(struct aspen *aspen)
{
    void *map = aspen->config.direct_map;
    uint32_t frames = aspen->config.frames;
    assert_int_equal(aspen_destroy(aspen), 0);
    munmap(map, frames * PAGE);
}

static inline struct aspen_mm *
mm_create(struct aspen *aspen)
{
    struct aspen_mm *mm = NULL;
    assert_int_equal(aspen_mm_create(aspen, &mm), 0);
    return mm;
}

static inline struct aspen_object *
object_create(struct aspen *aspen, enum aspen_object_kind kind,
              uint64_t size_bytes)
{
    struct aspen_object_args args = {.kind = kind, .size_bytes = size_bytes};
    struct aspen_object *object = NULL;
    assert_int_equal(aspen_object_create(aspen, &args, &object), 0);
    return object;
}

static inline struct aspen_vma *
vma_add(struct aspen_mm *mm, uint64_t start, uint64_t pages, uint64_t flags,
        struct aspen_object *object, uint64_t pgoff)
{
    struct aspen_import_vma args = {
        .start = start,
        .end = start + pages * PAGE,
        .flags = flags,
        .object = object,
        .pgoff = pgoff,
    };
    assert_int_equal(aspen_import_vma(mm, &args), 0);
    return aspen_vma_at(mm, start);
}

static inline int
pages_add(struct aspen_mm *mm, uint64_t address, uint64_t count,
          enum aspen_import_kind kind, unsigned level)
{
    struct aspen_import_pages args = {
        .address = address, .count = count, .kind = kind, .level = level};
    uint64_t done = 0;
    int error = aspen_import_pages(mm, &args, &done);
    assert_int_equal(done, error ? done : count);
    return error;
}

/* ---- Nothing is left --------------------------------------------------- */

static inline struct aspen_counters
counters_of(struct aspen *aspen)
{
    struct aspen_counters counters;
    aspen_port_rcu_barrier();
    aspen_counters_read(aspen, &counters);
    return counters;
}

#define ASSERT_SAME(field)                                                     \
    if (before->field != now.field)                                            \
    fail_msg("line %d: " #field " was %llu, is %llu", line,                    \
             (unsigned long long)before->field, (unsigned long long)now.field)

static inline void
check_counters(struct aspen *aspen, const struct aspen_counters *before,
               int line)
{
    struct aspen_counters now = counters_of(aspen);
    ASSERT_SAME(frames_free);
    ASSERT_SAME(frames_table);
    ASSERT_SAME(tables_waiting);
    ASSERT_SAME(mms);
    ASSERT_SAME(mms_live);
    ASSERT_SAME(mms_swap_list);
    ASSERT_SAME(vmas);
    ASSERT_SAME(anon_vmas);
    ASSERT_SAME(anon_vma_links);
    ASSERT_SAME(objects);
    ASSERT_SAME(tree_nodes);
    ASSERT_SAME(committed_pages);
    ASSERT_SAME(swap_slots_used);
    ASSERT_SAME(swap_references);
    ASSERT_SAME(swap_continuations);
}

#define assert_counters(aspen, before)                                         \
    check_counters((aspen), (before), __LINE__)

/* ---- Failing at every step --------------------------------------------- */

struct trial {
    struct aspen *aspen;
    int (*run)(void *context);   /* the operation */
    void (*undo)(void *context); /* after it succeeded */
    void *context;
};

static inline uint64_t
run_planned(const struct trial *trial, enum aspen_fail_mode mode, uint64_t n,
            int *error)
{
    struct aspen_failpoint_plan plan = {.mode = mode, .number = n};
    struct aspen_failpoint_counts counts;

    assert_int_equal(aspen_failpoints_set(trial->aspen, &plan), 0);
    *error = trial->run(trial->context);
    aspen_failpoints_read(trial->aspen, &counts);
    assert_int_equal(aspen_failpoints_set(trial->aspen, NULL), 0);
    return counts.failed;
}

static inline void
run_well(const struct trial *trial, const struct aspen_counters *before)
{
    assert_int_equal(trial->run(trial->context), 0);
    trial->undo(trial->context);
    assert_counters(trial->aspen, before);
}

/* Fail it at crossing 1, 2, ... until it passes; after each failure nothing
 * is left and the next one works. Returns the number of crossings. */
static inline uint64_t
fail_each(const struct trial *trial, enum aspen_fail_mode mode)
{
    struct aspen_counters before = counters_of(trial->aspen);
    for (uint64_t n = 1;; n++) {
        int error;
        uint64_t failed = run_planned(trial, mode, n, &error);
        if (!failed) {
            assert_int_equal(error, 0);
            trial->undo(trial->context);
            assert_counters(trial->aspen, &before);
            return n - 1;
        }
        assert_true(error < 0);
        assert_counters(trial->aspen, &before);
        run_well(trial, &before);
    }
}

static inline void
fail_everywhere(const struct trial *trial, const char *name, uint64_t at_least)
{
    uint64_t once = fail_each(trial, ASPEN_FAIL_ONCE);
    uint64_t onward = fail_each(trial, ASPEN_FAIL_ONWARD);
    assert_int_equal(once, onward);
    assert_true(once >= at_least);
    printf("%s: failed at each of %llu crossings, once and onward\n", name,
           (unsigned long long)once);
}

#endif
