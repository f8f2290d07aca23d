/* SPDX-License-Identifier: MIT */
/*
 * Who is killed when no memory is left, who waits for whom, and what comes back
 * at once from a space that was killed and still runs.
 */
#include "helper.h"

#include "paging/table.h"

#define BASE  ((uint64_t)0x10000000)
#define PAGES 16u

/* Nothing runs that would give memory back; the clock stands. */
static const struct aspen_oom_choice now = {.patience = 1};

static struct {
    struct aspen_mm *mm;
    int64_t badness;
    unsigned times;
} killed;

static void
note_killed(void *context, struct aspen_mm *mm, int64_t badness)
{
    (void)context;
    killed.mm = mm;
    killed.badness = badness;
    killed.times++;
}

static int
setup(void **state)
{
    static const struct aspen_memory_ops memory = {.killed = note_killed};
    struct aspen_config config;

    memset(&killed, 0, sizeof(killed));
    aspen_config_init(&config);
    config.hooks.memory = &memory;
    config.semantics = ASPEN_SEMANTICS_6_18; /* guards */
    return helper_space_setup_with(state, &config);
}

#define oom_test(name)                                                         \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)

/* A space with so many pages of its own. */
static struct aspen_mm *
with_pages(struct helper_space *s, uint64_t pages)
{
    struct aspen_mm *mm = helper_mm(&s->helper);

    helper_map(mm, BASE, pages, RW);
    for (uint64_t i = 0; i < pages; i++)
        helper_put(&s->helper, mm, BASE + i * PAGE, (uint8_t)(i + 1));
    return mm;
}

static struct aspen_mm *
choose(struct helper_space *s, const struct aspen_oom_choice *choice)
{
    struct aspen_mm *victim = NULL;

    assert_int_equal(aspen_oom_select(s->helper.aspen, choice, &victim), 0);
    aspen_mm_put(victim); /* there are others */
    return victim;
}

static void
nobody(struct helper_space *s, const struct aspen_oom_choice *choice, int error)
{
    struct aspen_mm *victim = s->mm;

    assert_int_equal(aspen_oom_select(s->helper.aspen, choice, &victim), error);
    assert_ptr_equal(victim, s->mm);
}

/* ---- What a space is worth --------------------------------------------- */

static void
test_badness(void **state)
{
    struct helper_space *s = *state;
    int64_t empty = aspen_oom_badness(s->mm);
    struct aspen_object *shared =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);

    assert_int_equal(empty, 1); /* the top table */
    helper_map(s->mm, BASE, PAGES, RW);
    helper_put(&s->helper, s->mm, BASE, 1);
    assert_int_equal(aspen_oom_badness(s->mm), empty + 1 + PATH_TABLES);
    helper_map_object(s->mm, BASE + PAGES * PAGE, PAGES, RW | ASPEN_VM_SHARED,
                      shared, 0);
    helper_put(&s->helper, s->mm, BASE + PAGES * PAGE, 1);
    assert_int_equal(aspen_oom_badness(s->mm), empty + 2 + PATH_TABLES);
    /* A read of nothing leads to the zero page, which is nobody's. */
    helper_get(&s->helper, s->mm, BASE + PAGE);
    assert_int_equal(aspen_oom_badness(s->mm), empty + 2 + PATH_TABLES);
    aspen_object_put(shared);
}

static void
test_swapped(void **state)
{
    struct helper_space *s = *state;
    int64_t before = aspen_oom_badness(s->mm);
    unsigned area;

    assert_int_equal(aspen_swap_area_add(s->helper.aspen, 4000, &area), 0);
    helper_import(s->mm, BASE, PAGES, MAY_RW, NULL, BASE / PAGE);
    assert_int_equal(
        helper_import_pages(s->mm, BASE, PAGES, ASPEN_IMPORT_SWAP, 0), 0);
    assert_int_equal(aspen_oom_badness(s->mm), before + PAGES + PATH_TABLES);
    /* Swap is memory as well. */
    before = aspen_oom_badness(s->mm);
    uint64_t thousandth =
        (helper_counts(s->helper.aspen).frames_total + 4000) / 1000;
    assert_int_equal(aspen_oom_adjust_set(s->mm, 1), 0);
    assert_int_equal(aspen_oom_badness(s->mm), before + (int64_t)thousandth);
}

