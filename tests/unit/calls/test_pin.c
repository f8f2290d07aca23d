/* SPDX-License-Identifier: MIT */
/* Pins: which page is pinned for what is there, what may happen to it
 * meanwhile, that it outlives its space, and every step failing. */
#include "failing.h"
#include "helper.h"

#include "frames/pins.h"
#include "space/vma.h"

#define BASE ((uint64_t)0x10000000)

static const struct aspen_pager_ops pager_ops = {.read = helper_pager_read,
                                                 .write = helper_pager_write};

struct space {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    struct aspen_object *file;
    struct aspen_object *shmem;
};

static void
create(struct space *s)
{
    memset(s, 0, sizeof(*s));
    helper_create(&s->helper, NULL);
    s->mm = helper_mm(&s->helper);
    s->file = helper_object(&s->helper, ASPEN_OBJECT_FILE, 8, &pager_ops, NULL);
    s->shmem = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
}

static void
destroy(struct space *s)
{
    helper_assert_valid(&s->helper);
    if (s->child)
        aspen_mm_put(s->child);
    aspen_mm_put(s->mm);
    aspen_object_put(s->file);
    aspen_object_put(s->shmem);
    helper_destroy(&s->helper);
}

static uint32_t
frame_at(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame = ASPEN_NO_FRAME;
    return aspen_translate(mm, address, ASPEN_ACCESS_READ, &frame)
               ? ASPEN_NO_FRAME
               : frame;
}

static uint8_t *
bytes_of(struct space *s, uint32_t frame)
{
    return (uint8_t *)s->helper.direct_map + frame * PAGE;
}

static void
fork_child(struct space *s)
{
    assert_int_equal(aspen_fork(s->mm, &s->child), 0);
}

/* ---- What is pinned ---------------------------------------------------- */

enum what { ITS_OWN, THE_OBJECTS, ZERO };

/* One page is mapped, prepared, pinned. Byte 0 of it is `byte` afterwards. */
struct row {
    const char *name;
    uint64_t flags;
    char object; /* f: file, s: shared memory */
    bool read;   /* before */
    bool written;
    bool forked;
    bool child_gone;
    bool pin_write;
    int error;
    enum what what;
    bool stays; /* the page that was there is the one */
    uint8_t byte;
};

#define SHARED ASPEN_VM_SHARED
#define NEVER  (R | ASPEN_VM_MAYREAD) /* cannot be made writable */
static const struct row rows[] = {
    {.name = "nothing there", .flags = RW, .what = ITS_OWN},
    {.name = "nothing there, to write",
     .flags = RW,
     .pin_write = true,
     .what = ITS_OWN},
    {.name = "zeroes", .flags = RW, .read = true, .what = ITS_OWN},
    {.name = "zeroes that may be written some day",
     .flags = R,
     .read = true,
     .what = ITS_OWN},
    {.name = "zeroes for ever", .flags = NEVER, .read = true, .what = ZERO},
    {.name = "its own page",
     .flags = RW,
     .written = true,
     .what = ITS_OWN,
     .stays = true,
     .byte = 7},
    {.name = "its own page, to write",
     .flags = RW,
     .written = true,
     .pin_write = true,
     .what = ITS_OWN,
     .stays = true,
     .byte = 7},
    {.name = "a page shared with a child",
     .flags = RW,
     .written = true,
     .forked = true,
     .what = ITS_OWN,
     .byte = 7},
    {.name = "a page shared with a child, to write",
     .flags = RW,
     .written = true,
     .forked = true,
     .pin_write = true,
     .what = ITS_OWN,
     .byte = 7},
    {.name = "a page that a child had",
     .flags = RW,
     .written = true,
     .forked = true,
     .child_gone = true,
     .what = ITS_OWN,
     .stays = true,
     .byte = 7},
    {.name = "a private file",
     .flags = RW,
     .object = 'f',
     .what = ITS_OWN,
     .byte = 3},
    {.name = "a private file that was read",
     .flags = R,
     .object = 'f',
     .read = true,
     .what = ITS_OWN,
     .byte = 3},
    {.name = "a file nobody can write",
     .flags = NEVER,
     .object = 'f',
     .what = THE_OBJECTS,
     .byte = 3},
    {.name = "a shared file",
     .flags = RW | SHARED,
     .object = 'f',
     .what = THE_OBJECTS,
     .byte = 3},
    {.name = "a shared file, to write",
     .flags = RW | SHARED,
     .object = 'f',
     .pin_write = true,
     .error = -ASPEN_EFAULT},
    {.name = "shared memory",
     .flags = RW | SHARED,
     .object = 's',
     .what = THE_OBJECTS},
    {.name = "shared memory, to write",
     .flags = RW | SHARED,
     .object = 's',
     .pin_write = true,
     .what = THE_OBJECTS},
    {.name = "read-only, to write",
     .flags = R,
     .pin_write = true,
     .error = -ASPEN_EFAULT},
    {.name = "no access", .flags = 0, .error = -ASPEN_EFAULT},
    {.name = "raw memory",
     .flags = RW | ASPEN_VM_PFNMAP,
     .error = -ASPEN_EFAULT},
};

