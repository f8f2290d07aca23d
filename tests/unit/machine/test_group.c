/* SPDX-License-Identifier: MIT */
/*
 * Memory groups: who is charged for a page and a slot, from when to when; what
 * a limit refuses, and that this leaves nothing; how long a group lives.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "group/group.h"

#define BASE  ((uint64_t)0x10000000)
#define SLOTS 64u

static uint8_t slots[SLOTS][4096];
static struct aspen_group *callers; /* the hook's answer */

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    return slots_transfer(slots, io);
}

static struct aspen_group *
group_of_caller(void *context)
{
    (void)context;
    return callers;
}

static const struct aspen_swap_ops device = {.transfer = transfer};
static const struct aspen_pager_ops pager = {.read = helper_pager_number};

static int
setup(void **state)
{
    static const struct aspen_memory_ops memory = {.group = group_of_caller};
    struct aspen_config config;

    callers = NULL;
    aspen_config_init(&config);
    config.hooks.memory = &memory;
    return helper_space_setup_with(state, &config);
}

#define group_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)

static struct aspen_group *
new_group(struct helper_space *s, struct aspen_group *parent)
{
    struct aspen_group *group;

    assert_int_equal(aspen_group_create(s->helper.aspen, parent, &group), 0);
    return group;
}

static struct aspen_group_counters
counts(struct aspen_group *group)
{
    struct aspen_group_counters counters;

    aspen_group_counters_read(group, &counters);
    return counters;
}

/* A space in the group. */
static struct aspen_mm *
space_in(struct helper_space *s, struct aspen_group *group)
{
    struct aspen_mm *mm = helper_mm(&s->helper);

    assert_int_equal(aspen_group_enter(mm, group), 0);
    return mm;
}

static void
touch(struct helper_space *s, struct aspen_mm *mm, uint64_t first,
      uint64_t pages)
{
    for (uint64_t i = first; i < first + pages; i++)
        helper_put(&s->helper, mm, BASE + i * PAGE, (uint8_t)(i + 1));
}

static void
set_max(struct aspen_group *group, uint64_t pages)
{
    assert_int_equal(aspen_group_limit_set(group, ASPEN_GROUP_MAX, pages), 0);
}

static void
add_device(struct helper_space *s)
{
    unsigned type;

    assert_int_equal(aspen_swap_add(s->helper.aspen,
                                    &(struct aspen_swap_args){
                                        .pages = SLOTS,
                                        .ops = &device,
                                    },
                                    &type),
                     0);
}

/* ---- The tree ------------------------------------------------------------ */

static void
test_tree(void **state)
{
    struct helper_space *s = *state;
    struct aspen *other = helper_machine(256);
    struct aspen_group *top = new_group(s, NULL);
    struct aspen_group *second = new_group(s, NULL);
    struct aspen_group *below = new_group(s, top);
    struct aspen_group *refused = top;

    assert_int_equal(aspen_group_number(top), 1);
    assert_int_equal(aspen_group_number(below), 3);
    assert_null(aspen_group_parent(top));
    assert_ptr_equal(aspen_group_parent(below), top);
    assert_int_equal(aspen_group_create(other, top, &refused), -ASPEN_EINVAL);
    assert_ptr_equal(refused, top);
    assert_int_equal(aspen_group_limit(top, ASPEN_GROUP_MAX),
                     ASPEN_GROUP_UNLIMITED);
    assert_int_equal(aspen_group_limit_set(top, ASPEN_GROUP_LIMITS, 1),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_group_limit(top, ASPEN_GROUP_LIMITS), 0);

    struct aspen_mm *stranger = helper_new_mm(other);
    assert_int_equal(aspen_group_enter(stranger, top), -ASPEN_EINVAL);
    assert_null(aspen_mm_group(stranger));
    aspen_mm_put(stranger);
    helper_machine_destroy(other);
    helper_assert_valid(&s->helper);

    /* Each is met once, parents first; from a group on, what is below it. */
    struct aspen_group *walk = NULL;
    unsigned met = 0;
    while ((walk = aspen_group_next(s->helper.aspen, NULL, walk)) != NULL)
        met |= 1u << walk->number;
    assert_int_equal(met, 1u << 1 | 1u << 2 | 1u << 3);
    met = 0;
    while ((walk = aspen_group_next(s->helper.aspen, top, walk)) != NULL) {
        assert_true(walk != below || met);
        met |= 1u << walk->number;
    }
    assert_int_equal(met, 1u << 1 | 1u << 3);

    /* A parent stays as long as what is below it. */
    aspen_group_put(top);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_group_number(aspen_group_parent(below)), 1);
    aspen_group_put(below);
    aspen_group_put(second);
}

