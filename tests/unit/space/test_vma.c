/* SPDX-License-Identifier: MIT */
/*
 * VMAs: memory, finding, the lock of each; readers without the mmap lock
 * beside writers that change, remove and reuse VMAs.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "rmap/anon_vma.h"

#include "space/name.h"
#include <pthread.h>

static void
lock(struct aspen_mm *mm)
{
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
}

static void
a_new_vma_is_clear_and_locked(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    lock(mm);
    struct aspen_vma *vma = aspen_vma_alloc(mm);
    memset(vma, 0xa5, offsetof(struct aspen_vma, mm));
    vma->object = (void *)8;
    vma->pgoff = 7;
    struct aspen_name *name;
    assert_int_equal(aspen_name_create(aspen, "x", &name), 0);
    aspen_vma_set_name(vma, name);
    aspen_name_put(aspen, name);
    aspen_vma_free(vma);
    struct aspen_vma *again = aspen_vma_alloc(mm);
    assert_ptr_equal(again, vma); /* the same memory, nothing kept */
    assert_int_equal(again->start + again->end + again->pgoff, 0);
    assert_int_equal(again->flags, 0);
    assert_null(again->object);
    assert_null(again->name);
    assert_null(again->anon_vma);
    assert_true(aspen_list_is_empty(&again->anon_chain));
    assert_ptr_equal(again->mm, mm);
    assert_int_equal(again->lock_sequence, mm->lock_sequence);
    aspen_vma_free(again);
    aspen_mm_write_unlock(mm);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