static void
test_adjust(void **state)
{
    struct helper_space *s = *state;
    int64_t total = (int64_t)helper_counts(s->helper.aspen).frames_total;
    struct aspen_mm *child, *next;

    assert_int_equal(aspen_oom_adjust(s->mm), 0);
    assert_int_equal(aspen_oom_adjust_set(s->mm, 1001), -ASPEN_EINVAL);
    assert_int_equal(aspen_oom_adjust_set(s->mm, -1001), -ASPEN_EINVAL);
    assert_int_equal(aspen_oom_adjust(s->mm), 0);
    assert_int_equal(aspen_oom_adjust_set(s->mm, 1000), 0);
    assert_int_equal(aspen_oom_badness(s->mm), total / 1000 * 1000 + 1);
    assert_int_equal(aspen_oom_adjust_set(s->mm, -999), 0);
    assert_int_equal(aspen_oom_badness(s->mm), total / 1000 * -999 + 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(aspen_oom_adjust(child), -999);
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    assert_int_equal(aspen_oom_adjust(next), -999);
    aspen_exec_commit(child, next);
    aspen_mm_put(next);
    assert_int_equal(aspen_oom_adjust_set(s->mm, -1000), 0);
    assert_true(aspen_oom_badness(s->mm) == ASPEN_OOM_NEVER);
}

/* ---- Choosing ---------------------------------------------------------- */

static int64_t
by_number(void *context, const struct aspen_mm *mm, int64_t badness)
{
    const uint32_t *never = context;

    assert_true(badness != ASPEN_OOM_NEVER);
    return aspen_mm_id(mm) == *never ? ASPEN_OOM_NEVER
                                     : -(int64_t)aspen_mm_id(mm);
}

static void
test_choice(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *small = with_pages(s, 2);
    struct aspen_mm *large = with_pages(s, 5);
    struct aspen_mm *middle = with_pages(s, 3);
    uint32_t never = aspen_mm_id(s->mm);
    const struct aspen_oom_choice own = {
        .patience = 1, .score = by_number, .context = &never};

    assert_ptr_equal(choose(s, &now), large);
    assert_int_equal(aspen_oom_adjust_set(large, -1000), 0);
    assert_ptr_equal(choose(s, &now), middle);
    helper_put(&s->helper, small, BASE, 1);
    aspen_mm_put(with_pages(s, 9)); /* gone again */
    assert_ptr_equal(choose(s, &now), middle);
    assert_int_equal(aspen_oom_adjust_set(small, 1), 0);
    assert_ptr_equal(choose(s, &now), small);
    /* By another rule, which only sees those that may be killed. */
    assert_ptr_equal(choose(s, &own), small);
    never = aspen_mm_id(small);
    assert_ptr_equal(choose(s, &own), s->mm);
    assert_int_equal(aspen_oom_adjust_set(small, -1000), 0);
    assert_int_equal(aspen_oom_adjust_set(middle, -1000), 0);
    assert_ptr_equal(choose(s, &now), s->mm);
    assert_int_equal(aspen_oom_adjust_set(s->mm, -1000), 0);
    nobody(s, &now, -ASPEN_ESRCH);
    aspen_mm_put(small);
    aspen_mm_put(large);
    aspen_mm_put(middle);
}

/* Of equals the last, as Linux. */
static void
test_equals(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *first = with_pages(s, 2);
    struct aspen_mm *last = with_pages(s, 2);

    assert_ptr_equal(choose(s, &now), last);
    aspen_mm_put(first);
    aspen_mm_put(last);
}

/* ---- Waiting ----------------------------------------------------------- */

static void
test_patience(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *large = with_pages(s, 5);
    struct aspen_mm *small = with_pages(s, 2);
    struct aspen_oom_choice choice = {.now = 1000, .patience = 10};

    assert_int_equal(aspen_oom_kill(large), 0);
    nobody(s, &choice, -ASPEN_EAGAIN);
    choice.now = 1009;
    nobody(s, &choice, -ASPEN_EAGAIN);
    choice.now = 1010;
    assert_ptr_equal(choose(s, &choice), small);
    assert_true(aspen_oom_badness(large) == ASPEN_OOM_NEVER);
    /* The next one has as much time. */
    assert_int_equal(aspen_oom_kill(small), 0);
    nobody(s, &choice, -ASPEN_EAGAIN);
    choice.now = 1019;
    nobody(s, &choice, -ASPEN_EAGAIN);
    choice.now = 1020;
    assert_ptr_equal(choose(s, &choice), s->mm);
    /* Who was passed over can be reaped, later. */
    assert_int_equal(aspen_oom_reap(large), 0);
    assert_int_equal(helper_counters(large).anon_pages, 0);
    aspen_mm_put(small);
    aspen_mm_put(large);
}

/* A wait that ends by itself is none of the next one's time. */
static void
test_waits_apart(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *large = with_pages(s, 5);
    struct aspen_mm *small = with_pages(s, 2);
    struct aspen_oom_choice choice = {.now = 1000, .patience = 10};

    assert_int_equal(aspen_oom_kill(large), 0);
    nobody(s, &choice, -ASPEN_EAGAIN);
    assert_int_equal(aspen_oom_reap(large), 0);
    assert_ptr_equal(choose(s, &choice), small);
    choice.now = 1020;
    assert_int_equal(aspen_oom_kill(small), 0);
    nobody(s, &choice, -ASPEN_EAGAIN);
    aspen_mm_put(small);
    aspen_mm_put(large);
    assert_ptr_equal(choose(s, &choice), s->mm);
}

static struct {
    struct helper_space *s;
    struct aspen_mm *reaped; /* tried in the hook */
    unsigned asked;
} hooked;

static int
refuse_open(void *context, struct aspen_vma *vma)
{
    (void)context;
    return hooked.s && aspen_vma_start(vma) != BASE ? -ASPEN_EPERM : 0;
}

static void
choose_in_close(void *context, struct aspen_vma *vma)
{
    (void)context;
    (void)vma;
    if (!hooked.s)
        return;
    hooked.asked++;
    nobody(hooked.s, &now, -ASPEN_EAGAIN);
}

static const struct aspen_pager_ops closes = {.close = choose_in_close};

/* While a space ends: in the middle of it. */
static void
test_exit(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &closes, NULL);
    struct aspen_mm *ends = helper_mm(&s->helper);

    helper_map_object(ends, BASE, 1, RW, o, 0);
    hooked.s = s;
    hooked.asked = 0;
    aspen_mm_put(ends);
    hooked.s = NULL;
    assert_int_equal(hooked.asked, 1);
    assert_ptr_equal(choose(s, &now), s->mm);
    aspen_object_put(o);
}