static void
test_destroy_waits(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_group *group;

    (void)state;
    assert_int_equal(aspen_group_create(aspen, NULL, &group), 0);
    assert_int_equal(aspen_destroy(aspen), -ASPEN_EBUSY);
    aspen_group_get(group);
    aspen_group_put(group);
    assert_int_equal(aspen_destroy(aspen), -ASPEN_EBUSY);
    aspen_group_put(group);
    helper_machine_destroy(aspen);
}

/* ---- Who is charged ------------------------------------------------------ */

static void
test_anonymous(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *top = new_group(s, NULL);
    struct aspen_group *one = new_group(s, top);
    struct aspen_group *two = new_group(s, top);
    struct aspen_mm *mm = space_in(s, one);
    struct aspen_mm *other = space_in(s, two);

    helper_map(mm, BASE, 200, RW);
    helper_map(other, BASE, 200, RW);
    helper_map(s->mm, BASE, 200, RW);
    touch(s, mm, 0, 150);
    touch(s, other, 0, 3);
    touch(s, s->mm, 0, 5);
    assert_int_equal(counts(one).pages, 150);
    assert_int_equal(counts(two).pages, 3);
    assert_int_equal(counts(top).pages, 153);
    assert_in_range(counts(one).peak_pages, 150, 150 + ASPEN_GROUP_BATCH);
    /* What is read only is the page of zeroes, nobody's. */
    assert_int_equal(aspen_fault(mm, BASE + 160 * PAGE, ASPEN_ACCESS_READ), 0);
    assert_int_equal(counts(one).pages, 150);
    helper_assert_valid(&s->helper);
    helper_unmap(mm, BASE, 100);
    assert_int_equal(counts(one).pages, 50);
    assert_int_equal(counts(top).pages, 53);
    helper_assert_valid(&s->helper);
    /* A group that is offline goes with its last page. */
    aspen_group_put(one);
    aspen_mm_put(mm);
    assert_int_equal(counts(top).pages, 3);
    helper_assert_valid(&s->helper);
    assert_int_equal(s->helper.aspen->groups.count, 2);
    aspen_mm_put(other);
    aspen_group_put(top);
    assert_int_equal(s->helper.aspen->groups.count, 2);
    aspen_group_put(two);
    assert_int_equal(s->helper.aspen->groups.count, 0);
}

/* The child's copies are charged to its group, which is its parent's; what both
 * have is charged once. */
static void
test_fork(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *group = new_group(s, NULL);
    struct aspen_mm *mm = space_in(s, group), *child;

    helper_map(mm, BASE, 8, RW);
    touch(s, mm, 0, 8);
    assert_int_equal(aspen_fork(mm, &child), 0);
    struct aspen_group *its = aspen_mm_group(child);
    assert_ptr_equal(its, group);
    aspen_group_put(its);
    assert_int_equal(counts(group).pages, 8);
    touch(s, child, 0, 3);
    assert_int_equal(counts(group).pages, 11);
    aspen_mm_put(mm);
    assert_int_equal(counts(group).pages, 8);
    helper_assert_valid(&s->helper);

    struct aspen_mm *next;
    assert_int_equal(aspen_exec_prepare(child, &next), 0);
    aspen_exec_commit(child, next);
    its = aspen_mm_group(next);
    assert_ptr_equal(its, group);
    aspen_group_put(its);
    assert_int_equal(counts(group).pages, 0);
    aspen_group_put(group);
    aspen_mm_put(next);
}

