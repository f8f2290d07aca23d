/* SPDX-License-Identifier: MIT */
/*
 * The lock of a VMA, step by step: at each atomic operation of a reader that
 * came without the mmap lock, a writer does everything it wants to do. What
 * the reader then holds has to be whole, attached and not locked for writing;
 * and a writer that meets a counted reader waits for it.
 *
 * vma.c is compiled into this test, so that its atomic operations call us.
 */
#define _GNU_SOURCE
#include <stdbool.h>
static void at_atomic(void);
#define ASPEN_PORT_ATOMIC_POINT(address, is_write) at_atomic()

#include "helper.h"

#include "space/vma.c"

#include <pthread.h>

#define ADDRESS (MIB + PAGE)
#define STEPS   32u /* more than a reader has */

struct stage {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *other;
    struct aspen_vma *vma; /* at ADDRESS in mm when the reader starts */
    bool keeps_lock;       /* the writer still holds the mmap lock */
    bool crowded;          /* readers are in parts */
};

typedef void writer_act(struct stage *stage);

static struct {
    struct stage *stage;
    writer_act *writer;
    unsigned left;   /* atomic operations until the writer comes; 0: never */
    bool came;       /* it has been here */
    bool met_reader; /* but found a reader counted and left again */
} script;

/* By the compiler's own operations: no steps. */
static bool
has_reader(const struct stage *stage)
{
    bool reader =
        __atomic_load_n(&stage->vma->lock_readers, __ATOMIC_RELAXED) & ~WRITER;

    for (unsigned i = 0; i < ASPEN_MM_PARTS; i++)
        reader |= __atomic_load_n(&stage->mm->parts[i].reader,
                                  __ATOMIC_RELAXED) == stage->vma;
    return reader;
}

/* A writer would have to wait for a reader that is us: do not start it. */
static void
at_atomic(void)
{
    if (script.left == 0 || --script.left > 0)
        return;
    script.came = true;
    script.met_reader = has_reader(script.stage);
    if (!script.met_reader)
        script.writer(script.stage);
}

/* ---- What a writer may do ---------------------------------------------- */

static void
attach(struct aspen_mm *mm, struct aspen_vma *vma)
{
    assert_int_equal(aspen_tree_store(&mm->vmas, vma->start, vma->end - 1, vma),
                     0);
    mm->map_count++;
    aspen_mm_account_vma(mm, vma->flags, aspen_vma_pages(vma), true);
}

static struct aspen_vma *
put(struct aspen_mm *mm, uint64_t start)
{
    struct aspen_vma *vma = aspen_vma_alloc(mm);
    assert_non_null(vma);
    vma->start = start;
    vma->end = start + 4 * PAGE;
    return vma;
}

static void
take(struct stage *stage)
{
    struct aspen_mm *mm = stage->mm;
    struct aspen_vma *vma = stage->vma;

    aspen_vma_write_lock(vma);
    assert_int_equal(aspen_tree_erase(&mm->vmas, vma->start, vma->end - 1), 0);
    aspen_mm_account_vma(mm, vma->flags, aspen_vma_pages(vma), false);
    mm->map_count--;
    aspen_vma_free(vma);
}

static void
changes_nothing(struct stage *stage)
{
    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    aspen_vma_write_lock(stage->vma);
    aspen_mm_write_unlock(stage->mm);
}

static void
stays(struct stage *stage)
{
    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    aspen_vma_write_lock(stage->vma);
    stage->keeps_lock = true;
}

static void
unmaps(struct stage *stage)
{
    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    take(stage);
    aspen_mm_write_unlock(stage->mm);
}

static void
unmaps_and_stays(struct stage *stage)
{
    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    take(stage);
    stage->keeps_lock = true;
}

/* The memory becomes a VMA of another space, at the same address. */
static void
gives_memory_away(struct stage *stage)
{
    unmaps(stage);
    aspen_mm_write_lock(stage->other, ASPEN_LOCK_MM);
    struct aspen_vma *vma = put(stage->other, MIB);
    assert_ptr_equal(vma, stage->vma);
    attach(stage->other, vma);
    aspen_mm_write_unlock(stage->other);
}

/* The memory becomes another VMA of the same space. */
static void
maps_elsewhere(struct stage *stage)
{
    unmaps_and_stays(stage);
    struct aspen_vma *vma = put(stage->mm, 8 * MIB);
    assert_ptr_equal(vma, stage->vma);
    attach(stage->mm, vma);
    stage->keeps_lock = false;
    aspen_mm_write_unlock(stage->mm);
}

/* A new VMA in the same memory has its range, but is in no tree yet. */
static void
is_building_one(struct stage *stage)
{
    unmaps_and_stays(stage);
    assert_ptr_equal(put(stage->mm, MIB), stage->vma);
}