static void
prepare(struct space *s, const struct row *row)
{
    helper_map_object(s->mm, BASE, 1, row->flags,
                      row->object == 'f'   ? s->file
                      : row->object == 's' ? s->shmem
                                           : NULL,
                      2);
    if (row->read)
        helper_get(&s->helper, s->mm, BASE);
    if (row->written)
        helper_put(&s->helper, s->mm, BASE, 7);
    if (row->forked)
        fork_child(s);
    if (row->child_gone) {
        aspen_mm_put(s->child);
        s->child = NULL;
    }
}

static void
check_pinned(struct space *s, const struct row *row, uint32_t frame)
{
    const struct aspen_frame *page = aspen_frame_at(s->helper.aspen, frame);
    enum aspen_frame_type type = aspen_frame_type(page);

    assert_int_equal(frame_at(s->mm, BASE), frame);
    assert_int_equal(type, row->what == ITS_OWN       ? ASPEN_FRAME_ANON
                           : row->what == THE_OBJECTS ? ASPEN_FRAME_OBJECT
                                                      : ASPEN_FRAME_ZERO);
    assert_int_equal(aspen_frame_pins(s->helper.aspen, frame), 1);
    assert_int_equal(bytes_of(s, frame)[0], row->byte);
    if (row->child_gone || !row->forked)
        return;
    assert_int_not_equal(frame_at(s->child, BASE), frame);
    assert_int_equal(helper_get(&s->helper, s->child, BASE), row->byte);
}

/* Whatever the program does from now on, it is the same page. */
static void
check_one(struct space *s, const struct row *row, uint32_t frame)
{
    if (row->flags & ASPEN_VM_WRITE) {
        helper_put(&s->helper, s->mm, BASE, 9);
        assert_int_equal(bytes_of(s, frame)[0], 9);
    }
    if (row->pin_write) {
        bytes_of(s, frame)[1] = 11;
        assert_int_equal(helper_get(&s->helper, s->mm, BASE + 1), 11);
    }
    assert_int_equal(frame_at(s->mm, BASE), frame);
}

static void
run_row(const struct row *row)
{
    struct space s;
    struct aspen_mm *other;
    uint32_t frame = ASPEN_NO_FRAME;
    unsigned flags = row->pin_write ? ASPEN_PIN_WRITE : 0;

    print_message("%s\n", row->name);
    create(&s);
    prepare(&s, row);
    uint32_t before = frame_at(s.mm, BASE);
    assert_int_equal(aspen_pin_range(s.mm, BASE, PAGE, flags, &frame),
                     row->error);
    helper_assert_valid(&s.helper);
    if (row->error) {
        assert_int_equal(helper_counters(s.mm).pinned_pages, 0);
        destroy(&s);
        return;
    }
    assert_int_equal(helper_counters(s.mm).pinned_pages, 1);
    assert_int_equal(frame == before, row->stays || row->what == ZERO);
    check_pinned(&s, row, frame);
    check_one(&s, row, frame);
    assert_int_equal(aspen_fork(s.mm, &other), 0);
    helper_assert_valid(&s.helper);
    assert_int_equal(helper_counters(other).pinned_pages, 0);
    check_one(&s, row, frame);
    if (row->what == ITS_OWN)
        assert_int_not_equal(frame_at(other, BASE), frame);
    aspen_mm_put(other);
    helper_unpin(s.mm, &frame, 1, row->pin_write ? ASPEN_UNPIN_DIRTY : 0);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 0);
    destroy(&s);
}

static void
test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(&rows[i]);
}

/* ---- What may happen meanwhile ----------------------------------------- */

/* The child of a fork has what was there then, and is nobody's but its own;
 * the parent's page stays writable. */