/* By who fills it, whoever maps it; until it leaves the cache. */
static void
test_files(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *one = new_group(s, NULL), *two = new_group(s, NULL);
    struct aspen_mm *mm = space_in(s, one), *other = space_in(s, two);
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 100, &pager, NULL);
    struct aspen_object *shmem =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 100, NULL, NULL);
    uint64_t number, done;

    helper_map_object(mm, BASE, 100, R, file, 0);
    helper_map_object(other, BASE, 100, R, file, 0);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(aspen_fault(mm, BASE + i * PAGE, ASPEN_ACCESS_READ),
                         0);
    for (uint64_t i = 0; i < 15; i++)
        assert_int_equal(aspen_fault(other, BASE + i * PAGE, ASPEN_ACCESS_READ),
                         0);
    assert_int_equal(counts(one).pages, 10);
    assert_int_equal(counts(two).pages, 5);
    aspen_mm_put(mm);
    assert_int_equal(counts(one).pages, 10);
    callers = two;
    assert_int_equal(aspen_object_read(file, 50 * PAGE, &number, 8, &done), 0);
    assert_int_equal(aspen_object_write(shmem, 0, &number, 8, &done), 0);
    callers = NULL;
    assert_int_equal(aspen_object_write(shmem, PAGE, &number, 8, &done), 0);
    assert_int_equal(counts(two).pages, 7);
    helper_assert_valid(&s->helper);
    /* Reclaim of the machine finds them in their groups. */
    aspen_mm_put(other);
    assert_int_equal(aspen_reclaim(s->helper.aspen, 100), 16);
    assert_int_equal(counts(one).pages, 0);
    assert_int_equal(counts(two).pages, 1);
    helper_assert_valid(&s->helper);
    aspen_object_put(file);
    aspen_object_put(shmem);
    assert_int_equal(counts(two).pages, 0);
    aspen_group_put(one);
    aspen_group_put(two);
}

/* Nothing is held ahead for a group that is offline: it goes with its last
 * page.
 */
static void
test_offline(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *group = new_group(s, NULL);
    struct aspen_mm *mm = space_in(s, group);
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 100, &pager, NULL);

    helper_map_object(mm, BASE, 100, R, file, 0);
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(aspen_fault(mm, BASE + i * PAGE, ASPEN_ACCESS_READ),
                         0);
    aspen_mm_put(mm);
    aspen_group_put(group);
    assert_int_equal(s->helper.aspen->groups.count, 1);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_reclaim(s->helper.aspen, 9), 9);
    assert_int_equal(s->helper.aspen->groups.count, 1);
    assert_int_equal(aspen_reclaim(s->helper.aspen, 9), 1);
    assert_int_equal(s->helper.aspen->groups.count, 0);
    aspen_object_put(file);
}

/* Each gives its part when a machine reclaims. */
static void
test_reclaim_in_proportion(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *one = new_group(s, NULL), *two = new_group(s, one);
    struct aspen_mm *spaces[] = {space_in(s, one), space_in(s, two), s->mm};
    const uint64_t pages[] = {300, 100, 200};
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 600, &pager, NULL);
    uint64_t from = 0;

    for (unsigned i = 0; i < 3; i++) {
        helper_map_object(spaces[i], BASE, pages[i], R, file, from);
        for (uint64_t k = 0; k < pages[i]; k++)
            assert_int_equal(
                aspen_fault(spaces[i], BASE + k * PAGE, ASPEN_ACCESS_READ), 0);
        from += pages[i];
    }
    assert_int_equal(counts(one).pages, 400);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(aspen_reclaim(s->helper.aspen, 31), 31);
    /* Of 290 of 600 that are left. */
    assert_in_range(counts(one).pages - counts(two).pages, 140, 150);
    assert_in_range(counts(two).pages, 45, 52);
    helper_assert_valid(&s->helper);
    for (unsigned i = 0; i < 2; i++)
        aspen_mm_put(spaces[i]);
    helper_unmap(s->mm, BASE, 200);
    aspen_object_put(file);
    aspen_group_put(two);
    aspen_group_put(one);
}