/* While a fork that failed gives back what it had. */
static void
test_failed_fork(void **state)
{
    static const struct aspen_pager_ops refuses = {.open = refuse_open,
                                                   .close = choose_in_close};
    struct helper_space *s = *state;
    struct aspen_object *o =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &refuses, NULL);
    struct aspen_mm *parent = helper_mm(&s->helper), *child;

    helper_map_object(parent, BASE, 1, RW, o, 0);
    helper_map_object(parent, BASE + 8 * PAGE, 1, RW, o, 4);
    hooked.s = s;
    hooked.asked = 0;
    assert_int_equal(aspen_fork(parent, &child), -ASPEN_EPERM);
    hooked.s = NULL;
    assert_int_equal(hooked.asked, 1);
    assert_ptr_equal(choose(s, &now), parent);
    aspen_mm_put(parent);
    aspen_object_put(o);
}

/* ---- Killing ----------------------------------------------------------- */

static void
test_kill(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    assert_false(aspen_oom_is_killed(s->mm));
    assert_int_equal(aspen_oom_reap(s->mm), -ASPEN_EINVAL);
    helper_map(s->mm, BASE, PAGES, RW);
    helper_put(&s->helper, s->mm, BASE, 1);
    int64_t badness = aspen_oom_badness(s->mm);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    assert_true(aspen_oom_is_killed(s->mm));
    assert_ptr_equal(killed.mm, s->mm);
    assert_int_equal(killed.badness, badness);
    assert_int_equal(aspen_oom_kill(s->mm), -ASPEN_EALREADY);
    assert_int_equal(killed.times, 1);
    assert_int_equal(helper_counts(s->helper.aspen).oom_kills, 1);
    assert_int_equal(helper_counts(s->helper.aspen).oom_reaps, 0);
    assert_int_equal(aspen_fork(s->mm, &child), -ASPEN_ESRCH);
    /* Until it is reaped it has what it had. */
    assert_int_equal(helper_get(&s->helper, s->mm, BASE), 1);
    helper_put(&s->helper, s->mm, BASE + PAGE, 2);
}

/* ---- Reaping ----------------------------------------------------------- */