a_copy_has_what_fork_keeps(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *vma = helper_import(mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(aspen_anon_vma_prepare(vma), 0);
    lock(mm);
    vma->userfault = aspen;
    struct aspen_name *name;
    assert_int_equal(aspen_name_create(aspen, "arena", &name), 0);
    aspen_vma_set_name(vma, name);
    aspen_name_put(aspen, name);
    struct aspen_vma *copy = aspen_vma_copy(mm, vma);
    assert_int_equal(copy->start, vma->start);
    assert_int_equal(copy->end, vma->end);
    assert_int_equal(copy->flags, vma->flags);
    assert_int_equal(copy->pgoff, vma->pgoff);
    assert_ptr_equal(copy->userfault, aspen);
    assert_ptr_equal(copy->name, name);
    assert_int_equal(name->references, 2);
    assert_null(copy->anon_vma);
    assert_true(aspen_list_is_empty(&copy->anon_chain));
    aspen_vma_free(copy);
    aspen_mm_write_unlock(mm);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
vmas_are_found_by_address(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *low = helper_import(mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_vma *high = helper_import(mm, 2 * MIB, 1, MAY_RW, NULL, 0);
    (void)state;

    assert_ptr_equal(aspen_vma_at(mm, MIB), low);
    assert_ptr_equal(aspen_vma_at(mm, MIB + 4 * PAGE - 1), low);
    assert_null(aspen_vma_at(mm, MIB + 4 * PAGE));
    assert_null(aspen_vma_at(mm, MIB - 1));
    assert_ptr_equal(aspen_vma_find(mm, 0), low);
    assert_ptr_equal(aspen_vma_find(mm, MIB + 4 * PAGE), high);
    assert_null(aspen_vma_find(mm, 2 * MIB + PAGE));
    assert_int_equal(aspen_vma_offset(low, MIB + 2 * PAGE), MIB / PAGE + 2);
    assert_int_equal(aspen_vma_address(low, MIB / PAGE + 3), MIB + 3 * PAGE);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
a_writer_keeps_readers_out_until_it_unlocks(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *vma = helper_import(mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    unsigned where, other;
    struct aspen_vma *one = aspen_vma_read_lock_at(mm, MIB, &where);
    struct aspen_vma *two = aspen_vma_read_lock_at(mm, MIB + PAGE, &other);
    assert_ptr_equal(one, vma);
    assert_ptr_equal(two, vma);
    assert_null(aspen_vma_read_lock_at(mm, MIB - 1, &where));
    aspen_vma_read_unlock(one, where);
    aspen_vma_read_unlock(two, other);

    lock(mm); /* of itself locks no VMA */
    one = aspen_vma_read_lock_at(mm, MIB, &where);
    assert_ptr_equal(one, vma);
    aspen_vma_read_unlock(one, where);
    aspen_vma_write_lock(vma);
    assert_int_equal(aspen_vma_write_lock_killable(vma), 0); /* again */
    assert_null(aspen_vma_read_lock_at(mm, MIB, &where));
    aspen_mm_write_unlock(mm);
    one = aspen_vma_read_lock_at(mm, MIB, &where);
    assert_ptr_equal(one, vma);
    aspen_vma_read_unlock(one, where);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
a_write_lock_can_be_interrupted(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *vma = helper_import(mm, MIB, 4, MAY_RW, NULL, 0);
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE, .number = 1};
    (void)state;

    lock(mm);
    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    assert_int_equal(aspen_vma_write_lock_killable(vma), -ASPEN_EINTR);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    assert_int_not_equal(vma->lock_sequence, mm->lock_sequence);
    aspen_mm_write_unlock(mm);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* After 2^32 unlocks the sequence starts again: no VMA may look locked. */
static void
the_sequence_comes_round(void **state)
{
    unsigned where;
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_vma *early = helper_import(mm, MIB, 4, MAY_RW, NULL, 0);
    (void)state;

    assert_int_equal(early->lock_sequence, 1);
    mm->lock_sequence = UINT32_MAX - 1;
    struct aspen_vma *late = helper_import(mm, 2 * MIB, 4, MAY_RW, NULL, 0);
    lock(mm);
    aspen_vma_write_lock(late);
    assert_null(aspen_vma_read_lock_at(mm, 2 * MIB, &where));
    aspen_mm_write_unlock(mm);
    assert_int_equal(mm->lock_sequence, 1);
    assert_int_equal(early->lock_sequence + late->lock_sequence, 0);
    struct aspen_vma *found = aspen_vma_read_lock_at(mm, MIB, &where);
    assert_ptr_equal(found, early);
    aspen_vma_read_unlock(found, where);
    lock(mm);
    aspen_vma_write_lock(late); /* not taken for locked already */
    assert_null(aspen_vma_read_lock_at(mm, 2 * MIB, &where));
    aspen_mm_write_unlock(mm);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

/* ---- Failing ----------------------------------------------------------- */

struct allocating {
    struct aspen_mm *mm;
    struct aspen_vma *from;
    struct aspen_vma *vma;
};

static int
alloc_two(void *context)
{
    struct allocating *a = context;
    struct aspen_vma *first = aspen_vma_alloc(a->mm);
    if (!first)
        return -ASPEN_ENOMEM;
    first->start = MIB;
    first->end = 2 * MIB;
    a->vma = aspen_vma_copy(a->mm, first);
    aspen_vma_free(first);
    return a->vma ? 0 : -ASPEN_ENOMEM;
}

static void
free_two(void *context)
{
    aspen_vma_free(((struct allocating *)context)->vma);
}

static void
memory_can_be_short(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct allocating allocating = {.mm = helper_new_mm(aspen)};
    struct helper_part trial = {aspen, alloc_two, free_two, &allocating};
    (void)state;
    lock(allocating.mm);
    helper_fail_part(&trial, "vma_alloc, vma_copy", 2);
    aspen_mm_write_unlock(allocating.mm);
    aspen_mm_put(allocating.mm);
    helper_machine_destroy(aspen);
}

/* ---- Readers beside writers -------------------------------------------- */

#define PLACES  4u
#define ROUNDS  1500u
#define READERS 2u

/*
 * At each place a VMA whose pgoff and embedder always agree while it is not
 * locked for writing, and whose length says which place it is.
 */
struct crowd {
    struct aspen *aspen;
    struct aspen_mm *mm[2]; /* VMAs' memory wanders between them */
    bool stop;
    uint64_t found[READERS];
    uint64_t broken;
};

struct reader {
    struct crowd *crowd;
    unsigned number;
};

static uint64_t
place(unsigned i)
{
    return MIB * (1 + i);
}

static bool
is_whole(const struct aspen_vma *vma, const struct aspen_mm *mm,
         uint64_t address)
{
    return vma->mm == mm && vma->start <= address && address < vma->end &&
           vma->pgoff == (uint64_t)(uintptr_t)vma->embedder;
}

static void *
read_all(void *argument)
{
    struct reader *reader = argument;
    struct crowd *crowd = reader->crowd;

    for (unsigned i = 0; !aspen_load(&crowd->stop); i++) {
        struct aspen_mm *mm = crowd->mm[i % 2];
        uint64_t address = place(i / 2 % PLACES);
        unsigned where;
        struct aspen_vma *vma = aspen_vma_read_lock_at(mm, address, &where);
        if (!vma)
            continue;
        aspen_fetch_add_relaxed(&crowd->found[reader->number], 1);
        if (!is_whole(vma, mm, address))
            aspen_fetch_add(&crowd->broken, 1);
        aspen_vma_read_unlock(vma, where);
    }
    return NULL;
}

static void
put_vma(struct aspen_mm *mm, uint64_t start, uint64_t tag)
{
    struct aspen_vma *vma = aspen_vma_alloc(mm);
    assert_non_null(vma);
    vma->embedder = (void *)(uintptr_t)tag;
    vma->start = start;
    vma->end = start + 4 * PAGE;
    assert_int_equal(aspen_tree_store(&mm->vmas, start, vma->end - 1, vma), 0);
    mm->map_count++;
    aspen_mm_account_vma(mm, vma->flags, 4, true);
    vma->pgoff = tag;
}

static void
take_vma(struct aspen_mm *mm, struct aspen_vma *vma)
{
    aspen_vma_write_lock(vma);
    assert_int_equal(aspen_tree_erase(&mm->vmas, vma->start, vma->end - 1), 0);
    aspen_mm_account_vma(mm, vma->flags, 4, false);
    mm->map_count--;
    vma->embedder = NULL;
    aspen_vma_free(vma);
}

/* Change it in two steps that no reader may see one of. */
static void
change_vma(struct aspen_vma *vma, uint64_t tag)
{
    aspen_vma_write_lock(vma);
    vma->pgoff = tag;
    for (volatile unsigned i = 0; i < 20; i++)
        ;
    vma->embedder = (void *)(uintptr_t)tag;
}

static void
write_all(struct crowd *crowd)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct aspen_mm *mm = crowd->mm[round % 3 % 2];
        uint64_t start = place(round % PLACES);
        lock(mm);
        struct aspen_vma *vma = aspen_vma_at(mm, start);
        if (!vma)
            put_vma(mm, start, round);
        else if (round % 5 < 2)
            take_vma(mm, vma);
        else
            change_vma(vma, round);
        aspen_mm_write_unlock(mm);
    }
}

static bool
all_found(struct crowd *crowd)
{
    for (unsigned i = 0; i < READERS; i++)
        if (!aspen_load_relaxed(&crowd->found[i]))
            return false;
    return true;
}

static void
readers_meet_only_whole_vmas(void **state)
{
    struct crowd crowd = {.aspen = helper_machine(1024)};
    struct reader readers[READERS];
    pthread_t threads[READERS];
    (void)state;

    crowd.mm[0] = helper_new_mm(crowd.aspen);
    crowd.mm[1] = helper_new_mm(crowd.aspen);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){&crowd, i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    uint64_t passes = 0;
    for (; passes < 10 || (passes < 200 && !all_found(&crowd)); passes++)
        write_all(&crowd);
    aspen_store(&crowd.stop, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    printf("%llu writes beside %llu reads\n",
           (unsigned long long)(passes * ROUNDS),
           (unsigned long long)(crowd.found[0] + crowd.found[1]));
    assert_int_equal(crowd.broken, 0);
    assert_true(crowd.found[0] + crowd.found[1] > 0);
    aspen_mm_put(crowd.mm[0]);
    aspen_mm_put(crowd.mm[1]);
    helper_machine_destroy(crowd.aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_vma_is_clear_and_locked),
        cmocka_unit_test(a_copy_has_what_fork_keeps),
        cmocka_unit_test(vmas_are_found_by_address),
        cmocka_unit_test(a_writer_keeps_readers_out_until_it_unlocks),
        cmocka_unit_test(a_write_lock_can_be_interrupted),
        cmocka_unit_test(the_sequence_comes_round),
        cmocka_unit_test(memory_can_be_short),
        cmocka_unit_test(readers_meet_only_whole_vmas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
