/* SPDX-License-Identifier: MIT */
/*
 * Who fills an entry, while others have yet to flush what they took away there.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "paging/table.h"
#include <aspen_posix.h>

#define AT GIB

static struct aspen_mm *
space_create(void)
{
    struct aspen_mm *mm = helper_new_mm(helper_machine(256));

    helper_import(mm, AT, 16, MAY_RW, NULL, 0);
    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    return mm;
}

static void
space_destroy(struct aspen_mm *mm)
{
    struct aspen *aspen = mm->aspen;

    assert_int_equal(aspen_mm_deactivate(mm, 0), 0);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

struct taking {
    struct aspen_mm *mm;
    uint32_t table;
    unsigned flushes;
    unsigned takes; /* entries of the table go in so many of them */
};

static void
take_meanwhile(void *context, const struct aspen_tlb_flush *flush)
{
    struct taking *taking = context;
    struct aspen *aspen = taking->mm->aspen;

    assert_int_equal(flush->start, AT + PAGE);
    assert_int_equal(flush->end, AT + 3 * PAGE);
    aspen_table_lock(aspen, taking->table, ASPEN_LOCK_TABLE); /* it is free */
    if (taking->flushes++ < taking->takes)
        aspen_table_note_taken(aspen, taking->table, aspen_mm_part());
    aspen_table_unlock(aspen, taking->table);
}

static unsigned
flushes_to_settle(struct aspen_mm *mm, uint32_t table, unsigned takes)
{
    struct taking taking = {.mm = mm, .table = table, .takes = takes};

    aspen_posix_observe_tlb(take_meanwhile, &taking);
    aspen_table_lock_settled(mm, table, AT + PAGE, AT + 3 * PAGE);
    assert_true(
        aspen_lock_order_holds(&aspen_frame_at(mm->aspen, table)->table_lock));
    aspen_table_unlock(mm->aspen, table);
    aspen_posix_observe_tlb(NULL, NULL);
    return taking.flushes;
}

static void
note_taken(struct aspen_mm *mm, uint32_t table, unsigned part)
{
    aspen_table_lock(mm->aspen, table, ASPEN_LOCK_TABLE);
    aspen_table_note_taken(mm->aspen, table, part);
    aspen_table_unlock(mm->aspen, table);
}

/* Who fills an entry flushes if others have taken something from the table and
 * have yet to, without the table's lock; and once more if entries were taken
 * away in the meantime. */
static void
test_settle(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create();
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(mm, AT + PAGE, 0, &slot), 0);
    assert_int_equal(flushes_to_settle(mm, slot.table, 0), 0);
    unsigned part = aspen_tlb_pending_begin(mm);
    assert_int_equal(flushes_to_settle(mm, slot.table, 0), 0);
    note_taken(mm, slot.table, part);
    for (unsigned takes = 0; takes < 4; takes++)
        assert_int_equal(flushes_to_settle(mm, slot.table, takes), takes + 1);
    aspen_tlb_pending_end(mm, part);
    assert_int_equal(flushes_to_settle(mm, slot.table, 0), 0);
    /* The note has gone with that; others elsewhere do not count. */
    part = aspen_tlb_pending_begin(mm);
    assert_int_equal(flushes_to_settle(mm, slot.table, 0), 0);
    aspen_tlb_pending_end(mm, part);
    space_destroy(mm);
}

/* Each part's is seen, by who asks for all and through the notes of a table. */
static void
test_settle_parts(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create();
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(mm, AT + PAGE, 0, &slot), 0);
    for (unsigned part = 0; part < ASPEN_MM_PARTS; part++) {
        for (unsigned i = 0; i < ASPEN_MM_PARTS; i++)
            note_taken(mm, slot.table, i);
        assert_false(aspen_tlb_pending(mm, 0));
        mm->parts[part].tlb_pending = 1;
        assert_true(aspen_tlb_pending(mm, 0));
        assert_false(aspen_tlb_pending(mm, 1));
        assert_int_equal(flushes_to_settle(mm, slot.table, 0), 1);
        mm->parts[part].tlb_pending = 0;
        assert_int_equal(flushes_to_settle(mm, slot.table, 0), 0);
    }
    space_destroy(mm);
}

/* A table that comes where one was taken away: what that led to may be cached
 * still. */
static void
test_settle_new_table(void **unused)
{
    (void)unused;
    struct aspen_mm *mm = space_create();
    struct aspen_slot above;
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(mm, AT + PAGE, 2, &above), 0);
    unsigned part = aspen_tlb_pending_begin(mm);
    note_taken(mm, above.table, part);
    assert_int_equal(aspen_table_walk_alloc(mm, AT + PAGE, 0, &slot), 0);
    assert_int_equal(flushes_to_settle(mm, slot.table, 0), 1);
    aspen_tlb_pending_end(mm, part);
    space_destroy(mm);
}

/* What somebody has flushed last. */
struct flushed {
    uint64_t start, end;
};

static void
note_flush(void *context, const struct aspen_tlb_flush *flush)
{
    *(struct flushed *)context = (struct flushed){flush->start, flush->end};
}

