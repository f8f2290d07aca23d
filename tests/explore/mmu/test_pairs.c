/* SPDX-License-Identifier: MIT */
/*
 * Every two calls of pairs.h that can meet, in every relation of their places:
 * what each promises holds whatever the other does, the processor's caches
 * included.
 */
#include "pairs.h"

#define ELSEWHERE (64 * PAGE) /* behind START; each task has its own */
#define WALKER    2u
#define WALKER_AT 8u /* in the page, as pair_byte_at() */

enum relation {
    SAME_PAGE,
    NEXT_PAGE,
    NEXT_VMA,
    TWO_SPACES,
    PARENT_CHILD,
    RELATIONS,
};

static const char *const relation_names[RELATIONS] = {
    "same-page", "next-page", "next-vma", "two-spaces", "parent-child"};

/* Which page each is about. */
static const unsigned places[RELATIONS][2] = {
    {1, 1}, {1, 2}, {2, 3}, {1, 1}, {1, 1}};

static struct {
    const struct pair_row *rows[2];
    enum relation relation;
    struct pair_side sides[2];
    int errors[2];
    bool walked; /* the third CPU's write went through */
    char disk[PAIR_PAGES][PAGE];
} scene;

/* ---- What there is ------------------------------------------------------ */

static bool
has(unsigned flag)
{
    return (scene.rows[0]->flags | scene.rows[1]->flags) & flag;
}

static bool
has_object(void)
{
    return has(PAIR_OF_OBJECT) || scene.relation == TWO_SPACES;
}

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memcpy(page, scene.disk[offset_bytes / PAGE], PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context;
    sim_point(pages[0], false);
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        memcpy(scene.disk[offset_bytes / PAGE + i], pages[i], PAGE);
    return 0;
}

static int
punch_disk(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    memset(scene.disk[offset_bytes / PAGE], 0, length_bytes);
    return 0;
}

static void
make_object(void)
{
    static const struct aspen_pager_ops pager = {
        .read = read_disk, .write = write_disk, .punch = punch_disk};
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = PAIR_PAGES * PAGE,
                                     .pager = &pager};

    memset(scene.disk, 'P', sizeof(scene.disk));
    must(aspen_object_create(mmu_scene.aspen, &args, &mmu_scene.object));
}

/* Two VMAs that no call of the table makes alike. */
static void
map(struct aspen_mm *mm)
{
    const uint64_t half = PAIR_PAGES / 2 * PAGE;
    uint64_t flags = RW | (mmu_scene.object ? ASPEN_VM_SHARED : 0);

    explore_map(mm, START, PAIR_PAGES, flags, mmu_scene.object);
    must(aspen_madvise(mm, START + half, half, ASPEN_MADV_SEQUENTIAL));
}

static struct aspen_mm **
space_of(unsigned task)
{
    return task && scene.relation >= TWO_SPACES ? &mmu_scene.child
                                                : &mmu_scene.mm;
}

static uint64_t
page_of(unsigned task)
{
    return START + places[scene.relation][task] * PAGE;
}

/* Everybody has written before, and the pages are there. */
static void
fill(unsigned task)
{
    struct aspen_mm *mm = *space_of(task);

    for (unsigned i = 0; i < 2; i++)
        access_byte(task, mm, page_of(i), MMU_WRITE, 'P');
}

static void
begin(void)
{
    static const struct aspen_notifier_ops no_second;

    mmu_swap_begin(&no_second);
    if (has_object())
        make_object();
    map(mmu_scene.mm);
    fill(0);
    must(aspen_mm_activate(mmu_scene.mm, WALKER));
    if (scene.relation == TWO_SPACES) {
        must(aspen_mm_create(mmu_scene.aspen, &mmu_scene.child));
        map(mmu_scene.child);
    }
    if (scene.relation == PARENT_CHILD)
        must(aspen_fork(mmu_scene.mm, &mmu_scene.child));
    must(aspen_mm_activate(*space_of(1), 1));
    if (scene.relation == TWO_SPACES)
        fill(1);
}

static void
place(unsigned task)
{
    scene.sides[task] = (struct pair_side){
        .task = task,
        .mm = space_of(task),
        .page = page_of(task),
        .elsewhere = START + (task + 1) * ELSEWHERE,
    };
}

/* All that the tables have. */
static void
cache(unsigned cpu, struct aspen_mm **mm)
{
    mmu_load(cpu, (*mm)->root, START, START + PAIR_PAGES * PAGE, PAIR_PAGES);
}

