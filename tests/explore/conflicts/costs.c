/* SPDX-License-Identifier: MIT */
/*
 * costs.c - see costs.h. A call is made by one CPU, which runs the space,
 * beside mappings that are unlike each other; it has been made before, so that
 * the CPU's caches have what it takes. What grows with pages or mappings is
 * measured with few and with many of them: the difference is what one costs.
 *
 * An atomic change is one locked instruction, whatever the processor's name for
 * it; so is taking any lock, and giving back one that others may hold or wait
 * for meanwhile (the mmap lock), and a fence that no locked instruction comes
 * right before.
 */
#include "costs.h"

#include "calls.h"
#include "names.h"

#include "internal.h"
#include "memory/place.h"

#define FRAMES     2048u
#define NEIGHBOURS 26u /* as aspen bench calls has */
#define BASE       (4 * GIB)
#define AWAY       (512 * GIB) /* where it is made before */
#define LINES      4096u
#define NAME_SIZE  64u

struct cost {
    double locked;
    double written;
    double touched;
};

static const struct row {
    const char *name;
    /* Units that there are: none; or few and many, and one of them costs what
     * the two differ by. */
    unsigned few, many;
    void (*prepare)(struct side *side, unsigned units);
    void (*make)(struct side *side, unsigned units);
} rows[];

/* What of it is in which field. */
static struct field_cost {
    char name[NAME_SIZE];
    struct cost cost;
} fields[LINES];
static unsigned field_count;

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct side side;
    struct side away;
    const struct row *row;
    unsigned units;
    struct cost cost;
} scene;

/* ---- Calls ------------------------------------------------------------- */

static void
map(struct side *side, uint64_t pages)
{
    explore_map(side->mm, side->region, pages, RW, NULL);
}

static void
touch(struct side *side, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        must(
            aspen_fault(side->mm, side->region + i * PAGE, ASPEN_ACCESS_WRITE));
}

static void
prepare_mapped(struct side *side, unsigned units)
{
    (void)units;
    map(side, 64);
    /* The table is there, and so is the anon_vma. */
    must(aspen_fault(side->mm, side->region + 63 * PAGE, ASPEN_ACCESS_WRITE));
}

static void
prepare_touched(struct side *side, unsigned units)
{
    prepare_mapped(side, 0);
    touch(side, units ? units : 16);
}

static void
prepare_forked(struct side *side, unsigned units)
{
    prepare_touched(side, units);
    must(aspen_fork(side->mm, &side->children[side->child_count++]));
}

/* Mappings of a page, each unlike its neighbours. */
static void
prepare_mappings(struct side *side, unsigned units)
{
    for (unsigned i = 0; i < units; i++)
        explore_map(side->mm, side->region + 2 * i * PAGE, 1, RW, NULL);
}

static void
mmap_munmap(struct side *side, unsigned units)
{
    (void)units;
    map(side, 16);
    must(aspen_munmap(side->mm, side->region, 16 * PAGE));
}

static void
split_merge(struct side *side, unsigned units)
{
    (void)units;
    must(aspen_mprotect(side->mm, side->region + 16 * PAGE, 16 * PAGE,
                        ASPEN_VM_READ, ASPEN_PKEY_SAME));
    must(aspen_mprotect(side->mm, side->region + 16 * PAGE, 16 * PAGE, RW,
                        ASPEN_PKEY_SAME));
}

static void
move(struct side *side, unsigned units)
{
    struct aspen_mremap_args args = {
        .address = side->region,
        .old_bytes = (units ? units : 16) * PAGE,
        .new_bytes = (units ? units : 16) * PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = side->region + REGION,
    };
    uint64_t address;

    must(aspen_mremap(side->mm, &args, &address));
}

static void
first_touch(struct side *side, unsigned units)
{
    (void)units;
    touch(side, 1);
}

static void
fork_space(struct side *side, unsigned units)
{
    (void)units;
    must(aspen_fork(side->mm, &side->children[side->child_count++]));
}

static void
end_child(struct side *side, unsigned units)
{
    (void)units;
    aspen_mm_put(side->children[--side->child_count]);
}

static void
unmap(struct side *side, unsigned units)
{
    (void)units;
    must(aspen_munmap(side->mm, side->region, 64 * PAGE));
}