/* Somebody takes something from the table of `level`. */
static void
note_taken_at(struct aspen_mm *mm, uint64_t address, unsigned level,
              unsigned part)
{
    struct aspen_slot slot;

    assert_int_equal(aspen_table_walk_alloc(mm, address, level, &slot), 0);
    note_taken(mm, slot.table, part);
}

/* A processor may still have what stood there: somebody has taken it away, as
 * who unmaps an object's pages does without the mmap lock, and has not flushed
 * yet. */
static void
what_stood_there_is_flushed(void **state)
{
    struct aspen *aspen = helper_machine(2048);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct flushed flushed = {0};
    (void)state;

    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    helper_import(mm, MIB, 3 * MIB / PAGE, MAY_RW, NULL, 0);
    aspen_posix_observe_tlb(note_flush, &flushed);
    assert_int_equal(helper_import_pages(mm, MIB, 1, ASPEN_IMPORT_ANON, 0), 0);
    assert_int_equal(flushed.end, 0);
    unsigned part = aspen_tlb_pending_begin(mm);
    note_taken_at(mm, MIB, 0, part);
    note_taken_at(mm, 2 * MIB, 1, part);
    assert_int_equal(
        helper_import_pages(mm, MIB + 8 * PAGE, 3, ASPEN_IMPORT_ANON, 0), 0);
    assert_int_equal(flushed.start, MIB + 8 * PAGE);
    assert_int_equal(flushed.end, MIB + 11 * PAGE);
    assert_int_equal(helper_import_pages(mm, 2 * MIB, 1, ASPEN_IMPORT_ANON, 1),
                     0);
    assert_int_equal(flushed.start, 2 * MIB);
    assert_int_equal(flushed.end, 4 * MIB);
    aspen_tlb_pending_end(mm, part);
    aspen_posix_observe_tlb(NULL, NULL);
    assert_int_equal(aspen_mm_deactivate(mm, 0), 0);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* ---- What calls note ----------------------------------------------------- */

struct meanwhile {
    struct aspen_mm *mm;
    bool began;
    unsigned flushes; /* of the fault's */
};

/* A call has taken a page away and flushes now: somebody faults it in. */
static void
fault_too(void *context, const struct aspen_tlb_flush *flush)
{
    struct meanwhile *meanwhile = context;

    if (meanwhile->began) {
        meanwhile->flushes += flush->start <= AT && AT + PAGE <= flush->end;
        return;
    }
    meanwhile->began = true;
    assert_int_equal(aspen_fault(meanwhile->mm, AT, ASPEN_ACCESS_READ), 0);
}

static void
assert_fault_flushes(struct aspen_mm *mm, int (*call)(struct aspen_mm *mm))
{
    struct meanwhile meanwhile = {.mm = mm};

    assert_int_equal(aspen_fault(mm, AT, ASPEN_ACCESS_READ), 0);
    aspen_posix_observe_tlb(fault_too, &meanwhile);
    assert_int_equal(call(mm), 0);
    aspen_posix_observe_tlb(NULL, NULL);
    assert_true(meanwhile.began);
    assert_true(meanwhile.flushes > 0);
}

static int
dontneed(struct aspen_mm *mm)
{
    return aspen_madvise(mm, AT, PAGE, ASPEN_MADV_DONTNEED);
}

static struct aspen_object *object;

static int
unmap_object(struct aspen_mm *mm)
{
    (void)mm;
    return aspen_object_unmap(object, 0, PAGE, 0);
}

/* The processor may have what was there until that call's flush. */
static void
what_a_call_takes_is_noted(void **unused)
{
    struct aspen_mm *mm = space_create();
    (void)unused;

    assert_fault_flushes(mm, dontneed);
    space_destroy(mm);

    mm = helper_new_mm(helper_machine(256));
    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = 4 * PAGE};
    assert_int_equal(aspen_object_create(mm->aspen, &args, &object), 0);
    helper_map_object(mm, AT, 4, RW | ASPEN_VM_SHARED, object, 0);
    assert_fault_flushes(mm, unmap_object);
    aspen_object_put(object);
    space_destroy(mm);
}

/* Nobody can be there before munmap's flush, while it holds the mmap lock; the
 * table above says so all the same. */
static void
a_table_that_goes_is_noted(void **unused)
{
    struct aspen_mm *mm = space_create();
    struct aspen_slot slot;
    (void)unused;

    helper_map(mm, AT + 4 * MIB, 1, RW);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(aspen_fault(mm, AT + i * 4 * MIB, ASPEN_ACCESS_WRITE),
                         0);
    assert_int_equal(aspen_table_walk_alloc(mm, AT, 1, &slot), 0);
    const struct aspen_frame *above = aspen_frame_at(mm->aspen, slot.table);
    assert_int_equal(above->table_taken & ASPEN_TAKEN_PARTS, 0);
    helper_unmap(mm, AT + 4 * MIB, 1);
    assert_int_not_equal(above->table_taken & ASPEN_TAKEN_PARTS, 0);
    space_destroy(mm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle),
        cmocka_unit_test(test_settle_parts),
        cmocka_unit_test(test_settle_new_table),
        cmocka_unit_test(what_stood_there_is_flushed),
        cmocka_unit_test(what_a_call_takes_is_noted),
        cmocka_unit_test(a_table_that_goes_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