enum { ANON, LOCKED, GUARDED, COPIED, SHARED, DEVICE, PARTS };

#define PART(part) (BASE + (part)*64 * PAGE)

static void
fill(struct helper_space *s, struct aspen_object *file,
     struct aspen_object *device)
{
    struct aspen_mm *mm = s->mm;

    helper_map(mm, PART(ANON), PAGES, RW);
    helper_map(mm, PART(LOCKED), PAGES, RW);
    helper_map(mm, PART(GUARDED), PAGES, RW);
    helper_map_object(mm, PART(COPIED), PAGES, RW, file, 0);
    helper_map_object(mm, PART(SHARED), PAGES, RW | ASPEN_VM_SHARED, file, 0);
    helper_import(mm, PART(DEVICE), PAGES, MAY_RW | ASPEN_VM_PFNMAP, device, 0);
    assert_int_equal(aspen_mlock(mm, PART(LOCKED), PAGES * PAGE, 0), 0);
    for (unsigned part = 0; part <= SHARED; part++)
        for (unsigned i = 0; i < 4; i++)
            helper_put(&s->helper, mm, PART(part) + i * PAGE,
                       (uint8_t)(part * 16 + i + 1));
    assert_int_equal(aspen_fault(mm, PART(DEVICE), ASPEN_ACCESS_READ), 0);
    /* A copy among raw memory, as a kernel makes that has such. */
    assert_int_equal(helper_import_pages(mm, PART(DEVICE) + 2 * PAGE, 1,
                                         ASPEN_IMPORT_ANON, 0),
                     0);
    assert_int_equal(aspen_madvise(mm, PART(GUARDED) + 8 * PAGE, PAGE,
                                   ASPEN_MADV_GUARD_INSTALL),
                     0);
}

static int
touch(struct aspen_mm *mm, uint64_t address, unsigned access)
{
    return helper_can_read(mm, address) && access == ASPEN_ACCESS_READ
               ? 0
               : aspen_fault(mm, address, access);
}

static void
test_reap(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                                 .write = helper_pager_write};
    static const struct aspen_pager_ops raw = {.fault = helper_device_frame};
    uint64_t first_raw = 0x100000;
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    struct aspen_object *device =
        helper_object(&s->helper, ASPEN_OBJECT_DEVICE, PAGES, &raw, &first_raw);
    struct aspen_mm *child;

    fill(s, file, device);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_put(&s->helper, s->mm, PART(ANON), 99);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    char *before = helper_maps(s->mm);
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    char *after = helper_maps(s->mm);
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_int_equal(helper_counters(s->mm).anon_pages, 1); /* of DEVICE */
    for (unsigned part = ANON; part <= COPIED; part++)
        for (unsigned i = 0; i < PAGES; i++) {
            int error =
                part == GUARDED && i == 8 ? -ASPEN_EFAULT : -ASPEN_ESRCH;
            uint64_t at = PART(part) + i * PAGE;
            assert_int_equal(touch(s->mm, at, ASPEN_ACCESS_READ), error);
            assert_int_equal(touch(s->mm, at, ASPEN_ACCESS_WRITE), error);
        }
    /* Others', and what is no memory, works. */
    assert_int_equal(helper_get(&s->helper, s->mm, PART(SHARED) + PAGE),
                     SHARED * 16 + 2);
    helper_get(&s->helper, s->mm, PART(SHARED) + 9 * PAGE);
    assert_int_equal(touch(s->mm, PART(DEVICE) + PAGE, ASPEN_ACCESS_READ), 0);
    assert_int_equal(helper_get(&s->helper, child, PART(ANON)), 1);
    assert_int_equal(helper_get(&s->helper, child, PART(COPIED)),
                     COPIED * 16 + 1);
    assert_int_equal(helper_counts(s->helper.aspen).oom_reaps, 1);
    helper_assert_valid(&s->helper);
    /* Once more is no mistake, and counts once. */
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    assert_int_equal(helper_counts(s->helper.aspen).oom_reaps, 1);
    aspen_mm_put(child);
    aspen_object_put(file);
    aspen_object_put(device);
}

static int
reap_in_open(void *context, struct aspen_vma *vma)
{
    (void)context;
    hooked.asked++;
    assert_int_equal(aspen_oom_reap(aspen_vma_mm(vma)), -ASPEN_EAGAIN);
    return 0;
}