static void
maps_again(struct stage *stage)
{
    is_building_one(stage);
    attach(stage->mm, stage->vma);
    stage->keeps_lock = false;
    aspen_mm_write_unlock(stage->mm);
}

/* The address is no longer in it. */
static void
shrinks(struct stage *stage)
{
    struct aspen_vma *vma = stage->vma;

    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    aspen_vma_write_lock(vma);
    assert_int_equal(
        aspen_tree_erase(&stage->mm->vmas, vma->start + PAGE, vma->end - 1), 0);
    vma->end = vma->start + PAGE;
    aspen_mm_write_unlock(stage->mm);
}

/* ---- A reader beside it ------------------------------------------------ */

static void
set_up(struct stage *stage, bool crowded)
{
    stage->aspen = helper_machine(256);
    stage->mm = helper_new_mm(stage->aspen);
    stage->other = helper_new_mm(stage->aspen);
    stage->vma = helper_import(stage->mm, MIB, 4, MAY_RW, NULL, 0);
    stage->keeps_lock = false;
    stage->crowded = crowded;
    if (crowded)
        aspen_mm_note_crowd(stage->mm);
}

/* The writer that kept its lock finishes: what it built is attached or goes. */
static void
tear_down(struct stage *stage)
{
    struct aspen_vma *vma = stage->vma;

    if (stage->keeps_lock) {
        if (vma->mm && !aspen_vma_at(stage->mm, vma->start))
            aspen_vma_free(vma);
        aspen_mm_write_unlock(stage->mm);
    }
    aspen_mm_put(stage->mm);
    aspen_mm_put(stage->other);
    helper_machine_destroy(stage->aspen);
}

static void
check_held(struct stage *stage, struct aspen_vma *vma)
{
    assert_ptr_equal(vma->mm, stage->mm);
    assert_true(vma->start <= ADDRESS && ADDRESS < vma->end);
    assert_ptr_equal(aspen_vma_at(stage->mm, ADDRESS), vma);
    assert_false(stage->keeps_lock);
    assert_false(write_locked(vma, stage->mm));
    assert_int_equal(vma->lock_readers, stage->crowded ? 0 : 1);
    assert_true(has_reader(stage));
}

/* The writer comes at the reader's operation number `step`. Returns whether
 * the reader got that far. */
static bool
run(writer_act *writer, bool crowded, unsigned step, unsigned *refused)
{
    struct stage stage;
    unsigned where;

    set_up(&stage, crowded);
    script.stage = &stage;
    script.writer = writer;
    script.came = false;
    script.met_reader = false;
    script.left = step;
    struct aspen_vma *vma = aspen_vma_read_lock_at(stage.mm, ADDRESS, &where);
    script.left = 0;
    if (vma) {
        check_held(&stage, vma);
        aspen_vma_read_unlock(vma, where);
    } else {
        ++*refused;
    }
    /* The reader left nothing behind. */
    assert_int_equal(stage.vma->lock_readers, stage.vma->mm ? 0 : WRITER);
    assert_false(has_reader(&stage));
    bool came = script.came;
    tear_down(&stage);
    return came;
}

static void
a_reader_never_holds_what_a_writer_changed(void **state)
{
    writer_act *const writers[] = {
        changes_nothing,   stays,          unmaps,
        unmaps_and_stays,  maps_elsewhere, is_building_one,
        gives_memory_away, maps_again,     shrinks,
    };
    unsigned runs = 0;
    unsigned refused = 0;
    (void)state;

    for (unsigned i = 0; i < 2 * ASPEN_ARRAY_SIZE(writers); i++) {
        unsigned step = 1;
        while (run(writers[i / 2], i % 2, step, &refused)) {
            assert_true(step++ < STEPS);
            runs++;
        }
        assert_true(step > 5);
    }
    printf("%u runs, in %u of them the reader was refused\n", runs, refused);
    assert_true(refused > 0 && refused < runs);
}

/* ---- A counted reader is waited for ------------------------------------ */

struct waiting {
    struct stage stage;
    void (*act)(struct waiting *waiting);
    bool done;
};

static void
write_lock_it(struct waiting *waiting)
{
    aspen_vma_write_lock(waiting->stage.vma);
}

static void
free_it(struct waiting *waiting)
{
    take(&waiting->stage);
}

static void *
act_in_thread(void *context)
{
    struct waiting *waiting = context;
    aspen_mm_write_lock(waiting->stage.mm, ASPEN_LOCK_MM);
    waiting->act(waiting);
    aspen_store(&waiting->done, true);
    aspen_mm_write_unlock(waiting->stage.mm);
    return NULL;
}