/* ---- Limits -------------------------------------------------------------- */

static void
test_max(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *top = new_group(s, NULL), *group = new_group(s, top);
    struct aspen_mm *mm = space_in(s, group), *sibling = space_in(s, top);

    helper_map(mm, BASE, 200, RW);
    helper_map(sibling, BASE, 200, RW);
    set_max(group, 100);
    touch(s, mm, 0, 100);
    assert_int_equal(aspen_fault(mm, BASE + 100 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_false(helper_can_read(mm, BASE + 100 * PAGE));
    assert_int_equal(counts(group).pages, 100);
    assert_true(counts(group).events[ASPEN_GROUP_EVENT_MAX] > 0);
    assert_int_equal(counts(top).events[ASPEN_GROUP_EVENT_MAX],
                     counts(group).events[ASPEN_GROUP_EVENT_MAX]);
    helper_assert_valid(&s->helper);
    /* What is above counts as well. */
    set_max(group, 150);
    set_max(top, 120);
    touch(s, sibling, 0, 10);
    touch(s, mm, 100, 10);
    assert_int_equal(aspen_fault(mm, BASE + 110 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_int_equal(counts(group).pages, 110);
    /* What is given back is enough; below what there is nothing more comes. */
    helper_unmap(sibling, BASE, 1);
    touch(s, mm, 110, 1);
    set_max(group, 5);
    assert_int_equal(counts(group).pages, 111);
    helper_unmap(mm, BASE, 106);
    assert_int_equal(counts(group).pages, 5);
    assert_int_equal(aspen_fault(mm, BASE + 120 * PAGE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    helper_unmap(mm, BASE + 106 * PAGE, 1);
    touch(s, mm, 120, 1);
    set_max(group, 0);
    helper_assert_valid(&s->helper);
    aspen_mm_put(mm);
    aspen_mm_put(sibling);
    aspen_group_put(group);
    aspen_group_put(top);
}

/* Files, objects' bytes, imports, and a copy that fork has to make at once. */
static void
test_max_everywhere(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *group = new_group(s, NULL);
    struct aspen_mm *mm = space_in(s, group), *child = s->mm;
    struct aspen_object *shmem =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 100, NULL, NULL);
    uint64_t number = 1, done;
    uint32_t frames[4];

    helper_map(mm, BASE, 10, RW);
    touch(s, mm, 0, 4);
    helper_map_object(mm, 2 * BASE, 10, RW | ASPEN_VM_SHARED, shmem, 0);
    set_max(group, 4);
    callers = group;
    assert_int_equal(aspen_fault(mm, 2 * BASE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_object_write(shmem, 0, &number, 8, &done),
                     -ASPEN_ENOMEM);
    assert_int_equal(done, 0);
    callers = NULL;
    /* What others have filled would be copied. */
    assert_int_equal(aspen_object_write(shmem, 0, &number, 8, &done), 0);
    helper_map_object(mm, 3 * BASE, 10, RW, shmem, 0);
    assert_int_equal(aspen_fault(mm, 3 * BASE, ASPEN_ACCESS_WRITE),
                     -ASPEN_ENOMEM);
    assert_int_equal(
        helper_import_pages(mm, BASE + 5 * PAGE, 1, ASPEN_IMPORT_ANON, 0),
        -ASPEN_ENOMEM);
    assert_int_equal(counts(group).pages, 4);
    assert_int_equal(
        aspen_pin_range(mm, BASE, 4 * PAGE, ASPEN_PIN_WRITE, frames), 0);
    set_max(group, 7);
    struct aspen_counters before = helper_counts(s->helper.aspen);
    assert_int_equal(aspen_fork(mm, &child), -ASPEN_ENOMEM);
    assert_ptr_equal(child, s->mm);
    helper_assert_counts(s->helper.aspen, &before);
    assert_int_equal(counts(group).pages, 4);
    helper_assert_valid(&s->helper);
    set_max(group, 8);
    assert_int_equal(aspen_fork(mm, &child), 0);
    assert_int_equal(counts(group).pages, 8);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
    helper_unpin(mm, frames, 4, 0);
    aspen_mm_put(mm);
    assert_int_equal(counts(group).pages, 0);
    aspen_object_put(shmem);
    aspen_group_put(group);
}

/* ---- Swap ---------------------------------------------------------------- */

static void
test_swap(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *top = new_group(s, NULL), *group = new_group(s, top);
    struct aspen_mm *mm = space_in(s, group);

    add_device(s);
    helper_map(mm, BASE, 40, RW);
    touch(s, mm, 0, 40);
    assert_int_equal(aspen_group_limit_set(top, ASPEN_GROUP_SWAP_MAX, 30), 0);
    assert_int_equal(aspen_reclaim(s->helper.aspen, 100), 30);
    assert_int_equal(counts(group).pages, 10);
    assert_int_equal(counts(group).swap_pages, 30);
    assert_int_equal(counts(top).swap_pages, 30);
    assert_int_equal(counts(top).peak_swap_pages, 30);
    helper_assert_valid(&s->helper);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(helper_get(&s->helper, mm, BASE + i * PAGE), i + 1);
    assert_int_equal(counts(group).pages, 40);
    helper_assert_valid(&s->helper);
    helper_unmap(mm, BASE, 35);
    assert_int_equal(counts(group).pages, 5);
    assert_int_equal(counts(group).swap_pages, 0);
    /* They come back for their group, as long as that is online. */
    assert_int_equal(aspen_reclaim(s->helper.aspen, 5), 5);
    set_max(group, 2);
    for (uint64_t i = 35; i < 40; i++)
        assert_int_equal(helper_get(&s->helper, mm, BASE + i * PAGE), i + 1);
    assert_true(counts(group).pages <= 2);
    assert_int_equal(counts(group).events[ASPEN_GROUP_EVENT_OOM], 0);
    helper_assert_valid(&s->helper);
    /* Nothing can leave for them: those that are there have no slot. */
    touch(s, mm, 38, 2);
    assert_int_equal(aspen_group_limit_set(top, ASPEN_GROUP_SWAP_MAX, 0), 0);
    assert_int_equal(aspen_fault(mm, BASE + 35 * PAGE, ASPEN_ACCESS_READ),
                     -ASPEN_ENOMEM);
    assert_int_equal(counts(top).events[ASPEN_GROUP_EVENT_OOM], 1);
    helper_assert_valid(&s->helper);
    aspen_group_put(group);
    aspen_mm_put(mm);
    assert_int_equal(s->helper.aspen->groups.count, 1);
    assert_int_equal(counts(top).swap_pages, 0);
    aspen_group_put(top);
}

/* What a child has in swap of a group whose last handle has gone. */
static void
test_swap_offline(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *old = new_group(s, NULL), *group = new_group(s, NULL);
    struct aspen_mm *mm = space_in(s, old), *child;

    add_device(s);
    helper_map(mm, BASE, 4, RW);
    touch(s, mm, 0, 4);
    assert_int_equal(aspen_reclaim(s->helper.aspen, 4), 4);
    assert_int_equal(aspen_fork(mm, &child), 0);
    aspen_mm_put(mm);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, child, BASE), 1);
    assert_int_equal(counts(old).pages + counts(old).swap_pages, 4);
    aspen_mm_put(child);
    aspen_group_put(old);
    aspen_group_put(group);
    assert_int_equal(s->helper.aspen->groups.count, 0);
}

/* ---- Spaces -------------------------------------------------------------- */

static void
test_enter(void **state)
{
    struct helper_space *s = *state;
    struct aspen_group *one = new_group(s, NULL), *two = new_group(s, NULL);

    assert_null(aspen_mm_group(s->mm));
    assert_int_equal(aspen_group_enter(s->mm, one), 0);
    assert_int_equal(aspen_group_enter(s->mm, two), 0);
    helper_map(s->mm, BASE, 4, RW);
    struct aspen_group *its = aspen_mm_group(s->mm);
    assert_ptr_equal(its, two);
    helper_unmap(s->mm, BASE, 4);
    helper_assert_valid(&s->helper);
    aspen_group_put(two); /* the space's is left, and ours */
    assert_int_equal(aspen_group_enter(s->mm, NULL), 0);
    assert_null(aspen_mm_group(s->mm));
    assert_int_equal(s->helper.aspen->groups.count, 2);
    aspen_group_put(its);
    assert_int_equal(s->helper.aspen->groups.count, 1);
    aspen_group_put(one);
}

/* ---- Every step ---------------------------------------------------------- */

static struct failing_scene {
    struct helper_space *s;
    struct helper helper;
    struct aspen_group *group;
    struct aspen_mm *mm;
    unsigned access;
} failing;

static void
failing_setup(void *context)
{
    struct failing_scene *f = context;

    f->mm = space_in(f->s, f->group);
    helper_map(f->mm, BASE, 4, RW);
    /* No neighbours come along, whose failures nobody hears of. */
    assert_int_equal(aspen_madvise(f->mm, BASE, 4 * PAGE, ASPEN_MADV_RANDOM),
                     0);
    if (f->access == ASPEN_ACCESS_READ) {
        touch(f->s, f->mm, 0, 4);
        assert_int_equal(aspen_reclaim(f->s->helper.aspen, 4), 4);
    }
}

static int
failing_fault(void *context)
{
    struct failing_scene *f = context;

    return aspen_fault(f->mm, BASE + PAGE, f->access);
}

static void
failing_done(void *context)
{
    struct failing_scene *f = context;

    assert_true(counts(f->group).pages > 0);
}

static void
failing_teardown(void *context)
{
    struct failing_scene *f = context;

    aspen_mm_put(f->mm);
    assert_int_equal(counts(f->group).pages, 0);
    assert_int_equal(counts(f->group).swap_pages, 0);
}

/* A fault in a group, of what was never there and of what is in swap. */
static void
test_faults_failing(void **state)
{
    struct helper_space *s = *state;
    struct helper_failing each = {
        .name = "a fault in a group",
        .helper = &s->helper,
        .mm = &failing.mm,
        .setup = failing_setup,
        .run = failing_fault,
        .done = failing_done,
        .teardown = failing_teardown,
        .context = &failing,
    };

    add_device(s);
    failing.s = s;
    failing.group = new_group(s, new_group(s, NULL));
    failing.access = ASPEN_ACCESS_WRITE;
    assert_true(helper_fail_every_step(&each) > 0);
    assert_true(helper_failed_steps(&each, ASPEN_STEP_CHARGE) > 0);
    failing.access = ASPEN_ACCESS_READ;
    each.name = "a fault in a group, from swap";
    each.cached = true;
    assert_true(helper_fail_every_step(&each) > 0);
    assert_true(helper_failed_steps(&each, ASPEN_STEP_CHARGE) > 0);
    struct aspen_group *top = failing.group->parent;
    aspen_group_put(failing.group);
    aspen_group_put(top);
}

static int
failing_create(void *context)
{
    struct failing_scene *f = context;

    return aspen_group_create(f->s->helper.aspen, NULL, &f->group);
}

static void
failing_put(void *context)
{
    struct failing_scene *f = context;

    aspen_group_put(f->group);
}

static void
test_create_failing(void **state)
{
    struct helper_space *s = *state;
    struct helper_part part = {
        .aspen = s->helper.aspen,
        .run = failing_create,
        .undo = failing_put,
        .context = &failing,
    };

    failing.s = s;
    failing.group = new_group(s, NULL);
    aspen_group_put(failing.group);
    helper_fail_part(&part, "a group", 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        group_test(test_tree),
        cmocka_unit_test(test_destroy_waits),
        group_test(test_anonymous),
        group_test(test_fork),
        group_test(test_files),
        group_test(test_offline),
        group_test(test_reclaim_in_proportion),
        group_test(test_max),
        group_test(test_max_everywhere),
        group_test(test_swap),
        group_test(test_swap_offline),
        group_test(test_enter),
        group_test(test_faults_failing),
        group_test(test_create_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