/* Who changes the space is not waited for: he may be waiting for us. */
static void
test_busy(void **state)
{
    static const struct aspen_pager_ops busy = {.open = reap_in_open};
    struct helper_space *s = *state;
    struct aspen_object *o =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &busy, NULL);

    helper_map(s->mm, BASE, PAGES, RW);
    helper_put(&s->helper, s->mm, BASE, 1);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    hooked.asked = 0;
    helper_map_object(s->mm, BASE + 64 * PAGE, 1, RW, o, 0);
    assert_int_equal(hooked.asked, 1);
    /* Nothing was done: it is still there, and waited for. */
    assert_int_equal(helper_get(&s->helper, s->mm, BASE), 1);
    nobody(s, &now, -ASPEN_EAGAIN);
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    nobody(s, &now, -ASPEN_ESRCH);
    aspen_object_put(o);
}

/* Whoever pinned a page keeps it; all else is free at once. */
static void
test_pinned(void **state)
{
    struct helper_space *s = *state;
    uint32_t frame;

    helper_map(s->mm, BASE, PAGES, RW);
    uint64_t before = helper_counts(s->helper.aspen).frames_free;
    for (uint64_t i = 0; i < PAGES; i++)
        helper_put(&s->helper, s->mm, BASE + i * PAGE, (uint8_t)(i + 1));
    assert_int_equal(
        aspen_pin_range(s->mm, BASE, PAGE, ASPEN_PIN_WRITE, &frame), 0);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    assert_int_equal(helper_counts(s->helper.aspen).frames_free,
                     before - 1 - PATH_TABLES);
    assert_int_equal(
        *((uint8_t *)s->helper.direct_map + (uint64_t)frame * PAGE), 1);
    helper_unpin(s->mm, &frame, 1, 0);
    assert_int_equal(helper_counts(s->helper.aspen).frames_free,
                     before - PATH_TABLES);
}

/* All of memory is one space's; another one's fault needs a page. */
static void
test_goes_on(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *large = helper_mm(&s->helper), *victim;
    uint64_t pages = helper_counts(s->helper.aspen).frames_total;
    uint64_t at = BASE;

    helper_map(s->mm, BASE, PAGES, RW);
    helper_put(&s->helper, s->mm, BASE, 1);
    helper_map(large, BASE, pages, RW | ASPEN_VM_NORESERVE);
    while (aspen_fault(large, at, ASPEN_ACCESS_WRITE) == 0)
        at += PAGE;
    assert_int_equal(aspen_fault(s->mm, BASE + PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_oom_select(s->helper.aspen, &now, &victim), 0);
    assert_ptr_equal(victim, large);
    assert_int_equal(aspen_oom_kill(victim), 0);
    assert_int_equal(aspen_oom_reap(victim), 0);
    aspen_mm_put(victim);
    helper_put(&s->helper, s->mm, BASE + PAGE, 2);
    helper_assert_valid(&s->helper);
    aspen_mm_put(large);
}

/* What a driver or an importer puts in would stand where something was. */
static void
test_nothing_is_put_in(void **state)
{
    struct helper_space *s = *state;
    struct aspen_import_pages pages = {
        .address = BASE, .count = 1, .kind = ASPEN_IMPORT_ANON};
    uint64_t done;

    helper_import(s->mm, BASE, 2,
                  RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MIXEDMAP,
                  NULL, 0);
    helper_put(&s->helper, s->mm, BASE, 7);
    assert_int_equal(aspen_oom_kill(s->mm), 0);
    assert_int_equal(aspen_insert_raw(s->mm, BASE + PAGE, 5000, 0), 0);
    assert_int_equal(aspen_oom_reap(s->mm), 0);
    assert_int_equal(aspen_insert_raw(s->mm, BASE, 5000, 0), -ASPEN_ESRCH);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), -ASPEN_ESRCH);
    assert_int_equal(aspen_fault(s->mm, BASE, ASPEN_ACCESS_READ), -ASPEN_ESRCH);
    helper_assert_valid(&s->helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        oom_test(test_badness),
        oom_test(test_swapped),
        oom_test(test_adjust),
        oom_test(test_choice),
        oom_test(test_equals),
        oom_test(test_patience),
        oom_test(test_waits_apart),
        oom_test(test_exit),
        oom_test(test_failed_fork),
        oom_test(test_kill),
        oom_test(test_reap),
        oom_test(test_busy),
        oom_test(test_nothing_is_put_in),
        oom_test(test_pinned),
        oom_test(test_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