static void
writer_waits(void (*act)(struct waiting *waiting), bool crowded)
{
    struct waiting waiting = {.act = act};
    struct stage *stage = &waiting.stage;
    pthread_t thread;
    unsigned where, more;

    set_up(stage, crowded);
    struct aspen_vma *vma = aspen_vma_read_lock_at(stage->mm, ADDRESS, &where);
    assert_non_null(vma);
    assert_int_equal(pthread_create(&thread, NULL, act_in_thread, &waiting), 0);
    while (!aspen_load(&waiting.done) &&
           !(aspen_load(&vma->lock_readers) & WRITER))
        ;
    assert_null(aspen_vma_read_lock_at(stage->mm, ADDRESS, &more));
    for (volatile unsigned i = 0; i < 1000000; i++)
        ;
    assert_int_equal(aspen_load(&waiting.done), 0);
    aspen_vma_read_unlock(vma, where);
    pthread_join(thread, NULL);
    assert_true(waiting.done);
    tear_down(stage);
}

static void
a_reader_is_waited_for(void **state)
{
    (void)state;
    for (unsigned crowded = 0; crowded < 2; crowded++) {
        writer_waits(write_lock_it, crowded);
        writer_waits(free_it, crowded);
    }
}

/* ---- When they keep apart ------------------------------------------------ */

static bool
is_crowded(const struct aspen_mm *mm)
{
    return aspen_load(&mm->flags) & ASPEN_MM_CROWDED;
}

static void
who_meets_keeps_apart(void **state)
{
    struct stage stage;
    unsigned where[3];
    struct aspen_vma *vma[3];
    (void)state;

    set_up(&stage, false);
    vma[0] = aspen_vma_read_lock_at(stage.mm, ADDRESS, &where[0]);
    assert_false(is_crowded(stage.mm));
    vma[1] = aspen_vma_read_lock_at(stage.mm, ADDRESS, &where[1]);
    assert_true(is_crowded(stage.mm)); /* two at once */
    vma[2] = aspen_vma_read_lock_at(stage.mm, ADDRESS, &where[2]);
    assert_int_equal(stage.vma->lock_readers, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(vma[i], stage.vma);
        assert_true(has_reader(&stage));
        aspen_vma_read_unlock(vma[i], where[i]);
    }
    assert_false(has_reader(&stage));

    tear_down(&stage);
}

static void
who_may_meet_keeps_apart(void **state)
{
    struct stage stage;
    (void)state;

    set_up(&stage, false);
    uint64_t *cpus = &stage.mm->cpus[0];
    uint64_t before = aspen_exchange(cpus, 0); /* where the tests run it */
    aspen_store_relaxed(&stage.mm->flags, 0u);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(aspen_mm_activate(stage.mm, 1), 0);
    assert_false(is_crowded(stage.mm));
    assert_int_equal(aspen_mm_activate(stage.mm, 0), 0);
    assert_true(is_crowded(stage.mm)); /* two CPUs */
    aspen_store_relaxed(cpus, before);
    tear_down(&stage);
}

/* ---- I5 ------------------------------------------------------------------ */

static void *
leave_later(void *context)
{
    struct waiting *waiting = context;
    struct stage *stage = &waiting->stage;

    for (volatile unsigned i = 0; i < 10000000; i++)
        ;
    aspen_store(&waiting->done, true);
    leave_reader(stage->vma, stage->mm, ASPEN_MM_PARTS - 1);
    return NULL;
}

/* A reader who found the VMA in the tree, and names it now that it is free. */
static void
a_stale_reader_is_waited_for(void **state)
{
    struct waiting waiting = {.done = false};
    struct stage *stage = &waiting.stage;
    pthread_t thread;
    (void)state;

    set_up(stage, true);
    aspen_mm_write_lock(stage->mm, ASPEN_LOCK_MM);
    take(stage);
    aspen_store(&stage->mm->parts[ASPEN_MM_PARTS - 1].reader, stage->vma);
    assert_int_equal(pthread_create(&thread, NULL, leave_later, &waiting), 0);
    struct aspen_vma *vma = aspen_vma_alloc(stage->mm);
    assert_ptr_equal(vma, stage->vma); /* the same memory */
    assert_true(aspen_load(&waiting.done));
    assert_false(has_reader(stage));
    aspen_vma_free(vma);
    aspen_mm_write_unlock(stage->mm);
    pthread_join(thread, NULL);
    tear_down(stage);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_never_holds_what_a_writer_changed),
        cmocka_unit_test(a_reader_is_waited_for),
        cmocka_unit_test(who_meets_keeps_apart),
        cmocka_unit_test(who_may_meet_keeps_apart),
        cmocka_unit_test(a_stale_reader_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