static void
test_fork(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[2];
    uint32_t frame;

    create(&s);
    helper_map(s.mm, BASE, 4, RW);
    for (unsigned i = 0; i < 4; i++)
        helper_put(&s.helper, s.mm, BASE + i * PAGE, (uint8_t)(10 + i));
    assert_int_equal(
        aspen_pin_range(s.mm, BASE + PAGE, 2 * PAGE, ASPEN_PIN_WRITE, frames),
        0);
    fork_child(&s);
    assert_int_equal(frame_at(s.mm, BASE), frame_at(s.child, BASE));
    for (unsigned i = 0; i < 2; i++) {
        uint64_t at = BASE + (i + 1) * PAGE;
        assert_int_equal(frame_at(s.mm, at), frames[i]);
        assert_int_not_equal(frame_at(s.child, at), frames[i]);
        /* Both may write at once. */
        assert_int_equal(aspen_translate(s.mm, at, ASPEN_ACCESS_WRITE, &frame),
                         0);
        assert_int_equal(
            aspen_translate(s.child, at, ASPEN_ACCESS_WRITE, &frame), 0);
        bytes_of(&s, frames[i])[0] = 99;
        assert_int_equal(helper_get(&s.helper, s.child, at), 11 + i);
        assert_int_equal(helper_get(&s.helper, s.mm, at), 99);
    }
    helper_assert_valid(&s.helper);
    /* Given back, they are shared like any other. */
    helper_unpin(s.mm, frames, 2, ASPEN_UNPIN_DIRTY);
    aspen_mm_put(s.child);
    fork_child(&s);
    assert_int_equal(frame_at(s.mm, BASE + PAGE),
                     frame_at(s.child, BASE + PAGE));
    destroy(&s);
}

static void
test_outlives(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[3];

    create(&s);
    helper_map(s.mm, BASE, 3, RW);
    helper_put(&s.helper, s.mm, BASE, 42);
    assert_int_equal(aspen_pin_range(s.mm, BASE, 3 * PAGE, 0, frames), 0);
    helper_unmap(s.mm, BASE, 1);
    helper_assert_valid(&s.helper);
    assert_int_equal(bytes_of(&s, frames[0])[0], 42);
    helper_map(s.mm, BASE, 1, RW);
    helper_put(&s.helper, s.mm, BASE, 43);
    assert_int_not_equal(frame_at(s.mm, BASE), frames[0]);
    assert_int_equal(bytes_of(&s, frames[0])[0], 42);

    /* In portions, some after exit. */
    helper_unpin(s.mm, &frames[1], 1, 0);
    struct aspen_mm *mm = s.mm;
    aspen_mm_put(mm);
    helper_assert_valid(&s.helper);
    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_EMPTY);
    assert_int_equal(aspen_destroy(s.helper.aspen), -ASPEN_EBUSY);
    assert_int_equal(bytes_of(&s, frames[0])[0], 42);
    helper_unpin(mm, frames, 1, 0);
    helper_unpin(mm, &frames[2], 1, 0);
    s.mm = helper_mm(&s.helper);
    destroy(&s);
}

/* Many pins of one page; a pin of a page whose entry became read-only. */
static void
test_again(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[5];

    create(&s);
    helper_map(s.mm, BASE, 1, RW);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(aspen_pin_range(s.mm, BASE, PAGE,
                                         i % 2 ? ASPEN_PIN_WRITE : 0,
                                         &frames[i]),
                         0);
    assert_int_equal(frames[0], frames[4]);
    assert_int_equal(aspen_frame_pins(s.helper.aspen, frames[0]), 5);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 5);
    helper_assert_valid(&s.helper);
    helper_unpin(s.mm, frames, 4, 0);
    fork_child(&s);
    assert_int_not_equal(frame_at(s.child, BASE), frames[0]);
    assert_int_equal(frame_at(s.mm, BASE), frames[0]);
    helper_unpin(s.mm, &frames[4], 1, 0);
    destroy(&s);
}

/* Read-pinned while its entry is read-only: a write must not copy. */
static void
test_write_to_pinned(void **state)
{
    (void)state;
    struct space s;
    struct aspen_slot slot;
    uint32_t frame;

    create(&s);
    helper_map(s.mm, BASE, 1, RW);
    helper_put(&s.helper, s.mm, BASE, 1);
    assert_int_equal(aspen_pin_range(s.mm, BASE, PAGE, 0, &frame), 0);
    uint64_t entry = aspen_table_walk(s.mm, BASE, &slot);
    *slot.entry = aspen_entry_write_protect(entry);
    helper_put(&s.helper, s.mm, BASE, 2);
    assert_int_equal(bytes_of(&s, frame)[0], 2);
    assert_int_equal(frame_at(s.mm, BASE), frame);
    helper_unpin(s.mm, &frame, 1, 0);
    destroy(&s);
}