static const struct row rows[] = {
    {"mmap + munmap", 0, 0, NULL, mmap_munmap},
    {"mprotect, split + merge", 0, 0, prepare_touched, split_merge},
    {"mremap, 16 touched pages", 0, 0, prepare_touched, move},
    {"first touch", 0, 0, prepare_mapped, first_touch},
    {"copy on write", 0, 0, prepare_forked, first_touch},
    {"munmap, a touched page", 16, 48, prepare_touched, unmap},
    {"fork, a touched page", 16, 48, prepare_touched, fork_space},
    {"fork, a mapping", 8, 40, prepare_mappings, fork_space},
    {"exit, a page that is shared", 16, 48, prepare_forked, end_child},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- Counting ---------------------------------------------------------- */

static void
setup(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    scene.side = (struct side){.mm = scene.mm, .region = BASE};
    scene.away = (struct side){.mm = scene.mm, .region = BASE + AWAY};
    for (unsigned i = 0; i < NEIGHBOURS; i++)
        explore_map(scene.mm, BASE + 64 * MIB + i * PAGE, 1,
                    i % 2 ? RW : ASPEN_VM_READ, NULL);
    must(aspen_mm_activate(scene.mm, 0));
    names_learn(NULL);
    sim_record_begin();
}

static void
task(void *unused)
{
    struct side *sides[] = {&scene.away, &scene.side};

    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        if (scene.row->prepare)
            scene.row->prepare(sides[i], scene.units);
    scene.row->make(&scene.away, scene.units);
    names_learn_space(scene.mm);
    sim_record(true);
    scene.row->make(&scene.side, scene.units);
    sim_record(false);
}

static void
idle(void *unused)
{
    (void)unused;
}

static void
put_children(struct side *side)
{
    while (side->child_count)
        aspen_mm_put(side->children[--side->child_count]);
}

/* Freed memory is written over where tests run, and nowhere else. To ask for a
 * place's name takes long. */
static bool
is_poison(uint32_t place)
{
    static struct {
        uint32_t place;
        bool poison;
    } asked[256];
    static unsigned count;
    char name[256];
    unsigned i = 0;

    while (i < count && asked[i].place != place)
        i++;
    if (i == sizeof(asked) / sizeof(asked[0]))
        return false;
    if (i == count) {
        place_name(place, name, sizeof(name));
        asked[count].place = place;
        asked[count++].poison = !strncmp(name, "object_hide ", 12);
    }
    return asked[i].poison;
}

static void
add(struct cost *cost, const struct sim_cost *more)
{
    cost->locked += more->locked;
    cost->written += more->written;
    cost->touched += more->address != NULL;
}

static struct cost *
field_of(const char *name)
{
    unsigned i = 0;

    while (i < field_count && strcmp(fields[i].name, name))
        i++;
    if (i == field_count)
        snprintf(fields[field_count++].name, NAME_SIZE, "%s", name);
    return &fields[i].cost;
}

static void
check(void *unused)
{
    static struct sim_cost costs[LINES];
    unsigned count = sim_costs(costs, LINES);

    (void)unused;
    names_learn(scene.aspen);
    names_learn_space(scene.mm);
    for (unsigned i = 0; i < scene.side.child_count; i++)
        names_learn_space(scene.side.children[i]);
    scene.cost = (struct cost){0};
    memset(fields, 0, sizeof(fields));
    field_count = 0;
    for (unsigned i = 0; i < count; i++) {
        char name[NAME_SIZE] = "";
        if (costs[i].address)
            names_of(costs[i].address, name, sizeof(name));
        if (call_is_for_tests(name) ||
            (costs[i].written && is_poison(costs[i].place)))
            continue;
        add(&scene.cost, &costs[i]);
        add(field_of(costs[i].address ? name : "fences"), &costs[i]);
    }
    put_children(&scene.side);
    put_children(&scene.away);
    must(aspen_mm_deactivate(scene.mm, 0));
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

/* False: it failed, and was told. */
static bool
measure_units(const struct row *row, unsigned units, struct cost *cost)
{
    static struct sim_result result;
    const struct sim_program program = {setup, {task, idle}, 2, check, NULL};

    scene.row = row;
    scene.units = units;
    sim_explore(&program, 1, &result);
    if (result.broken)
        fprintf(stderr, "aspen-conflicts: %s: %s\n", row->name, result.what);
    *cost = scene.cost;
    return !result.broken;
}

static bool
measure(const struct row *row, struct cost *cost)
{
    double units = row->many - row->few;
    struct cost few;

    if (row->few && !measure_units(row, row->few, &few))
        return false;
    if (!measure_units(row, row->many, cost))
        return false;
    if (!row->few)
        return true;
    cost->locked = (cost->locked - few.locked) / units;
    cost->written = (cost->written - few.written) / units;
    cost->touched = (cost->touched - few.touched) / units;
    return true;
}

static int
by_locked(const void *left, const void *right)
{
    const struct field_cost *a = left, *b = right;

    if (a->cost.locked != b->cost.locked)
        return a->cost.locked < b->cost.locked ? 1 : -1;
    return a->cost.written != b->cost.written
               ? (a->cost.written < b->cost.written ? 1 : -1)
               : strcmp(a->name, b->name);
}

static void
print_row(const char *before, const char *name, const struct cost *cost)
{
    printf("%s%-*s %8.1f %13.1f %13.1f\n", before, 32 - (int)strlen(before),
           name, cost->locked, cost->written, cost->touched);
}

/* Of the last call that was measured: of a row by units, with many of them. */
static void
print_fields(void)
{
    qsort(fields, field_count, sizeof(fields[0]), by_locked);
    for (unsigned i = 0; i < field_count; i++) {
        if (fields[i].cost.locked > 0 || fields[i].cost.written > 0)
            print_row("  ", fields[i].name, &fields[i].cost);
    }
}

int
costs_print(bool json, bool all)
{
    struct cost cost;

    if (json)
        printf("{\"schema\":\"aspen.costs/1\",\"rows\":[");
    else
        printf("%-32s %8s %13s %13s\n", "", "locked", "lines written",
               "lines touched");
    for (unsigned i = 0; i < ROWS; i++) {
        if (!measure(&rows[i], &cost))
            return 1;
        if (json)
            printf("%s{\"name\":\"%s\",\"locked\":%.2f,"
                   "\"lines_written\":%.2f,\"lines_touched\":%.2f}",
                   i ? "," : "", rows[i].name, cost.locked, cost.written,
                   cost.touched);
        else
            print_row("", rows[i].name, &cost);
        if (all)
            print_fields();
    }
    if (json)
        printf("]}\n");
    return 0;
}