static void
setup(void *unused)
{
    (void)unused;
    scene.walked = false;
    begin();
    for (unsigned i = 0; i < 2; i++) {
        place(i);
        if (scene.rows[i]->set_up)
            scene.rows[i]->set_up(&scene.sides[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        cache(i, space_of(i));
    cache(WALKER, &mmu_scene.mm);
}

/* ---- Tasks -------------------------------------------------------------- */

/* Nobody runs in it any more: what was cached leads nowhere new until then. */
static bool
is_ending(const struct aspen_mm *mm)
{
    for (unsigned i = 0; i < 2; i++)
        if (scene.rows[i]->flags & PAIR_ENDS && *scene.sides[i].mm == mm)
            return true;
    return false;
}

/* What was cached of the page, by whoever has it, is gone. */
static void
check_taken(const struct pair_side *side, const struct pair_row *row,
            uint64_t since)
{
    struct aspen_mm *const spaces[] = {mmu_scene.mm, mmu_scene.child};
    uint64_t start = row->flags & PAIR_OF_PAGE ? side->page : START;
    uint64_t end =
        row->flags & PAIR_OF_PAGE ? start + PAGE : START + PAIR_PAGES * PAGE;

    for (unsigned i = 0; i < 2; i++)
        if (spaces[i] && !is_ending(spaces[i]) &&
            (row->flags & PAIR_OF_OBJECT || spaces[i] == *side->mm))
            mmu_check_gone(spaces[i]->root, start, end, since, row->gone,
                           row->name);
}

static bool
may_fail(unsigned task)
{
    return scene.rows[task]->flags & PAIR_MAY_FAIL ||
           scene.rows[1 - task]->flags & PAIR_REFUSES;
}

static void
call(void *unused)
{
    unsigned task = sim_task();
    struct pair_side *side = &scene.sides[task];
    const struct pair_row *row = scene.rows[task];
    uint64_t since = mmu_now();
    int error = row->make(side);

    (void)unused;
    scene.errors[task] = error;
    if (error && !may_fail(task))
        must(error);
    if (!error && row->flags & PAIR_GONE)
        check_taken(side, row, since);
}

/* By what it has cached, or finds in the tables; it takes no faults. */
static void
walk(void *unused)
{
    char byte = 'w';

    (void)unused;
    scene.walked =
        told_access(WALKER, mmu_scene.mm, scene.sides[0].page + WALKER_AT,
                    MMU_WRITE, &byte, 1);
}

/* ---- Afterwards --------------------------------------------------------- */

/* What the call has done to what others have written there. */
static bool
is_destroyed(unsigned by, const struct pair_side *side)
{
    unsigned flags = scene.rows[by]->flags;
    bool reaches = scene.sides[by].mm == side->mm || has_object();

    return flags & (PAIR_DESTROYS | PAIR_ENDS) && reaches;
}

static void
check_byte(const struct pair_side *side, uint64_t at, char wanted)
{
    char byte;

    if (wanted == 'P' && has(PAIR_CLEARED) && !has_object())
        return;
    if (!*side->mm || is_destroyed(0, side) || is_destroyed(1, side))
        return;
    byte = access_byte(side->task, *side->mm, side->page + at, MMU_READ, 0);
    if (byte != wanted)
        sim_fail("a write is lost");
}

static void
check(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        const struct pair_side *side = &scene.sides[i];
        check_byte(side, 0, 'P');
        if (scene.rows[i]->flags & PAIR_WRITES && !scene.errors[i])
            check_byte(side, pair_byte_at(i), pair_byte(i));
    }
    if (scene.walked)
        check_byte(&scene.sides[0], WALKER_AT, 'w');
    for (unsigned i = 0; i < 2; i++)
        if (scene.sides[i].children)
            aspen_mm_put(scene.sides[i].children);
    mmu_scene_end();
}

/* ---- Pairs -------------------------------------------------------------- */

/*
 * A call that is about no page is where any other is. A space that ends has
 * nobody else in it. Of two places that are alike the order makes no
 * difference.
 */
static bool
can_meet(const struct pair_row *a, const struct pair_row *b,
         enum relation relation)
{
    bool of_pages = a->flags & b->flags & PAIR_OF_PAGE;
    bool one_space = relation < TWO_SPACES;
    unsigned all = a->flags | b->flags;

    if (b < a && relation != PARENT_CHILD)
        return false;
    if (all & PAIR_ENDS && one_space)
        return false;
    if (all & PAIR_OF_ANON && (all & PAIR_OF_OBJECT || relation == TWO_SPACES))
        return false;
    return of_pages || relation == SAME_PAGE || relation >= TWO_SPACES;
}

static void
run_pair(const struct pair_row *a, const struct pair_row *b,
         enum relation relation)
{
    void (*tasks[])(void *) = {call, call, NULL};
    char name[100];

    scene.rows[0] = a;
    scene.rows[1] = b;
    scene.relation = relation;
    if (has(PAIR_TAKES) && !(a->flags & PAIR_ENDS))
        tasks[2] = walk;
    struct sim_program program = {
        setup, {tasks[0], tasks[1], tasks[2]}, tasks[2] ? 3 : 2, check, NULL};
    snprintf(name, sizeof(name), "%s+%s/%s", a->name, b->name,
             relation_names[relation]);
    explore_bounded(name, &program, 1);
}

static void
pairs(void **state)
{
    (void)state;
    for (unsigned a = 0; a < pair_row_count; a++)
        for (unsigned b = 0; b < pair_row_count; b++)
            for (unsigned relation = 0; relation < RELATIONS; relation++)
                if (can_meet(&pair_rows[a], &pair_rows[b], relation))
                    run_pair(&pair_rows[a], &pair_rows[b], relation);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