/* A mapping of `pages` times 2 MiB, the last of which is one huge page. */
static void
import_huge(struct aspen_mm *mm, uint64_t start, unsigned pages)
{
    uint64_t end = start + pages * 2 * MIB;
    struct aspen_import_vma vma = {
        .start = start,
        .end = end,
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages huge = {
        .address = end - 2 * MIB,
        .count = 1,
        .level = 1,
        .kind = ASPEN_IMPORT_ANON,
        .dirty = true,
        .swap_slot = UINT32_MAX,
    };
    uint64_t done;

    assert_int_equal(aspen_import_vma(mm, &vma), 0);
    assert_int_equal(aspen_import_pages(mm, &huge, &done), 0);
}

/* A huge page: any of its pages, counted with the first; copied whole. */
static void
test_huge(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[2];

    create(&s);
    import_huge(s.mm, 2 * MIB, 1);
    uint32_t head = frame_at(s.mm, 2 * MIB);
    assert_int_equal(
        aspen_pin_range(s.mm, 2 * MIB + 5 * PAGE, 2 * PAGE, 0, frames), 0);
    assert_int_equal(frames[0], head + 5);
    assert_int_equal(frames[1], head + 6);
    assert_int_equal(aspen_frame_pins(s.helper.aspen, head), 2);
    bytes_of(&s, frames[1])[3] = 77;
    fork_child(&s);
    helper_assert_valid(&s.helper);
    assert_int_not_equal(frame_at(s.child, 2 * MIB), head);
    assert_int_equal(helper_get(&s.helper, s.child, 2 * MIB + 6 * PAGE + 3),
                     77);
    helper_unmap(s.mm, 2 * MIB, 512);
    helper_assert_valid(&s.helper);
    helper_unpin(s.mm, frames, 2, 0);
    destroy(&s);
}

struct giver {
    struct aspen_mm *mm;
    uint32_t frame; /* given back at the next step FRAME */
};

static void
give_back(void *context, enum aspen_step step, uint64_t crossing)
{
    struct giver *giver = context;

    (void)crossing;
    if (step != ASPEN_STEP_FRAME || giver->frame == ASPEN_NO_FRAME)
        return;
    helper_unpin(giver->mm, &giver->frame, 1, 0);
    giver->frame = ASPEN_NO_FRAME;
}

/* A pin that is given back while fork gets memory for its copy: the page is
 * shared, and the memory not taken for another page, of another size. */
static void
test_given_back(void **state)
{
    (void)state;
    struct space s;
    struct giver giver;
    struct aspen_failpoint_plan plan = {ASPEN_FAIL_NEVER, 0, give_back, &giver};
    uint32_t frame;

    create(&s);
    import_huge(s.mm, 2 * MIB, 2);
    helper_put(&s.helper, s.mm, 2 * MIB, 7);
    giver.mm = s.mm;
    assert_int_equal(
        aspen_pin_range(s.mm, 2 * MIB, PAGE, ASPEN_PIN_WRITE, &giver.frame), 0);
    assert_int_equal(
        aspen_pin_range(s.mm, 4 * MIB, PAGE, ASPEN_PIN_WRITE, &frame), 0);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, &plan), 0);
    fork_child(&s);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, NULL), 0);
    assert_int_equal(giver.frame, ASPEN_NO_FRAME);
    assert_int_equal(frame_at(s.child, 2 * MIB), frame_at(s.mm, 2 * MIB));
    assert_int_not_equal(frame_at(s.child, 4 * MIB), frame);
    helper_assert_valid(&s.helper);
    helper_unpin(s.mm, &frame, 1, 0);
    destroy(&s);
}

/* ---- Arguments, and nothing pinned on errors --------------------------- */

static void
test_refused(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[8];
    const struct {
        uint64_t address;
        uint64_t length;
        unsigned flags;
        int error;
    } calls[] = {
        {BASE + 1, PAGE, 0, -ASPEN_EINVAL},
        {BASE, 1, 0, -ASPEN_EINVAL},
        {BASE, 0, 0, -ASPEN_EINVAL},
        {BASE, PAGE, 8, -ASPEN_EINVAL},
        {BASE - PAGE, PAGE, 0, -ASPEN_EFAULT},
        {BASE, 3 * PAGE, 0, -ASPEN_EFAULT},
        {BASE, 0 - BASE, 0, -ASPEN_EFAULT},
        {0 - PAGE, PAGE, 0, -ASPEN_EFAULT},
    };

    create(&s);
    helper_map(s.mm, BASE, 2, RW);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_int_equal(aspen_pin_range(s.mm, calls[i].address,
                                         calls[i].length, calls[i].flags,
                                         frames),
                         calls[i].error);
        assert_int_equal(helper_counters(s.mm).pinned_pages, 0);
        helper_assert_valid(&s.helper);
    }
    destroy(&s);
}

static void
test_limited(void **state)
{
    (void)state;
    struct space s;
    uint32_t frames[4];

    create(&s);
    helper_map(s.mm, BASE, 4, RW);
    assert_int_equal(aspen_limit_set(s.mm, ASPEN_LIMIT_MEMLOCK, 3 * PAGE + 5),
                     0);
    assert_int_equal(
        aspen_pin_range(s.mm, BASE, 4 * PAGE, ASPEN_PIN_LIMITED, frames),
        -ASPEN_ENOMEM);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 0);
    assert_int_equal(
        aspen_pin_range(s.mm, BASE, 2 * PAGE, ASPEN_PIN_LIMITED, frames), 0);
    assert_int_equal(aspen_pin_range(s.mm, BASE + 2 * PAGE, 2 * PAGE,
                                     ASPEN_PIN_LIMITED, frames + 2),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_counters(s.mm).pinned_pages, 2);
    assert_int_equal(aspen_pin_range(s.mm, BASE + 2 * PAGE, PAGE,
                                     ASPEN_PIN_LIMITED, frames + 2),
                     0);
    /* Not asked for, and not bound. */
    assert_int_equal(aspen_pin_range(s.mm, BASE, PAGE, 0, frames + 3), 0);
    helper_unpin(s.mm, frames, 4, 0);
    assert_int_equal(aspen_privileges_set(s.mm, ASPEN_PRIVILEGE_IPC_LOCK), 0);
    assert_int_equal(
        aspen_pin_range(s.mm, BASE, 4 * PAGE, ASPEN_PIN_LIMITED, frames), 0);
    helper_unpin(s.mm, frames, 4, 0);
    destroy(&s);
}

/* ---- Every step fails -------------------------------------------------- */

struct failing {
    struct space space;
    uint32_t frames[4];
    bool fork;
    bool pinned;
};

static void
fail_setup(void *context)
{
    struct failing *f = context;
    struct space *s = &f->space;

    create(s);
    helper_map(s->mm, BASE, 3, RW);
    helper_put(&s->helper, s->mm, BASE, 5);
    helper_map_object(s->mm, BASE + 3 * PAGE, 1, RW, s->file, 0);
    f->pinned = false;
    if (!f->fork)
        fork_child(s);
    else
        assert_int_equal(
            aspen_pin_range(s->mm, BASE, 4 * PAGE, ASPEN_PIN_WRITE, f->frames),
            0);
    f->pinned = f->fork;
}

static int
fail_run(void *context)
{
    struct failing *f = context;

    if (f->fork)
        return aspen_fork(f->space.mm, &f->space.child);
    int error = aspen_pin_range(f->space.mm, BASE, 4 * PAGE, ASPEN_PIN_WRITE,
                                f->frames);
    f->pinned = !error;
    assert_int_equal(helper_counters(f->space.mm).pinned_pages, error ? 0 : 4);
    return error;
}

static void
fail_done(void *context)
{
    struct failing *f = context;

    assert_int_equal(bytes_of(&f->space, f->frames[0])[0], 5);
    assert_int_equal(helper_get(&f->space.helper, f->space.child, BASE), 5);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(frame_at(f->space.mm, BASE + i * PAGE), f->frames[i]);
}

static void
fail_teardown(void *context)
{
    struct failing *f = context;

    if (f->pinned)
        helper_unpin(f->space.mm, f->frames, 4, ASPEN_UNPIN_DIRTY);
    destroy(&f->space);
}

static void
test_every_step(void **state)
{
    (void)state;
    struct failing f = {0};
    struct helper_failing each = {
        .name = "pin",
        .helper = &f.space.helper,
        .mm = &f.space.mm,
        .setup = fail_setup,
        .run = fail_run,
        .done = fail_done,
        .teardown = fail_teardown,
        .context = &f,
        .progressive = true, /* pages that were faulted in stay */
    };

    assert_true(helper_fail_every_step(&each) >= 2 * 10);
    f.fork = true;
    each.name = "fork of a space with pins";
    each.progressive = false;
    assert_true(helper_fail_every_step(&each) >= 2 * 4);
    assert_int_equal(helper_failed_steps(&each, ASPEN_STEP_FRAME), 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_outlives),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_write_to_pinned),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limited),
        cmocka_unit_test(test_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
